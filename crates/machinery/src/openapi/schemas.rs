//! Schemas of built-in types, from the catalog's text.

use std::collections::BTreeSet;

use super::descriptions::{self, Described};
use crate::catalog::Catalog;
use crate::catalog::text::{Definition, FieldLine, Text};
use crate::names::split_api_version;
use crate::value;
use crate::value::{Map, Value};

/// How the two versions of OpenAPI differ.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// `own` is the group version that the document is about: kinds that exist everywhere are said to be in it too.
    V3 {
        own: &'static str,
    },
    V2,
}

impl Dialect {
    pub(super) fn reference(self, definition: &str) -> String {
        match self {
            Self::V3 { .. } => format!("#/components/schemas/{definition}"),
            Self::V2 => format!("#/definitions/{definition}"),
        }
    }
}

/// The OpenAPI v3 schema of a built-in type, such as `io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta`, and the
/// definitions that it refers to, directly or not; for documents of custom resources.
pub fn definition_v3(catalog: &'static Catalog, name: &str) -> Map {
    let mut names = BTreeSet::new();
    collect(catalog, name, &mut names);
    render(catalog, &names, Dialect::V3 { own: "" })
}

/// Adds `name` and all that it refers to.
pub(super) fn collect(catalog: &'static Catalog, name: &str, names: &mut BTreeSet<String>) {
    if !names.insert(name.to_owned()) {
        return;
    }
    let Some(definition) = find(catalog, name) else { return };
    for field in &definition.fields {
        if let Some(inner) = referred(field.ty).and_then(|reference| catalog.text().full_name(reference)) {
            collect(catalog, &inner, names);
        }
    }
}

/// The schemas of the named definitions, by name.
pub(super) fn render(catalog: &'static Catalog, names: &BTreeSet<String>, dialect: Dialect) -> Map {
    let text = catalog.text();
    let schemas = names.iter().filter_map(|name| {
        let definition = find(catalog, name)?;
        let described = descriptions::of(name);
        let mut schema = schema(text, definition, dialect, described);
        if let Some(described) = described.filter(|described| !described.text.is_empty()) {
            schema.set(&["description"], described.text.as_str());
        }
        Some((name.as_str().into(), schema))
    });
    Map::from_entries(schemas)
}

fn find(catalog: &'static Catalog, name: &str) -> Option<&'static Definition<'static>> {
    let id = catalog.definition_id(name)?;
    catalog.text().definitions.get(id.0 as usize)
}

/// `J.EnvVar` in `[m:name]J.EnvVar`.
fn referred(ty: &'static str) -> Option<&'static str> {
    let mut rest = ty.trim_start_matches(['@', '~', '*']);
    loop {
        if let Some(inner) = rest.strip_prefix("{}") {
            rest = inner;
        } else if rest.starts_with('[') {
            rest = rest.split_once(']')?.1;
        } else {
            break;
        }
        rest = rest.trim_start_matches('*');
    }
    let rest = rest.split([':', '=', '(']).next()?;
    rest.contains('.').then_some(rest)
}

fn schema(
    text: &Text<'static>,
    definition: &Definition<'static>,
    dialect: Dialect,
    described: Option<&Described>,
) -> Value {
    let v2 = dialect == Dialect::V2;
    match definition.name() {
        "Quantity" if v2 => return value!({"type": "string"}),
        "Quantity" => return value!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
        "IntOrString" if v2 => return value!({"format": "int-or-string", "type": "string"}),
        "IntOrString" => {
            return value!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]});
        }
        "Time" | "MicroTime" => return value!({"format": "date-time", "type": "string"}),
        "JSON" | "JSONSchemaPropsOrArray" | "JSONSchemaPropsOrBool" | "JSONSchemaPropsOrStringArray" => {
            return Value::object();
        }
        _ => {}
    }
    let mut out = value!({"type": "object"});
    if !definition.fields.is_empty() {
        let properties = definition.fields.iter().map(|field| {
            let mut property = property(text, field, dialect);
            describe(&mut property, described.map_or("", |described| described.field(field.name)));
            (field.name.into(), property)
        });
        out.set(&["properties"], Map::from_entries(properties));
    }
    let required = required(definition);
    if !required.is_empty() {
        out.set(&["required"], required);
    }
    if definition.atomic {
        out.set(&["x-kubernetes-map-type"], "atomic");
    }
    if let Some(unions) = definition.unions.and_then(|unions| Value::from_json(unions.as_bytes()).ok()) {
        out.set(&["x-kubernetes-unions"], unions);
    }
    let kinds = kinds(text, definition, dialect);
    if !kinds.is_empty() {
        out.set(&["x-kubernetes-group-version-kind"], kinds);
    }
    out
}

/// Adds a field's description, which names the values of an enumeration, too.
fn describe(property: &mut Value, text: &str) {
    if text.is_empty() {
        return;
    }
    let mut text = text.to_owned();
    let values = property.array_at(&["enum"]).iter().filter_map(Value::as_str);
    for (i, value) in values.enumerate() {
        text.push_str(if i == 0 { "\n\nPossible enum values:" } else { "" });
        text.push_str(&format!("\n - `{value:?}`"));
    }
    property.set(&["description"], text);
}

/// Upstream lists required fields in the order of the Go struct, which is mostly that of the protobuf numbers.
fn required(definition: &Definition<'static>) -> Vec<Value> {
    if !definition.required.is_empty() {
        return definition.required.split(',').map(Value::from).collect();
    }
    let mut fields: Vec<_> = definition.fields.iter().filter(|field| field.required).collect();
    fields.sort_by_key(|field| field.proto.split('/').next().and_then(|number| number.parse::<u32>().ok()));
    fields.into_iter().map(|field| field.name.into()).collect()
}

fn kinds(text: &Text<'static>, definition: &Definition<'static>, dialect: Dialect) -> Vec<Value> {
    let mut group_versions: Vec<&str> = match dialect {
        // The core group's document says it once.
        Dialect::V3 { own: "v1" } if definition.everywhere => vec!["v1"],
        Dialect::V3 { own } if definition.everywhere && !own.is_empty() => vec!["v1", own],
        // Upstream's server of custom resources has these groups elsewhere.
        Dialect::V3 { own: "" } => {
            const ELSEWHERE: [&str; 4] =
                ["admission.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "imagepolicy.k8s.io"];
            let all = definition.group_versions(text).iter().copied();
            all.filter(|version| !ELSEWHERE.contains(&split_api_version(version).0)).collect()
        }
        _ => definition.group_versions(text).to_vec(),
    };
    group_versions.dedup();
    let kinds = group_versions.into_iter().map(|group_version| {
        let (group, version) = split_api_version(group_version);
        value!({"group": group, "kind": definition.name(), "version": version})
    });
    kinds.collect()
}

fn property(text: &Text<'static>, field: &FieldLine<'static>, dialect: Dialect) -> Value {
    let mut out = ty(text, field.ty, dialect);
    if dialect != Dialect::V2 {
        if let Some(reference) = out.get("$ref").filter(|_| !field.bare) {
            // JSON schema ignores what stands beside a `$ref`.
            let reference = value!([{"$ref": reference.clone()}]);
            out.as_object_mut().and_then(|out| out.remove("$ref"));
            out.set(&["allOf"], reference);
        }
        if let Some(default) = default(field, &out) {
            out.set(&["default"], default);
        }
    }
    if !field.patch_strategy.is_empty() {
        out.set(&["x-kubernetes-patch-strategy"], field.patch_strategy);
    }
    if !field.patch_merge_key.is_empty() {
        out.set(&["x-kubernetes-patch-merge-key"], field.patch_merge_key);
    }
    out
}

fn default(field: &FieldLine<'static>, schema: &Value) -> Option<Value> {
    if let Some(default) = field.default {
        return Value::from_json(default.as_bytes()).ok();
    }
    field.zero_default.then(|| match schema.str_at(&["type"]) {
        "string" => "".into(),
        "integer" | "number" => Value::Int(0),
        "boolean" => Value::Bool(false),
        _ => Value::object(),
    })
}

/// The schema that a type expression stands for.
fn ty(text: &Text<'static>, expression: &'static str, dialect: Dialect) -> Value {
    let (map_type, expression) = match expression.as_bytes().first() {
        Some(b'@') => (Some("atomic"), &expression[1..]),
        Some(b'~') => (Some("granular"), &expression[1..]),
        _ => (None, expression.trim_start_matches('*')),
    };
    let mut out = if let Some(value) = expression.strip_prefix("{}") {
        value!({"type": "object", "additionalProperties": ty(text, value, dialect)})
    } else if let Some((kind, item)) = expression.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        list(kind, ty(text, item, dialect))
    } else {
        scalar(text, expression, dialect)
    };
    if let Some(map_type) = map_type {
        out.set(&["x-kubernetes-map-type"], map_type);
    }
    out
}

fn list(kind: &'static str, items: Value) -> Value {
    let mut out = value!({"type": "array", "items": items});
    let list_type = match kind {
        "" => return out,
        "a" => "atomic",
        "s" => "set",
        _ => "map",
    };
    out.set(&["x-kubernetes-list-type"], list_type);
    if let Some(keys) = kind.strip_prefix("m:") {
        out.set(&["x-kubernetes-list-map-keys"], keys.split(',').map(Value::from).collect::<Vec<_>>());
    }
    out
}

fn scalar(text: &Text<'static>, expression: &'static str, dialect: Dialect) -> Value {
    let (body, values) = match expression.split_once('(') {
        Some((body, values)) => (body, values.strip_suffix(')')),
        None => (expression, None),
    };
    let name = body.split([':', '=']).next().unwrap_or(body);
    if name.contains('.') {
        let definition = text.full_name(name).unwrap_or_default();
        return value!({"$ref": dialect.reference(&definition)});
    }
    let mut out = match name {
        "y" => value!({"type": "string", "format": "byte"}),
        "Y" => value!({"type": "string", "format": "byte", "x-kubernetes-list-type": "atomic"}),
        "b" => value!({"type": "boolean"}),
        "i" => value!({"type": "integer", "format": "int32"}),
        "l" => value!({"type": "integer", "format": "int64"}),
        "d" => value!({"type": "number", "format": "double"}),
        "o" => value!({"type": "object"}),
        _ => value!({"type": "string"}),
    };
    if let Some(values) = values {
        let values: Vec<Value> = values.split(',').map(|value| value.replace('_', " ").into()).collect();
        out.set(&["enum"], values);
    }
    out
}
