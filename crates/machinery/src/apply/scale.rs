//! Managed fields of the scale subresource: its `spec.replicas` is a field of the object that is scaled.

use super::managed::{Managed, VersionedSet};
use super::path::PathElement;
use super::set::FieldSet;
use crate::value::Value;

const SCALE_VERSION: &str = "autoscaling/v1";

/// Where replicas are in each version of the scaled resource: `("apps/v1", ["spec", "replicas"])`.
pub type ScaleFields<'a> = &'a [(&'a str, &'a [&'a str])];

/// The scaled object's managed fields as the scale object shows them: `metadata.managedFields`, null when none.
pub fn scale_to_subresource(parent: &Value, fields: ScaleFields<'_>) -> Value {
    let mut out = Managed::default();
    let managed = Managed::of(parent).unwrap_or_default();
    for (id, versioned) in managed.managers {
        let Some(path) = replicas_path(fields, &versioned.api_version) else { continue };
        if versioned.set.has(&path) {
            if let Some(time) = managed.times.get(&id) {
                out.times.insert(id.clone(), time.clone());
            }
            let set = FieldSet::of_fields(&[&["spec", "replicas"]]);
            let api_version = SCALE_VERSION.into();
            out.managers.insert(id, VersionedSet { set, api_version, applied: versioned.applied });
        }
    }
    entries(&out)
}

/// The scaled object's new managed fields, after the scale object with `scale`'s was written.
/// `api_version` is that of the scaled resource.
pub fn scale_to_parent(parent: &Value, scale: &Value, api_version: &str, fields: ScaleFields<'_>) -> Value {
    let parent = Managed::of(parent).unwrap_or_default();
    let scale = Managed::of(scale).unwrap_or_default();
    // Upstream looks a scale manager's time up among the parent's: one that is new there has none.
    let mut out = Managed { managers: Default::default(), times: parent.times };
    let mut in_scale = scale.managers;
    for (id, mut versioned) in parent.managers {
        if !fields.iter().any(|(version, _)| *version == versioned.api_version) {
            continue;
        }
        let path = replicas_path(fields, &versioned.api_version).filter(|path| versioned.set.has(path));
        if let Some(path) = path
            && in_scale.remove(&id).is_none()
        {
            let mut replicas = FieldSet::default();
            replicas.insert(&path);
            versioned.set = std::mem::take(&mut versioned.set).difference(&replicas);
        }
        if !versioned.set.is_empty() {
            out.managers.insert(id, versioned);
        }
    }
    for (id, versioned) in in_scale {
        let Some(path) = replicas_path(fields, api_version) else { continue };
        if versioned.set.has(&[PathElement::field("spec"), PathElement::field("replicas")]) {
            let mut set = FieldSet::default();
            set.insert(&path);
            let api_version = api_version.into();
            out.managers.insert(id, VersionedSet { set, api_version, applied: versioned.applied });
        }
    }
    entries(&out)
}

fn replicas_path(fields: ScaleFields<'_>, api_version: &str) -> Option<Vec<PathElement>> {
    let (_, path) = fields.iter().find(|(version, path)| *version == api_version && !path.is_empty())?;
    Some(path.iter().map(|name| PathElement::field(name)).collect())
}

fn entries(managed: &Managed) -> Value {
    let mut object = Value::object();
    managed.write_to(&mut object);
    object.remove(&["metadata", "managedFields"]).unwrap_or_default()
}
