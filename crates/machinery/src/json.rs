//! JSON as Go writes it: what the server sends.
//!
//! Built-in types come in the order in which Go declares their fields, everything else sorted by key, as Go writes
//! maps; `<`, `>` and `&` are escaped, as encoding/json does unless told otherwise. What is stored, hashed or compared
//! uses [`Value::write_json`] instead, which needs no schema.

use bytes::Bytes;

use crate::apply::fields_json;
use crate::catalog::Catalog;
use crate::names::GroupVersionKind;
use crate::object::ObjectMeta as _;
use crate::schema::{Shape, Struct, TypeId, TypeRef};
use crate::value::{IN_HTML, Key, Value, write_json_string, write_name, write_plain_string};

/// Structs with more fields than this are sorted on the heap.
const ON_STACK: usize = 32;

/// Holds an object of its own, whose kind says what it looks like.
const RAW_EXTENSION: &str = "io.k8s.apimachinery.pkg.runtime.RawExtension";
/// A set of fields, of which most are those of many other objects.
const FIELDS_V1: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1";

/// Appends `value` in the form of its `kind` and `apiVersion`, where these are built in.
pub fn write(value: &Value, out: &mut Vec<u8>) {
    write_typed(value, kind_of(value), out);
}

/// A value of no known type.
pub fn text(value: &Value) -> String {
    let mut out = Vec::new();
    write_typed(value, None, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// Appends `value` in the form of an OpenAPI definition, such as `io.k8s.apimachinery.pkg.version.Info`.
pub fn write_as(value: &Value, definition: &str, out: &mut Vec<u8>) {
    let catalog = Catalog::builtin();
    let ty = catalog.definition_id(definition).map(|id| TypeRef { table: catalog.table(), id });
    write_typed(value, ty, out);
}

/// The same, with a line and two spaces of indentation for each level.
pub fn indent(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() * 2);
    let mut depth = 0;
    let (mut in_string, mut escaped) = (false, false);
    for (i, &byte) in json.iter().enumerate() {
        if in_string {
            out.push(byte);
            in_string = escaped || byte != b'"';
            escaped = byte == b'\\' && !escaped;
            continue;
        }
        let next_closes = matches!(json.get(i + 1), Some(b'}' | b']'));
        match byte {
            b'{' | b'[' => {
                out.push(byte);
                depth += 1;
                if !next_closes {
                    newline(depth, &mut out);
                }
            }
            b'}' | b']' => {
                depth -= 1;
                if !matches!(json.get(i.wrapping_sub(1)), Some(b'{' | b'[')) {
                    newline(depth, &mut out);
                }
                out.push(byte);
            }
            b',' => {
                out.push(byte);
                newline(depth, &mut out);
            }
            b':' => out.extend_from_slice(b": "),
            _ => {
                in_string = byte == b'"';
                out.push(byte);
            }
        }
    }
    out
}

fn newline(depth: usize, out: &mut Vec<u8>) {
    out.push(b'\n');
    out.extend(std::iter::repeat_n(b"  ", depth).flatten());
}

/// The built-in type of an object.
pub(crate) fn kind_of(value: &Value) -> Option<TypeRef<'static>> {
    // The document at `/api` and the resources of the core group name no version.
    let api_version = match value.api_version() {
        "" => "v1",
        "meta.k8s.io/v1beta1" => "meta.k8s.io/v1",
        named => named,
    };
    let kind = GroupVersionKind::from_api_version(api_version, value.kind());
    Catalog::builtin().kind(&kind)
}

/// Appends the fields of an object of a built-in kind but `kind` and `apiVersion`, which come first, and closes it.
pub(crate) fn write_rest(value: &Value, kind: TypeRef<'_>, out: &mut Vec<u8>) {
    let mut first = true;
    if let (Value::Object(map), Shape::Struct(fields)) = (value, kind.shape()) {
        in_order(map.entries(), fields, |key, value, field| {
            if key != "apiVersion" && key != "kind" {
                entry(std::mem::take(&mut first), key, value, Place::of(kind, field), out);
            }
        });
    }
    out.push(b'}');
}

/// An object's JSON before its revision is known: written once to be stored and to be answered.
#[derive(Clone, Debug)]
pub struct Unversioned {
    json: Bytes,
    /// Where the resourceVersion belongs.
    place: usize,
}

impl Unversioned {
    /// Of an object without a resourceVersion. None when it has no other metadata, which no object lacks.
    pub fn of(object: &Value) -> Option<Self> {
        let ty = kind_of(object);
        let mut json = Vec::with_capacity(1024);
        json.push(b'{');
        let mut place = None;
        let mut first = true;
        each_entry(object.object_at(&[]).entries(), ty, |key, value, at| {
            if key != "metadata" {
                return entry(std::mem::take(&mut first), key, value, at, &mut json);
            }
            if !std::mem::take(&mut first) {
                json.push(b',');
            }
            json.extend_from_slice(b"\"metadata\":{");
            let comes_first = before_version(at);
            let mut first = true;
            each_entry(value.object_at(&[]).entries(), at.ty(), |key, value, at| {
                entry(std::mem::take(&mut first), key, value, at, &mut json);
                if comes_first(key) {
                    place = Some(json.len());
                }
            });
            json.push(b'}');
        });
        json.push(b'}');
        Some(Self { json: Bytes::from(json), place: place? })
    }

    /// As it is stored.
    pub fn json(&self) -> &Bytes {
        &self.json
    }

    /// Appends the object as it is at a revision.
    pub fn write_at(&self, revision: u64, out: &mut Vec<u8>) {
        out.reserve(self.json.len() + 48);
        out.extend_from_slice(&self.json[..self.place]);
        out.extend_from_slice(b",\"resourceVersion\":\"");
        out.extend_from_slice(itoa::Buffer::new().format(revision).as_bytes());
        out.push(b'"');
        out.extend_from_slice(&self.json[self.place..]);
    }
}

/// Which of the metadata's fields are written before the revision.
fn before_version(metadata: Place<'_>) -> impl Fn(&str) -> bool {
    const VERSION: &str = "resourceVersion";
    let fields =
        metadata.ty().and_then(|ty| if let Shape::Struct(fields) = ty.shape() { Some(fields) } else { None });
    move |key| {
        let position = |name: &str| fields?.field(name).map(|field| field.position);
        match (position(key), position(VERSION)) {
            (Some(own), Some(of_version)) => own < of_version,
            _ => fields.is_none() && key < VERSION,
        }
    }
}

/// What is known of an entry's value, and of its name.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// A field of a struct: there is nothing in its name to be escaped.
    Field(TypeRef<'a>),
    /// What a map of such values has.
    Item(TypeRef<'a>),
    Free,
}

impl<'a> Place<'a> {
    fn of(holder: TypeRef<'a>, field: Option<TypeId>) -> Self {
        field.map_or(Self::Free, |field| Self::Field(holder.with(field)))
    }

    fn ty(self) -> Option<TypeRef<'a>> {
        match self {
            Self::Field(ty) | Self::Item(ty) => Some(ty),
            Self::Free => None,
        }
    }
}

fn write_typed(value: &Value, ty: Option<TypeRef<'_>>, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => write_object(value, map.entries(), ty, out),
        Value::Array(items) => {
            let item = ty.and_then(TypeRef::item);
            out.push(b'[');
            for (i, value) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_typed(value, item, out);
            }
            out.push(b']');
        }
        Value::String(text) => write_string(text, out),
        plain => plain.write_json(out),
    }
}

fn write_object(value: &Value, entries: &[(Key, Value)], ty: Option<TypeRef<'_>>, out: &mut Vec<u8>) {
    let ty = match ty {
        // Without a kind it is kept as it was given.
        Some(ty) if ty.ty().name == RAW_EXTENSION => value.get("kind").and_then(|_| kind_of(value)),
        Some(ty) if ty.ty().name == FIELDS_V1 => {
            if let Some(json) = fields_json(value, |out| write_entries(entries, None, out)) {
                return out.extend_from_slice(&json);
            }
            None
        }
        ty => ty,
    };
    write_entries(entries, ty, out);
}

fn write_entries(entries: &[(Key, Value)], ty: Option<TypeRef<'_>>, out: &mut Vec<u8>) {
    out.push(b'{');
    let mut first = true;
    each_entry(entries, ty, |key, value, at| entry(std::mem::take(&mut first), key, value, at, out));
    out.push(b'}');
}

/// Calls `write` with each entry of an object and its type, in the order in which they are written.
fn each_entry<'a>(
    entries: &[(Key, Value)],
    ty: Option<TypeRef<'a>>,
    mut write: impl FnMut(&str, &Value, Place<'a>),
) {
    match ty.map(|ty| (ty, ty.shape())) {
        Some((ty, Shape::Struct(fields))) => in_order(entries, fields, |key, value, field| {
            write(key, value, Place::of(ty, field));
        }),
        other => {
            let child = match other {
                Some((ty, Shape::Map { value, .. })) => Place::Item(ty.with(*value)),
                _ => Place::Free,
            };
            entries.iter().for_each(|(key, value)| write(key, value, child));
        }
    }
}

/// Calls `write` with each entry and its field's type in Go's order; entries that the type does not have come last.
fn in_order(entries: &[(Key, Value)], fields: &Struct, mut write: impl FnMut(&str, &Value, Option<TypeId>)) {
    const UNKNOWN: u16 = u16::MAX;
    let mut stack = [(0, 0, TypeId(0)); ON_STACK];
    let mut heap = Vec::new();
    let places: &mut [(u16, u32, TypeId)] = match stack.get_mut(..entries.len()) {
        Some(places) => places,
        None => {
            heap.resize(entries.len(), (0, 0, TypeId(0)));
            &mut heap
        }
    };
    for (i, ((key, _), place)) in (0..).zip(entries.iter().zip(places.iter_mut())) {
        *place = match fields.field(key) {
            Some(field) => (field.position, i, field.ty),
            None => (UNKNOWN, i, TypeId(0)),
        };
    }
    places.sort_unstable();
    for (position, i, ty) in places.iter() {
        let (key, value) = &entries[*i as usize];
        write(key, value, (*position != UNKNOWN).then_some(*ty));
    }
}

fn entry(first: bool, key: &str, value: &Value, at: Place<'_>, out: &mut Vec<u8>) {
    if !first {
        out.push(b',');
    }
    match at {
        Place::Field(_) => write_name(key, out),
        Place::Item(_) | Place::Free => write_string(key, out),
    }
    out.push(b':');
    write_typed(value, at.ty(), out);
}

/// A string that may stand in HTML.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    if write_plain_string(text, IN_HTML, out) {
        return;
    }
    let mut plain = Vec::with_capacity(text.len() + 16);
    write_json_string(text, &mut plain);
    // Made of a valid string by putting ASCII between whole characters.
    for letter in String::from_utf8_lossy(&plain).chars() {
        match letter {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(letter)).as_bytes());
            }
            letter => out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    fn written(value: &Value) -> String {
        let mut out = Vec::new();
        write(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn built_in_objects_have_gos_order() {
        let pod = value!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"labels": {"b": "1", "a": "2"}, "name": "p"},
            "status": {"phase": "Pending"},
            "spec": {"restartPolicy": "Always", "containers": [{"image": "i", "name": "c", "args": ["<&>"]}]},
        });
        assert_eq!(
            written(&pod),
            r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"p","labels":{"a":"2","b":"1"}},"spec":{"containers":[{"name":"c","image":"i","args":["\u003c\u0026\u003e"]}],"restartPolicy":"Always"},"status":{"phase":"Pending"}}"#
        );
    }

    #[test]
    fn other_objects_are_sorted() {
        let oven = value!({"kind": "Oven", "apiVersion": "a/v1", "baked": {"b": 1, "a": 2}});
        assert_eq!(written(&oven), r#"{"apiVersion":"a/v1","baked":{"a":2,"b":1},"kind":"Oven"}"#);
    }

    #[test]
    fn what_was_written_before_the_revision_was_known_is_what_is_written_after() {
        for object in [
            value!({"kind": "ConfigMap", "apiVersion": "v1", "data": {"resourceVersion": "<"},
                "metadata": {"uid": "u", "name": "n", "annotations": {"resourceVersion": "x"}, "generation": 1}}),
            value!({"kind": "Oven", "apiVersion": "a/v1", "metadata": {"uid": "u", "name": "n"}, "a": {"b": 1}}),
        ] {
            let unversioned = Unversioned::of(&object).unwrap();
            assert_eq!(Value::from_json(unversioned.json()).unwrap(), object);
            let mut out = Vec::new();
            unversioned.write_at(17, &mut out);
            let mut whole = object.clone();
            whole.set(&["metadata", "resourceVersion"], "17");
            assert_eq!(String::from_utf8(out).unwrap(), written(&whole));
        }
    }

    #[test]
    fn what_a_table_row_holds_is_typed_too() {
        let table = value!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "rows": [{"object": {
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
            "metadata": {"uid": "u", "name": "n"}}, "cells": ["n"]}]});
        let want = r#"{"kind":"Table","apiVersion":"meta.k8s.io/v1","rows":[{"cells":["n"],"object":{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"n","uid":"u"}}}]}"#;
        assert_eq!(written(&table), want);
    }

    #[test]
    fn indented_text_reads_as_before() {
        let value = value!({"a": [], "b": {}, "c": [1, {"d": "x{,\"}"}]});
        let text = indent(&value.to_json());
        assert_eq!(
            String::from_utf8_lossy(&text),
            "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": [\n    1,\n    {\n      \"d\": \"x{,\\\"}\"\n    }\n  ]\n}"
        );
    }
}
