//! The walk over an object.

use drydock_cel::value::Value as CelValue;
use drydock_cel::{Budget, EvalError, Variables};

use super::correlate::{Correlated, Ratchet, counterpart};
use super::message::{self, Message};
use super::schema::Shape;
use super::typed::typed;
use super::{Findings, Node, Rule};
use crate::status::{FieldError, FieldErrorKind, FieldErrors, FieldPath};
use crate::value::{Map, Value};

const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

/// Evaluates every rule at and beneath a node.
pub(super) fn walk(root: &Node, new: &Value, old: Option<&Value>, budget: i64) -> Findings {
    let mut walk = Walk { findings: Findings::default(), budget };
    let ratchet = Ratchet::root(old.map(|old| Correlated::new(new, old, &root.schema)));
    let _ = walk.node(root, new, old, ratchet, &FieldPath::root());
    walk.findings
}

/// The same for a part of an object that stands at `path`, letting nothing pass for having been so before. Answers what
/// is left of the budget, too.
pub(super) fn walk_all(
    root: &Node,
    new: &Value,
    old: Option<&Value>,
    path: &FieldPath,
    budget: i64,
) -> (FieldErrors, i64) {
    let mut walk = Walk { findings: Findings::default(), budget };
    let stopped = walk.node(root, new, old, Ratchet::default(), path).is_err();
    (walk.findings.errors, if stopped { -1 } else { walk.budget })
}

/// That the budget is used up: no rule may run any more.
struct Stop;

struct Walk {
    findings: Findings,
    budget: i64,
}

/// `self` and `oldSelf` of a rule.
struct Given {
    new: Result<CelValue, EvalError>,
    /// None: there is no such variable.
    old: Option<Result<CelValue, EvalError>>,
}

impl Variables for Given {
    fn variable(&self, name: &str) -> Option<Result<CelValue, EvalError>> {
        match name {
            "self" => Some(self.new.clone()),
            "oldSelf" => self.old.clone(),
            _ => None,
        }
    }
}

impl Walk {
    fn node(
        &mut self,
        node: &Node,
        new: &Value,
        old: Option<&Value>,
        ratchet: Ratchet<'_>,
        path: &FieldPath,
    ) -> Result<(), Stop> {
        if new.is_null() {
            return Ok(());
        }
        self.rules(node, new, old, ratchet, path)?;
        for part in &node.all_of {
            self.node(part, new, old, ratchet.all_of(), path)?;
        }
        match new {
            Value::Object(map) => self.object(node, map, old, ratchet, path),
            Value::Array(items) => self.list(node, items, old, ratchet, path),
            _ => Ok(()),
        }
    }

    fn object(
        &mut self,
        node: &Node,
        map: &Map,
        old: Option<&Value>,
        ratchet: Ratchet<'_>,
        path: &FieldPath,
    ) -> Result<(), Stop> {
        // Upstream takes any map's entries for what was there under the same key, atomic ones too.
        let old_of = |name: &str| old.and_then(|old| old.get(name));
        if let Some(additional) = &node.additional {
            for (name, value) in map.iter() {
                self.node(additional, value, old_of(name), ratchet.key(name), &path.key(name))?;
            }
        }
        for (name, value) in map.iter() {
            if let Some(property) = node.property(name) {
                self.node(property, value, old_of(name), ratchet.key(name), &path.child_named(name))?;
            }
        }
        Ok(())
    }

    fn list(
        &mut self,
        node: &Node,
        items: &[Value],
        old: Option<&Value>,
        ratchet: Ratchet<'_>,
        path: &FieldPath,
    ) -> Result<(), Stop> {
        let Some(item_node) = &node.items else { return Ok(()) };
        for (index, item) in items.iter().enumerate() {
            let old = old.and_then(|old| counterpart(&node.schema, old, item));
            self.node(item_node, item, old, ratchet.index(index), &path.index(index))?;
        }
        Ok(())
    }

    fn rules(
        &mut self,
        node: &Node,
        new: &Value,
        old: Option<&Value>,
        ratchet: Ratchet<'_>,
        path: &FieldPath,
    ) -> Result<(), Stop> {
        if node.rules.is_empty() {
            return Ok(());
        }
        let old = old.filter(|old| !old.is_null());
        if self.budget <= 0 {
            return self.stop(path, &node.type_name, OUT_OF_BUDGET);
        }
        let plain = variables(node, new, old);
        let optional = Given { new: plain.new.clone(), old: optional_old(node, &plain) };
        for rule in &node.rules {
            let program = match &rule.program {
                Ok(program) => program,
                Err(error) => {
                    let detail = format!("rule compile error: {error}");
                    self.findings.errors.invalid(path, node.type_name.as_str(), detail);
                    continue;
                }
            };
            if rule.uses_old_self && old.is_none() && !rule.optional_old_self {
                continue;
            }
            let variables = if rule.optional_old_self { &optional } else { &plain };
            let evaluation = program.evaluate(variables, Budget::default());
            let cost = i64::try_from(evaluation.cost).unwrap_or(i64::MAX);
            if cost > self.budget {
                return self.stop(path, &node.type_name, OUT_OF_BUDGET);
            }
            self.budget -= cost;
            match evaluation.result {
                Ok(CelValue::Bool(true)) => {}
                Ok(_) => self.failed(node, rule, new, &plain, ratchet, path)?,
                Err(error) => self.errored(node, rule, &error, path)?,
            }
        }
        Ok(())
    }

    fn stop(&mut self, path: &FieldPath, type_name: &str, detail: &str) -> Result<(), Stop> {
        self.findings.errors.invalid(path, type_name, detail);
        Err(Stop)
    }

    fn errored(&mut self, node: &Node, rule: &Rule, error: &EvalError, path: &FieldPath) -> Result<(), Stop> {
        let shown = &rule.shown;
        if error.is_fatal() {
            let detail = format!(
                "'{error}': no further validation rules will be run due to call cost exceeds limit for rule: {shown}"
            );
            return self.stop(path, &node.type_name, &detail);
        }
        let detail = if error.message().starts_with("no such overload") {
            format!(
                "'{error}': call arguments did not match a supported operator, function or macro signature for rule: {shown}"
            )
        } else {
            format!("{error} evaluating rule: {shown}")
        };
        self.findings.errors.invalid(path, node.type_name.as_str(), detail);
        Ok(())
    }

    fn failed(
        &mut self,
        node: &Node,
        rule: &Rule,
        new: &Value,
        variables: &Given,
        ratchet: Ratchet<'_>,
        path: &FieldPath,
    ) -> Result<(), Stop> {
        let path = rule.field_path.as_ref().map_or_else(|| path.clone(), |within| path.child_named(within));
        let message = match &rule.message_program {
            Some(program) => message::evaluate(program, &rule.message_source, variables, &mut self.budget),
            None => Message::None,
        };
        let detail = match message {
            Message::Text(text) => text,
            Message::None => rule.message.clone(),
            Message::OutOfBudget(why) => {
                let mut errors = FieldErrors::new();
                errors.invalid(&path, node.type_name.as_str(), why);
                self.report(errors, rule, ratchet);
                return Err(Stop);
            }
        };
        let whole = matches!(node.schema.shape, Shape::Object { .. } | Shape::List { .. });
        let value = (!whole).then(|| new.clone());
        self.report(error(&path, value, detail, &rule.reason), rule, ratchet);
        Ok(())
    }

    /// What was wrong before and did not change is only warned of.
    fn report(&mut self, errors: FieldErrors, rule: &Rule, ratchet: Ratchet<'_>) {
        if !rule.uses_old_self && ratchet.lets_pass() {
            self.findings.warnings.extend(errors.iter().map(ToString::to_string));
        } else {
            self.findings.errors.append(errors);
        }
    }
}

fn variables(node: &Node, new: &Value, old: Option<&Value>) -> Given {
    let old = old.filter(|_| node.uses_old_self()).map(|old| typed(old, &node.schema));
    Given { new: typed(new, &node.schema), old }
}

/// `oldSelf` as an optional, if any rule of the node asks for it.
fn optional_old(node: &Node, plain: &Given) -> Option<Result<CelValue, EvalError>> {
    if !node.uses_old_self() {
        return None;
    }
    Some(match &plain.old {
        Some(old) => old.clone().map(CelValue::some),
        None => Ok(CelValue::none()),
    })
}

/// `fieldErrorForReason`. Objects and lists are not shown.
fn error(path: &FieldPath, value: Option<Value>, detail: String, reason: &str) -> FieldErrors {
    let mut errors = FieldErrors::new();
    match (reason, value) {
        ("FieldValueForbidden", _) => errors.forbidden(path, detail),
        ("FieldValueRequired", _) => errors.required(path, detail),
        ("FieldValueDuplicate", Some(value)) => errors.duplicate(path, value),
        ("FieldValueDuplicate", None) => errors.push(FieldError {
            kind: FieldErrorKind::DuplicateOmitted,
            field: path.to_string(),
            value: None,
            detail: String::new(),
        }),
        (_, Some(value)) => errors.invalid(path, value, detail),
        (_, None) => errors.push(FieldError {
            kind: FieldErrorKind::InvalidShown,
            field: path.to_string(),
            value: None,
            detail,
        }),
    }
    errors
}
