//! Variables with their fields and indices.

use ecow::EcoString;

use super::machine::Machine;
use super::plan::{Attribute, Base, Qualifier, QualifierKey};
use crate::error::EvalError;
use crate::value::{Value, float_to_int};

impl<'p> Machine<'p> {
    /// An attribute as a node of its own: reading it costs one, unless it is a choice or a test.
    pub(super) fn attribute(&mut self, attribute: &'p Attribute) -> Result<Value, EvalError> {
        let value = self.resolve(attribute);
        let free = attribute.test || matches!(attribute.base, Base::Conditional { .. });
        self.context.charge(u64::from(!free))?;
        value
    }

    /// An attribute within another node.
    pub(super) fn resolve(&mut self, attribute: &'p Attribute) -> Result<Value, EvalError> {
        let base = match &attribute.base {
            Base::Variable(name) => self.variable(name)?,
            Base::Slot(slot) => self.slot(*slot)?,
            Base::Value(plan) => self.evaluate(plan)?,
            Base::Conditional { condition, branches } => match self.evaluate(condition)? {
                Value::Bool(true) => self.resolve(&branches[0])?,
                Value::Bool(false) => self.resolve(&branches[1])?,
                _ => return Err(EvalError::no_such_overload()),
            },
        };
        self.qualified(base, attribute)
    }

    fn variable(&mut self, name: &EcoString) -> Result<Value, EvalError> {
        self.variables
            .variable(name)
            .unwrap_or_else(|| Err(EvalError::new(format!("no such attribute(s): {name}"))))
    }

    /// Applies the qualifiers. Once an optional is met, what is missing makes the whole `optional.none()`.
    fn qualified(&mut self, base: Value, attribute: &'p Attribute) -> Result<Value, EvalError> {
        let (mut value, mut optional) = match base {
            Value::Optional(None) if attribute.test => return Ok(Value::Bool(false)),
            Value::Optional(None) => return Ok(Value::none()),
            Value::Optional(Some(inner)) => (inner.native(), true),
            other => (other, false),
        };
        let last = attribute.qualifiers.len().saturating_sub(1);
        for (index, qualifier) in attribute.qualifiers.iter().enumerate() {
            if attribute.test && index == last {
                return self.test(&value, qualifier, optional);
            }
            optional |= qualifier.optional;
            let Some(next) = self.qualify(&value, qualifier, optional)? else {
                return Ok(if attribute.test { Value::Bool(false) } else { Value::none() });
            };
            value = next;
        }
        Ok(if optional { value.some() } else { value })
    }

    fn qualify(
        &mut self,
        value: &Value,
        qualifier: &'p Qualifier,
        optional: bool,
    ) -> Result<Option<Value>, EvalError> {
        self.context.work(1)?;
        let found = match &qualifier.key {
            QualifierKey::Constant(key) => field(value, key, optional),
            QualifierKey::Attribute(attribute) => {
                self.resolve(attribute).and_then(|key| field(value, &key, optional))
            }
            QualifierKey::Computed(plan) => self.evaluate(plan).and_then(|key| field(value, &key, optional)),
        };
        // Optional steps cost only when they find something.
        let found_none = optional && !matches!(found, Ok(Some(_)));
        self.context.charge(u64::from(!found_none))?;
        found
    }

    fn test(&mut self, value: &Value, qualifier: &'p Qualifier, optional: bool) -> Result<Value, EvalError> {
        let QualifierKey::Constant(key) = &qualifier.key else { return Err(EvalError::no_such_overload()) };
        let present = match (value, key) {
            (Value::Map(map), key) => map.contains(key),
            (value, key) => field(value, key, true).map(|found| found.is_some()),
        };
        let free = optional && !matches!(present, Ok(true));
        self.context.charge(u64::from(!free))?;
        present.map(Value::Bool)
    }
}

/// A field, entry or element; None when it is missing and may be.
fn field(value: &Value, key: &Value, optional: bool) -> Result<Option<Value>, EvalError> {
    let found = match value {
        Value::Map(map) => map.get(key)?,
        Value::List(list) => {
            let index = list_index(key)?;
            match usize::try_from(index).ok().filter(|index| *index < list.len()) {
                Some(index) => Some(list.get(index)?),
                None if optional => None,
                None => return Err(EvalError::new(format!("index out of bounds: {key}"))),
            }
        }
        Value::Object(object) => key.as_str().and_then(|name| object.get(name)).cloned(),
        _ => None,
    };
    match found {
        None if !optional => Err(EvalError::new(format!("no such key: {key}"))),
        found => Ok(found),
    }
}

/// Any number that is whole is an index.
fn list_index(key: &Value) -> Result<i64, EvalError> {
    let unsupported = || EvalError::new(format!("unsupported index value {key} in list"));
    match key {
        Value::Int(index) => Ok(*index),
        Value::Uint(index) => i64::try_from(*index).map_err(|_| unsupported()),
        Value::Double(d) => {
            let index = float_to_int(*d).map_err(|_| unsupported())?;
            if index as f64 == *d { Ok(index) } else { Err(unsupported()) }
        }
        other => Err(EvalError::new(format!("unsupported index type '{}' in list", other.type_name()))),
    }
}
