//! StatefulSet.

use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value, value};

use super::{no_more_than, required_selector, runs_always, selector, selector_matches_template};
use crate::check::{
    IntOrPercent, at_least_zero, at_least_zero_each, dns_label, int_or_percent, not_more_than_100_percent,
    one_of_given, percent_of, positive_int_or_percent,
};
use crate::kind::{Kind, Step};
use crate::pod::warnings::{claim_spec, of_template};
use crate::pod::{defaults, template};
use crate::shape::{default, default_nil, each_mut, has, keep, same_of, shown};
use crate::{Context, NameRule, go_form, table};

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
    validate: |errors, _, object, old| validate(errors, object, old),
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
    if spec.str_at(&["updateStrategy", "type"]).is_empty() {
        spec.set(&["updateStrategy", "type"], "RollingUpdate");
        default_nil(spec, &["updateStrategy", "rollingUpdate"], Value::object());
    }
    if spec.str_at(&["updateStrategy", "type"]) == "RollingUpdate"
        && has(spec, &["updateStrategy", "rollingUpdate"])
    {
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

/// How much of a set is looked at.
#[derive(Clone, Copy, PartialEq)]
enum Looks {
    AtAll,
    /// All but what cannot change: the claim templates and the service's name.
    AtWhatChanges,
    /// Not at the template either.
    PastTemplate,
}

fn validate(errors: &mut FieldErrors, object: &Value, old: Option<&Value>) {
    let Some(old) = old else { return validate_spec(errors, object, Looks::AtAll) };
    let mut errors_of_old = FieldErrors::new();
    validate_spec(&mut errors_of_old, old, Looks::AtWhatChanges);
    // A set that would not be let pass today keeps its template.
    let was_fine = errors_of_old.is_empty();
    validate_spec(errors, object, if was_fine { Looks::AtWhatChanges } else { Looks::PastTemplate });
}

fn validate_spec(errors: &mut FieldErrors, object: &Value, looks: Looks) {
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
        let path = path.child("persistentVolumeClaimRetentionPolicy").child(field);
        one_of_given(errors, policy, &["Retain", "Delete"], &path);
    }
    if looks == Looks::AtAll {
        for (i, claim) in spec.array_at(&["volumeClaimTemplates"]).iter().enumerate() {
            let path = path.child("volumeClaimTemplates").index(i).child("spec");
            crate::core::claim::validate_spec(errors, &shown(claim, &["spec"]), false, &path);
        }
    }
    at_least_zero_each(errors, spec, &["replicas", "minReadySeconds"], &path);
    if has(spec, &["ordinals"]) {
        let start = spec.i64_at(&["ordinals", "start"]).unwrap_or(0);
        at_least_zero(errors, start, &path.child("ordinals.start"));
    }
    let service = spec.str_at(&["serviceName"]);
    if looks == Looks::AtAll && !service.is_empty() {
        dns_label(errors, service, &path.child("serviceName"));
    }
    required_selector(errors, spec, &path.child("selector"), "statefulset");
    let pods = shown(spec, &["template"]);
    let template_path = path.child("template");
    match selector(spec) {
        Some(selector) => {
            selector_matches_template(errors, &selector, &pods, &template_path);
            let mut made = with_claims(spec, &pods);
            // The controller sets these.
            made.remove(&["spec", "hostname"]);
            made.remove(&["spec", "subdomain"]);
            if looks != Looks::PastTemplate {
                template::validate(errors, &made, &template_path);
            }
            template::validate_metadata(errors, &made, &template_path);
        }
        None => {
            let given = go_form::label_selector(&shown(spec, &["selector"]));
            errors.invalid(&path.child("selector"), given, "");
        }
    }
    runs_always(errors, &pods, &template_path, "StatefulSet");
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
            at_least_zero_each(errors, &shown(&strategy, &["rollingUpdate"]), &["partition"], &rolling);
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
    if !same_of("apps.v1.StatefulSetSpec", Some(&rest), Some(&before)) {
        errors.forbidden(
            &FieldPath::new("spec"),
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
        );
    }
}

fn validate_status(errors: &mut FieldErrors, _: &Context<'_>, object: &Value, old: &Value) {
    let path = FieldPath::new("status");
    let status = object.get("status").unwrap_or(&Value::Null);
    at_least_zero_each(
        errors,
        status,
        &[
            "replicas",
            "readyReplicas",
            "currentReplicas",
            "updatedReplicas",
            "availableReplicas",
            "observedGeneration",
            "collisionCount",
        ],
        &path,
    );
    super::collision_count(errors, object, old);
    for field in ["readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"] {
        no_more_than(errors, status, [field, "replicas"], "status.replicas", &path);
    }
    no_more_than(errors, status, ["availableReplicas", "readyReplicas"], "status.readyReplicas", &path);
}
