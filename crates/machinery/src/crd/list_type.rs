//! Lists of type `set` and `map` have no element twice.

use std::collections::HashMap;

use crate::schema::{ListType, Shape, TypeRef};
use crate::status::{FieldErrors, FieldPath};
use crate::value::{Key, Map, Value};

pub(super) fn validate(errors: &mut FieldErrors, value: &Value, ty: TypeRef<'_>, path: &FieldPath) {
    // Metadata's own lists are checked with the metadata.
    if ty.ty().source.is_none() {
        return;
    }
    match (value, ty.shape()) {
        (Value::Object(map), Shape::Struct(_)) => {
            for (key, value) in map.iter() {
                if let Some(child) = ty.child(key) {
                    validate(errors, value, child, &path.child_named(key));
                }
            }
        }
        (Value::Object(map), Shape::Map { value: inner, .. }) => {
            for (key, value) in map.iter() {
                validate(errors, value, ty.with(*inner), &path.key(key));
            }
        }
        (Value::Array(items), Shape::List { item, list_type }) => {
            match list_type {
                ListType::Atomic => {}
                ListType::Set => report(errors, items, path),
                ListType::Map { keys } => list_map(errors, items, keys, path),
            }
            for (i, value) in items.iter().enumerate() {
                validate(errors, value, ty.with(*item), &path.index(i));
            }
        }
        _ => {}
    }
}

fn list_map(errors: &mut FieldErrors, items: &[Value], keys: &[Key], path: &FieldPath) {
    for (i, item) in items.iter().enumerate() {
        if !matches!(item, Value::Object(_) | Value::Null) {
            let detail = "must be an object for an array of list-type map";
            return errors.invalid(&path.index(i), item.clone(), detail);
        }
    }
    let key_of = |item: &Value| {
        let fields = keys.iter().filter_map(|key| Some((key.clone(), item.get(key)?.clone())));
        Value::Object(fields.collect::<Map>())
    };
    report(errors, &items.iter().map(key_of).collect::<Vec<_>>(), path);
}

/// Reports each value that occurs several times, once, at its second place.
fn report(errors: &mut FieldErrors, items: &[Value], path: &FieldPath) {
    // By their JSON; different numbers can have the same, so that the values still decide.
    let mut seen: HashMap<Vec<u8>, Vec<(&Value, usize)>> = HashMap::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let alike = seen.entry(item.to_json()).or_default();
        match alike.iter_mut().find(|(other, _)| *other == item) {
            Some((_, count)) => {
                *count += 1;
                if *count == 2 {
                    errors.duplicate(&path.index(i), item.clone());
                }
            }
            None => alike.push((item, 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn each_value_that_occurs_again_is_reported_once() {
        let reported = |items: Value| {
            let mut errors = FieldErrors::default();
            report(&mut errors, items.array_at(&[]), &FieldPath::new("l"));
            errors.iter().map(|error| error.field.clone()).collect::<Vec<_>>()
        };
        assert_eq!(reported(value!(["a", "b", "a", "a", "b"])), ["l[2]", "l[4]"]);
        assert_eq!(reported(value!([{"a": 1, "b": 2}, {"b": 2, "a": 1}])), ["l[1]"]);
        assert!(reported(value!([1, "1", [1], null])).is_empty());
        let many: Vec<Value> = (0..200_000i64).map(Value::from).collect();
        assert!(reported(Value::from(many)).is_empty());
    }
}
