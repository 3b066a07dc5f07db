//! Other servers' OpenAPI v2 within ours: what an aggregated API service says of its own paths.
//!
//! A path that is known stays as it is. A definition or parameter whose name is taken by something else gets a name of
//! its own (`_v2`, `_v3`), as upstream's aggregator gives it.

use std::collections::{BTreeMap, BTreeSet};

use super::schemas::{Dialect, render};
use crate::catalog::Catalog;
use crate::value::{Map, Value};

const GROUP_VERSION_KIND: &str = "x-kubernetes-group-version-kind";
const SECTIONS: [&str; 2] = ["definitions", "parameters"];

/// Of another server's document the paths below `prefix` (`/apis/GROUP/VERSION/`), and what they refer to. None when it
/// has none.
pub fn v2_part(document: &Value, prefix: &str) -> Option<Value> {
    let mut part = Value::object();
    let paths = document.object_at(&["paths"]).iter().filter(|(path, _)| path.starts_with(prefix));
    let paths = Map::from_entries(paths.map(|(path, item)| (path.clone(), item.clone())));
    if paths.is_empty() {
        return None;
    }
    let paths = Value::from(paths);
    let mut known = BTreeSet::new();
    let mut open = references(&paths);
    while let Some((section, name)) = open.pop() {
        let Some(referred) = document.at(&[section, &name]) else { continue };
        if known.insert((section, name.clone())) {
            open.extend(references(referred));
            part.set(&[section, &name], referred.clone());
        }
    }
    part.set(&["paths"], paths);
    Some(part)
}

/// Adds `part` to the parts of a document that already has what is built in.
pub(super) fn add(catalog: &'static Catalog, into: &mut Value, part: &Value) {
    let mut renamed = BTreeMap::new();
    for section in SECTIONS {
        for (name, value) in part.object_at(&[section]).iter() {
            let mut free = name.to_string();
            let mut number = 2;
            let same = loop {
                match taken(catalog, into, section, &free) {
                    None => break false,
                    Some(other) if is_same(&other, value) => break true,
                    Some(_) => {}
                }
                free = format!("{name}_v{number}");
                number += 1;
            };
            if !same {
                into.set(&[section, &free], value.clone());
            }
            if free != **name {
                renamed.insert(format!("#/{section}/{name}"), format!("#/{section}/{free}"));
            }
        }
    }
    for (path, item) in part.object_at(&["paths"]).iter() {
        if into.at(&["paths", path]).is_none() {
            let mut item = item.clone();
            rename(&mut item, &renamed);
            into.set(&["paths", path], item);
        }
    }
    for section in SECTIONS {
        for name in part.object_at(&[section]).iter().map(|(name, _)| name) {
            let place = format!("#/{section}/{name}");
            let own = renamed.get(&place).and_then(|place| place.rsplit('/').next()).unwrap_or(name);
            if into.at(&[section, own]).is_some() {
                rename(into.at_mut(&[section, own]), &renamed);
            }
        }
    }
}

/// What has the name already.
fn taken(catalog: &'static Catalog, into: &Value, section: &str, name: &str) -> Option<Value> {
    if let Some(own) = into.at(&[section, name]) {
        return Some(own.clone());
    }
    match section {
        "definitions" => {
            let built_in = render(catalog, &BTreeSet::from([name.to_owned()]), Dialect::V2);
            built_in.get(name).cloned()
        }
        _ => super::built_in::shared_parameter(catalog, name),
    }
}

/// Whether two mean the same; of which kinds they are depends on the server.
fn is_same(one: &Value, other: &Value) -> bool {
    let plain = |value: &Value| {
        let mut value = value.clone();
        value.remove(&[GROUP_VERSION_KIND]);
        value
    };
    one == other || plain(one) == plain(other)
}

/// What a value refers to, by section and name.
fn references(value: &Value) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    match value {
        Value::Object(fields) => {
            let target = fields.get("$ref").and_then(Value::as_str).and_then(|text| text.strip_prefix("#/"));
            found.extend(target.and_then(|target| {
                let (section, name) = target.split_once('/')?;
                Some((*SECTIONS.iter().find(|own| **own == section)?, name.to_owned()))
            }));
            found.extend(fields.iter().flat_map(|(_, inner)| references(inner)));
        }
        Value::Array(items) => found.extend(items.iter().flat_map(references)),
        _ => {}
    }
    found
}

fn rename(value: &mut Value, renamed: &BTreeMap<String, String>) {
    if renamed.is_empty() {
        return;
    }
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields.iter_mut() {
                match inner.as_str().and_then(|text| renamed.get(text)).filter(|_| name == "$ref") {
                    Some(other) => *inner = Value::from(other.as_str()),
                    None => rename(inner, renamed),
                }
            }
        }
        Value::Array(items) => items.make_mut().iter_mut().for_each(|inner| rename(inner, renamed)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value;

    #[test]
    fn what_means_something_else_gets_a_name_of_its_own() {
        let reference = |name: &str| value!({"$ref": format!("#/definitions/{name}")});
        let status = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
        let document = |of: &str| {
            let mut document = value!({
                "paths": {"/apis/g/v1/things": {"get": {"schema": reference("Thing"), "parameters": [{"$ref": "#/parameters/p"}]}},
                    "/apis/g/v2/things": {"get": {"schema": reference("Other")}}},
                "definitions": {"Thing": {"type": of, "x": reference("Part")}, "Part": {"y": reference("Thing")}, "Other": {}},
                "parameters": {"p": {"name": "p"}, "q": {"name": "q"}},
            });
            document.set(&["definitions", status], value!({"type": "string"}));
            document.set(&["paths", "/apis/g/v1/things", "put"], reference(status));
            document
        };
        assert_eq!(v2_part(&document("object"), "/apis/g/v3/"), None);
        let part = v2_part(&document("object"), "/apis/g/v1/").unwrap();
        assert_eq!((part.object_at(&["definitions"]).len(), part.object_at(&["parameters"]).len()), (3, 1));
        let mut into = Value::object();
        add(Catalog::builtin(), &mut into, &part);
        assert_eq!(into.at(&["definitions", "Thing"]), part.at(&["definitions", "Thing"]));
        let renamed = format!("#/definitions/{status}_v2");
        assert_eq!(into.str_at(&["paths", "/apis/g/v1/things", "put", "$ref"]), renamed);
        // The same once more changes nothing; another is told apart, and what refers to it follows.
        let before = into.clone();
        add(Catalog::builtin(), &mut into, &part);
        assert_eq!(into, before);
        let mut other = v2_part(&document("string"), "/apis/g/v1/").unwrap();
        other.set(&["paths"], value!({"/apis/h/v1/things": {"get": reference("Thing")}}));
        add(Catalog::builtin(), &mut into, &other);
        assert_eq!(into.str_at(&["paths", "/apis/h/v1/things", "get", "$ref"]), "#/definitions/Thing_v2");
        assert_eq!(into.str_at(&["definitions", "Thing_v2", "type"]), "string");
        assert_eq!(into.at(&["definitions", "Thing"]), before.at(&["definitions", "Thing"]));
    }
}
