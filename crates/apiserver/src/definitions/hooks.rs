//! What the registry does differently with a definition: defaults, status, validation, deletion.

use drydock_kinds::Context;
use drydock_machinery::crd::definition;
use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta, Value, value};

use super::{FINALIZER, GROUP, PLURAL};
use crate::resources::Resource;

pub(crate) fn is_definition(resource: &Resource) -> bool {
    resource.gvr.resource == PLURAL && resource.gvr.group == GROUP
}

/// A new definition has nothing accepted and stores its storage version.
pub(crate) fn prepare_create(object: &mut Value) {
    let names = value!({"plural": "", "kind": ""});
    object.set(&["status"], value!({"conditions": null, "acceptedNames": names, "storedVersions": null}));
    definition::add_stored_versions(object);
}

/// What is wrong with a definition, besides what its strategy finds.
pub(crate) fn validate(context: &Context<'_>, object: &Value, old: Option<&Value>) -> FieldErrors {
    let mut errors = FieldErrors::new();
    if context.subresource == "status" {
        definition::validate_status(&mut errors, object);
        return errors;
    }
    if old.is_none() {
        for field in ["generateName", "name"] {
            let path = FieldPath::new("metadata").child(field);
            let name = object.str_at(&["metadata", field]);
            // That it is no subdomain at all was said already.
            let texts = if name.is_empty() { Vec::new() } else { definition::name_errors(object, name) };
            for text in texts.into_iter().filter(|text| text.contains("spec.names.plural")) {
                errors.invalid(&path, name, text);
            }
        }
    }
    errors.append(definition::validate(object, old, context.minor_version));
    errors
}

/// What a first DELETE adds to a definition.
pub(crate) fn mark_deleted(object: &mut Value, now: &str) {
    let mut finalizers: Vec<String> = object.finalizers().map(str::to_owned).collect();
    if !finalizers.iter().any(|finalizer| finalizer == FINALIZER) {
        finalizers.push(FINALIZER.to_owned());
        object.set(&["metadata", "finalizers"], finalizers);
    }
    super::names::set_condition(
        object.at_mut(&["status", "conditions"]),
        value!({
            "type": "Terminating", "status": "True", "reason": "InstanceDeletionPending",
            "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
            "lastTransitionTime": now,
        }),
    );
}
