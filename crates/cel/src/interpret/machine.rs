//! Walking the plan.

use std::sync::Arc;

use super::context::{Context, Limits};
use super::cost;
use super::plan::{Append, Call, Fold, Item, Plan, Planned, Struct};
use crate::error::EvalError;
use crate::value::{BuiltMap, Key, List, Map, Object, Value, equal};

/// What an expression's variables are.
pub trait Variables {
    /// The value of a variable; None when there is no such variable.
    ///
    /// # Errors
    /// Where the value cannot be had: the expression sees the error.
    fn variable(&self, name: &str) -> Option<Result<Value, EvalError>>;
}

/// One evaluation.
pub(crate) struct Machine<'p> {
    pub(super) variables: &'p dyn Variables,
    slots: Vec<Slot<'p>>,
    pub(super) context: Context<'p>,
}

/// A comprehension's variable.
#[derive(Debug)]
enum Slot<'p> {
    Empty,
    /// An accumulator that nothing has asked for yet.
    Pending(&'p Plan),
    Ready(Result<Value, EvalError>),
}

impl<'p> Machine<'p> {
    pub(crate) fn new(planned: &'p Planned, variables: &'p dyn Variables, limits: Limits) -> Self {
        let slots = (0..planned.slots).map(|_| Slot::Empty).collect();
        Self { variables, slots, context: Context::new(limits, &planned.regexes) }
    }

    pub(crate) fn cost(&self) -> u64 {
        self.context.cost()
    }

    pub(crate) fn evaluate(&mut self, plan: &'p Plan) -> Result<Value, EvalError> {
        self.context.work(1)?;
        match plan {
            Plan::Constant(value) => Ok(value.clone()),
            Plan::Attribute(attribute) => self.attribute(attribute),
            Plan::And(operands) => self.logic(operands, false),
            Plan::Or(operands) => self.logic(operands, true),
            Plan::Equal { operands, negated } => self.equality(operands, *negated),
            Plan::Call(call) => self.call(call),
            Plan::NotStrictlyFalse(operand) => self.not_strictly_false(operand),
            Plan::OptionalOr { operands, unwrap } => self.optional_or(operands, *unwrap),
            Plan::InSet { operand, set } => {
                let value = self.evaluate(operand)?;
                Ok(Value::Bool(Key::of(&value).is_some_and(|key| set.contains(&key))))
            }
            Plan::Append(append) => self.append(append),
            Plan::Insert { slot, arguments } => self.insert(*slot, arguments),
            Plan::List(items) => self.list(items),
            Plan::Map(entries) => self.map(entries),
            Plan::Struct(literal) => self.object(literal),
            Plan::Fold(fold) => self.fold(fold),
        }
    }

    pub(super) fn slot(&mut self, index: usize) -> Result<Value, EvalError> {
        match &self.slots[index] {
            Slot::Ready(value) => value.clone(),
            Slot::Empty => Err(EvalError::new("no such attribute(s)")),
            Slot::Pending(plan) => {
                let plan: &'p Plan = plan;
                let value = self.evaluate(plan);
                self.slots[index] = Slot::Ready(value.clone());
                value
            }
        }
    }

    /// `&&` and `||`: the deciding value wins over an error, on whichever side.
    fn logic(&mut self, operands: &'p [Plan; 2], deciding: bool) -> Result<Value, EvalError> {
        let mut error = None;
        for operand in operands {
            match self.evaluate(operand) {
                Ok(Value::Bool(value)) if value == deciding => return Ok(Value::Bool(deciding)),
                Ok(Value::Bool(_)) => {}
                Ok(_) => error = error.or_else(|| Some(EvalError::no_such_overload())),
                Err(fatal) if fatal.is_fatal() => return Err(fatal),
                Err(other) => error = error.or(Some(other)),
            }
        }
        error.map_or(Ok(Value::Bool(!deciding)), Err)
    }

    fn equality(&mut self, [a, b]: &'p [Plan; 2], negated: bool) -> Result<Value, EvalError> {
        let (a, b) = (self.evaluate(a), self.evaluate(b));
        let arguments = [or_null(&a)?, or_null(&b)?];
        // Comparing goes no further than the smaller of the two; texts and numbers are looked at in one step.
        if let [first @ (Value::List(_) | Value::Map(_) | Value::Object(_)), second] = &arguments {
            let smaller = if first.size() <= second.size() { first } else { second };
            self.context.work_on(smaller, 1)?;
        }
        let result = match (a, b) {
            (Err(error), _) | (_, Err(error)) => Err(error),
            // What does not compare is not equal.
            (Ok(a), Ok(b)) if negated => Ok(Value::Bool(!equal(&a, &b).unwrap_or(false))),
            (Ok(a), Ok(b)) => equal(&a, &b).map(Value::Bool),
        };
        let (function, overload) = if negated { ("_!=_", "not_equals") } else { ("_==_", "equals") };
        self.context.charge(cost::call(function, overload, &arguments, &Value::Null))?;
        result
    }

    fn not_strictly_false(&mut self, operand: &'p Plan) -> Result<Value, EvalError> {
        let value = match self.evaluate(operand) {
            Err(fatal) if fatal.is_fatal() => return Err(fatal),
            Ok(Value::Bool(false)) => false,
            _ => true,
        };
        self.context.charge(1)?;
        Ok(Value::Bool(value))
    }

    /// What is no optional passes for one that has a value.
    fn optional_or(&mut self, [first, second]: &'p [Plan; 2], unwrap: bool) -> Result<Value, EvalError> {
        match self.evaluate(first)? {
            Value::Optional(None) => self.evaluate(second),
            Value::Optional(Some(value)) if unwrap => Ok((*value).clone()),
            other => Ok(other),
        }
    }

    fn call(&mut self, call: &'p Call) -> Result<Value, EvalError> {
        let mut arguments = Vec::with_capacity(call.arguments.len());
        let mut error = None;
        for (index, argument) in call.arguments.iter().enumerate() {
            let value = self.evaluate(argument);
            if call.stops && index + 1 < call.arguments.len() {
                arguments.push(value?);
                continue;
            }
            arguments.push(or_null(&value)?);
            error = error.or(value.err());
        }
        let result = match error {
            Some(error) => Err(error),
            None => (call.implementation)(&mut self.context, &arguments),
        };
        let shown = or_null(&result)?;
        self.context.charge(cost::call(&call.function, &call.overload, &arguments, &shown))?;
        result
    }

    fn append(&mut self, append: &'p Append) -> Result<Value, EvalError> {
        let accumulator = self.slot(append.slot);
        self.context.charge(1)?;
        let items = self.evaluate(&append.items);
        if let (Ok(Value::List(List::Built(_))), Ok(Value::List(new))) = (&accumulator, &items) {
            let new = new.to_vec()?;
            self.context.allocate_list(new.len())?;
            // The accumulator is let go of everywhere, so that it grows in place.
            drop(accumulator);
            let Slot::Ready(Ok(Value::List(List::Built(mut list)))) =
                std::mem::replace(&mut self.slots[append.slot], Slot::Empty)
            else {
                return Err(EvalError::no_such_overload());
            };
            Arc::make_mut(&mut list).extend(new);
            self.context.charge(1)?;
            return Ok(Value::List(List::Built(list)));
        }
        let arguments = [or_null(&accumulator)?, or_null(&items)?];
        let result = match (accumulator, items) {
            (Err(error), _) | (_, Err(error)) => Err(error),
            _ => (append.implementation)(&mut self.context, &arguments),
        };
        self.context.charge(cost::call("_+_", &append.overload, &arguments, &Value::Null))?;
        result
    }

    /// `cel.@mapInsert(accumulator, key, value)`, or with another map in place of key and value.
    fn insert(&mut self, slot: usize, arguments: &'p [Plan]) -> Result<Value, EvalError> {
        let accumulator = self.slot(slot);
        self.context.charge(1)?;
        let accumulator = accumulator?;
        let values = arguments.iter().map(|plan| self.evaluate(plan)).collect::<Result<Vec<_>, _>>()?;
        let entries = match values.as_slice() {
            [key, value] => vec![(key.clone(), value.clone())],
            [Value::Map(map)] => {
                let keys = map.keys().into_iter();
                let entry = |key: Value| Ok((key.clone(), map.get(&key)?.unwrap_or(Value::Null)));
                keys.map(entry).collect::<Result<Vec<_>, EvalError>>()?
            }
            _ => return Err(EvalError::no_such_overload()),
        };
        self.context.allocate_list(entries.len() * 4)?;
        drop(accumulator);
        let Slot::Ready(Ok(Value::Map(Map::Built(mut map)))) =
            std::mem::replace(&mut self.slots[slot], Slot::Empty)
        else {
            return Err(EvalError::no_such_overload());
        };
        self.context.charge(1)?;
        let target = Arc::make_mut(&mut map);
        for (key, value) in entries {
            if target.get(&key).is_some() {
                return Err(EvalError::new(format!("insert failed: key {key} already exists")));
            }
            target.insert(key, value)?;
        }
        Ok(Value::Map(Map::Built(map)))
    }

    fn list(&mut self, items: &'p [Item]) -> Result<Value, EvalError> {
        let values = self.list_items(items);
        self.context.charge(cost::LIST_CREATE)?;
        Ok(Value::list(values?))
    }

    fn list_items(&mut self, items: &'p [Item]) -> Result<Vec<Value>, EvalError> {
        self.context.allocate_list(items.len())?;
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            let invalid = "cannot initialize optional list element from non-optional value";
            values.extend(self.item(item, |value| format!("{invalid} {value}"))?);
        }
        Ok(values)
    }

    /// The item's value; None when it is left out.
    fn item(
        &mut self,
        item: &'p Item,
        invalid: impl FnOnce(&Value) -> String,
    ) -> Result<Option<Value>, EvalError> {
        match self.evaluate(&item.value)? {
            value if !item.optional => Ok(Some(value)),
            Value::Optional(inner) => Ok(inner.map(|inner| (*inner).clone())),
            other => Err(EvalError::new(invalid(&other))),
        }
    }

    fn map(&mut self, entries: &'p [(Plan, Item)]) -> Result<Value, EvalError> {
        let map = self.map_entries(entries);
        self.context.charge(cost::MAP_CREATE)?;
        map.map(Value::from)
    }

    fn map_entries(&mut self, entries: &'p [(Plan, Item)]) -> Result<BuiltMap, EvalError> {
        self.context.allocate_list(entries.len() * 4)?;
        let mut map = BuiltMap::new();
        for (key, item) in entries {
            let key = self.evaluate(key)?;
            let value = self.item(item, |value| invalid_entry(&key, value))?;
            match value {
                Some(value) => drop(map.insert(key, value)?),
                None => map.remove(&key),
            }
        }
        Ok(map)
    }

    fn object(&mut self, literal: &'p Struct) -> Result<Value, EvalError> {
        let fields = self.fields(literal);
        self.context.charge(cost::STRUCT_CREATE)?;
        let object = Object { type_name: literal.type_name.clone(), fields: fields? };
        Ok(Value::Object(Arc::new(object)))
    }

    fn fields(&mut self, literal: &'p Struct) -> Result<Vec<(ecow::EcoString, Value)>, EvalError> {
        self.context.allocate_list(literal.fields.len() * 2)?;
        let mut fields = Vec::with_capacity(literal.fields.len());
        for (name, item) in &literal.fields {
            let value = self.item(item, |value| invalid_entry(&Value::String(name.clone()), value))?;
            fields.extend(value.map(|value| (name.clone(), value)));
        }
        Ok(fields)
    }

    fn fold(&mut self, fold: &'p Fold) -> Result<Value, EvalError> {
        let range = self.evaluate(&fold.range)?;
        self.slots[fold.accumulator] = Slot::Pending(&fold.initial);
        let outcome = match range {
            Value::List(list) => self.fold_list(fold, &list),
            Value::Map(map) => self.fold_map(fold, &map),
            other if fold.second.is_some() => {
                let message = format!("unsupported comprehension range type: {}", go_type(&other));
                Err(EvalError::new(message))
            }
            other => Err(EvalError::new(format!("got '{}', expected iterable type", go_type(&other)))),
        };
        let result = outcome.and_then(|()| self.evaluate(&fold.result));
        for slot in &mut self.slots[fold.accumulator..=fold.second.unwrap_or(fold.variable)] {
            *slot = Slot::Empty;
        }
        result
    }

    fn fold_list(&mut self, fold: &'p Fold, list: &List) -> Result<(), EvalError> {
        for index in 0..list.len() {
            let element = list.get(index);
            let go_on = match fold.second {
                None => self.iterate(fold, element, None)?,
                Some(_) => self.iterate(fold, Ok(Value::Int(index as i64)), Some(element))?,
            };
            if !go_on {
                break;
            }
        }
        Ok(())
    }

    fn fold_map(&mut self, fold: &'p Fold, map: &Map) -> Result<(), EvalError> {
        let keys = map.keys();
        self.context.allocate_list(keys.len())?;
        for key in keys {
            let value = fold.second.map(|_| map.get(&key).map(|value| value.unwrap_or(Value::Null)));
            if !self.iterate(fold, Ok(key), value)? {
                break;
            }
        }
        Ok(())
    }

    /// One round; answers whether to go on.
    fn iterate(
        &mut self,
        fold: &'p Fold,
        first: Result<Value, EvalError>,
        second: Option<Result<Value, EvalError>>,
    ) -> Result<bool, EvalError> {
        self.context.work(1)?;
        self.slots[fold.variable] = Slot::Ready(first);
        if let (Some(slot), Some(value)) = (fold.second, second) {
            self.slots[slot] = Slot::Ready(value);
        }
        match self.evaluate(&fold.condition) {
            Ok(Value::Bool(false)) => return Ok(false),
            Err(fatal) if fatal.is_fatal() => return Err(fatal),
            _ => {}
        }
        let value = self.evaluate(&fold.step);
        if let Err(fatal) = &value
            && fatal.is_fatal()
        {
            return Err(fatal.clone());
        }
        self.slots[fold.accumulator] = Slot::Ready(value);
        Ok(true)
    }
}

/// What Go calls the type of cel-go's value.
pub(super) fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "types.Null",
        Value::Bool(_) => "types.Bool",
        Value::Int(_) => "types.Int",
        Value::Uint(_) => "types.Uint",
        Value::Double(_) => "types.Double",
        Value::String(_) => "types.String",
        Value::Bytes(_) => "types.Bytes",
        Value::Duration(_) => "types.Duration",
        Value::Timestamp(_) => "types.Timestamp",
        Value::Type(_) => "*types.Type",
        Value::Optional(_) => "*types.Optional",
        Value::List(_) => "*types.baseList",
        Value::Map(_) => "*types.baseMap",
        _ => "ref.Val",
    }
}

fn invalid_entry(key: &Value, value: &Value) -> String {
    format!("cannot initialize optional entry '{key}' from non-optional value {value}")
}

/// For counting: an error that is not fatal stands for nothing.
fn or_null(value: &Result<Value, EvalError>) -> Result<Value, EvalError> {
    match value {
        Ok(value) => Ok(value.clone()),
        Err(fatal) if fatal.is_fatal() => Err(fatal.clone()),
        Err(_) => Ok(Value::Null),
    }
}
