//! The catalog's types: OpenAPI says which there are and what they look like, Go how they are encoded.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};
use serde_json::{Map, Value, json};

use super::golang::{Field, Fields, GoType, Sources};

/// Types that clients decode but no path of the OpenAPI mentions, with their group and version; "" for parts of such.
const UNLISTED: [(&str, &str); 6] = [
    ("io.k8s.apimachinery.pkg.apis.meta.v1.PartialObjectMetadata", "meta.k8s.io/v1"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.PartialObjectMetadataList", "meta.k8s.io/v1"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.Table", "meta.k8s.io/v1"),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.TableColumnDefinition", ""),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.TableRow", ""),
    ("io.k8s.apimachinery.pkg.apis.meta.v1.TableRowCondition", ""),
];

type Definitions = BTreeMap<String, Value>;

pub(crate) fn write(go: &Sources, openapi_v3: &Value, openapi_v2: &Value, out: &mut String) -> Result<()> {
    let mut definitions = definitions(openapi_v3)?;
    for (name, group_version) in UNLISTED {
        definitions.insert(name.into(), unlisted(go, name, group_version)?);
    }
    let packages = packages(&definitions);
    for (i, (package, group_version)) in packages.iter().enumerate() {
        writeln!(out, "P {} {package} {group_version}", letter(i))?;
    }
    let everywhere = openapi_v2["definitions"]["io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"]
        ["x-kubernetes-group-version-kind"]
        .as_array()
        .context("DeleteOptions names no kinds")?;
    let everywhere: Vec<_> = everywhere.iter().map(group_version).collect();
    writeln!(out, "E {}", everywhere.join(" "))?;

    let writer = Writer { go, packages: &packages };
    for (name, definition) in &definitions {
        writer.definition(name, definition, out).with_context(|| format!("in {name}"))?;
    }
    Ok(())
}

/// All definitions of all documents but custom resources'.
fn definitions(openapi_v3: &Value) -> Result<Definitions> {
    let mut definitions = Definitions::new();
    for document in openapi_v3.as_object().context("no documents")?.values() {
        let Some(schemas) = document["components"]["schemas"].as_object() else { continue };
        for (name, schema) in schemas.iter().filter(|(name, _)| name.starts_with("io.k8s.")) {
            definitions.insert(name.clone(), schema.clone());
        }
    }
    Ok(definitions)
}

/// A schema as the OpenAPI would have it.
fn unlisted(go: &Sources, name: &str, group_version: &str) -> Result<Value> {
    let mut properties = Map::new();
    for (json_name, field) in go.fields(name).with_context(|| format!("no Go type {name}"))?.iter() {
        properties.insert(json_name.to_owned(), property(go, &field.ty)?);
    }
    let mut schema = json!({"properties": properties, "type": "object", "unlisted": true});
    if let Some((group, version)) = group_version.split_once('/') {
        let kind = name.rsplit('.').next();
        schema["x-kubernetes-group-version-kind"] =
            json!([{"group": group, "version": version, "kind": kind}]);
    }
    Ok(schema)
}

fn property(go: &Sources, ty: &GoType) -> Result<Value> {
    Ok(match go.underlying(ty) {
        GoType::Named(name) => json!({"$ref": format!("#/components/schemas/{name}")}),
        GoType::Slice(item) => json!({"type": "array", "items": property(go, item)?}),
        GoType::Builtin(name) => match name.as_str() {
            "string" => json!({"type": "string"}),
            "int32" => json!({"type": "integer", "format": "int32"}),
            "any" => json!({"type": "object"}),
            other => bail!("no schema for {other}"),
        },
        GoType::Pointer(inner) => property(go, inner)?,
        other => bail!("no schema for {other:?}"),
    })
}

/// Packages in order, with the group and version of their kinds.
fn packages(definitions: &Definitions) -> BTreeMap<String, String> {
    let mut packages = BTreeMap::new();
    for (name, definition) in definitions {
        let (package, _) = split(name);
        let kinds = definition["x-kubernetes-group-version-kind"].as_array();
        let known: &mut String = packages.entry(package.to_owned()).or_default();
        if let Some([kind]) = kinds.map(Vec::as_slice)
            && definition["unlisted"].is_null()
        {
            *known = group_version(kind);
        }
    }
    packages
}

pub(super) fn group_version(kind: &Value) -> String {
    let version = kind["version"].as_str().unwrap_or_default();
    match kind["group"].as_str().unwrap_or_default() {
        "" => version.to_owned(),
        group => format!("{group}/{version}"),
    }
}

fn split(definition: &str) -> (&str, &str) {
    definition.rsplit_once('.').unwrap_or(("", definition))
}

/// How the table abbreviates the package at `i`.
fn letter(i: usize) -> char {
    char::from(if i < 26 { b'A' + i as u8 } else { b'a' + (i - 26) as u8 })
}

struct Writer<'a> {
    go: &'a Sources,
    packages: &'a BTreeMap<String, String>,
}

impl Writer<'_> {
    fn definition(&self, name: &str, definition: &Value, out: &mut String) -> Result<()> {
        write!(out, "T {}", self.reference(name)?)?;
        match definition["x-kubernetes-group-version-kind"].as_array().map_or(&[][..], Vec::as_slice) {
            [] => {}
            [kind] => {
                let own = group_version(kind);
                let package = &self.packages[split(name).0];
                if *package == own { out.push_str(" K") } else { write!(out, " K={own}")? }
            }
            _ => out.push_str(" E"),
        }
        if definition["unlisted"] == true {
            out.push_str(" U");
        }
        if definition["x-kubernetes-map-type"] == "atomic" {
            out.push_str(" a");
        }
        if let Some(unions) = definition.get("x-kubernetes-unions") {
            write!(out, " u={unions}")?;
        }
        let Some(properties) = definition["properties"].as_object() else {
            out.push('\n');
            return Ok(());
        };
        let fields = self.go.fields(name).context("no such Go struct")?;
        let required = definition["required"].as_array();
        if let Some(names) = required
            && !is_in_order(names, &fields)
        {
            let names: Vec<_> = names.iter().filter_map(Value::as_str).collect();
            write!(out, " r={}", names.join(","))?;
        }
        out.push('\n');
        if let Some(name) = properties.keys().find(|name| fields.get(name).is_none()) {
            bail!("Go has no field {name}");
        }
        // Go's order, which is that of JSON.
        for (name, go) in fields.iter() {
            let Some(schema) = properties.get(name) else { continue };
            let required = required.is_some_and(|names| names.contains(&name.into()));
            self.field(name, schema, go, required, out).with_context(|| format!("in field {name}"))?;
        }
        Ok(())
    }

    fn field(&self, name: &str, schema: &Value, go: &Field, required: bool, out: &mut String) -> Result<()> {
        write!(out, " {name} {}", self.ty(schema, &go.ty)?)?;
        if !go.proto.is_empty() {
            let numbers: Vec<_> = go.proto.iter().map(u32::to_string).collect();
            write!(out, " {}", numbers.join("/"))?;
        }
        let mut flags = String::new();
        for (is, flag) in [
            (go.omitempty, '?'),
            (go.omitzero, 'z'),
            (matches!(go.ty, GoType::Pointer(_)), '*'),
            (required, '!'),
        ] {
            if is {
                flags.push(flag);
            }
        }
        let default = schema.get("default");
        let is_zero =
            default.is_some_and(|value| [json!(""), json!({}), json!(0), json!(false)].contains(value));
        if is_zero {
            flags.push('0');
        }
        if schema.get("$ref").is_some() {
            flags.push('r');
        }
        if !flags.is_empty() {
            write!(out, " {flags}")?;
        }
        if let Some(default) = default.filter(|_| !is_zero) {
            write!(out, " d={default}")?;
        }
        if let Some(strategy) = schema["x-kubernetes-patch-strategy"].as_str() {
            write!(out, " p={strategy}")?;
        }
        if let Some(key) = schema["x-kubernetes-patch-merge-key"].as_str() {
            write!(out, " k={key}")?;
        }
        out.push('\n');
        Ok(())
    }

    /// A type expression: `s`, `[m:name]B.Container`, `{}s`, `s=v1.PullPolicy(Always,Never)`.
    fn ty(&self, schema: &Value, go: &GoType) -> Result<String> {
        let go_plain = match go {
            GoType::Pointer(inner) => inner,
            other => other,
        };
        let reference = schema["$ref"].as_str().or_else(|| schema["allOf"][0]["$ref"].as_str());
        let mut text = if let Some(reference) = reference {
            let name = reference.rsplit('/').next().unwrap_or_default();
            return Ok(format!("{}{}", map_type(schema), self.reference(name)?));
        } else if let Some(items) = schema.get("items") {
            let item = match self.go.underlying(go_plain) {
                GoType::Slice(item) => item,
                other => bail!("{other:?} is no slice"),
            };
            let kind = match schema["x-kubernetes-list-type"].as_str() {
                None => String::new(),
                Some("atomic") => "a".to_owned(),
                Some("set") => "s".to_owned(),
                Some("map") => {
                    let keys = schema["x-kubernetes-list-map-keys"].as_array().context("no map keys")?;
                    let keys: Vec<_> = keys.iter().filter_map(Value::as_str).collect();
                    format!("m:{}", keys.join(","))
                }
                Some(other) => bail!("list type {other}"),
            };
            let pointer = if matches!(**item, GoType::Pointer(_)) { "*" } else { "" };
            format!("[{kind}]{pointer}{}", self.ty(items, item)?)
        } else if let Some(values) = schema.get("additionalProperties") {
            let value = match self.go.underlying(go_plain) {
                GoType::Map(value) => value,
                other => bail!("{other:?} is no map"),
            };
            format!("{}{{}}{}", map_type(schema), self.ty(values, value)?)
        } else {
            scalar(schema)?.to_owned()
        };
        if let GoType::Named(name) = go_plain {
            let mark = if text.starts_with(['[', '{', '@', '~']) { ':' } else { '=' };
            write!(text, "{mark}{}", GoType::name(name))?;
        }
        if let Some(values) = schema["enum"].as_array() {
            let values: Vec<_> = values.iter().filter_map(Value::as_str).collect();
            if values.iter().any(|value| value.contains(['_', ',', ')'])) {
                bail!("{values:?} cannot be written");
            }
            write!(text, "({})", values.join(",").replace(' ', "_"))?;
        }
        Ok(text)
    }

    fn reference(&self, definition: &str) -> Result<String> {
        let (package, name) = split(definition);
        let i = self.packages.keys().position(|known| known == package);
        Ok(format!("{}.{name}", letter(i.with_context(|| format!("unknown package {package}"))?)))
    }
}

/// Whether required fields are listed in the order of their numbers, as they are mostly.
fn is_in_order(names: &[Value], fields: &Fields) -> bool {
    let number = |name: &Value| fields.get(name.as_str()?)?.proto.first().copied();
    let numbers: Vec<_> = names.iter().map(number).collect();
    names.len() < 2 || numbers.iter().all(Option::is_some) && numbers.is_sorted()
}

/// How the table marks the map type that a field declares.
fn map_type(schema: &Value) -> &'static str {
    match schema["x-kubernetes-map-type"].as_str() {
        Some("atomic") => "@",
        Some("granular") => "~",
        _ => "",
    }
}

fn scalar(schema: &Value) -> Result<&'static str> {
    Ok(match (schema["type"].as_str(), schema["format"].as_str()) {
        (Some("string"), None) => "s",
        // Bytes are a list to Go; one field says so.
        (Some("string"), Some("byte")) if schema["x-kubernetes-list-type"] == "atomic" => "Y",
        (Some("string"), Some("byte")) => "y",
        (Some("boolean"), None) => "b",
        (Some("integer"), Some("int32")) => "i",
        (Some("integer"), Some("int64")) => "l",
        (Some("number"), Some("double")) => "d",
        (Some("object"), None) => "o",
        other => bail!("unknown scalar {other:?}"),
    })
}
