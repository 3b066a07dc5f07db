//! The options of a write as the object that webhooks and expressions see: `metav1.CreateOptions` and its like.

use drydock_client::Options;
use drydock_machinery::{Value, value};

use super::{AdmissionRequest, Operation};

impl AdmissionRequest<'_> {
    /// The operation's options; null where there are none. What a patch gives counts as an update's.
    pub(super) fn options_object(&self) -> Value {
        let given = self.options;
        let mut options = match self.operation {
            Operation::Create => begin("CreateOptions", given),
            Operation::Update => begin("UpdateOptions", given),
            Operation::Delete => return of_delete(given),
            Operation::Connect => return Value::Null,
        };
        for (field, text) in
            [("fieldManager", &given.field_manager), ("fieldValidation", &given.field_validation)]
        {
            if !text.is_empty() {
                options.set(&[field], text.as_str());
            }
        }
        options
    }
}

fn begin(kind: &str, given: &Options) -> Value {
    let mut options = value!({"kind": kind, "apiVersion": "meta.k8s.io/v1"});
    if !given.dry_run.is_empty() {
        options.set(&["dryRun"], given.dry_run.clone());
    }
    options
}

fn of_delete(given: &Options) -> Value {
    let mut options = begin("DeleteOptions", given);
    if let Some(seconds) = given.grace_period_seconds {
        options.set(&["gracePeriodSeconds"], seconds);
    }
    if let Some(policy) = &given.propagation_policy {
        options.set(&["propagationPolicy"], policy.as_str());
    }
    if let Some(orphan) = given.orphan_dependents {
        options.set(&["orphanDependents"], orphan);
    }
    let preconditions = &given.preconditions;
    for (field, text) in [("uid", &preconditions.uid), ("resourceVersion", &preconditions.resource_version)] {
        if let Some(text) = text {
            options.set(&["preconditions", field], text.as_str());
        }
    }
    options
}
