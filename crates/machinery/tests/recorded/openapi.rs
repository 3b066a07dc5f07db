//! OpenAPI documents say what a real 1.36 server's say, descriptions apart.
//!
//! The recorded documents lie beside the repository, in `shared/reference`. Without them, only their number is checked.

use std::path::Path;

use crate::shared;
use drydock_machinery::{Catalog, GroupVersionKind, Value, openapi};

fn recorded(folder: &Path, name: &str) -> Value {
    let file = std::fs::File::open(folder.join(name)).unwrap();
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(file), &mut text).unwrap();
    Value::from_json(&text).unwrap()
}

#[test]
fn every_v3_document_is_the_recorded_one() {
    let index = openapi::index(Catalog::builtin(), []);
    assert_eq!(index.object_at(&["paths"]).len(), 47);
    let Some(folder) = shared::folder("reference") else { return };
    let mut problems = Vec::new();
    for (path, want) in recorded(&folder, "openapi-v3.json.gz").as_object().unwrap().iter() {
        // The recording server had a custom resource.
        if path.contains("example.com") {
            continue;
        }
        let Some(document) = openapi::v3_document(Catalog::builtin(), path) else {
            problems.push(format!("{path}: missing"));
            continue;
        };
        let mut got = Value::from_json(&document.json).unwrap();
        undescribed(&mut got);
        if got != *want {
            problems.push(format!("{path}: {}", shared::difference(&got, want)));
        }
    }
    assert!(problems.is_empty(), "{}:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn the_v2_document_is_the_recorded_one() {
    let mut got = Value::from_json(&openapi::v2_document(Catalog::builtin()).json).unwrap();
    undescribed(&mut got);
    assert_eq!(got.object_at(&["definitions"]).len(), 584);
    let Some(folder) = shared::folder("reference") else { return };
    let mut want = recorded(&folder, "openapi-v2.json.gz");
    assert_eq!(got.get("parameters"), want.get("parameters"));
    for part in ["paths", "definitions"] {
        let part = want.at_mut(&[part]).as_object_mut().unwrap();
        part.retain(|name, _| !name.contains("example"));
    }
    assert!(got == want, "{}", shared::difference(&got, &want));
}

/// The recorded documents are without descriptions, which are texts; fields of that name are schemas.
fn undescribed(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|name, value| name != "description" || !matches!(value, Value::String(_)));
            map.iter_mut().for_each(|(_, value)| undescribed(value));
        }
        Value::Array(items) => items.make_mut().iter_mut().for_each(undescribed),
        _ => {}
    }
}

#[test]
fn a_custom_resources_operations_are_the_recorded_ones() {
    let Some(folder) = shared::folder("reference") else { return };
    let recorded = recorded(&folder, "openapi-v3.json.gz");
    let (path, want) =
        recorded.as_object().unwrap().iter().find(|(path, _)| path.contains("example")).unwrap();
    let group = path.split('/').nth(1).unwrap().to_owned();
    let bike = "com.example.g7d1f49.v1.Bike".to_owned();
    let scale = GroupVersionKind::new("autoscaling", "v1", "Scale");
    let paths = openapi::custom_paths(&openapi::Described {
        group,
        version: "v1".into(),
        plural: "bikes".into(),
        kind: "Bike".into(),
        namespaced: true,
        list_definition: format!("{bike}List"),
        definition: bike,
        verbs: vec!["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        subresources: vec![openapi::DescribedSubresource {
            name: "scale".into(),
            kind: scale,
            definition: "io.k8s.api.autoscaling.v1.Scale".into(),
            verbs: vec!["get", "patch", "update"],
        }],
        custom: true,
    });
    let (mut got, want) = (Value::from(paths), want.get("paths").unwrap());
    undescribed(&mut got);
    assert!(got == *want, "{}", shared::difference(&got, want));
}
