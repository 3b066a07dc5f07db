//! Whether a value is of its type, as far as merging needs to know.

use std::fmt;

use super::path::PathElement;
use super::typed::{Atom, Scalar, Ty, list_element};
use crate::patch::go_format::{go_format, go_type};
use crate::value::{Map, Value};

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// Stored or about to be. Lists of type `set` and `map` may have an element twice. Decoding has seen to it that values
    /// of built-in types are of them.
    Object,
    /// Such lists may not have an element twice.
    Applied,
}

/// Everything that is wrong, with structured-merge-diff's texts.
#[derive(Clone, Debug, Default)]
pub(super) struct TypeErrors(Vec<(String, String)>);

impl fmt::Display for TypeErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |(path, text): &(String, String)| {
            if path.is_empty() { text.clone() } else { format!("{path}: {text}") }
        };
        if let [error] = &self.0[..] {
            return f.write_str(&one(error));
        }
        f.write_str("errors:")?;
        for error in &self.0 {
            write!(f, "\n  {}", one(error))?;
        }
        Ok(())
    }
}

pub(super) fn validate(value: &Value, ty: Ty<'_>, given: Given) -> Result<(), TypeErrors> {
    let mut walk = Walk { errors: TypeErrors::default(), path: Vec::new(), given };
    walk.value(value, ty);
    if walk.errors.0.is_empty() { Ok(()) } else { Err(walk.errors) }
}

struct Walk {
    errors: TypeErrors,
    path: Vec<PathElement>,
    given: Given,
}

impl Walk {
    fn error(&mut self, text: String) {
        self.errors.0.push((super::path::path_text(&self.path), text));
    }

    fn value(&mut self, value: &Value, ty: Ty<'_>) {
        if value.is_null() || (self.given == Given::Object && ty.has_no_associative_list()) {
            return;
        }
        match (ty.atom(Some(value)), value) {
            (Atom::Scalar(scalar), value) => {
                if let Some(text) = scalar_error(scalar, value) {
                    self.error(text);
                }
            }
            (Atom::Map { ty, .. }, Value::Object(map)) => self.map(map, ty),
            (Atom::Map { .. }, other) => self.error(format!("expected map, got &{{{}}}", go_format(other))),
            (Atom::AtomicList(item), Value::Array(items)) => {
                for (i, element) in (0..).zip(items) {
                    self.below(PathElement::Index(i), element, item);
                }
            }
            (atom @ (Atom::Set(item) | Atom::ListMap(item, _)), Value::Array(items)) => {
                self.list(items, atom, item);
            }
            (_, other) => self.error(format!("expected list, got &{{{}}}", go_format(other))),
        }
    }

    fn below(&mut self, element: PathElement, value: &Value, ty: Ty<'_>) {
        self.path.push(element);
        self.value(value, ty);
        self.path.pop();
    }

    fn map(&mut self, map: &Map, ty: Ty<'_>) {
        for (key, value) in map.iter() {
            let element = PathElement::Field(key.clone());
            let Some(child) = ty.child(key) else {
                self.path.push(element);
                self.error("field not declared in schema".to_owned());
                self.path.pop();
                return;
            };
            self.below(element, value, child);
        }
    }

    fn list(&mut self, items: &[Value], atom: Atom<'_>, item: Ty<'_>) {
        let mut seen = std::collections::BTreeSet::new();
        for (i, value) in items.iter().enumerate() {
            let element = match list_element(atom, value) {
                Ok(element) => element,
                Err(text) => return self.error(format!("element {i}: {text}")),
            };
            if !seen.insert(element.clone()) && self.given == Given::Applied {
                self.error(format!("duplicate entries for key {element}"));
            }
            self.below(element, value, item);
        }
    }
}

fn scalar_error(scalar: Scalar, value: &Value) -> Option<String> {
    Some(match (scalar, value) {
        (Scalar::Numeric, Value::Int(_) | Value::Float(_))
        | (Scalar::String, Value::String(_))
        | (Scalar::Boolean, Value::Bool(_)) => return None,
        (Scalar::Untyped, value) if !matches!(value, Value::Object(_) | Value::Array(_)) => return None,
        (Scalar::Numeric, _) => format!("expected numeric (int or float), got {}", go_type(value)),
        (Scalar::String, _) => {
            format!("expected string, got &value.valueUnstructured{{Value:{}}}", go_syntax(value))
        }
        (Scalar::Boolean, _) => format!("expected boolean, got &{{{}}}", go_format(value)),
        (Scalar::Untyped, _) => format!("expected any scalar, got &{{{}}}", go_format(value)),
    })
}

/// Go's `%#v`.
fn go_syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::String(s) => format!("{:?}", s.as_str()),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go_syntax).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Object(map) => {
            let fields: Vec<String> =
                map.iter().map(|(key, value)| format!("{:?}:{}", key.as_str(), go_syntax(value))).collect();
            format!("map[string]interface {{}}{{{}}}", fields.join(", "))
        }
        scalar => go_format(scalar),
    }
}
