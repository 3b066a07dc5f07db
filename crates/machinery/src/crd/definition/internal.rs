//! Parts of a definition as Go prints upstream's internal types: some errors show them.

use super::Version;
use crate::crd::rules::limits::shown_rule;
use crate::patch::go_format::go_json;
use crate::value::Value;

/// How Go prints a field.
#[derive(Clone, Copy)]
enum Form {
    /// A string, "" when absent.
    Text,
    /// A boolean, false when absent.
    Flag,
    /// Anything, null when absent.
    Any,
    Schema,
    Schemas,
    SchemasByName,
    SchemaOrList,
    SchemaOrFlag,
    Rules,
}

/// `apiextensions.JSONSchemaProps`.
const SCHEMA: &[(&str, &str, Form)] = &[
    ("ID", "id", Form::Text),
    ("Schema", "$schema", Form::Text),
    ("Ref", "$ref", Form::Any),
    ("Description", "description", Form::Text),
    ("Type", "type", Form::Text),
    ("Nullable", "nullable", Form::Flag),
    ("Format", "format", Form::Text),
    ("Title", "title", Form::Text),
    ("Default", "default", Form::Any),
    ("Maximum", "maximum", Form::Any),
    ("ExclusiveMaximum", "exclusiveMaximum", Form::Flag),
    ("Minimum", "minimum", Form::Any),
    ("ExclusiveMinimum", "exclusiveMinimum", Form::Flag),
    ("MaxLength", "maxLength", Form::Any),
    ("MinLength", "minLength", Form::Any),
    ("Pattern", "pattern", Form::Text),
    ("MaxItems", "maxItems", Form::Any),
    ("MinItems", "minItems", Form::Any),
    ("UniqueItems", "uniqueItems", Form::Flag),
    ("MultipleOf", "multipleOf", Form::Any),
    ("Enum", "enum", Form::Any),
    ("MaxProperties", "maxProperties", Form::Any),
    ("MinProperties", "minProperties", Form::Any),
    ("Required", "required", Form::Any),
    ("Items", "items", Form::SchemaOrList),
    ("AllOf", "allOf", Form::Schemas),
    ("OneOf", "oneOf", Form::Schemas),
    ("AnyOf", "anyOf", Form::Schemas),
    ("Not", "not", Form::Schema),
    ("Properties", "properties", Form::SchemasByName),
    ("AdditionalProperties", "additionalProperties", Form::SchemaOrFlag),
    ("PatternProperties", "patternProperties", Form::SchemasByName),
    ("Dependencies", "dependencies", Form::Any),
    ("AdditionalItems", "additionalItems", Form::SchemaOrFlag),
    ("Definitions", "definitions", Form::SchemasByName),
    ("ExternalDocs", "externalDocs", Form::Any),
    ("Example", "example", Form::Any),
    ("XPreserveUnknownFields", "x-kubernetes-preserve-unknown-fields", Form::Any),
    ("XEmbeddedResource", "x-kubernetes-embedded-resource", Form::Flag),
    ("XIntOrString", "x-kubernetes-int-or-string", Form::Flag),
    ("XListMapKeys", "x-kubernetes-list-map-keys", Form::Any),
    ("XListType", "x-kubernetes-list-type", Form::Any),
    ("XMapType", "x-kubernetes-map-type", Form::Any),
    ("XValidations", "x-kubernetes-validations", Form::Rules),
];

const SCALE: &[(&str, &str, Form)] = &[
    ("SpecReplicasPath", "specReplicasPath", Form::Text),
    ("StatusReplicasPath", "statusReplicasPath", Form::Text),
    ("LabelSelectorPath", "labelSelectorPath", Form::Any),
];

const COLUMN: &[(&str, &str, Form)] = &[
    ("Name", "name", Form::Text),
    ("Type", "type", Form::Text),
    ("Format", "format", Form::Text),
    ("Description", "description", Form::Text),
    ("Priority", "priority", Form::Any),
    ("JSONPath", "jsonPath", Form::Text),
];

pub(super) fn schema(schema: &Value) -> String {
    object(schema, SCHEMA)
}

/// A version, of which what all have in common was taken away.
pub(super) fn version(version: &Version<'_>) -> String {
    let raw = version.raw.cloned().unwrap_or_default();
    format!(
        "{{\"Name\":{},\"Served\":{},\"Storage\":{},\"Deprecated\":{},\"DeprecationWarning\":{},\"Schema\":{},\
         \"Subresources\":{},\"AdditionalPrinterColumns\":{},\"SelectableFields\":{}}}",
        go_json(&Value::from(version.name)),
        raw.bool_at(&["served"]),
        version.storage,
        raw.bool_at(&["deprecated"]),
        go_json(raw.get("deprecationWarning").unwrap_or(&Value::Null)),
        or_null(version.schema, |of| {
            let schema = or_null(of.get("openAPIV3Schema").filter(|schema| !schema.is_null()), schema);
            format!("{{\"OpenAPIV3Schema\":{schema}}}")
        }),
        or_null(version.subresources, subresources),
        list(version.columns, |column| object(column, COLUMN)),
        list(version.selectable_fields, |field| object(field, &[("JSONPath", "jsonPath", Form::Text)])),
    )
}

fn subresources(of: &Value) -> String {
    let part = |name| of.get(name).filter(|value| !value.is_null());
    let status = or_null(part("status"), |_| "{}".to_owned());
    let scale = or_null(part("scale"), |scale| object(scale, SCALE));
    format!("{{\"Status\":{status},\"Scale\":{scale}}}")
}

fn object(of: &Value, fields: &[(&str, &str, Form)]) -> String {
    let fields: Vec<String> = fields
        .iter()
        .map(|(shown, name, form)| format!("\"{shown}\":{}", field(of.get(name), *form, shown)))
        .collect();
    format!("{{{}}}", fields.join(","))
}

fn field(value: Option<&Value>, form: Form, name: &str) -> String {
    let value = value.filter(|value| !value.is_null());
    match form {
        Form::Text => go_json(value.unwrap_or(&Value::from(""))),
        Form::Flag => go_json(value.unwrap_or(&Value::Bool(false))),
        Form::Any if name == "Priority" => go_json(value.unwrap_or(&Value::Int(0))),
        Form::Any if name == "ExternalDocs" => or_null(value, |docs| {
            object(docs, &[("Description", "description", Form::Text), ("URL", "url", Form::Text)])
        }),
        Form::Any => or_null(value, go_json),
        Form::Schema => or_null(value, schema),
        Form::Schemas => list(value.and_then(Value::as_array).unwrap_or(&[]), schema),
        Form::Rules => list(value.and_then(Value::as_array).unwrap_or(&[]), shown_rule),
        Form::SchemasByName => or_null(value, |value| {
            let mut entries: Vec<_> = value.object_at(&[]).iter().collect();
            entries.sort_by(|a, b| a.0.as_str().cmp(b.0.as_str()));
            let shown = |(name, inner): &(&crate::value::Key, &Value)| {
                format!("{}:{}", go_json(&Value::from(name.as_str())), schema(inner))
            };
            format!("{{{}}}", entries.iter().map(shown).collect::<Vec<_>>().join(","))
        }),
        Form::SchemaOrList => or_null(value, items),
        Form::SchemaOrFlag => or_null(value, |value| match value {
            Value::Bool(allows) => format!("{{\"Allows\":{allows},\"Schema\":null}}"),
            value => format!("{{\"Allows\":true,\"Schema\":{}}}", schema(value)),
        }),
    }
}

/// `apiextensions.JSONSchemaPropsOrArray`.
pub(super) fn items(of: &Value) -> String {
    match of {
        Value::Array(items) => format!("{{\"Schema\":null,\"JSONSchemas\":{}}}", list(items, schema)),
        one => format!("{{\"Schema\":{},\"JSONSchemas\":null}}", schema(one)),
    }
}

fn or_null(value: Option<&Value>, shown: impl FnOnce(&Value) -> String) -> String {
    value.map_or_else(|| "null".to_owned(), shown)
}

fn list(items: &[Value], shown: impl Fn(&Value) -> String) -> String {
    match items {
        [] => "null".to_owned(),
        items => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(",")),
    }
}
