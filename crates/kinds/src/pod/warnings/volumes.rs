//! Sources of volumes that are gone, and files that get in one another's way.

use drydock_machinery::{FieldPath, Value};

use super::paths::{Paths, Source};
use crate::shape::{has, shown};

/// Volume plugins that were removed, or will be.
pub(super) fn deprecated(out: &mut Vec<String>, spec: &Value, path: &FieldPath) {
    const SOURCES: [(&str, &str, &str); 9] = [
        ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
        ("gitRepo", "gitRepo", "deprecated in v1.11, and disabled by default in v1.33+"),
        ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
        ("flocker", "flocker", "deprecated in v1.22, non-functional in v1.25+"),
        ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
        ("quobyte", "quobyte", "deprecated in v1.22, non-functional in v1.25+"),
        ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
        ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
        ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
    ];
    for (i, volume) in spec.array_at(&["volumes"]).iter().enumerate() {
        let given = volume.object_at(&[]);
        for (_, shown, text) in
            SOURCES.iter().filter(|(source, ..)| given.get(source).is_some_and(|of| !of.is_null()))
        {
            out.push(format!("{}: {text}", path.index(i).child(shown)));
        }
        if !has(volume, &["ephemeral"]) {
            continue;
        }
        let claim = shown(volume, &["ephemeral", "volumeClaimTemplate", "spec"]);
        let at = path.index(i).child("ephemeral").child("volumeClaimTemplate").child("spec");
        out.extend(super::claim_spec(&claim, &at));
    }
}

/// `warningsForOverlappingVirtualPaths`.
pub(super) fn overlapping(out: &mut Vec<String>, spec: &Value) {
    for volume in spec.array_at(&["volumes"]) {
        let name = volume.str_at(&["name"]);
        for (source, kind, names) in [
            ("configMap", "ConfigMap", "name"),
            ("secret", "Secret", "secretName"),
            ("downwardAPI", "DownwardAPI", ""),
        ] {
            let Some(given) = volume.get(source) else { continue };
            let items = given.array_at(&["items"]);
            if items.is_empty() {
                continue;
            }
            let named = (!names.is_empty()).then(|| given.str_at(&[names]));
            let mut paths = Paths::default();
            items.iter().for_each(|item| paths.add(item.str_at(&["path"]), Source::default()));
            paths.warn(out, name, Source { kind, name: named });
        }
        if has(volume, &["projected"]) {
            projected(out, volume, name);
        }
    }
}

fn projected(out: &mut Vec<String>, volume: &Value, name: &str) {
    let mut paths = Paths::default();
    for source in volume.array_at(&["projected", "sources"]) {
        let known = ["configMap", "secret", "downwardAPI", "serviceAccountToken"];
        if !known.iter().any(|field| has(source, &[field])) {
            out.push(format!("volume {name:?} (Projected) has no sources provided"));
            continue;
        }
        for (field, kind) in [("configMap", "ConfigMap"), ("secret", "Secret")] {
            let items = source.array_at(&[field, "items"]);
            if !items.is_empty() {
                let from = Source { kind, name: Some(source.str_at(&[field, "name"])) };
                items.iter().for_each(|item| paths.add(item.str_at(&["path"]), from));
            }
        }
        for item in source.array_at(&["downwardAPI", "items"]) {
            paths.add(item.str_at(&["path"]), Source { kind: "DownwardAPI", name: None });
        }
        if has(source, &["serviceAccountToken"]) {
            let from = Source { kind: "ServiceAccountToken", name: None };
            paths.add(source.str_at(&["serviceAccountToken", "path"]), from);
        }
    }
    paths.warn(out, name, Source { kind: "Projected", name: None });
}
