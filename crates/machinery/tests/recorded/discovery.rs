//! The catalog's resources are what a real 1.36 server lists.
//!
//! The recorded answers lie beside the repository, in `shared/reference`.

use crate::shared;
use drydock_machinery::catalog::{GroupVersion, Resource, Subresource};
use drydock_machinery::{Catalog, Value, value};

#[test]
fn every_group_version_lists_the_recorded_resources() {
    let Some(folder) = shared::folder("reference") else { return };
    let recorded = Value::from_json(&std::fs::read(folder.join("discovery.json")).unwrap()).unwrap();
    let mut problems = Vec::new();
    for version in Catalog::builtin().groups().iter().flat_map(|group| &group.versions) {
        let path = match version.group {
            "" => format!("/api/{}", version.version),
            group => format!("/apis/{group}/{}", version.version),
        };
        let (got, want) = (list(version), recorded.get(&path).unwrap().get("resources").unwrap());
        if got != *want {
            problems.push(format!("{path}: {}", shared::difference(&got, want)));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));

    let groups = recorded.array_at(&["/apis", "groups"]).iter();
    let want: Vec<_> =
        groups.map(|group| group.str_at(&["name"])).filter(|name| !name.contains("example")).collect();
    let got: Vec<_> = Catalog::builtin().groups().iter().map(|group| group.name).skip(1).collect();
    assert_eq!(got, want);
}

/// As an APIResourceList has it.
fn list(version: &GroupVersion) -> Value {
    let each = version.resources.iter().flat_map(|resource| {
        let subresources = resource.subresources.iter().map(|sub| subresource(resource, sub));
        std::iter::once(main(resource)).chain(subresources)
    });
    each.collect::<Vec<_>>().into()
}

fn main(resource: &Resource) -> Value {
    let mut out = value!({
        "name": resource.name, "singularName": resource.singular, "namespaced": resource.namespaced,
        "kind": &*resource.kind.kind, "verbs": resource.verbs.iter().collect::<Vec<_>>(),
    });
    if !resource.short_names.is_empty() {
        out.set(&["shortNames"], resource.short_names.clone());
    }
    if !resource.categories.is_empty() {
        out.set(&["categories"], resource.categories.clone());
    }
    if !resource.storage_version_hash.is_empty() {
        out.set(&["storageVersionHash"], resource.storage_version_hash);
    }
    out
}

fn subresource(resource: &Resource, sub: &Subresource) -> Value {
    let mut out = value!({
        "name": format!("{}/{}", resource.name, sub.name), "singularName": "",
        "namespaced": resource.namespaced, "kind": &*sub.kind.kind,
        "verbs": sub.verbs.iter().collect::<Vec<_>>(),
    });
    if sub.foreign {
        out.set(&["group"], &*sub.kind.group);
        out.set(&["version"], &*sub.kind.version);
    }
    out
}
