//! From a rule's text to what can be evaluated, or to why it cannot.

use std::collections::HashSet;
use std::sync::Arc;

use drydock_cel::Program;
use drydock_cel::ast::{Expr, ExprKind};
use drydock_cel::cost::estimate;
use drydock_cel::declare::KubernetesVersion;
use drydock_cel::env::Env;
use drydock_cel::types::Type;

use super::declare::{Declared, LARGEST_REQUEST, SelfType};
use crate::cel::library;
use crate::value::Value;

/// The expressions that a stored definition has, and what they and others may use.
#[derive(Debug)]
pub struct Stored<'a> {
    pub(super) minor_version: u32,
    rules: HashSet<&'a str>,
    messages: HashSet<&'a str>,
}

impl<'a> Stored<'a> {
    /// Of a cluster of Kubernetes 1.`minor_version`.
    pub fn new(minor_version: u32) -> Self {
        Self { minor_version, rules: HashSet::new(), messages: HashSet::new() }
    }

    /// What is stored may use all that the cluster knows; what is new only what the version before it knows, should the
    /// cluster go back.
    fn version(&self, known: &HashSet<&str>, expression: &str) -> KubernetesVersion {
        let back = u32::from(!known.contains(expression));
        KubernetesVersion::of_minor(self.minor_version.saturating_sub(back))
    }

    /// Adds the expressions of a schema.
    pub fn collect(&mut self, schema: &'a Value) {
        match schema {
            Value::Object(fields) => {
                for rule in schema.array_at(&["x-kubernetes-validations"]) {
                    self.rules.insert(rule.str_at(&["rule"]));
                    self.messages.insert(rule.str_at(&["messageExpression"]));
                }
                fields.iter().for_each(|(_, inner)| self.collect(inner));
            }
            Value::Array(items) => items.iter().for_each(|item| self.collect(item)),
            _ => {}
        }
    }
}

/// A rule that compiled.
#[derive(Debug)]
pub struct Rule {
    pub program: Program,
    /// What evaluating it can cost.
    pub max_cost: u64,
    /// Whether it looks at what the object was.
    pub uses_old_self: bool,
    /// Its `messageExpression`, unless it has none.
    pub message: Option<Result<Message, String>>,
}

/// A `messageExpression` that compiled.
#[derive(Debug)]
pub struct Message {
    pub program: Program,
    pub max_cost: u64,
}

/// Compiles the rules of one schema node.
pub struct Compiler {
    of: SelfType,
}

impl Compiler {
    pub fn new(declared: Arc<Declared>) -> Self {
        Self { of: SelfType(declared) }
    }

    /// How often a value of this schema can be in an object at most, if nothing else bounds that.
    pub(super) fn max_cardinality(&self) -> u64 {
        (LARGEST_REQUEST / (self.of.0.min_size + 1)).cast_unsigned()
    }

    /// Compiles an element of `x-kubernetes-validations` that has a `rule`. Fails with why that does not compile, as the
    /// definition's writer is told; a `messageExpression` that does not is in the rule.
    pub fn compile(&self, rule: &Value, stored: &Stored<'_>) -> Result<Rule, String> {
        let optional = rule.bool_at(&["optionalOldSelf"]);
        let (text, message) = (rule.str_at(&["rule"]), rule.str_at(&["messageExpression"]));
        let env = self.env(stored.version(&stored.rules, text), optional);
        let checked = env.compile(text).map_err(|issues| format!("compilation failed: {issues}"))?;
        if checked.output != Type::Bool {
            return Err("cel expression must evaluate to a bool".to_owned());
        }
        let program = Program::new(&checked, library())
            .map_err(|error| format!("program instantiation failed: {error}"))?;
        let message = (!message.is_empty()).then(|| {
            let env = self.env(stored.version(&stored.messages, message), optional);
            self.message(&env, message)
        });
        let max_cost = estimate(&checked, &self.of).max;
        Ok(Rule { uses_old_self: mentions(&checked.expr, "oldSelf"), program, max_cost, message })
    }

    fn message(&self, env: &Env, text: &str) -> Result<Message, String> {
        let checked =
            env.compile(text).map_err(|issues| format!("messageExpression compilation failed: {issues}"))?;
        if checked.output != Type::String {
            return Err("messageExpression must evaluate to a string".to_owned());
        }
        let program = Program::new(&checked, library())
            .map_err(|error| format!("messageExpression instantiation failed: {error}"))?;
        Ok(Message { program, max_cost: estimate(&checked, &self.of).max })
    }

    fn env(&self, version: KubernetesVersion, optional_old_self: bool) -> Env {
        let of = self.of.cel_type();
        let old = if optional_old_self { Type::optional(of.clone()) } else { of.clone() };
        Env::new(version).types(Arc::new(self.of.clone())).variable("self", of).variable("oldSelf", old)
    }
}

/// Whether an expression has an identifier.
fn mentions(expr: &Expr, name: &str) -> bool {
    let within = |expr: &Expr| mentions(expr, name);
    match &expr.kind {
        ExprKind::Literal(_) => false,
        ExprKind::Ident(found) => **found == *name,
        ExprKind::Select(select) => within(&select.operand),
        ExprKind::Call(call) => call.target.iter().chain(&call.arguments).any(within),
        ExprKind::List(elements) => elements.iter().any(|element| within(&element.value)),
        ExprKind::Map(entries) => entries.iter().any(|entry| within(&entry.key) || within(&entry.value)),
        ExprKind::Struct(object) => object.fields.iter().any(|field| within(&field.value)),
        ExprKind::Comprehension(fold) => {
            [&fold.range, &fold.initial, &fold.condition, &fold.step, &fold.result].into_iter().any(within)
        }
    }
}
