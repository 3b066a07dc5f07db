//! ReplicationController.

use drydock_machinery::selector::Selector;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::apps::{runs_always, selector_matches_template};
use crate::check::at_least_zero_each;
use crate::kind::Kind;
use crate::pod::{defaults, template};
use crate::shape::{default_nil, is_zero, present};
use crate::table;

pub(super) static KIND: Kind = Kind {
    name: crate::NameRule::Long,
    status: true,
    generation: true,
    propagation: crate::Propagation::Orphan,
    defaults: set_defaults,
    prepare_create: |_, object| default_nil(object, &["status", "replicas"], 0),
    validate: |errors, _, object, _| validate(errors, object),
    validate_status: |errors, _, object, _| {
        let fields = ["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas"];
        crate::apps::replica_status(errors, object, &fields);
    },
    warnings: crate::pod::warnings::of_named_template,
    field_names: &["status.replicas"],
    field_values: |object| {
        let replicas = object.i64_at(&["status", "replicas"]).unwrap_or(0);
        vec![("status.replicas", replicas.to_string().into())]
    },
    cells: table::replication_controller,
    pod_spec: Some(&["spec", "template", "spec"]),
    ..Kind::new("", "replicationcontrollers")
};

fn set_defaults(object: &mut Value) {
    let labels = object.object_at(&["spec", "template", "metadata", "labels"]).clone();
    if !labels.is_empty() {
        if is_zero(object.at(&["spec", "selector"])) {
            object.set(&["spec", "selector"], labels.clone());
        }
        if is_zero(object.at(&["metadata", "labels"])) {
            object.set(&["metadata", "labels"], labels);
        }
    }
    let spec = object.at_mut(&["spec"]);
    default_nil(spec, &["replicas"], 1);
    defaults::pod_template(spec, &["template"]);
    default_nil(object, &["status", "replicas"], 0);
}

fn validate(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec");
    let Some(spec) = object.get("spec") else { return };
    at_least_zero_each(errors, spec, &["minReadySeconds"], &path);
    let labels = spec.object_at(&["selector"]);
    if labels.is_empty() {
        errors.required(&path.child("selector"), "");
    }
    at_least_zero_each(errors, spec, &["replicas"], &path);
    let path = path.child("template");
    let Some(pods) = present(spec, &["template"]) else {
        errors.required(&path, "");
        return;
    };
    selector_matches_template(errors, &Selector::from_set(labels), pods, &path);
    template::validate(errors, pods, &path);
    runs_always(errors, pods, &path, "ReplicationController");
}
