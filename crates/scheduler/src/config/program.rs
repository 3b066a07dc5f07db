//! What a KubeSchedulerConfiguration says about the program: checked, and without effect here.

use drydock_machinery::document::Fields;
use drydock_machinery::{FieldErrors, go_duration};

pub(super) fn check(fields: &mut Fields<'_>, errors: &mut FieldErrors) {
    for name in ["enableProfiling", "enableContentionProfiling", "delayCacheUntilActive"] {
        fields.flag(name, errors);
    }
    if let Some(connection) = fields.object("clientConnection", errors) {
        check_connection(connection, errors);
    }
    if let Some(election) = fields.object("leaderElection", errors) {
        check_election(election, errors);
    }
    let parallelism = fields.integer("parallelism", errors).unwrap_or(16);
    if parallelism <= 0 {
        let why = "should be an integer value greater than zero";
        errors.invalid(&fields.child("parallelism"), parallelism, why);
    }
}

fn check_connection(mut fields: Fields<'_>, errors: &mut FieldErrors) {
    for name in ["kubeconfig", "acceptContentTypes", "contentType"] {
        fields.text(name, errors);
    }
    if let Some(qps) = fields.value("qps").filter(|qps| qps.as_f64().is_none()) {
        errors.type_invalid(&fields.child("qps"), qps.clone(), "must be a number");
    }
    if let Some(burst) = fields.integer("burst", errors).filter(|burst| *burst < 0) {
        errors.invalid(&fields.child("burst"), burst, "must be non-negative");
    }
    fields.finish(errors);
}

fn check_election(mut fields: Fields<'_>, errors: &mut FieldErrors) {
    let elects = fields.flag("leaderElect", errors).unwrap_or(true);
    let mut duration = |name: &'static str, default: i64, errors: &mut FieldErrors| {
        let text = fields.text(name, errors);
        let read = go_duration::parse(if text.is_empty() { "0" } else { text });
        let path = fields.child(name);
        match read {
            Ok(0) => default * 1_000_000_000,
            Ok(nanoseconds) => {
                if elects && nanoseconds < 0 {
                    errors.invalid(&path, text, "must be greater than zero");
                }
                nanoseconds
            }
            Err(why) => {
                errors.invalid(&path, text, why);
                default * 1_000_000_000
            }
        }
    };
    let lease = duration("leaseDuration", 15, errors);
    let renew = duration("renewDeadline", 10, errors);
    duration("retryPeriod", 2, errors);
    if elects && lease <= renew {
        // What upstream shows is the other one.
        let shown = fields.given_text("renewDeadline", errors).unwrap_or("10s");
        errors.invalid(&fields.child("leaseDuration"), shown, "must be greater than `RenewDeadline`");
    }
    let lock = fields.text("resourceLock", errors);
    if elects && !matches!(lock, "" | "leases") {
        errors.invalid(&fields.child("resourceLock"), lock, "resourceLock value must be \"leases\"");
    }
    fields.text("resourceName", errors);
    fields.text("resourceNamespace", errors);
    fields.finish(errors);
}
