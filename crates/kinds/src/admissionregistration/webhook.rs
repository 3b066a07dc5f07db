//! Webhook configurations.

use std::collections::HashSet;

use drydock_cel::declare::KubernetesVersion;
use drydock_machinery::crd::definition::{webhook_service, webhook_url};
use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use super::{GROUP, match_conditions, reserved_name, rule_defaults, rule_with_operations};
use crate::check::{label_selector, one_of_at};
use crate::expression::for_new;
use crate::kind::{Finalizers, Kind, NEW_AND_CHANGED};
use crate::shape::{default_nil, each_mut, present, shown, with_mut};
use crate::table;

pub(super) static VALIDATING: Kind = Kind {
    finalizers: Finalizers::Any,
    update: NEW_AND_CHANGED,
    unconditional_update: false,
    generation: true,
    empty_is_changed: true,
    defaults: |object| each_mut(object, &["webhooks"], webhook_defaults),
    validate: |errors, context, object, old| validate(errors, for_new(context), object, old),
    warnings: |object, _| reserved_name(object),
    cells: table::webhook_configuration,
    ..Kind::new(GROUP, "validatingwebhookconfigurations")
};

pub(super) static MUTATING: Kind = Kind {
    finalizers: Finalizers::Any,
    update: NEW_AND_CHANGED,
    unconditional_update: false,
    generation: true,
    empty_is_changed: true,
    defaults: |object| {
        each_mut(object, &["webhooks"], |webhook| {
            webhook_defaults(webhook);
            default_nil(webhook, &["reinvocationPolicy"], "Never");
        });
    },
    validate: |errors, context, object, old| validate(errors, for_new(context), object, old),
    warnings: |object, _| reserved_name(object),
    cells: table::webhook_configuration,
    ..Kind::new(GROUP, "mutatingwebhookconfigurations")
};

fn webhook_defaults(webhook: &mut Value) {
    default_nil(webhook, &["failurePolicy"], "Fail");
    default_nil(webhook, &["matchPolicy"], "Equivalent");
    default_nil(webhook, &["namespaceSelector"], Value::object());
    default_nil(webhook, &["objectSelector"], Value::object());
    default_nil(webhook, &["timeoutSeconds"], 10);
    with_mut(webhook, &["clientConfig", "service"], |service| default_nil(service, &["port"], 443));
    rule_defaults(webhook, "rules");
}

/// Configurations of either kind: they differ in one field.
fn validate(errors: &mut FieldErrors, version: KubernetesVersion, object: &Value, old: Option<&Value>) {
    // Conditions that were let pass once stay.
    let conditions = |object: &Value| -> Vec<Value> {
        object.array_at(&["webhooks"]).iter().map(|webhook| shown(webhook, &["matchConditions"])).collect()
    };
    let changed = old.is_none_or(|old| conditions(old) != conditions(object));
    let mut seen = HashSet::new();
    for (i, webhook) in object.array_at(&["webhooks"]).iter().enumerate() {
        let path = FieldPath::new("webhooks").index(i);
        let name = webhook.str_at(&["name"]);
        validate_webhook(errors, version, webhook, changed, &path);
        review_versions(errors, webhook, &path);
        if !name.is_empty() && !seen.insert(name) {
            errors.duplicate(&path.child("name"), name);
        }
    }
}

fn validate_webhook(
    errors: &mut FieldErrors,
    version: KubernetesVersion,
    webhook: &Value,
    conditions: bool,
    path: &FieldPath,
) {
    let name = webhook.str_at(&["name"]);
    names::validate_fully_qualified_name(errors, &path.child("name"), name);
    for (i, rule) in webhook.array_at(&["rules"]).iter().enumerate() {
        rule_with_operations(errors, rule, &path.child("rules").index(i));
    }
    one_of_at(errors, webhook, "failurePolicy", &["Fail", "Ignore"], path);
    one_of_at(errors, webhook, "matchPolicy", &["Equivalent", "Exact"], path);
    match webhook.get("sideEffects").and_then(Value::as_str) {
        None => errors.required(&path.child("sideEffects"), "must specify one of None, NoneOnDryRun"),
        Some(effects) if !["None", "NoneOnDryRun"].contains(&effects) => {
            errors.not_supported(&path.child("sideEffects"), effects, &["None", "NoneOnDryRun"]);
        }
        Some(_) => {}
    }
    if let Some(seconds) = webhook.i64_at(&["timeoutSeconds"])
        && !(1..=30).contains(&seconds)
    {
        let detail = "the timeout value must be between 1 and 30 seconds";
        errors.invalid(&path.child("timeoutSeconds"), seconds, detail);
    }
    for field in ["namespaceSelector", "objectSelector"] {
        if let Some(selector) = present(webhook, &[field]) {
            label_selector(errors, selector, &path.child(field));
        }
    }
    one_of_at(errors, webhook, "reinvocationPolicy", &["IfNeeded", "Never"], path);
    client_config(errors, &shown(webhook, &["clientConfig"]), &path.child("clientConfig"));
    if conditions {
        match_conditions(errors, version, webhook, false, path);
    }
}

fn client_config(errors: &mut FieldErrors, config: &Value, path: &FieldPath) {
    match (present(config, &["url"]).and_then(Value::as_str), present(config, &["service"])) {
        (Some(url), None) => webhook_url(errors, url, &path.child("url")),
        (None, Some(service)) => webhook_service(errors, service, &path.child("service")),
        _ => errors.required(path, "exactly one of url or service is required"),
    }
}

fn review_versions(errors: &mut FieldErrors, webhook: &Value, path: &FieldPath) {
    let versions: Vec<&str> =
        webhook.array_at(&["admissionReviewVersions"]).iter().filter_map(Value::as_str).collect();
    let path = path.child("admissionReviewVersions");
    if versions.is_empty() {
        errors.required(&path, "must specify one of v1, v1beta1");
        return;
    }
    for (i, version) in versions.iter().enumerate() {
        if versions[..i].contains(version) {
            errors.invalid(&path.index(i), *version, "duplicate version");
            continue;
        }
        names::invalid_each(errors, &path.index(i), *version, names::is_dns1035_label(version));
    }
    if !versions.iter().any(|version| ["v1", "v1beta1"].contains(version)) {
        let shown = shown(webhook, &["admissionReviewVersions"]);
        errors.invalid(&path, shown, "must include at least one of v1, v1beta1");
    }
}
