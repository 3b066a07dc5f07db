//! The Swagger 2.0 document in protobuf: the form in which client-go's `OpenAPISchema` asks for it, for kubectl and helm.
//!
//! Field numbers are gnostic's (`openapiv2/OpenAPIv2.proto`); only what [`super::v2`] writes has a place in the tables
//! below, and what has none is left out. Maps become lists of names and values, `x-` fields and free values YAML, which
//! their JSON is.

use crate::protobuf::wire::Writer;
use crate::value::Value;

/// Fields of a message, and the number of its vendor extensions.
struct Message {
    fields: &'static [(&'static str, u32, Shape)],
    extensions: Option<u32>,
}

#[derive(Clone, Copy)]
enum Shape {
    Text,
    Flag,
    Int,
    Double,
    /// A list of strings.
    Texts,
    /// A value of any kind.
    Any,
    Anys,
    One(&'static Message),
    Many(&'static Message),
    /// A message that holds this one alone, as the given field.
    In(u32, &'static Message),
    /// An object with names of its own choice: a message whose field of the given number repeats names and values.
    Map(u32, &'static Shape),
    /// A message that holds one string or several.
    Type,
    /// A schema or a boolean.
    AdditionalProperties,
    Parameters,
    Parameter,
    Securities,
}

use Shape::{
    AdditionalProperties, Any, Anys, Double, Flag, In, Int, Many, Map, One, Parameter, Parameters,
    Securities, Text, Texts, Type,
};

static DOCUMENT: Message = Message {
    fields: &[
        ("swagger", 1, Text),
        ("info", 2, One(&INFO)),
        ("host", 3, Text),
        ("basePath", 4, Text),
        ("schemes", 5, Texts),
        ("consumes", 6, Texts),
        ("produces", 7, Texts),
        ("paths", 8, Map(2, &One(&PATH_ITEM))),
        ("definitions", 9, Map(1, &One(&SCHEMA))),
        ("parameters", 10, Map(1, &Parameter)),
        ("security", 12, Securities),
        ("securityDefinitions", 13, Map(1, &In(2, &API_KEY))),
    ],
    extensions: Some(16),
};

static INFO: Message = Message {
    fields: &[("title", 1, Text), ("version", 2, Text), ("description", 3, Text)],
    extensions: Some(7),
};

static API_KEY: Message = Message {
    fields: &[("type", 1, Text), ("name", 2, Text), ("in", 3, Text), ("description", 4, Text)],
    extensions: Some(5),
};

static PATH_ITEM: Message = Message {
    fields: &[
        ("get", 2, One(&OPERATION)),
        ("put", 3, One(&OPERATION)),
        ("post", 4, One(&OPERATION)),
        ("delete", 5, One(&OPERATION)),
        ("options", 6, One(&OPERATION)),
        ("head", 7, One(&OPERATION)),
        ("patch", 8, One(&OPERATION)),
        ("parameters", 9, Parameters),
    ],
    extensions: Some(10),
};

static OPERATION: Message = Message {
    fields: &[
        ("tags", 1, Texts),
        ("summary", 2, Text),
        ("description", 3, Text),
        ("operationId", 5, Text),
        ("produces", 6, Texts),
        ("consumes", 7, Texts),
        ("parameters", 8, Parameters),
        ("responses", 9, Map(1, &In(1, &RESPONSE))),
        ("schemes", 10, Texts),
        ("deprecated", 11, Flag),
    ],
    extensions: Some(13),
};

static RESPONSE: Message =
    Message { fields: &[("description", 1, Text), ("schema", 2, In(1, &SCHEMA))], extensions: Some(5) };

static BODY_PARAMETER: Message = Message {
    fields: &[
        ("description", 1, Text),
        ("name", 2, Text),
        ("in", 3, Text),
        ("required", 4, Flag),
        ("schema", 5, One(&SCHEMA)),
    ],
    extensions: Some(6),
};

static QUERY_PARAMETER: Message = Message {
    fields: &[
        ("required", 1, Flag),
        ("in", 2, Text),
        ("description", 3, Text),
        ("name", 4, Text),
        ("type", 6, Text),
        ("format", 7, Text),
        ("uniqueItems", 20, Flag),
    ],
    extensions: Some(23),
};

static PATH_PARAMETER: Message = Message {
    fields: &[
        ("required", 1, Flag),
        ("in", 2, Text),
        ("description", 3, Text),
        ("name", 4, Text),
        ("type", 5, Text),
        ("format", 6, Text),
        ("uniqueItems", 19, Flag),
    ],
    extensions: Some(22),
};

static SCHEMA: Message = Message {
    fields: &[
        ("$ref", 1, Text),
        ("format", 2, Text),
        ("title", 3, Text),
        ("description", 4, Text),
        ("default", 5, Any),
        ("maximum", 7, Double),
        ("minimum", 9, Double),
        ("maxLength", 11, Int),
        ("minLength", 12, Int),
        ("pattern", 13, Text),
        ("maxItems", 14, Int),
        ("minItems", 15, Int),
        ("uniqueItems", 16, Flag),
        ("maxProperties", 17, Int),
        ("minProperties", 18, Int),
        ("required", 19, Texts),
        ("enum", 20, Anys),
        ("additionalProperties", 21, AdditionalProperties),
        ("type", 22, Type),
        ("items", 23, In(1, &SCHEMA)),
        ("allOf", 24, Many(&SCHEMA)),
        ("properties", 25, Map(1, &One(&SCHEMA))),
    ],
    extensions: Some(31),
};

/// A document as a `Document` message.
pub(super) fn encode(document: &Value) -> Vec<u8> {
    let mut out = Writer::with_capacity(1 << 21);
    fields(&mut out, &DOCUMENT, document);
    out.into_bytes()
}

fn fields(out: &mut Writer, message: &Message, object: &Value) {
    for (name, number, shape) in message.fields {
        if let Some(value) = object.get(name) {
            field(out, *number, *shape, value);
        }
    }
    let Some(extensions) = message.extensions else { return };
    let all = object.as_object().into_iter().flat_map(|map| map.iter());
    for (name, value) in all.filter(|(name, _)| name.starts_with("x-")) {
        named(out, extensions, name, Any, value);
    }
}

fn within(out: &mut Writer, number: u32, write: impl FnOnce(&mut Writer)) {
    let open = out.begin(number);
    write(out);
    out.end(open);
}

fn field(out: &mut Writer, number: u32, shape: Shape, value: &Value) {
    let list = value.as_array().unwrap_or(&[]);
    match shape {
        Text => out.string(number, value.as_str().unwrap_or("")),
        Flag => out.int(number, i64::from(value.as_bool() == Some(true))),
        Int => out.int(number, value.as_i64().unwrap_or(0)),
        Double => out.double(number, value.as_f64().unwrap_or(0.0)),
        Texts => list.iter().filter_map(Value::as_str).for_each(|text| out.string(number, text)),
        Any => within(out, number, |out| {
            let mut yaml = value.to_json();
            yaml.push(b'\n');
            out.bytes(2, &yaml);
        }),
        Anys => list.iter().for_each(|value| field(out, number, Any, value)),
        One(message) => within(out, number, |out| fields(out, message, value)),
        Many(message) => list.iter().for_each(|value| field(out, number, One(message), value)),
        In(inner, message) => within(out, number, |out| field(out, inner, One(message), value)),
        Map(entry, shape) => within(out, number, |out| {
            for (name, value) in value.as_object().into_iter().flat_map(|map| map.iter()) {
                named(out, entry, name, *shape, value);
            }
        }),
        Type => within(out, number, |out| match value.as_str() {
            Some(text) => out.string(1, text),
            None => field(out, 1, Texts, value),
        }),
        AdditionalProperties => within(out, number, |out| match value.as_bool() {
            Some(_) => field(out, 2, Flag, value),
            None => field(out, 1, One(&SCHEMA), value),
        }),
        Parameters => list.iter().for_each(|value| item(out, number, value)),
        Parameter => within(out, number, |out| parameter(out, value)),
        Securities => list.iter().for_each(|value| field(out, number, Map(1, &Type), value)),
    }
}

/// A `Named…` message: a name and a value.
fn named(out: &mut Writer, number: u32, name: &str, shape: Shape, value: &Value) {
    within(out, number, |out| {
        out.string(1, name);
        field(out, 2, shape, value);
    });
}

/// A `ParametersItem`: a parameter, or where there is one.
fn item(out: &mut Writer, number: u32, value: &Value) {
    within(out, number, |out| match value.get("$ref") {
        Some(reference) => within(out, 2, |out| field(out, 1, Text, reference)),
        None => within(out, 1, |out| parameter(out, value)),
    });
}

/// What is in a `Parameter`: its kind.
fn parameter(out: &mut Writer, value: &Value) {
    match value.str_at(&["in"]) {
        "body" => field(out, 1, One(&BODY_PARAMETER), value),
        "path" => within(out, 2, |out| field(out, 4, One(&PATH_PARAMETER), value)),
        _ => within(out, 2, |out| field(out, 3, One(&QUERY_PARAMETER), value)),
    }
}

#[cfg(test)]
mod tests {
    use super::encode;
    use crate::value;

    /// Tag and length, then what is in it.
    fn in_field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
    }

    #[test]
    fn a_document_has_gnostics_numbers() {
        let document = value!({
            "swagger": "2.0",
            "definitions": {"a": {"type": "object", "items": {"$ref": "#/b"}, "x-n": [1]}},
            "parameters": {"p": {"in": "body", "name": "b"}},
            "paths": {"/": {"get": {"parameters": [{"$ref": "#/p"}]}}},
            "security": [{"T": []}],
        });
        let reference = in_field(1, b"#/b");
        // Tags of numbers above 15 take two bytes.
        let mut schema = vec![0xb2, 0x01, 8];
        schema.extend(in_field(1, b"object"));
        schema.extend([0xba, 0x01, 7]);
        schema.extend(in_field(1, &reference));
        let extension = [in_field(1, b"x-n"), in_field(2, &in_field(2, b"[1]\n"))].concat();
        schema.extend([0xfa, 0x01, extension.len() as u8]);
        schema.extend(extension);
        let entry = [in_field(1, b"a"), in_field(2, &schema)].concat();
        let requirement = in_field(1, &[in_field(1, b"T"), in_field(2, b"")].concat());
        let item = in_field(8, &in_field(2, &in_field(1, b"#/p")));
        let path = in_field(2, &[in_field(1, b"/"), in_field(2, &in_field(2, &item))].concat());
        let body = in_field(1, &[in_field(2, b"b"), in_field(3, b"body")].concat());
        let shared = in_field(1, &[in_field(1, b"p"), in_field(2, &body)].concat());
        let parts = [
            in_field(1, b"2.0"),
            in_field(8, &path),
            in_field(9, &in_field(1, &entry)),
            in_field(10, &shared),
            in_field(12, &requirement),
        ];
        let want = parts.concat();
        assert_eq!(encode(&document), want);
    }
}
