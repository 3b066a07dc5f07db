//! What apimachinery's `DefaultUnstructuredConverter` says of a tree that does not fit a type.
//!
//! Strategic merge patches make objects of trees without going through JSON, so their errors read otherwise than those
//! of decoding. Types that read JSON by themselves (times, quantities) are left to the decoder, which says the same.

use super::base64;
use super::misfit::go_type_name;
use crate::patch::json::json_kind;
use crate::schema::{Shape, StringFormat, TypeRef};
use crate::value::Value;

/// Checks that `tree` is of type `ty`.
///
/// # Errors
/// The first misfit in the order of Go's fields, such as `cannot restore slice from map`.
pub fn restorable(tree: &Value, ty: TypeRef<'_>) -> Result<(), String> {
    if tree.is_null() {
        return Ok(());
    }
    match ty.shape() {
        // It reads JSON by itself, without knowing where it is.
        Shape::IntOrString => match tree {
            Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                Err(format!("json: cannot unmarshal {} into Go value of type int32", json_kind(tree)))
            }
            _ => Ok(()),
        },
        Shape::Any
        | Shape::Quantity
        | Shape::String(StringFormat::Time | StringFormat::MicroTime | StringFormat::Duration) => Ok(()),
        Shape::String(StringFormat::Bytes) => bytes(tree),
        Shape::Struct(fields) => {
            let Value::Object(map) = tree else {
                return Err(format!("cannot restore struct from: {}", kind(tree)));
            };
            let mut known: Vec<_> =
                map.iter().filter_map(|(key, value)| Some((fields.field(key)?, value))).collect();
            known.sort_by_key(|(field, _)| field.position);
            known.into_iter().try_for_each(|(field, value)| restorable(value, ty.with(field.ty)))
        }
        Shape::Map { value: inner, .. } => match tree {
            Value::Object(map) => map.values().try_for_each(|value| restorable(value, ty.with(*inner))),
            other => Err(format!("cannot restore map from {}", kind(other))),
        },
        Shape::List { item, .. } => match tree {
            Value::Array(items) => items.iter().try_for_each(|value| restorable(value, ty.with(*item))),
            other => Err(format!("cannot restore slice from {}", kind(other))),
        },
        Shape::Bool | Shape::Integer { .. } | Shape::Number | Shape::String(StringFormat::Plain) => {
            scalar(tree, ty)
        }
    }
}

/// `tree` with its numbers as they fit into fields of 32 bits: Go's reflection takes the lower ones.
pub fn wrapped(tree: &Value, ty: TypeRef<'_>) -> Value {
    match (tree, ty.shape()) {
        (Value::Int(number), Shape::Integer { bits: 32 }) => Value::Int(i64::from(*number as i32)),
        (Value::Float(number), Shape::Integer { bits }) if *number == number.trunc() => {
            // What is too large for an integer is the least of them.
            let fits = number.abs() < 9_223_372_036_854_775_808.0;
            let whole = if fits { *number as i64 } else { i64::MIN };
            Value::Int(if *bits == 32 { i64::from(whole as i32) } else { whole })
        }
        (Value::Object(map), Shape::Struct(fields)) => {
            let inner = map.iter().map(|(key, value)| {
                let field = fields.field(key).map(|field| wrapped(value, ty.with(field.ty)));
                (key.clone(), field.unwrap_or_else(|| value.clone()))
            });
            Value::Object(inner.collect())
        }
        (Value::Object(map), Shape::Map { value: inner, .. }) => {
            let wrap = |value: &Value| wrapped(value, ty.with(*inner));
            Value::Object(map.iter().map(|(key, value)| (key.clone(), wrap(value))).collect())
        }
        (Value::Array(items), Shape::List { item, .. }) => {
            Value::Array(items.iter().map(|value| wrapped(value, ty.with(*item))).collect())
        }
        (other, _) => other.clone(),
    }
}

fn bytes(tree: &Value) -> Result<(), String> {
    match tree {
        Value::String(text) => match base64::decode(text) {
            Ok(_) => Ok(()),
            Err(why) => Err(format!("error decoding from json: {why}")),
        },
        Value::Array(_) => Ok(()),
        other => Err(format!("cannot restore slice from {}", kind(other))),
    }
}

fn scalar(tree: &Value, ty: TypeRef<'_>) -> Result<(), String> {
    let wanted = match ty.shape() {
        Shape::Bool => "bool",
        Shape::Integer { bits: 32 } => "int32",
        Shape::Integer { .. } => "int64",
        Shape::Number => "float64",
        _ => "string",
    };
    match (tree, wanted) {
        (Value::Bool(_), "bool")
        | (Value::String(_), "string")
        | (Value::Int(_), "int32" | "int64" | "float64")
        | (Value::Float(_), "float64") => Ok(()),
        (Value::Float(f), "int32" | "int64") if *f == f.trunc() => Ok(()),
        // What Go's reflection could convert, but JSON does not.
        (Value::Float(_), "int32" | "int64") | (Value::Int(_), "string") => {
            Err(format!("cannot convert {} to {}", kind(tree), go_type_name(ty)))
        }
        _ => Err(format!("unrecognized type: {wanted}")),
    }
}

/// `reflect.Kind` of what a JSON value is in Go.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "invalid",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Float(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "slice",
        Value::Object(_) => "map",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Catalog, GroupVersionKind, value};

    #[test]
    fn misfits_read_as_gos_converter_says_them() {
        let pod = Catalog::builtin().schema(&GroupVersionKind::new("", "v1", "Pod")).unwrap();
        for (spec, expected) in [
            (value!({"containers": {"a": 1}}), Err("cannot restore slice from map")),
            (value!({"terminationGracePeriodSeconds": "soon"}), Err("unrecognized type: int64")),
            (value!({"terminationGracePeriodSeconds": 1.5}), Err("cannot convert float64 to int64")),
            (value!({"restartPolicy": 5}), Err("cannot convert int64 to v1.RestartPolicy")),
            (value!({"nodeName": true}), Err("unrecognized type: string")),
            (value!({"nodeSelector": []}), Err("cannot restore map from slice")),
            (value!({"securityContext": "x"}), Err("cannot restore struct from: string")),
            // Volumes come before containers in Go.
            (value!({"containers": 1, "volumes": "x"}), Err("cannot restore slice from string")),
            (value!({"containers": null, "tolerations": [{"key": "k"}]}), Ok(())),
        ] {
            let object = value!({"spec": spec});
            assert_eq!(restorable(&object, pod.root()), expected.map_err(str::to_owned), "{object:?}");
        }
    }

    #[test]
    fn numbers_wrap_around_where_fields_are_too_small() {
        let pod = Catalog::builtin().schema(&GroupVersionKind::new("", "v1", "Pod")).unwrap();
        let given = value!({"spec": {"priority": 2_147_483_648_i64, "activeDeadlineSeconds": 2_147_483_648_i64,
            "containers": [{"ports": [{"containerPort": 4_294_967_376_i64}]}]}});
        let expected = value!({"spec": {"priority": (-2_147_483_648_i64), "activeDeadlineSeconds": 2_147_483_648_i64,
            "containers": [{"ports": [{"containerPort": 80}]}]}});
        assert_eq!(wrapped(&given, pod.root()), expected);
        let of = |priority: f64, deadline: f64| value!({"spec": {"priority": priority, "activeDeadlineSeconds": deadline}});
        let expected = value!({"spec": {"priority": 1_410_065_408, "activeDeadlineSeconds": (i64::MIN)}});
        assert_eq!(wrapped(&of(1e10, 1e19), pod.root()), expected);
        let expected = value!({"spec": {"priority": 0, "activeDeadlineSeconds": 7}});
        assert_eq!(wrapped(&of(-1e30, 7.0), pod.root()), expected);
    }
}
