//! From an established definition to the resources it serves.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drydock_kinds::Plain;
use drydock_machinery::crd::columns::Columns;
use drydock_machinery::crd::{CustomResource, definition};
use drydock_machinery::{GroupVersionKind, GroupVersionResource, Object, ObjectMeta, Value, value};
use drydock_runtime::CancellationToken;
use sha2::{Digest, Sha256};

use crate::cache::key_prefix;
use crate::conversion::Conversion;
use crate::resources::{Custom, Resource, Source, Subresource};

const VERBS: [&str; 8] = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];
const SUBRESOURCE_VERBS: [&str; 3] = ["get", "patch", "update"];
const AGE: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

/// The served versions, in the order of Kubernetes' version priority; none until the definition is established.
pub(super) fn resources(
    definition: &Object,
    minor_version: u32,
    outdated: &CancellationToken,
) -> Vec<Arc<Resource>> {
    if !definition::is_established(definition.value()) {
        return Vec::new();
    }
    let mut versions: Vec<&Value> = definition
        .array_at(&["spec", "versions"])
        .iter()
        .filter(|version| version.bool_at(&["served"]))
        .collect();
    versions.sort_by_key(|version| std::cmp::Reverse(priority(version.str_at(&["name"]))));
    let conversion = conversion(definition, minor_version);
    versions
        .into_iter()
        .map(|version| Arc::new(resource(definition, version, &conversion, minor_version, outdated)))
        .collect()
}

/// The definition in the version that its objects are stored in, whether or not that is served.
pub(super) fn stored(
    definition: &Object,
    minor_version: u32,
    outdated: &CancellationToken,
) -> Option<Arc<Resource>> {
    let mut versions = definition.array_at(&["spec", "versions"]).iter();
    let version = versions.find(|version| version.bool_at(&["storage"]))?;
    let conversion = conversion(definition, minor_version);
    Some(Arc::new(resource(definition, version, &conversion, minor_version, outdated)))
}

/// GA before beta before alpha, newer before older; anything else last, by name.
pub(super) fn priority(version: &str) -> (u8, u32, u32, std::cmp::Reverse<String>) {
    let other = (0, 0, 0, std::cmp::Reverse(version.to_owned()));
    let Some(rest) = version.strip_prefix('v') else { return other };
    let split = |stage: &str| rest.split_once(stage);
    let parse = |text: &str| text.parse::<u32>().ok();
    let none = std::cmp::Reverse(String::new());
    if let Some(major) = parse(rest) {
        return (3, major, 0, none);
    }
    for (rank, stage) in [(2, "beta"), (1, "alpha")] {
        if let Some((major, minor)) = split(stage)
            && let (Some(major), Some(minor)) = (parse(major), parse(minor))
        {
            return (rank, major, minor, none);
        }
    }
    other
}

fn conversion(definition: &Object, minor_version: u32) -> Arc<Conversion> {
    let group = definition.str_at(&["spec", "group"]);
    let versions = definition.array_at(&["spec", "versions"]).iter();
    let schemas = versions.map(|version| {
        let api_version = format!("{group}/{}", version.str_at(&["name"]));
        (api_version, CustomResource::compile(&schema_of(version), minor_version).schema)
    });
    Arc::new(Conversion::new(definition.value(), schemas.collect()))
}

fn resource(
    definition: &Object,
    version: &Value,
    conversion: &Arc<Conversion>,
    minor_version: u32,
    outdated: &CancellationToken,
) -> Resource {
    let names = definition.at(&["status", "acceptedNames"]).cloned().unwrap_or_default();
    let text = |field: &str| names.str_at(&[field]).to_owned();
    let group = definition.str_at(&["spec", "group"]).to_owned();
    let kind = |version: &str| GroupVersionKind {
        group: group.clone().into(),
        version: version.to_owned().into(),
        kind: text("kind").into(),
    };
    let name = version.str_at(&["name"]);
    let storage =
        definition.array_at(&["spec", "versions"]).iter().find(|version| version.bool_at(&["storage"]));
    let schema = schema_of(version);
    let compiled = CustomResource::compile(&schema, minor_version);
    let storage_version = kind(storage.map_or(name, |version| version.str_at(&["name"])));
    let storage_schema =
        conversion.schema(&storage_version.api_version()).unwrap_or(&compiled.schema).clone();
    let columns = Columns::new(version.array_at(&["additionalPrinterColumns"]), AGE).ok();
    Resource {
        gvr: GroupVersionResource {
            group: group.clone().into(),
            version: name.to_owned().into(),
            resource: text("plural").into(),
        },
        gvk: kind(name),
        list_kind: text("listKind"),
        singular: text("singular"),
        short_names: texts(&names, "shortNames"),
        categories: texts(&names, "categories"),
        namespaced: definition.str_at(&["spec", "scope"]) == "Namespaced",
        verbs: VERBS.map(str::to_owned).to_vec(),
        subresources: subresources(version, &kind(name)),
        source: Source::Store,
        prefix: key_prefix(&group, &text("plural")).into(),
        storage: storage_version,
        schema: Some(compiled.schema.clone()),
        strategy: &Plain,
        storage_version_hash: hash(&group, name, &text("kind")),
        custom: Some(Arc::new(Custom {
            version: version.clone(),
            compiled,
            conversion: conversion.clone(),
            storage_schema,
            columns,
            warning: warning(definition, version, &kind(name)),
            preserve_unknown: definition.bool_at(&["spec", "preserveUnknownFields"]),
            definition_uid: definition.uid().to_owned(),
            terminating: definition.is_deleting(),
            outdated: outdated.clone(),
        })),
    }
}

fn schema_of(version: &Value) -> Value {
    version
        .at(&["schema", "openAPIV3Schema"])
        .cloned()
        .unwrap_or_else(|| value!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}))
}

fn subresources(version: &Value, kind: &GroupVersionKind) -> Vec<Subresource> {
    let verbs = || SUBRESOURCE_VERBS.map(str::to_owned).to_vec();
    let mut found = Vec::new();
    let has = |name: &str| version.at(&["subresources", name]).is_some_and(|sub| !sub.is_null());
    if has("status") {
        found.push(Subresource {
            name: "status".to_owned(),
            kind: kind.clone(),
            foreign: false,
            verbs: verbs(),
        });
    }
    if has("scale") {
        let scale = GroupVersionKind::new("autoscaling", "v1", "Scale");
        found.push(Subresource { name: "scale".to_owned(), kind: scale, foreign: true, verbs: verbs() });
    }
    found
}

fn texts(names: &Value, field: &str) -> Vec<String> {
    names.array_at(&[field]).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// `StorageVersionHash`: the first eight bytes of a SHA-256, in base64.
fn hash(group: &str, version: &str, kind: &str) -> String {
    STANDARD.encode(&Sha256::digest(format!("{group}/{version}/{kind}").as_bytes())[..8])
}

/// What users of a deprecated version are told.
fn warning(definition: &Object, version: &Value, kind: &GroupVersionKind) -> Option<String> {
    if !version.bool_at(&["deprecated"]) {
        return None;
    }
    if let Some(own) = version.get("deprecationWarning").and_then(Value::as_str) {
        return Some(own.to_owned());
    }
    let name = version.str_at(&["name"]);
    let newer = definition
        .array_at(&["spec", "versions"])
        .iter()
        .filter(|other| other.bool_at(&["served"]) && !other.bool_at(&["deprecated"]))
        .map(|other| other.str_at(&["name"]))
        .filter(|other| priority(other) > priority(name))
        .max_by_key(|other| priority(other));
    let mut text = format!("{} {} is deprecated", kind.api_version(), kind.kind);
    if let Some(newer) = newer {
        text.push_str(&format!("; use {}/{newer} {}", kind.group, kind.kind));
    }
    Some(text)
}
