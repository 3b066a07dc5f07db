//! Merging lists by key, and the order of what comes out.

use std::mem::discriminant;

use super::{
    DIRECTIVE, FieldMeta, Patched, SET_ELEMENT_ORDER, list_meta, merge_maps, no_merge_key, unknown_directive,
    without_directives, wrong_type,
};
use crate::patch::PatchError;
use crate::patch::go_format::go_format;
use crate::schema::TypeRef;
use crate::value::{Map, Value};

/// Merges two lists of scalars, or of objects that have the merge key.
pub(super) fn merge_lists(
    original: Vec<Value>,
    patch: Vec<Value>,
    meta: &FieldMeta<'_>,
    deletes: bool,
) -> Patched<Vec<Value>> {
    if original.is_empty() && patch.is_empty() {
        return Ok(original);
    }
    let of_maps = matches!(element_type(&[&original, &patch])?, Value::Object(_));
    if !of_maps && deletes {
        return Ok(original.into_iter().filter(|item| !patch.contains(item)).collect());
    }
    let (merged, original, patch) = if of_maps {
        if meta.merge_key.is_empty() {
            return Err(PatchError::Other(format!(
                "cannot merge lists without merge key for {}",
                super::go_kind(meta.ty)
            )));
        }
        let (original, patch) = apply_element_directives(original, patch, meta.merge_key)?;
        (merge_elements(original.clone(), &patch, meta)?, original, patch)
    } else {
        let mut merged: Vec<Value> = Vec::new();
        for item in original.iter().chain(&patch) {
            if !merged.contains(item) {
                merged.push(item.clone());
            }
        }
        (merged, original, patch)
    };
    let key = if of_maps { meta.merge_key } else { "" };
    ordered(merged, &patch, &original, key)
}

/// `$setElementOrder/FIELD`: the order of FIELD's elements afterwards. Merges FIELD too, and takes both off the patch.
pub(super) fn apply_element_orders(original: &mut Map, patch: &mut Map, schema: TypeRef<'_>) -> Patched<()> {
    let directives: Vec<_> = patch.keys().filter(|key| key.starts_with(SET_ELEMENT_ORDER)).cloned().collect();
    for directive in directives {
        let order = patch.remove(&directive).unwrap_or_default();
        let order = as_list(&order)?;
        let field = directive.strip_prefix(SET_ELEMENT_ORDER).and_then(|rest| rest.strip_prefix('/'));
        let field = field.ok_or_else(bad_order)?;
        let current = original.get(field).map(as_list).transpose()?.map(<[Value]>::to_vec);
        let patched = patch.get(field).map(as_list).transpose()?.map(<[Value]>::to_vec);
        let meta = list_meta(schema, field)?;
        check_order(patched.as_deref().unwrap_or_default(), order, meta.merge_key)?;
        let left = match (&current, &patched) {
            (Some(current), Some(patched)) if meta.merge => worked_over(current, patched, meta.merge_key),
            _ => current.clone().unwrap_or_default(),
        };
        let merged = match (current.clone(), patched.clone()) {
            (None, None) => continue,
            (Some(current), None) => current,
            (None, Some(patched)) => patched.iter().filter_map(without_directives).collect(),
            (Some(current), Some(patched)) if meta.merge => merge_lists(current, patched, &meta, false)?,
            (Some(_), Some(patched)) => patched,
        };
        let current = current.unwrap_or_default();
        element_type(&[&current, patched.as_deref().unwrap_or_default()])?;
        let merged = ordered(merged, order, &left, meta.merge_key)?;
        original.insert(field, merged);
        patch.remove(field);
    }
    Ok(())
}

/// What the original list's array holds once a patch has been merged into it. Upstream goes by that when it orders the
/// elements, and its deletions and additions work in that very array, as far as it goes.
fn worked_over(original: &[Value], patch: &[Value], merge_key: &str) -> Vec<Value> {
    let mut array = original.to_vec();
    if merge_key.is_empty() {
        return array;
    }
    let says = |item: &Value, directive: &str| item.str_at(&[DIRECTIVE]) == directive;
    if patch.iter().any(|item| says(item, "replace")) {
        return array;
    }
    let mut len = array.len();
    for item in patch.iter().filter(|item| says(item, "delete")) {
        while let Some(at) = position(&array[..len], item, merge_key) {
            array[at..len].rotate_left(1);
            len -= 1;
            // What was last is there twice now.
            if len > at {
                array[len] = array[len - 1].clone();
            }
        }
    }
    for item in patch.iter().filter(|item| item.get(DIRECTIVE).is_none()) {
        if position(&array[..len], item, merge_key).is_none() {
            let Some(place) = array.get_mut(len) else { break };
            *place = item.clone();
            len += 1;
        }
    }
    array
}

fn bad_order() -> PatchError {
    PatchError::BadRequest("invalid patch format of setElementOrder list".to_owned())
}

fn as_list(value: &Value) -> Patched<&[Value]> {
    value.as_array().ok_or_else(|| wrong_type(&Value::from(Vec::<Value>::new()), value))
}

/// The patch's elements must be in the order list, and in its order.
fn check_order(patch: &[Value], order: &[Value], merge_key: &str) -> Patched<()> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    let mut rest = order.iter();
    for item in patch.iter().filter(|item| item.get(DIRECTIVE).is_none()) {
        loop {
            let Some(next) = rest.next() else {
                return Err(PatchError::Other(format!(
                    "The order in patch list:\n{}\n doesn't match {SET_ELEMENT_ORDER} list:\n{}\n",
                    go_format(&Value::from(patch.to_vec())),
                    go_format(&Value::from(order.to_vec()))
                )));
            };
            if same_element(item, next, merge_key)? {
                break;
            }
        }
    }
    Ok(())
}

/// Where the list has an element of the item's key, or the item itself where there are no keys.
fn position(list: &[Value], item: &Value, merge_key: &str) -> Option<usize> {
    list.iter().position(|element| match merge_key {
        "" => element == item,
        key => element.get(key) == item.get(key),
    })
}

fn same_element(left: &Value, right: &Value, merge_key: &str) -> Patched<bool> {
    if merge_key.is_empty() {
        return Ok(left == right);
    }
    Ok(key_of(left, merge_key)? == key_of(right, merge_key)?)
}

fn key_of<'a>(element: &'a Value, merge_key: &str) -> Patched<&'a Value> {
    if element.as_object().is_none() {
        return Err(wrong_type(&Value::object(), element));
    }
    element.get(merge_key).ok_or_else(|| no_merge_key(element, merge_key))
}

/// A value of the type that all elements have.
fn element_type<'a>(lists: &[&'a [Value]]) -> Patched<&'a Value> {
    let mut elements = lists.iter().flat_map(|list| list.iter());
    let Some(first) = elements.next() else {
        return Err(PatchError::Other("no elements in any of the given slices".to_owned()));
    };
    if let Value::Array(_) = first {
        return Err(PatchError::Unprocessable("lists of lists are not supported".to_owned()));
    }
    if elements.all(|element| discriminant(element) == discriminant(first)) {
        return Ok(first);
    }
    let shown: Vec<Value> = lists.iter().map(|list| Value::from(list.to_vec())).collect();
    let shown = go_format(&Value::from(shown));
    Err(PatchError::Other(format!("list element types are not identical: {shown}")))
}

/// Takes `$patch` elements off the patch: deletes and replaces in the original.
fn apply_element_directives(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    merge_key: &str,
) -> Patched<(Vec<Value>, Vec<Value>)> {
    let mut plain = Vec::new();
    let mut replace = false;
    for item in patch {
        match item.get(DIRECTIVE) {
            None => plain.push(item),
            Some(directive) => match directive.as_str() {
                Some("delete") => {
                    let key = item.get(merge_key).ok_or_else(|| no_merge_key(&item, merge_key))?;
                    original.retain(|element| element.get(merge_key) != Some(key));
                }
                Some("replace") => replace = true,
                Some("merge") => {
                    return Err(PatchError::Other(
                        "merging lists cannot yet be specified in the patch".to_owned(),
                    ));
                }
                _ => return Err(unknown_directive(directive, item.as_object().cloned().unwrap_or_default())),
            },
        }
    }
    Ok(if replace { (plain, Vec::new()) } else { (original, plain) })
}

fn merge_elements(mut original: Vec<Value>, patch: &[Value], meta: &FieldMeta<'_>) -> Patched<Vec<Value>> {
    for item in patch {
        let key = key_of(item, meta.merge_key)?;
        match original.iter_mut().find(|element| element.get(meta.merge_key) == Some(key)) {
            Some(element) => {
                let current = element.as_object().cloned().unwrap_or_default();
                let item = item.as_object().cloned().unwrap_or_default();
                *element = Value::Object(merge_maps(current, item, meta.ty)?);
            }
            None => original.push(item.clone()),
        }
    }
    Ok(original)
}

/// Elements that `order` names come in its order, the others in `live` order; between them `live` order decides
/// where it can, and `order`'s elements come first where it cannot.
fn ordered(merged: Vec<Value>, order: &[Value], live: &[Value], merge_key: &str) -> Patched<Vec<Value>> {
    if !merge_key.is_empty() {
        for element in merged.iter().chain(live).chain(order) {
            key_of(element, merge_key)?;
        }
    }
    let position = |list: &[Value], item: &Value| position(list, item, merge_key);
    let (mut named, mut others): (Vec<Value>, Vec<Value>) =
        merged.into_iter().partition(|item| position(order, item).is_some());
    named.sort_by_key(|item| position(order, item));
    others.sort_by_key(|item| position(live, item));
    let mut out = Vec::with_capacity(named.len() + others.len());
    let mut others = others.into_iter().peekable();
    for item in named {
        while let Some(other) = others.next_if(
            |other| matches!((position(live, other), position(live, &item)), (Some(o), Some(i)) if o < i),
        ) {
            out.push(other);
        }
        out.push(item);
    }
    out.extend(others);
    Ok(out)
}
