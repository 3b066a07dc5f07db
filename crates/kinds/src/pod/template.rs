//! `ValidatePodTemplateSpec`.

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use super::security::{fields_agree, pod_annotations};
use super::spec::{Within, validate as validate_spec};
use crate::shape::shown;

pub(crate) fn validate(errors: &mut FieldErrors, template: &Value, path: &FieldPath) {
    validate_metadata(errors, template, path);
    let spec = shown(template, &["spec"]);
    let path = path.child("spec");
    validate_spec(errors, &spec, &path, Within::Template);
    fields_agree(errors, template, &spec, &path);
    if !spec.array_at(&["ephemeralContainers"]).is_empty() {
        let detail = "ephemeral containers not allowed in pod template";
        errors.forbidden(&path.child("ephemeralContainers"), detail);
    }
}

/// Labels and annotations, which upstream says are the template's own fields.
pub(crate) fn validate_metadata(errors: &mut FieldErrors, template: &Value, path: &FieldPath) {
    names::validate_labels(errors, template.object_at(&["metadata", "labels"]), &path.child("labels"));
    let annotations = path.child("annotations");
    names::validate_annotations(errors, template.object_at(&["metadata", "annotations"]), &annotations);
    pod_annotations(errors, template, &shown(template, &["spec"]), &annotations);
}
