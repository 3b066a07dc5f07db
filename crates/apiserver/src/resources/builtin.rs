//! The built-in resources, from the catalog.

use std::collections::BTreeMap;
use std::sync::Arc;

use drydock_machinery::catalog::{Catalog, Group, GroupVersion};
use drydock_machinery::{GroupVersionKind, GroupVersionResource, catalog};
use parking_lot::Mutex;

use super::{Resource, ResourceTable, Source, Subresource};
use crate::cache::key_prefix;

/// The resources built into every API server of Kubernetes 1.`minor` in this process.
pub fn builtin(minor: u32) -> Arc<ResourceTable> {
    static TABLES: Mutex<BTreeMap<&str, Arc<ResourceTable>>> = Mutex::new(BTreeMap::new());
    let catalog = Catalog::of(minor);
    TABLES.lock().entry(catalog.version()).or_insert_with(|| Arc::new(table(catalog))).clone()
}

fn table(catalog: &Catalog) -> ResourceTable {
    let mut resources = Vec::new();
    for group in catalog.groups() {
        for version in &group.versions {
            let of_version = version.resources.iter();
            resources.extend(of_version.map(|known| Arc::new(resource(catalog, group, version, known))));
        }
    }
    ResourceTable::new(resources)
}

fn resource(catalog: &Catalog, group: &Group, version: &GroupVersion, known: &catalog::Resource) -> Resource {
    let (storage_group, storage_version) = storage(group, known.name);
    Resource {
        gvr: GroupVersionResource::new(version.group, version.version, known.name),
        gvk: known.kind.clone(),
        list_kind: format!("{}List", known.kind.kind),
        singular: known.singular.to_owned(),
        short_names: owned(&known.short_names),
        categories: owned(&known.categories),
        namespaced: known.namespaced,
        verbs: known.verbs.iter().map(str::to_owned).collect(),
        subresources: known
            .subresources
            .iter()
            .map(|sub| Subresource {
                name: sub.name.to_owned(),
                kind: sub.kind.clone(),
                foreign: sub.foreign,
                verbs: sub.verbs.iter().map(str::to_owned).collect(),
            })
            .collect(),
        source: source(version.group, known),
        prefix: key_prefix(storage_group, known.name).into(),
        storage: GroupVersionKind {
            kind: known.kind.kind.clone(),
            ..GroupVersionKind::new(storage_group, storage_version, "")
        },
        schema: catalog.schema(&known.kind),
        // By the group of the request: Events have stricter rules in their own.
        strategy: drydock_kinds::strategy(version.group, known.name),
        storage_version_hash: known.storage_version_hash.to_owned(),
        custom: None,
    }
}

fn source(group: &str, known: &catalog::Resource) -> Source {
    match known.name {
        "componentstatuses" if group.is_empty() => Source::Components,
        _ if known.verbs.contains("get") => Source::Store,
        _ => Source::Request,
    }
}

/// Group and version in which a resource's objects are stored: the group's most preferred version that has the
/// resource. Events of both groups are the same objects.
fn storage(group: &Group, resource: &str) -> (&'static str, &'static str) {
    if group.name == "events.k8s.io" && resource == "events" {
        return ("", "v1");
    }
    let has = |version: &&GroupVersion| version.resources.iter().any(|known| known.name == resource);
    let version = group.versions.iter().find(has).map_or("v1", |version| version.version);
    (group.name, version)
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}
