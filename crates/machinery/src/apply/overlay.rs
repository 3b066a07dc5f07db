//! A configuration laid over an object by nobody in particular: what mutating policies do.

use super::merge::merge;
use super::path::{PathElement, path_text};
use super::typed::{Atom, Ty};
use super::validate::{Given, validate};
use crate::schema::TypeRef;
use crate::value::Value;

/// Lays `config` over `live`, both of the type `schema`. Lists of type `set` and `map` and all maps are merged; managed
/// fields are left alone.
///
/// # Errors
/// In upstream's words, when one of the two is not of the type, or `config` would replace something as a whole that
/// others may have a part in.
pub fn overlay(live: &Value, config: &Value, schema: TypeRef<'_>) -> Result<Value, String> {
    let ty = Ty::new(schema);
    validate(config, ty, Given::Applied)
        .map_err(|why| format!("failed to convert patch object to typed object: {why}"))?;
    let mut atomics = Vec::new();
    find_atomics(config, ty, &mut Vec::new(), &mut atomics);
    if !atomics.is_empty() {
        return Err(format!(
            "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {}",
            atomics.join(", ")
        ));
    }
    validate(live, ty, Given::Object)
        .map_err(|why| format!("failed to convert original object to typed object: {why}"))?;
    Ok(merge(live, config, ty))
}

fn find_atomics(value: &Value, ty: Ty<'_>, path: &mut Vec<PathElement>, found: &mut Vec<String>) {
    match (ty.atom(Some(value)), value) {
        (Atom::Map { ty, atomic }, Value::Object(map)) => {
            if atomic {
                found.push(path_text(path));
            }
            for (key, value) in map.iter() {
                let Some(child) = ty.child(key) else { continue };
                path.push(PathElement::Field(key.clone()));
                find_atomics(value, child, path, found);
                path.pop();
            }
        }
        (Atom::AtomicList(item), Value::Array(items)) => {
            found.push(path_text(path));
            each(items, item, path, found);
        }
        (Atom::Set(item) | Atom::ListMap(item, _), Value::Array(items)) => each(items, item, path, found),
        _ => {}
    }
}

fn each(items: &[Value], item: Ty<'_>, path: &mut Vec<PathElement>, found: &mut Vec<String>) {
    for (i, value) in items.iter().enumerate() {
        path.push(PathElement::Index(i64::try_from(i).unwrap_or(i64::MAX)));
        find_atomics(value, item, path, found);
        path.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::names::GroupVersionKind;
    use crate::value;

    fn lay(live: Value, config: Value) -> Result<Value, String> {
        let schema = Catalog::builtin().schema(&GroupVersionKind::new("", "v1", "Pod")).unwrap();
        overlay(&live, &config, schema.root())
    }

    #[test]
    fn lists_are_merged_by_their_keys() {
        let merged = lay(
            value!({"spec": {"containers": [{"name": "a", "image": "x"}]}}),
            value!({"spec": {"containers": [{"name": "b", "image": "y"}, {"name": "a", "tty": true}]}}),
        );
        let expected = value!({"spec": {"containers": [
            {"name": "b", "image": "y"}, {"name": "a", "image": "x", "tty": true}]}});
        assert_eq!(merged.unwrap(), expected);
    }

    #[test]
    fn what_is_atomic_is_not_replaced() {
        let why = lay(
            value!({"spec": {"containers": []}}),
            value!({"spec": {"containers": [{"name": "a", "args": ["x"]}], "nodeSelector": {"a": "b"}}}),
        );
        assert_eq!(
            why.unwrap_err(),
            "invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: \
             .spec.containers[0].args, .spec.nodeSelector"
        );
        let why = lay(value!({}), value!({"spec": {"replicas": 1}})).unwrap_err();
        assert!(why.contains("field not declared in schema"), "{why}");
    }
}
