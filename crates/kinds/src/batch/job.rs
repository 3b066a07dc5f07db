//! Job: `pkg/apis/batch/validation` and `pkg/registry/batch/job`.

mod policies;
mod status;

use drydock_machinery::names_validation as names;
use drydock_machinery::selector::Selector;
use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value, value};

use crate::apps::selector_matches_template;
use crate::check::{IMMUTABLE, at_least_zero_at, immutable, label_selector};
use crate::kind::Kind;
use crate::pod::template;
use crate::shape::{default, default_nil, has, is_zero, keep, present, same, shown};
use crate::{Context, Propagation, defaults, table};

const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";
const JOB_NAME: &str = "batch.kubernetes.io/job-name";

pub(super) static KIND: Kind = Kind {
    status: true,
    generation: true,
    propagation: Propagation::Orphan,
    defaults: set_defaults,
    prepare_create: |_, object| generate_selector(object),
    validate: |errors, _, object| validate(errors, object),
    validate_update: Some(validate_update),
    validate_status: |errors, _, object, old| status::validate(errors, object, old),
    warnings: crate::pod::warnings::of_template,
    warnings_on_delete: || {
        vec!["child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning".to_owned()]
    },
    field_names: &["status.successful"],
    field_values: |object| {
        let succeeded = object.i64_at(&["status", "succeeded"]).unwrap_or(0);
        vec![("status.successful", succeeded.to_string().into())]
    },
    cells: table::job,
    row_conditions: table::job_conditions,
    ..Kind::new("batch", "jobs")
};

fn set_defaults(object: &mut Value) {
    let spec = object.at_mut(&["spec"]);
    if !has(spec, &["completions"]) && !has(spec, &["parallelism"]) {
        spec.set(&["completions"], 1);
        spec.set(&["parallelism"], 1);
    }
    default_nil(spec, &["parallelism"], 1);
    let limit = if has(spec, &["backoffLimitPerIndex"]) { i64::from(i32::MAX) } else { 6 };
    default_nil(spec, &["backoffLimit"], limit);
    default_nil(spec, &["completionMode"], "NonIndexed");
    default_nil(spec, &["suspend"], false);
    default_nil(spec, &["manualSelector"], false);
    let policy = if has(spec, &["podFailurePolicy"]) { "Failed" } else { "TerminatingOrFailed" };
    default_nil(spec, &["podReplacementPolicy"], policy);
    crate::shape::each_mut(spec, &["podFailurePolicy", "rules"], |rule| {
        crate::shape::each_mut(rule, &["onPodConditions"], |condition| {
            default(condition, &["status"], "True");
        });
    });
    template_defaults(spec);
    let labels = object.object_at(&["spec", "template", "metadata", "labels"]).clone();
    if is_zero(object.at(&["metadata", "labels"])) && !labels.is_empty() {
        object.set(&["metadata", "labels"], labels);
    }
}

/// A pod of a job has no restart policy of its own unless it says so.
pub(super) fn template_defaults(spec: &mut Value) {
    default_nil(spec, &["template"], Value::object());
    defaults::pod_template(spec, &["template"]);
}

/// Names the job in its pods' labels and selects them by it, unless the user does so.
fn generate_selector(object: &mut Value) {
    if object.bool_at(&["spec", "manualSelector"]) {
        return;
    }
    let (uid, name) = (object.uid().to_owned(), object.name().to_owned());
    let pairs = [(CONTROLLER_UID, &uid), (JOB_NAME, &name), ("controller-uid", &uid), ("job-name", &name)];
    for (key, value) in pairs {
        default(object, &["spec", "template", "metadata", "labels", key], value.as_str());
    }
    if is_zero(object.at(&["spec", "selector"])) {
        object.set(&["spec", "selector"], Value::object());
    }
    default_nil(object, &["spec", "selector", "matchLabels", CONTROLLER_UID], uid.as_str());
    // The job's own labels are by default its template's.
    let labels = object.object_at(&["metadata", "labels"]).clone();
    let template = object.object_at(&["spec", "template", "metadata", "labels"]).clone();
    let generated = |key: &str| [CONTROLLER_UID, JOB_NAME, "controller-uid", "job-name"].contains(&key);
    if labels.iter().all(|(key, value)| template.get(key) == Some(value))
        && template.keys().filter(|key| !generated(key)).all(|key| labels.contains_key(key))
    {
        object.set(&["metadata", "labels"], template);
    }
}

fn validate(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec");
    let spec = shown(object, &["spec"]);
    generated_selector(errors, object, &spec, &path);
    validate_whole_spec(errors, &spec, &path);
}

/// `ValidateJobSpec`.
fn validate_whole_spec(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    validate_spec(errors, spec, path);
    if !has(spec, &["selector"]) {
        errors.required(&path.child("selector"), "");
    } else {
        label_selector(errors, &shown(spec, &["selector"]), &path.child("selector"));
    }
    let selector = Selector::from_label_selector(spec.get("selector").filter(|selector| !selector.is_null()));
    if let Ok(selector) = selector {
        selector_matches_template(errors, &selector, &shown(spec, &["template"]), &path.child("template"));
    }
}

fn generated_selector(errors: &mut FieldErrors, object: &Value, spec: &Value, path: &FieldPath) {
    if spec.bool_at(&["manualSelector"]) || !has(spec, &["selector"]) {
        return;
    }
    let uid = object.uid();
    let labels = spec.object_at(&["template", "metadata", "labels"]);
    let label_path = path.child("template").child("metadata").child("labels");
    let expect = |errors: &mut FieldErrors, key: &str, value: &str| {
        if labels.get(key).and_then(Value::as_str) != Some(value) {
            let shown = crate::check::labels_shown(labels);
            errors.invalid(&label_path, shown, format!("must be '{value}'"));
        }
    };
    expect(errors, CONTROLLER_UID, uid);
    expect(errors, JOB_NAME, object.name());
    let expected = value!({
        CONTROLLER_UID: uid, JOB_NAME: object.name(), "controller-uid": uid, "job-name": object.name(),
    });
    let selector = shown(spec, &["selector"]);
    let matches = Selector::from_label_selector(Some(&selector))
        .is_ok_and(|selector| expected.as_object().is_some_and(|labels| selector.matches(labels)));
    if !matches {
        errors.invalid(&path.child("selector"), selector, "`selector` not auto-generated");
    }
}

/// `validateJobSpec`: what jobs and their templates in cron jobs have in common.
pub(super) fn validate_spec(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    for field in [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
    ] {
        at_least_zero_at(errors, spec, &[field], &path.child(field));
    }
    indexes(errors, spec, path);
    let mode = spec.str_at(&["completionMode"]);
    if has(spec, &["completionMode"]) {
        if !["NonIndexed", "Indexed"].contains(&mode) {
            errors.not_supported(&path.child("completionMode"), mode, &["NonIndexed", "Indexed"]);
        }
        if mode == "Indexed" && !has(spec, &["completions"]) {
            let detail = "when completion mode is Indexed";
            errors.required(&path.child("completions"), detail);
        }
    }
    if let Some(manager) = present(spec, &["managedBy"]).and_then(Value::as_str) {
        names::validate_domain_prefixed_path(errors, &path.child("managedBy"), manager);
        if manager.len() > 63 {
            errors.too_long(&path.child("managedBy"), 63);
        }
    }
    if let Some(policy) = present(spec, &["podFailurePolicy"]) {
        policies::failure(errors, spec, policy, &path.child("podFailurePolicy"));
    }
    policies::success(errors, spec, &path.child("successPolicy"));
    policies::replacement(errors, spec, &path.child("podReplacementPolicy"));
    let pods = shown(spec, &["template"]);
    let template_path = path.child("template");
    template::validate(errors, &pods, &template_path);
    let policy = pods.str_at(&["spec", "restartPolicy"]);
    let policy_path = template_path.child("spec").child("restartPolicy");
    match policy {
        "" | "Always" => errors.required(&policy_path, "valid values: \"OnFailure\", \"Never\""),
        "OnFailure" | "Never" => {
            if policy == "OnFailure" && has(spec, &["podFailurePolicy"]) {
                let detail = "only \"Never\" is supported when podFailurePolicy is specified";
                errors.invalid(&policy_path, policy, detail);
            }
        }
        other => errors.not_supported(&policy_path, other, &["OnFailure", "Never"]),
    }
}

fn indexes(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let indexed = spec.str_at(&["completionMode"]) == "Indexed";
    if let Some(limit) = spec.i64_at(&["backoffLimitPerIndex"])
        && !indexed
    {
        errors.invalid(&path.child("backoffLimitPerIndex"), limit, "requires indexed completion mode");
    }
    if let Some(most) = spec.i64_at(&["maxFailedIndexes"]) {
        at_least_zero_at(errors, spec, &["maxFailedIndexes"], &path.child("maxFailedIndexes"));
        if !has(spec, &["backoffLimitPerIndex"]) {
            let detail = "when maxFailedIndexes is specified";
            errors.required(&path.child("backoffLimitPerIndex"), detail);
        }
        if spec.i64_at(&["completions"]).is_some_and(|completions| most > completions) {
            let detail = "must be less than or equal to completions";
            errors.invalid(&path.child("maxFailedIndexes"), most, detail);
        }
    }
}

/// `ValidateJobUpdate`.
fn validate_update(errors: &mut FieldErrors, _: &Context<'_>, object: &Value, old: &Value) {
    validate(errors, object);
    let path = FieldPath::new("spec");
    validate_whole_spec(errors, &shown(object, &["spec"]), &path);
    completions(errors, object, old, &path);
    immutable(errors, object, old, &["spec", "selector"], &path.child("selector"));
    template_update(errors, object, old, &path.child("template"));
    for field in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"]
    {
        immutable(errors, object, old, &["spec", field], &path.child(field));
    }
}

fn completions(errors: &mut FieldErrors, object: &Value, old: &Value, path: &FieldPath) {
    let number = |object: &Value, field: &str| object.i64_at(&["spec", field]);
    let (new, before) = (number(object, "completions"), number(old, "completions"));
    if new == before {
        return;
    }
    let path = path.child("completions");
    let indexed = old.str_at(&["spec", "completionMode"]) == "Indexed";
    if !indexed {
        errors.invalid(&path, shown(object, &["spec", "completions"]), IMMUTABLE);
        return;
    }
    let elastic = new == number(object, "parallelism") && before == number(old, "parallelism");
    if !elastic {
        let detail = "can only be modified in tandem with spec.parallelism";
        errors.invalid(&path, shown(object, &["spec", "completions"]), detail);
    }
}

/// While a job is suspended and has not started, its scheduling directives may change.
fn template_update(errors: &mut FieldErrors, object: &Value, old: &Value, path: &FieldPath) {
    let mut template = shown(object, &["spec", "template"]);
    let before = shown(old, &["spec", "template"]);
    let not_started = old.bool_at(&["spec", "suspend"]) && !has(old, &["status", "startTime"]);
    if not_started {
        for at in [
            &["metadata", "labels"][..],
            &["metadata", "annotations"],
            &["spec", "nodeSelector"],
            &["spec", "affinity", "nodeAffinity"],
            &["spec", "tolerations"],
            &["spec", "schedulingGates"],
        ] {
            keep(&mut template, &before, at);
        }
        let affinity = &["spec", "affinity"];
        if is_zero(template.at(affinity)) && !has(&before, affinity) {
            template.remove(affinity);
        }
    }
    if !same(Some(&template), Some(&before)) {
        let path = if same(template.get("metadata"), before.get("metadata")) {
            path.child("spec")
        } else {
            path.clone()
        };
        errors.invalid(&path, shown(object, &["spec", "template", "spec"]), IMMUTABLE);
    }
}
