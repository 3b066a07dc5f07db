//! StatefulSet.

use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value, value};

use super::{selector, selector_matches_template};
use crate::check::{IntOrPercent, int_or_percent, percent_of};
use crate::check::{
    at_least_zero, at_least_zero_at, label_selector, not_more_than_100_percent, positive_int_or_percent,
};
use crate::kind::{Kind, Step};
use crate::pod::template;
use crate::pod::warnings::{claim_spec, of_template};
use crate::shape::{default, default_nil, each_mut, has, is_zero, keep, same, shown};
use crate::{Context, NameRule, defaults, go_form, table};

const MAY_CHANGE: [&str; 7] = [
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
];

pub(super) static KIND: Kind = Kind {
    name: NameRule::DnsLabel,
    status: true,
    generation: true,
    defaults: set_defaults,
    prepare_create: |_, object| {
        zero_status(object);
        drop_disabled(object);
    },
    prepare_update: |_, object, old| {
        if !has(old, &MAX_UNAVAILABLE) {
            drop_disabled(object);
        }
    },
    validate,
    validate_change,
    update_status: &[Step::Change, Step::MetaChange],
    validate_status,
    warnings,
    cells: table::stateful_set,
    pod_spec: Some(&["spec", "template", "spec"]),
    ..Kind::new("apps", "statefulsets")
};

const MAX_UNAVAILABLE: [&str; 4] = ["spec", "updateStrategy", "rollingUpdate", "maxUnavailable"];

/// The field of a feature that is off by default.
fn drop_disabled(object: &mut Value) {
    object.remove(&MAX_UNAVAILABLE);
}

fn set_defaults(object: &mut Value) {
    let spec = object.at_mut(&["spec"]);
    default(spec, &["podManagementPolicy"], "OrderedReady");
    default(spec, &["updateStrategy", "type"], "RollingUpdate");
    if spec.str_at(&["updateStrategy", "type"]) == "RollingUpdate" {
        default_nil(spec, &["updateStrategy", "rollingUpdate", "partition"], 0);
    }
    default(spec, &["persistentVolumeClaimRetentionPolicy", "whenDeleted"], "Retain");
    default(spec, &["persistentVolumeClaimRetentionPolicy", "whenScaled"], "Retain");
    default_nil(spec, &["replicas"], 1);
    default_nil(spec, &["revisionHistoryLimit"], 10);
    default_nil(spec, &["template"], Value::object());
    defaults::pod_template(spec, &["template"]);
    each_mut(spec, &["volumeClaimTemplates"], |claim| {
        default(claim, &["apiVersion"], "v1");
        default(claim, &["kind"], "PersistentVolumeClaim");
        defaults::claim_spec(claim.at_mut(&["spec"]));
        default(claim, &["status", "phase"], "Pending");
    });
    zero_status(object);
}

fn warnings(object: &Value, old: Option<&Value>) -> Vec<String> {
    let mut out = of_template(object, old);
    let path = FieldPath::new("spec").child("volumeClaimTemplates");
    for (i, claim) in object.array_at(&["spec", "volumeClaimTemplates"]).iter().enumerate() {
        // Upstream names the claim's spec on update alone, and by another name.
        let path = if old.is_some() { path.index(i).child("Spec") } else { path.index(i) };
        out.extend(claim_spec(&shown(claim, &["spec"]), &path));
    }
    if object.i64_at(&["spec", "revisionHistoryLimit"]).is_some_and(|limit| limit < 0) {
        let text = "a negative value retains all historical revisions; a value >= 0 is recommended";
        out.push(format!("spec.revisionHistoryLimit: {text}"));
    }
    out
}

fn zero_status(object: &mut Value) {
    default_nil(object, &["status", "replicas"], 0);
    default_nil(object, &["status", "availableReplicas"], 0);
}

fn validate(errors: &mut FieldErrors, object: &Value, old: Option<&Value>) {
    let path = FieldPath::new("spec");
    let Some(spec) = object.get("spec") else { return };
    match spec.str_at(&["podManagementPolicy"]) {
        "" => errors.required(&path.child("podManagementPolicy"), ""),
        "OrderedReady" | "Parallel" => {}
        other => {
            let detail = "must be 'OrderedReady' or 'Parallel'";
            errors.invalid(&path.child("podManagementPolicy"), other, detail);
        }
    }
    validate_strategy(errors, spec, &path.child("updateStrategy"));
    for field in ["whenDeleted", "whenScaled"] {
        let policy = spec.str_at(&["persistentVolumeClaimRetentionPolicy", field]);
        if !["Retain", "Delete"].contains(&policy) {
            let path = path.child("persistentVolumeClaimRetentionPolicy").child(field);
            errors.not_supported(&path, policy, &["Retain", "Delete"]);
        }
    }
    if old.is_none() {
        for (i, claim) in spec.array_at(&["volumeClaimTemplates"]).iter().enumerate() {
            let path = path.child("volumeClaimTemplates").index(i).child("spec");
            crate::core::claim::validate_spec(errors, &shown(claim, &["spec"]), false, &path);
        }
    }
    at_least_zero_at(errors, spec, &["replicas"], &path.child("replicas"));
    at_least_zero_at(errors, spec, &["minReadySeconds"], &path.child("minReadySeconds"));
    if has(spec, &["ordinals"]) {
        let start = spec.i64_at(&["ordinals", "start"]).unwrap_or(0);
        at_least_zero(errors, start, &path.child("ordinals.start"));
    }
    let service = spec.str_at(&["serviceName"]);
    if old.is_none() && !service.is_empty() {
        crate::check::dns_label(errors, service, &path.child("serviceName"));
    }
    match spec.get("selector").filter(|selector| !selector.is_null()) {
        None => errors.required(&path.child("selector"), ""),
        Some(selector) => {
            label_selector(errors, selector, &path.child("selector"));
            if is_zero(selector.get("matchLabels")) && is_zero(selector.get("matchExpressions")) {
                let detail = "empty selector is invalid for statefulset";
                errors.invalid(&path.child("selector"), selector.clone(), detail);
            }
        }
    }
    let pods = shown(spec, &["template"]);
    let template_path = path.child("template");
    match selector(spec) {
        Some(selector) => {
            selector_matches_template(errors, &selector, &pods, &template_path);
            let mut made = with_claims(spec, &pods);
            // The controller sets these.
            made.remove(&["spec", "hostname"]);
            made.remove(&["spec", "subdomain"]);
            if old.is_none_or(template_was_fine) {
                template::validate(errors, &made, &template_path);
            }
            template::validate_metadata(errors, &made, &template_path);
        }
        None => errors.invalid(&path.child("selector"), shown(spec, &["selector"]), ""),
    }
    let policy = pods.str_at(&["spec", "restartPolicy"]);
    if policy != "Always" {
        errors.not_supported(&template_path.child("spec").child("restartPolicy"), policy, &["Always"]);
    }
    if has(&pods, &["spec", "activeDeadlineSeconds"]) {
        errors.forbidden(
            &template_path.child("spec").child("activeDeadlineSeconds"),
            "activeDeadlineSeconds in StatefulSet is not Supported",
        );
    }
}

/// Whether the old set would be let pass today; if not its template is not looked at again.
fn template_was_fine(old: &Value) -> bool {
    let mut errors = FieldErrors::new();
    let Some(spec) = old.get("spec") else { return true };
    let pods = shown(spec, &["template"]);
    let path = FieldPath::new("template");
    template::validate(&mut errors, &with_claims(spec, &pods), &path);
    if let Some(selector) = selector(spec) {
        selector_matches_template(&mut errors, &selector, &pods, &path);
    }
    errors.is_empty()
}

/// The template with a volume for each claim template, as its pods will have: containers may mount those.
fn with_claims(spec: &Value, template: &Value) -> Value {
    let claims = spec.array_at(&["volumeClaimTemplates"]);
    let named = |name: &str| claims.iter().any(|claim| claim.name() == name);
    let mut volumes: Vec<Value> = Vec::new();
    for name in claims.iter().map(|claim| claim.name()) {
        if !volumes.iter().any(|volume| volume.str_at(&["name"]) == name) {
            volumes.push(value!({"name": name, "persistentVolumeClaim": {"claimName": name}}));
        }
    }
    let own = template.array_at(&["spec", "volumes"]).iter();
    volumes.extend(own.filter(|volume| !named(volume.str_at(&["name"]))).cloned());
    let mut template = template.clone();
    if !volumes.is_empty() {
        template.set(&["spec", "volumes"], volumes);
    }
    template
}

fn validate_strategy(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let strategy = shown(spec, &["updateStrategy"]);
    match strategy.str_at(&["type"]) {
        "" => errors.required(path, ""),
        "OnDelete" => {
            if has(&strategy, &["rollingUpdate"]) {
                let detail = "only allowed for updateStrategy 'RollingUpdate'";
                errors.invalid(&path.child("rollingUpdate"), go_rolling(&strategy), detail);
            }
        }
        "RollingUpdate" => {
            let rolling = path.child("rollingUpdate");
            at_least_zero_at(errors, &strategy, &["rollingUpdate", "partition"], &rolling.child("partition"));
            if let Some(unavailable) = strategy.at(&["rollingUpdate", "maxUnavailable"]) {
                let path = rolling.child("maxUnavailable");
                positive_int_or_percent(errors, Some(unavailable), &path);
                let zero = int_or_percent(Some(unavailable)) == Some(IntOrPercent::Int(0))
                    || percent_of(Some(unavailable)) == Some(0);
                if zero {
                    errors.invalid(&path, unavailable.clone(), "cannot be 0");
                }
                not_more_than_100_percent(errors, Some(unavailable), &path);
            }
        }
        other => {
            let shown =
                go_form::struct_of(&[("Type", other.into()), ("RollingUpdate", go_rolling(&strategy))]);
            errors.invalid(path, shown, "must be 'RollingUpdate' or 'OnDelete'");
        }
    }
}

fn go_rolling(strategy: &Value) -> Value {
    if !has(strategy, &["rollingUpdate"]) {
        return Value::Null;
    }
    go_form::struct_of(&[
        ("Partition", strategy.i64_at(&["rollingUpdate", "partition"]).unwrap_or(0).into()),
        ("MaxUnavailable", shown(strategy, &["rollingUpdate", "maxUnavailable"])),
    ])
}

fn validate_change(errors: &mut FieldErrors, object: &Value, old: &Value) {
    let mut rest = shown(object, &["spec"]);
    let before = shown(old, &["spec"]);
    for field in MAY_CHANGE {
        keep(&mut rest, &before, &[field]);
    }
    if !same(Some(&rest), Some(&before)) {
        errors.forbidden(
            &FieldPath::new("spec"),
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        );
    }
}

fn validate_status(errors: &mut FieldErrors, _: &Context<'_>, object: &Value, old: &Value) {
    let path = FieldPath::new("status");
    let status = object.get("status").unwrap_or(&Value::Null);
    for field in [
        "replicas",
        "readyReplicas",
        "currentReplicas",
        "updatedReplicas",
        "availableReplicas",
        "observedGeneration",
    ] {
        at_least_zero_at(errors, status, &[field], &path.child(field));
    }
    if has(status, &["collisionCount"]) {
        at_least_zero_at(errors, status, &["collisionCount"], &path.child("collisionCount"));
    }
    super::collision_count(errors, object, old);
    let count = |field: &str| status.i64_at(&[field]).unwrap_or(0);
    for field in ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"] {
        if count(field) > count("replicas") {
            errors.invalid(&path.child(field), count(field), "cannot be greater than status.replicas");
        }
    }
    if count("availableReplicas") > count("readyReplicas") {
        let detail = "cannot be greater than status.readyReplicas";
        errors.invalid(&path.child("availableReplicas"), count("availableReplicas"), detail);
    }
}
