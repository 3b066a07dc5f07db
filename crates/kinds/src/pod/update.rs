//! Which fields of a pod may change: `ValidatePodUpdate`.

use drydock_machinery::{FieldErrors, FieldPath, Value};

use super::security::annotation_updates;
use super::{MIRROR, validate_metadata_and_spec};
use crate::check::in_range;
use crate::go_form;
use crate::shape::{each_mut, has, keep, same, same_of, shown};

const MAY_CHANGE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

pub(super) fn validate(errors: &mut FieldErrors, object: &Value, old: &Value) {
    validate_metadata_and_spec(errors, object);
    annotation_updates(errors, object, old, &FieldPath::new("metadata").child("annotations"));
    let path = FieldPath::new("spec");
    let (spec, before) = (shown(object, &["spec"]), shown(old, &["spec"]));
    for list in ["containers", "initContainers"] {
        if !same_containers(errors, &spec, &before, list, &path.child(list)) {
            return;
        }
    }
    if !active_deadline(errors, &spec, &before, &path.child("activeDeadlineSeconds")) {
        return;
    }
    added_tolerations(errors, &spec, &before, &path.child("tolerations"));
    removed_gates(errors, &spec, &before, &path.child("schedulingGates"));
    let mut munged = spec.clone();
    munge(&mut munged, &before);
    if !before.array_at(&["schedulingGates"]).is_empty() {
        gated(errors, &mut munged, &before, &path);
    }
    if !same_of("core.v1.PodSpec", Some(&munged), Some(&before)) {
        let difference = go_form::difference("PodSpec", &before, &munged);
        let detail = format!("pod updates may not change fields other than {MAY_CHANGE}\n{difference}");
        errors.forbidden(&path, detail);
    }
}

/// Gives the fields that may change their old values.
fn munge(munged: &mut Value, before: &Value) {
    for list in ["containers", "initContainers"] {
        let images: Vec<Value> =
            before.array_at(&[list]).iter().map(|container| shown(container, &["image"])).collect();
        let mut images = images.into_iter();
        each_mut(munged, &[list], |container| {
            if let Some(image) = images.next() {
                container.set(&["image"], image);
            }
        });
    }
    for field in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        keep(munged, before, &[field]);
    }
    let grace = "terminationGracePeriodSeconds";
    if before.i64_at(&[grace]).is_some_and(|seconds| seconds < 0) && munged.i64_at(&[grace]) == Some(1) {
        keep(munged, before, &[grace]);
    }
}

fn same_containers(
    errors: &mut FieldErrors,
    spec: &Value,
    before: &Value,
    list: &str,
    path: &FieldPath,
) -> bool {
    let (new, old) = (spec.array_at(&[list]), before.array_at(&[list]));
    if new.len() != old.len() {
        errors.forbidden(path, "pod updates may not add or remove containers");
        return false;
    }
    for (i, container) in new.iter().enumerate() {
        let image = container.str_at(&["image"]);
        if image.is_empty() {
            errors.required(&path.index(i).child("image"), "");
        }
        if image.trim() != image {
            let detail = "must not have leading or trailing whitespace";
            errors.invalid(&path.index(i).child("image"), image, detail);
        }
    }
    true
}

fn active_deadline(errors: &mut FieldErrors, spec: &Value, before: &Value, path: &FieldPath) -> bool {
    let at = &["activeDeadlineSeconds"];
    match (spec.i64_at(at), before.i64_at(at)) {
        (Some(new), old) => {
            if !(0..=i64::from(i32::MAX)).contains(&new) {
                in_range(errors, new, 0, i32::MAX.into(), path);
                return false;
            }
            if old.is_some_and(|old| old < new) {
                errors.invalid(path, new, "must be less than or equal to previous value");
                return false;
            }
        }
        (None, Some(_)) => {
            errors.invalid(path, Value::Null, "must not update from a positive integer to nil value");
        }
        (None, None) => {}
    }
    true
}

fn added_tolerations(errors: &mut FieldErrors, spec: &Value, before: &Value, path: &FieldPath) {
    let without_seconds = |toleration: &Value| {
        let mut toleration = toleration.clone();
        toleration.remove(&["tolerationSeconds"]);
        toleration
    };
    let new: Vec<Value> = spec.array_at(&["tolerations"]).iter().map(without_seconds).collect();
    let all_kept = before.array_at(&["tolerations"]).iter().all(|old| new.contains(&without_seconds(old)));
    if !all_kept {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.forbidden(path, detail);
        return;
    }
    for (i, toleration) in spec.array_at(&["tolerations"]).iter().enumerate() {
        super::scheduling::validate_toleration(errors, toleration, &path.index(i));
    }
}

fn removed_gates(errors: &mut FieldErrors, spec: &Value, before: &Value, path: &FieldPath) {
    let old = before.array_at(&["schedulingGates"]);
    for (i, gate) in spec.array_at(&["schedulingGates"]).iter().enumerate() {
        if !old.contains(gate) {
            let detail = format!(
                "only deletion is allowed, but found new scheduling gate '{}'",
                gate.str_at(&["name"])
            );
            errors.forbidden(&path.index(i).child("name"), detail);
        }
    }
}

/// While a pod is gated its node selector and affinity may become narrower.
fn gated(errors: &mut FieldErrors, munged: &mut Value, before: &Value, path: &FieldPath) {
    let at = &["nodeSelector"];
    if !same(munged.at(at), before.at(at)) {
        let new = munged.object_at(at);
        if !before.object_at(at).iter().all(|(key, value)| new.get(key) == Some(value)) {
            errors.invalid(
                &path.child("nodeSelector"),
                shown(munged, at),
                "only additions to spec.nodeSelector are allowed (no mutations or deletions)",
            );
        }
        keep(munged, before, at);
    }
    let at = &["affinity", "nodeAffinity"];
    if !same(munged.at(at), before.at(at)) {
        narrower_affinity(errors, munged, before, &path.child("affinity").child("nodeAffinity"));
        if has(before, &["affinity"]) {
            keep(munged, before, at);
        } else if let Some(affinity) = munged.get("affinity").and_then(Value::as_object)
            && affinity.len() <= 1
        {
            munged.remove(&["affinity"]);
        }
    }
}

fn narrower_affinity(errors: &mut FieldErrors, munged: &Value, before: &Value, path: &FieldPath) {
    let required =
        ["affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"];
    let (new, old) = (munged.array_at(&required), before.array_at(&required));
    if old.is_empty() {
        return;
    }
    let path = path.child(required[2]).child(required[3]);
    if new.len() != old.len() {
        let affinity = ["affinity", "nodeAffinity", required[2]];
        let shown = match has(munged, &affinity) {
            true => go_form::list(new.iter().map(|term| go_form::of("NodeSelectorTerm", term))),
            false => Value::Null,
        };
        let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        errors.invalid(&path, shown, detail);
        return;
    }
    for (i, (new, old)) in new.iter().zip(old).enumerate() {
        let grows = ["matchExpressions", "matchFields"].iter().all(|field| {
            let (new, old) = (new.array_at(&[field]), old.array_at(&[field]));
            new.len() >= old.len() && new[..old.len()] == *old
        });
        if !grows {
            errors.invalid(
                &path.index(i),
                go_form::of("NodeSelectorTerm", new),
                "only additions are allowed (no mutations or deletions)",
            );
        }
    }
}

/// Ephemeral containers may only be added.
pub(super) fn validate_ephemeral(errors: &mut FieldErrors, object: &Value, old: &Value) {
    if old.object_at(&["metadata", "annotations"]).contains_key(MIRROR) {
        *errors = FieldErrors::new();
        errors.forbidden(&FieldPath::new("[]"), "static pods do not support ephemeral containers");
        return;
    }
    validate_metadata_and_spec(errors, object);
    annotation_updates(errors, object, old, &FieldPath::new("metadata").child("annotations"));
    let path = FieldPath::new("spec").child("ephemeralContainers");
    let new = object.array_at(&["spec", "ephemeralContainers"]);
    for before in old.array_at(&["spec", "ephemeralContainers"]) {
        let name = before.str_at(&["name"]);
        match new.iter().find(|container| container.str_at(&["name"]) == name) {
            None => errors
                .forbidden(&path, format!("existing ephemeral containers {name:?} may not be removed\n")),
            Some(after) if !same_of("core.v1.EphemeralContainer", Some(after), Some(before)) => {
                let difference = go_form::difference("EphemeralContainer", before, after);
                let text = format!("existing ephemeral containers {name:?} may not be changed\n{difference}");
                errors.forbidden(&path, text);
            }
            Some(_) => {}
        }
    }
}
