//! The expressions of admission: of policies and of webhooks' match conditions.
//!
//! A [`Compiler`] knows what such expressions may refer to. What they are allowed to be is checked when their object is
//! written; the API server's admission compiles them again, once per change, to evaluate them.
//!
//! Deliberately absent: evaluating them, which is admission's.

mod types;

use std::fmt;
use std::sync::Arc;

use drydock_cel::Program;
use drydock_cel::declare::KubernetesVersion;
use drydock_cel::env::Env;
use drydock_cel::types::Type;
use drydock_machinery::cel::library;

use types::PolicyTypes;

use crate::Context;

/// What an expression may refer to, beside `object`, `oldObject`, `request` and `namespaceObject`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    pub params: bool,
    /// `authorizer` and `authorizer.requestResource`.
    pub authorizer: bool,
    /// `Object{…}`, `JSONPatch{…}` and what goes with them.
    pub patches: bool,
}

impl Scope {
    /// Of conditions, validations and variables.
    pub fn condition(params: bool) -> Self {
        Self { params, authorizer: true, patches: false }
    }

    /// Of messages, which ask for no rights.
    pub fn message(params: bool) -> Self {
        Self { params, authorizer: false, patches: false }
    }

    /// Of mutations.
    pub fn mutation(params: bool) -> Self {
        Self { params, authorizer: true, patches: true }
    }
}

/// What an expression must evaluate to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returns {
    Anything,
    Bool,
    String,
    StringOrNull,
    /// An `Object`, to be applied.
    Object,
    /// A list of `JSONPatch`.
    Patches,
}

impl Returns {
    fn types(self) -> Vec<Type> {
        match self {
            Self::Anything => Vec::new(),
            Self::Bool => vec![Type::Bool],
            Self::String => vec![Type::String],
            Self::StringOrNull => vec![Type::String, Type::Null],
            Self::Object => vec![Type::named(types::OBJECT)],
            Self::Patches => vec![Type::list(Type::named(types::JSON_PATCH))],
        }
    }

    /// # Errors
    /// In upstream's words, when a value of that type is not what is wanted.
    fn check(self, output: &Type) -> Result<(), String> {
        let wanted = self.types();
        if wanted.is_empty() || wanted.contains(output) {
            return Ok(());
        }
        let got = shown(output);
        Err(match wanted.as_slice() {
            [one] => format!("must evaluate to {} but got {got}", shown(one)),
            several => {
                let several: Vec<String> = several.iter().map(shown).collect();
                format!("must evaluate to one of [{}] but got {got}", several.join(" "))
            }
        })
    }
}

fn shown(ty: &Type) -> String {
    if *ty == Type::Null { "null_type".to_owned() } else { ty.to_string() }
}

/// Why an expression cannot be used: `compilation failed: …`, `must evaluate to bool but got int`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompileError(pub String);

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What expressions that are new may use: what the version before the cluster's understands, should it go back.
pub(crate) fn for_new(context: &Context<'_>) -> KubernetesVersion {
    KubernetesVersion::of_minor(context.minor_version.saturating_sub(1))
}

/// Compiles the expressions of one policy or webhook.
#[derive(Clone)]
pub struct Compiler {
    version: KubernetesVersion,
    types: PolicyTypes,
    composed: bool,
}

impl Compiler {
    /// For expressions without `variables`.
    pub fn plain(version: KubernetesVersion) -> Self {
        Self { version, types: PolicyTypes::default(), composed: false }
    }

    /// For expressions that may refer to [`Compiler::declare`]d variables.
    pub fn composed(version: KubernetesVersion) -> Self {
        Self { version, types: PolicyTypes::default(), composed: true }
    }

    /// Compiles a variable and lets what follows refer to it, of whatever type it turned out to be.
    ///
    /// # Errors
    /// Why it cannot be used; it is known all the same.
    pub fn declare(&mut self, name: &str, expression: &str, scope: Scope) -> Result<Program, CompileError> {
        let compiled = self.compiled(expression, scope, Returns::Anything);
        let output = compiled.as_ref().map_or(Type::Dyn, |(_, output)| output.clone());
        self.types.declare(name, output);
        compiled.map(|(program, _)| program)
    }

    /// # Errors
    /// Why the expression cannot be used.
    pub fn compile(&self, expression: &str, scope: Scope, returns: Returns) -> Result<Program, CompileError> {
        self.compiled(expression, scope, returns).map(|(program, _)| program)
    }

    fn compiled(
        &self,
        expression: &str,
        scope: Scope,
        returns: Returns,
    ) -> Result<(Program, Type), CompileError> {
        let checked = self
            .env(scope)
            .compile(expression)
            .map_err(|issues| CompileError(format!("compilation failed: {issues}")))?;
        returns.check(&checked.output).map_err(CompileError)?;
        let program = Program::new(&checked, library())
            .map_err(|why| CompileError(format!("program instantiation failed: {why}")))?;
        Ok((program, checked.output))
    }

    fn env(&self, scope: Scope) -> Env {
        let mut types = self.types.clone();
        types.patches = scope.patches;
        let mut env = Env::new(self.version)
            .variable("object", Type::Dyn)
            .variable("oldObject", Type::Dyn)
            .variable("namespaceObject", Type::named(types::NAMESPACE))
            .variable("request", Type::named(types::REQUEST))
            .types(Arc::new(types));
        if self.composed {
            env = env.variable("variables", Type::named(types::VARIABLES));
        }
        if scope.params {
            env = env.variable("params", Type::Dyn);
        }
        if scope.authorizer {
            env = with_authorizer(env).variable(
                "authorizer.requestResource",
                Type::named("kubernetes.authorization.ResourceCheck"),
            );
        }
        if scope.patches { env.json_patch() } else { env }
    }
}

fn with_authorizer(env: Env) -> Env {
    env.variable("authorizer", Type::named("kubernetes.authorization.Authorizer"))
}

/// What is wrong with an expression once the types of `object` and `params` are known: upstream's type checking, whose
/// warnings stand in a policy's status. `variables` come first, in their order.
///
/// # Errors
/// The issues, as the compiler shows them.
pub fn type_check(
    version: KubernetesVersion,
    expression: &str,
    variables: &[(&str, &str)],
    object: &Arc<dyn SchemaTypes>,
    params: Option<&Arc<dyn SchemaTypes>>,
    has_params: bool,
) -> Result<(), String> {
    let mut known = PolicyTypes::default();
    known.schemas.push(object.clone());
    known.schemas.extend(params.cloned());
    let env = |known: &PolicyTypes| {
        let root = |types: &Arc<dyn SchemaTypes>| types.root();
        let mut env = Env::new(version)
            .variable("object", root(object))
            .variable("oldObject", root(object))
            .variable("namespaceObject", Type::named(types::NAMESPACE))
            .variable("request", Type::named(types::REQUEST))
            .variable("variables", Type::named(types::VARIABLES));
        if has_params {
            env = env.variable("params", params.map_or(Type::Dyn, root));
        }
        with_authorizer(env).types(Arc::new(known.clone()))
    };
    for (name, text) in variables {
        let output = env(&known).compile(text).map_or(Type::Dyn, |checked| checked.output);
        known.declare(name, output);
    }
    env(&known).compile(expression).map(drop).map_err(|issues| issues.to_string())
}

/// The types of one schema: what `object` or `params` is.
pub trait SchemaTypes: drydock_cel::env::Types {
    /// The type of the whole.
    fn root(&self) -> Type;
}

#[cfg(test)]
mod tests;
