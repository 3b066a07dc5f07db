//! ReplicaSet.

use drydock_machinery::{FieldErrors, FieldPath, Value};

use super::{no_more_than, replicated_template};
use crate::check::{at_least_zero_each, immutable_selector};
use crate::kind::Kind;
use crate::pod::defaults;
use crate::shape::default_nil;
use crate::table;

pub(super) static KIND: Kind = Kind {
    status: true,
    generation: true,
    defaults: set_defaults,
    prepare_create: |_, object| default_nil(object, &["status", "replicas"], 0),
    validate: |errors, _, object, _| validate(errors, object),
    validate_change: immutable_selector,
    validate_status: |errors, _, object, _| validate_status(errors, object),
    warnings: crate::pod::warnings::of_named_template,
    cells: table::replica_set,
    pod_spec: Some(&["spec", "template", "spec"]),
    ..Kind::new("apps", "replicasets")
};

fn set_defaults(object: &mut Value) {
    let spec = object.at_mut(&["spec"]);
    default_nil(spec, &["replicas"], 1);
    default_nil(spec, &["template"], Value::object());
    defaults::pod_template(spec, &["template"]);
    default_nil(object, &["status", "replicas"], 0);
}

fn validate(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec");
    let Some(spec) = object.get("spec") else { return };
    at_least_zero_each(errors, spec, &["replicas", "minReadySeconds"], &path);
    replicated_template(errors, spec, &path);
}

fn validate_status(errors: &mut FieldErrors, object: &Value) {
    replica_status(
        errors,
        object,
        &["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas"],
    );
}

/// Counts of replicas that are none too many: of replica sets and replication controllers.
pub(crate) fn replica_status(errors: &mut FieldErrors, object: &Value, fields: &[&str]) {
    let path = FieldPath::new("status");
    let status = object.get("status").unwrap_or(&Value::Null);
    at_least_zero_each(errors, status, fields, &path);
    at_least_zero_each(errors, status, &["observedGeneration", "terminatingReplicas"], &path);
    for field in &fields[1..] {
        no_more_than(errors, status, [field, "replicas"], "status.replicas", &path);
    }
    no_more_than(errors, status, ["availableReplicas", "readyReplicas"], "readyReplicas", &path);
}
