//! A value against compiled value validations, with kube-openapi's messages.

use super::node::Node;
use crate::go_text::go_quote;
use crate::patch::go_format::go_format;
use crate::status::{FieldErrors, FieldPath, literal};
use crate::value::{Key, Map, Value};

mod number;
mod quantifiers;

/// Everything wrong with `new`. What is wrong but the same in `old` is let pass.
pub(super) fn validate(node: &Node, new: &Value, old: Option<&Value>, path: &FieldPath) -> FieldErrors {
    let mut errors = FieldErrors::new();
    for failure in child(node, new, old, "").failures {
        failure.report(&mut errors, path);
    }
    errors
}

/// What a value was refused for.
#[derive(Clone, Debug)]
enum Kind {
    Required,
    Enum(Vec<Value>),
    TooLong(i64),
    TooMany {
        actual: usize,
        max: i64,
    },
    Type,
    Invalid,
    /// A failure that upstream gives no field to.
    General,
}

#[derive(Clone, Debug)]
struct Failure {
    kind: Kind,
    /// Where, such as `spec.list[0]`; a dot in front is for the root's own.
    name: String,
    value: Value,
    message: String,
}

impl Failure {
    fn new(kind: Kind, name: &str, value: impl Into<Value>, message: String) -> Self {
        Self { kind, name: name.to_owned(), value: value.into(), message }
    }

    fn report(self, errors: &mut FieldErrors, base: &FieldPath) {
        let name = self.name.trim_start_matches('.');
        let path = if name.is_empty() { base.clone() } else { base.child_named(name) };
        match self.kind {
            Kind::Required => errors.required(&path, ""),
            Kind::Enum(values) => {
                let shown: Vec<String> = values.iter().map(shown).collect();
                let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
                // Values of custom resources have no types of their own.
                let value = match &self.value {
                    Value::String(text) => literal(go_quote(text)),
                    _ => self.value,
                };
                errors.not_supported(&path, value, &shown);
            }
            Kind::TooLong(max) => errors.too_long(&path, usize::try_from(max).unwrap_or(0)),
            Kind::TooMany { actual, max } => {
                errors.too_many(&path, actual, usize::try_from(max).unwrap_or(0));
            }
            Kind::Type => errors.type_invalid(&path, or_empty(self.value), self.message),
            Kind::Invalid => errors.invalid(&path, or_empty(self.value), self.message),
            Kind::General => errors.invalid(base, "", self.message),
        }
    }
}

fn or_empty(value: Value) -> Value {
    if value.is_null() { Value::from("") } else { value }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.to_string(),
        other => String::from_utf8_lossy(&other.to_json()).into_owned(),
    }
}

/// Failures, and how many checks held: of alternatives that all fail, the one where most held is reported.
#[derive(Clone, Debug, Default)]
struct Outcome {
    failures: Vec<Failure>,
    held: usize,
}

impl Outcome {
    fn is_valid(&self) -> bool {
        self.failures.is_empty()
    }

    /// The same message is reported once.
    fn fail(&mut self, failure: Failure) {
        if !self.failures.iter().any(|other| other.message == failure.message) {
            self.failures.push(failure);
        }
    }

    fn merge(&mut self, other: Self) {
        self.held += other.held;
        for failure in other.failures {
            self.fail(failure);
        }
    }
}

/// A value with its counterpart in the old object: what is equal there is let pass.
fn child(node: &Node, new: &Value, old: Option<&Value>, path: &str) -> Outcome {
    let mut outcome = check(node, new, old, path);
    if !outcome.is_valid() && old == Some(new) {
        outcome.failures.clear();
    }
    outcome
}

fn check(node: &Node, value: &Value, old: Option<&Value>, path: &str) -> Outcome {
    let mut outcome = Outcome::default();
    if !node.types.is_empty() || node.no_type.is_some() || node.format.is_some() {
        match type_failure(node, value, path) {
            Some(failure) => outcome.fail(failure),
            None => outcome.held += 1,
        }
        outcome.held += 1;
    }
    if !value.is_null() {
        outcome.merge(quantifiers::check(node, value, old, path));
        match value {
            Value::String(text) => string(&mut outcome, node, text, path),
            Value::Int(_) | Value::Float(_) => number::check(&mut outcome, node, value, path),
            Value::Array(items) => array(&mut outcome, node, items, old, path),
            _ => {}
        }
        outcome.held += 2;
    }
    if !node.enumeration.is_empty() && !node.enumeration.iter().any(|allowed| equal(value, allowed)) {
        let message =
            format!("{path} in body should be one of {}", go_format(&Value::from(node.enumeration.clone())));
        outcome.fail(Failure::new(Kind::Enum(node.enumeration.clone()), path, value.clone(), message));
    }
    if let Value::Object(map) = value {
        object(&mut outcome, node, map, old, path);
    }
    outcome
}

/// Equal, numbers by amount.
fn equal(a: &Value, b: &Value) -> bool {
    a == b || a.as_f64().is_some() && a.as_f64() == b.as_f64()
}

fn type_failure(node: &Node, value: &Value, path: &str) -> Option<Failure> {
    let fail = |wanted: &str, got: &str| {
        let message = format!("{path} in body must be of type {wanted}: {got:?}");
        Some(Failure::new(Kind::Type, path, got, message))
    };
    let wanted = node.no_type.clone().unwrap_or_else(|| node.types.join(","));
    let (got, native_format) = match value {
        Value::Null if wanted.is_empty() || node.nullable => return None,
        Value::Null => return fail(&wanted, "null"),
        Value::Bool(_) => ("boolean", ""),
        Value::Int(_) => ("integer", "int64"),
        Value::Float(_) => ("number", "float64"),
        Value::String(_) => ("string", ""),
        Value::Array(_) => ("array", ""),
        Value::Object(_) => ("object", ""),
    };
    let has = |name: &str| node.types.contains(&name);
    let is_int_float = got == "integer" && has("number");
    let is_float_int = has("integer") && matches!(value, Value::Float(f) if number::is_integer(*f));
    let fits = has(got) || is_int_float || is_float_int;
    let textual = matches!(value, Value::String(_) | Value::Array(_));
    if let Some((format, _)) = &node.format {
        if !textual && !fits && format != native_format {
            return fail(format, native_format);
        }
        if textual && !has("number") && !has("integer") {
            return None;
        }
    }
    if fits { None } else { fail(&wanted, got) }
}

/// The first of length, pattern that fails; and the format.
fn string(outcome: &mut Outcome, node: &Node, text: &str, path: &str) {
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    let value = || Value::from(text);
    if let Some(max) = node.max_length.filter(|max| length > *max) {
        let message = format!("{path} in body should be at most {max} chars long");
        outcome.fail(Failure::new(Kind::TooLong(max), path, value(), message));
    } else if let Some(min) = node.min_length.filter(|min| length < *min) {
        let message = format!("{path} in body should be at least {min} chars long");
        outcome.fail(Failure::new(Kind::Invalid, path, value(), message));
    } else if let Some((pattern, compiled)) = &node.pattern {
        let message = match compiled {
            Ok(regex) if regex.is_match(text) => None,
            Ok(_) => Some(format!("{path} in body should match '{pattern}'")),
            Err(error) => {
                Some(format!("{path} in body should match '{pattern}, but pattern is invalid: {error}'"))
            }
        };
        if let Some(message) = message {
            outcome.fail(Failure::new(Kind::Invalid, path, value(), message));
        }
    }
    if let Some((name, Some(format))) = &node.format
        && !format.accepts(text)
    {
        let message = format!("{path} in body must be of type {name}: {text:?}");
        outcome.fail(Failure::new(Kind::Type, path, value(), message));
    }
}

fn array(outcome: &mut Outcome, node: &Node, items: &[Value], old: Option<&Value>, path: &str) {
    if let Some(item) = &node.items {
        for (i, value) in items.iter().enumerate() {
            let old = old.and_then(|old| counterpart(node, value, old));
            outcome.merge(child(item, value, old, &format!("{path}[{i}]")));
        }
    }
    let size = i64::try_from(items.len()).unwrap_or(i64::MAX);
    if let Some(min) = node.min_items.filter(|min| size < *min) {
        let message = format!("{path} in body should have at least {min} items");
        outcome.fail(Failure::new(Kind::Invalid, path, size, message));
    }
    if let Some(max) = node.max_items.filter(|max| size > *max) {
        let message = format!("{path} in body should have at most {max} items");
        outcome.fail(Failure::new(Kind::TooMany { actual: items.len(), max }, path, size, message));
    }
    let duplicate = || items.iter().enumerate().any(|(i, value)| items[..i].contains(value));
    if node.unique_items && duplicate() {
        let message = format!("{path} in body shouldn't contain duplicates");
        outcome.fail(Failure::new(Kind::Invalid, path, Value::Null, message));
    }
    outcome.held += 1;
}

/// The old element with the same keys; only lists of type `map` have such.
fn counterpart<'a>(node: &Node, element: &Value, old: &'a Value) -> Option<&'a Value> {
    let keys = node.map_keys.as_ref()?;
    let same = |other: &&Value| keys.iter().all(|key| other.get(key) == element.get(key));
    old.as_array()?.iter().find(same)
}

fn object(outcome: &mut Outcome, node: &Node, map: &Map, old: Option<&Value>, path: &str) {
    let count = i64::try_from(map.len()).unwrap_or(i64::MAX);
    if let Some(min) = node.min_properties.filter(|min| count < *min) {
        let message = format!("{path} in body should have at least {min} properties");
        outcome.fail(Failure::new(Kind::Invalid, path, count, message));
    }
    if let Some(max) = node.max_properties.filter(|max| count > *max) {
        let message = format!("{path} in body should have at most {max} properties");
        outcome.fail(Failure::new(Kind::TooMany { actual: map.len(), max }, path, count, message));
    }
    let old_field = |key: &Key| old.filter(|_| !node.atomic).and_then(|old| old.get(key));
    if let Some(additional) = &node.additional_properties {
        for (key, value) in map.iter().filter(|(key, _)| node.property(key).is_none()) {
            outcome.merge(child(additional, value, old_field(key), &format!("{path}.{key}")));
        }
    }
    for (key, property) in &node.properties {
        if let Some(value) = map.get(key) {
            let path = if path.is_empty() { key.to_string() } else { format!("{path}.{key}") };
            outcome.merge(child(property, value, old_field(key), &path));
        }
    }
    for key in node.required.iter().filter(|key| !map.contains_key(key)) {
        let name = format!("{path}.{key}");
        let message = format!("{name} in body is required");
        outcome.fail(Failure::new(Kind::Required, &name, Value::Null, message));
    }
}
