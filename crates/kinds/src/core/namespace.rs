//! Namespace: its finalizers, phase and own label.

use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value};

use crate::check::qualified_name;
use crate::kind::{Kind, NEW_THEN_CHANGED};
use crate::meta::validate_kube_finalizer;
use crate::shape::{default, default_nil, keep, shown};
use crate::{Context, NameRule, table};

const OWN_LABEL: &str = "kubernetes.io/metadata.name";

pub(super) static KIND: Kind = Kind {
    update: NEW_THEN_CHANGED,
    name: NameRule::DnsLabel,
    status: true,
    defaults: |object| {
        default(object, &["status", "phase"], "Active");
        let name = object.name().to_owned();
        if !name.is_empty() && object.label(OWN_LABEL) != Some(&name) {
            object.set(&["metadata", "labels", OWN_LABEL], name);
        }
        default_nil(object, &["spec"], Value::object());
    },
    prepare_create: |_, object| {
        object.set(&["status", "phase"], "Active");
        let mut finalizers: Vec<Value> = object.array_at(&["spec", "finalizers"]).to_vec();
        if !finalizers.iter().any(|finalizer| finalizer.as_str() == Some("kubernetes")) {
            finalizers.push("kubernetes".into());
        }
        object.set(&["spec", "finalizers"], finalizers);
    },
    prepare_update,
    validate: |errors, _, object, _| validate(errors, object),
    validate_status,
    field_names: &["status.phase"],
    field_values: |object| vec![("status.phase", object.str_at(&["status", "phase"]).into())],
    cells: table::namespace,
    ..Kind::new("", "namespaces")
};

fn prepare_update(context: &Context<'_>, object: &mut Value, old: &Value) {
    match context.subresource {
        "finalize" => {
            keep(object, old, &["status"]);
            if object.array_at(&["spec", "finalizers"]).is_empty() {
                object.remove(&["spec", "finalizers"]);
            }
        }
        "status" => keep(object, old, &["spec"]),
        _ => {
            keep(object, old, &["spec", "finalizers"]);
            keep(object, old, &["status"]);
        }
    }
}

fn validate(errors: &mut FieldErrors, object: &Value) {
    for finalizer in object.array_at(&["spec", "finalizers"]).iter().filter_map(Value::as_str) {
        validate_finalizer(errors, finalizer, &FieldPath::new("spec").child("finalizers"));
    }
}

fn validate_finalizer(errors: &mut FieldErrors, finalizer: &str, path: &FieldPath) {
    qualified_name(errors, finalizer, path);
    validate_kube_finalizer(errors, finalizer, path);
}

fn validate_status(errors: &mut FieldErrors, context: &Context<'_>, object: &Value, _: &Value) {
    if context.subresource == "finalize" {
        let path = FieldPath::new("spec").child("finalizers");
        let finalizers = object.array_at(&["spec", "finalizers"]).iter().filter_map(Value::as_str);
        for (i, finalizer) in finalizers.enumerate() {
            validate_finalizer(errors, finalizer, &path.index(i));
        }
        return;
    }
    let path = FieldPath::new("status").child("Phase");
    let phase = shown(object, &["status", "phase"]);
    if object.is_deleting() {
        if phase.as_str() != Some("Terminating") {
            errors.invalid(&path, phase, "may only be 'Terminating' if `deletionTimestamp` is not empty");
        }
    } else if phase.as_str() != Some("Active") {
        errors.invalid(&path, phase, "may only be 'Active' if `deletionTimestamp` is empty");
    }
}
