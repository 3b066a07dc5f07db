//! What an expression may refer to: variables, functions, types.

use std::collections::HashMap;
use std::sync::Arc;

use crate::check::{Checked, check, validate};
use crate::declare::{Functions, KubernetesVersion, Overload, functions, json_patch, named_type};
use crate::parse::{Macros, parse};
use crate::source::Issues;
use crate::types::Type;

/// The object types that a caller declares.
pub trait Types: Send + Sync {
    /// Whether there is a type of this name.
    fn has_type(&self, name: &str) -> bool;
    /// Whether an expression may name the type, to make a value of it.
    fn is_nameable(&self, name: &str) -> bool {
        self.has_type(name)
    }
    /// The type of a field of the named type; none if it has no such field.
    fn field(&self, type_name: &str, field: &str) -> Option<Type>;
}

/// Compiles expressions. Cheap to clone.
#[derive(Clone)]
pub struct Env {
    functions: Arc<Functions>,
    macros: Macros,
    variables: HashMap<Arc<str>, Type>,
    types: Option<Arc<dyn Types>>,
}

impl Env {
    /// The base environment of a version of Kubernetes.
    pub fn new(version: KubernetesVersion) -> Self {
        let lists = version >= KubernetesVersion::V1_34;
        let macros = Macros { two_variables: true, sort_by: lists, bind: false };
        Self { functions: functions(version), macros, variables: HashMap::new(), types: None }
    }

    /// With `cel.bind`, which only some of Kubernetes' environments have.
    #[must_use]
    pub fn bindings(mut self) -> Self {
        self.macros.bind = true;
        self
    }

    /// Declares a variable. Its name may have several parts: `request.userInfo`.
    #[must_use]
    pub fn variable(mut self, name: &str, of: Type) -> Self {
        self.variables.insert(name.into(), of);
        self
    }

    /// Declares object types, in place of those declared before.
    #[must_use]
    pub fn types(mut self, types: Arc<dyn Types>) -> Self {
        self.types = Some(types);
        self
    }

    /// Declares what JSON patches need.
    #[must_use]
    pub fn json_patch(mut self) -> Self {
        let mut functions = (*self.functions).clone();
        functions.extend(json_patch());
        self.functions = Arc::new(functions);
        self
    }

    /// Parses and checks an expression. Fails with all that is wrong with it.
    pub fn compile(&self, source: &str) -> Result<Checked, Issues> {
        let expr = parse(source, self.macros)?;
        let checked = check(self, expr).map_err(|issues| Issues::new(source, issues))?;
        match validate(&checked) {
            issues if issues.is_empty() => Ok(checked),
            issues => Err(Issues::new(source, issues)),
        }
    }

    pub(crate) fn ident(&self, name: &str) -> Option<Type> {
        if let Some(found) = self.variables.get(name) {
            return Some(found.clone());
        }
        if self.types.as_ref().is_some_and(|types| types.is_nameable(name)) {
            return Some(Type::Type(Arc::new(Type::named(name))));
        }
        let named = match name {
            // Short names come with the caller's types.
            "duration" if self.types.is_some() => Some(Type::Duration),
            "timestamp" if self.types.is_some() => Some(Type::Timestamp),
            _ => named_type(name),
        };
        named.map(|of| Type::Type(Arc::new(of)))
    }

    pub(crate) fn function(&self, name: &str) -> Option<&[Overload]> {
        self.functions.get(name).map(Vec::as_slice)
    }

    pub(crate) fn knows_type(&self, name: &str) -> bool {
        self.types.as_ref().is_some_and(|types| types.has_type(name))
    }

    pub(crate) fn field(&self, type_name: &str, field: &str) -> Option<Type> {
        self.types.as_ref()?.field(type_name, field)
    }
}
