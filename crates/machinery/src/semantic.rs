//! Whether two values are the same to upstream: `apiequality.Semantic.DeepEqual` over a type's schema.

use crate::catalog::Catalog;
use crate::quantity::Quantity;
use crate::schema::{Field, Presence, Shape, StringFormat, TypeRef};
use crate::value::{Key, Map, Value};

/// Whether two values of a built-in type are semantically equal. No list or map and an empty one are the same, a
/// pointer to nothing and one to an empty struct are not.
pub fn equal(a: Option<&Value>, b: Option<&Value>, ty: TypeRef<'_>) -> bool {
    if a == b {
        return true;
    }
    match ty.shape() {
        Shape::Struct(_) => structs(a.and_then(Value::as_object), b.and_then(Value::as_object), ty),
        Shape::Map { value, .. } => {
            let ty = ty.with(*value);
            match (a.and_then(Value::as_object), b.and_then(Value::as_object)) {
                (Some(a), Some(b)) => {
                    let is_in_b = |(key, value): (&Key, &Value)| {
                        b.get(key).is_some_and(|b| equal(Some(value), Some(b), ty))
                    };
                    a.len() == b.len() && a.iter().all(is_in_b)
                }
                (a, b) => a.or(b).is_none_or(Map::is_empty),
            }
        }
        Shape::List { item, .. } => {
            let ty = ty.with(*item);
            let a = a.and_then(Value::as_array).unwrap_or_default();
            let b = b.and_then(Value::as_array).unwrap_or_default();
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(Some(a), Some(b), ty))
        }
        Shape::Quantity => match (a, b) {
            (Some(a), Some(b)) => match (Quantity::from_value(a), Quantity::from_value(b)) {
                (Ok(a), Ok(b)) => a == b,
                _ => false,
            },
            _ => is_nil(a) && is_nil(b),
        },
        Shape::String(StringFormat::Bytes) => text(a) == text(b),
        _ => is_nil(a) && is_nil(b),
    }
}

/// The same for a type by its OpenAPI name, such as `io.k8s.api.core.v1.PodSpec`, which must be that of a built-in type.
pub fn equal_named(name: &str, a: Option<&Value>, b: Option<&Value>) -> bool {
    let schema = Catalog::builtin().definition(name);
    debug_assert!(schema.is_some(), "no type {name}");
    schema.map_or_else(|| a == b, |schema| equal(a, b, schema.root()))
}

fn structs(a: Option<&Map>, b: Option<&Map>, ty: TypeRef<'_>) -> bool {
    [a, b].into_iter().flatten().flat_map(Map::keys).all(|name| {
        let (a, b) = (a.and_then(|a| a.get(name)), b.and_then(|b| b.get(name)));
        match ty.field(name) {
            Some(field) => fields(a, b, field, ty.with(field.ty)),
            None => a == b,
        }
    })
}

fn fields(a: Option<&Value>, b: Option<&Value>, field: &Field, ty: TypeRef<'_>) -> bool {
    let is_pointer = matches!(field.presence, Presence::Pointer | Presence::AlwaysPointer);
    if is_pointer && is_nil(a) != is_nil(b) {
        return false;
    }
    let is_scalar =
        !matches!(ty.shape(), Shape::Struct(_) | Shape::Map { .. } | Shape::List { .. } | Shape::Any);
    if !is_pointer && is_scalar && is_zero(a) && is_zero(b) {
        return true;
    }
    equal(a, b, ty)
}

fn is_nil(value: Option<&Value>) -> bool {
    value.is_none_or(Value::is_null)
}

fn is_zero(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false) | Value::Int(0)) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    }
}

fn text(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::equal_named;
    use crate::{Value, value};

    fn same(ty: &str, a: &Value, b: &Value) -> bool {
        let name = format!("io.k8s.api.{ty}");
        let one_way = equal_named(&name, Some(a), Some(b));
        assert_eq!(one_way, equal_named(&name, Some(b), Some(a)));
        one_way
    }

    #[test]
    fn empty_maps_and_lists_are_none_and_empty_structs_are_not() {
        let pod = value!({"containers": [{"name": "c", "resources": {}}]});
        let with = |field: &str, what: Value| {
            let mut pod = pod.clone();
            pod.set(&[field], what);
            pod
        };
        for (field, what) in [
            ("nodeSelector", value!({})),
            ("tolerations", value!([])),
            ("hostNetwork", value!(false)),
            ("hostname", value!("")),
            ("affinity", value!(null)),
            ("containers", value!([{"name": "c", "args": []}])),
        ] {
            assert!(same("core.v1.PodSpec", &pod, &with(field, what)), "{field}");
        }
        for (field, what) in [
            ("affinity", value!({})),
            ("securityContext", value!({})),
            ("priority", value!(0)),
            ("nodeSelector", value!({"a": ""})),
            ("containers", value!([{"name": "c", "lifecycle": {}}])),
            ("containers", value!([])),
        ] {
            assert!(!same("core.v1.PodSpec", &pod, &with(field, what)), "{field}");
        }
        let limited = |limit: &str| value!({"limits": {"memory": limit}});
        assert!(same("core.v1.ResourceRequirements", &limited("2Gi"), &limited("2147483648")));
        assert!(!same("core.v1.ResourceRequirements", &limited("2Gi"), &limited("2G")));
        let selectors = ["{}", r#"{"matchLabels": {}}"#, r#"{"matchLabels": {"a": "b"}}"#];
        let [empty, of_nothing, of_something] =
            selectors.map(|text| Value::from_json(format!(r#"{{"selector": {text}}}"#).as_bytes()).unwrap());
        assert!(same("core.v1.PersistentVolumeClaimSpec", &empty, &of_nothing));
        assert!(!same("core.v1.PersistentVolumeClaimSpec", &empty, &of_something));
        assert!(!same("core.v1.PersistentVolumeClaimSpec", &empty, &value!({})));
    }
}
