//! `ValidatePodTemplateSpec`.

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use super::spec::{Within, validate as validate_spec};
use crate::shape::shown;

pub(crate) fn validate(errors: &mut FieldErrors, template: &Value, path: &FieldPath) {
    let meta = path.child("metadata");
    names::validate_labels(errors, template.object_at(&["metadata", "labels"]), &meta.child("labels"));
    names::validate_annotations(
        errors,
        template.object_at(&["metadata", "annotations"]),
        &meta.child("annotations"),
    );
    let spec = shown(template, &["spec"]);
    validate_spec(errors, &spec, &path.child("spec"), Within::Template);
    if !spec.array_at(&["ephemeralContainers"]).is_empty() {
        let detail = "ephemeral containers not allowed in pod template";
        errors.forbidden(&path.child("spec").child("ephemeralContainers"), detail);
    }
}
