//! Job: `pkg/apis/batch/validation` and `pkg/registry/batch/job`.

mod indexes;
mod policies;
mod status;

use drydock_machinery::names_validation as names;
use drydock_machinery::selector::Selector;
use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value, value};

use crate::apps::selector_matches_template;
use crate::check::{
    IMMUTABLE, at_least_zero_each, immutable, immutable_selector, immutable_struct, label_selector,
    labels_shown, one_of_given,
};
use crate::go_form;
use crate::kind::{Kind, NEW_THEN_CHANGED};
use crate::pod::{defaults, template, warnings};
use crate::shape::{default, default_nil, each_mut, has, is_zero, keep, present, same_of, shown};
use crate::{Propagation, table};

const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";
const JOB_NAME: &str = "batch.kubernetes.io/job-name";

pub(super) static KIND: Kind = Kind {
    update: NEW_THEN_CHANGED,
    status: true,
    generation: true,
    propagation: Propagation::Orphan,
    defaults: set_defaults,
    defaults_of_prepared: true,
    prepare_create: |_, object| generate_selector(object),
    validate: |errors, _, object, _| validate(errors, object),
    validate_change,
    validate_status: |errors, _, object, old| status::validate(errors, object, old),
    warnings: |object, old| {
        let mut out = warnings::name_of_pods(object, old);
        if !warnings::same_generation(object, old) {
            out.extend(spec_warnings(&shown(object, &["spec"]), &FieldPath::new("spec")));
        }
        out
    },
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
    pod_spec: Some(&["spec", "template", "spec"]),
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
    shared_defaults(spec);
    let labels = object.object_at(&["spec", "template", "metadata", "labels"]).clone();
    if is_zero(object.at(&["metadata", "labels"])) && !labels.is_empty() {
        object.set(&["metadata", "labels"], labels);
    }
}

/// The defaults of a job's spec that also a template of jobs has. A pod of a job has no restart policy of its own unless
/// it says so.
pub(super) fn shared_defaults(spec: &mut Value) {
    each_mut(spec, &["podFailurePolicy", "rules"], |rule| {
        each_mut(rule, &["onPodConditions"], |condition| {
            default(condition, &["status"], "True");
        });
    });
    default_nil(spec, &["template"], Value::object());
    defaults::pod_template(spec, &["template"]);
}

/// Names the job in its pods' labels and selects them by it, unless the user does so.
fn generate_selector(object: &mut Value) {
    if object.bool_at(&["spec", "manualSelector"]) {
        return;
    }
    // Labels that the default has taken from the template are one map with the template's in upstream.
    let labels = object.object_at(&["metadata", "labels"]);
    let of_template = object.object_at(&["spec", "template", "metadata", "labels"]);
    let one_map = match (labels.values().next(), of_template.values().next()) {
        (Some(own), Some(other)) => std::ptr::eq(own, other),
        _ => false,
    };
    let (uid, name) = (object.uid().to_owned(), object.name().to_owned());
    let pairs = [(CONTROLLER_UID, &uid), (JOB_NAME, &name), ("controller-uid", &uid), ("job-name", &name)];
    for (key, value) in pairs {
        default(object, &["spec", "template", "metadata", "labels", key], value.as_str());
    }
    if is_zero(object.at(&["spec", "selector"])) {
        object.set(&["spec", "selector"], Value::object());
    }
    default_nil(object, &["spec", "selector", "matchLabels", CONTROLLER_UID], uid.as_str());
    if one_map {
        let labels = object.object_at(&["spec", "template", "metadata", "labels"]).clone();
        object.set(&["metadata", "labels"], labels);
    }
}

fn validate(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec");
    let spec = shown(object, &["spec"]);
    generated_selector(errors, object, &spec, &path);
    validate_whole_spec(errors, &spec, &path);
    let completions = spec.i64_at(&["completions"]).unwrap_or(0);
    if spec.str_at(&["completionMode"]) == "Indexed" && completions > 0 {
        let name = object.name();
        let last = format!("{name}-{}", completions - 1);
        if !names::is_dns1123_label(&last).is_empty() {
            let detail = format!("will not able to create pod with invalid DNS label: {last}");
            errors.invalid(&FieldPath::new("metadata").child("name"), name, detail);
        }
    }
}

/// `WarningsForJobSpec`.
pub(super) fn spec_warnings(spec: &Value, path: &FieldPath) -> Vec<String> {
    let number = |field: &str| spec.i64_at(&[field]).unwrap_or(0);
    let mut out = Vec::new();
    if spec.str_at(&["completionMode"]) == "Indexed"
        && number("completions") > 100_000
        && number("parallelism") > 10_000
    {
        out.push(format!("{path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail"));
    }
    out.extend(warnings::template(&shown(spec, &["template"]), &path.child("template")));
    out
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
    for (key, expected) in [
        ("controller-uid", uid),
        ("job-name", object.name()),
        (CONTROLLER_UID, uid),
        (JOB_NAME, object.name()),
    ] {
        match labels.get(key).and_then(Value::as_str) {
            None => errors.required(&label_path.key(key), format!("must be '{expected}'")),
            Some(given) if given != expected => {
                let shown = labels_shown(labels);
                errors.invalid(&label_path.key(key), shown, format!("must be '{expected}'"));
            }
            Some(_) => {}
        }
    }
    let expected = value!({
        CONTROLLER_UID: uid, JOB_NAME: object.name(), "controller-uid": uid, "job-name": object.name(),
    });
    let given = shown(spec, &["selector"]);
    // One that says nothing that can be understood is refused elsewhere.
    let selects = Selector::from_label_selector(Some(&given))
        .map_or(true, |selector| expected.as_object().is_some_and(|labels| selector.matches(labels)));
    if !selects {
        let given = go_form::label_selector(&given);
        errors.invalid(&path.child("selector"), given, "`selector` not auto-generated");
    }
}

/// `validateJobSpec`: what jobs and their templates in cron jobs have in common.
pub(super) fn validate_spec(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    at_least_zero_each(
        errors,
        spec,
        &[
            "parallelism",
            "completions",
            "activeDeadlineSeconds",
            "backoffLimit",
            "ttlSecondsAfterFinished",
            "backoffLimitPerIndex",
            "maxFailedIndexes",
        ],
        path,
    );
    if has(spec, &["maxFailedIndexes"]) && !has(spec, &["backoffLimitPerIndex"]) {
        errors.required(&path.child("backoffLimitPerIndex"), "when maxFailedIndexes is specified");
    }
    if let Some(manager) = present(spec, &["managedBy"]).and_then(Value::as_str) {
        names::validate_domain_prefixed_path(errors, &path.child("managedBy"), manager);
        if manager.len() > 63 {
            errors.too_long(&path.child("managedBy"), 63);
        }
    }
    if has(spec, &["completionMode"]) {
        let mode = spec.str_at(&["completionMode"]);
        one_of_given(errors, mode, &["NonIndexed", "Indexed"], &path.child("completionMode"));
    }
    indexes(errors, spec, path);
    if let Some(policy) = present(spec, &["podFailurePolicy"]) {
        policies::failure(errors, spec, policy, &path.child("podFailurePolicy"));
    }
    policies::success(errors, spec, &path.child("successPolicy"));
    policies::replacement(errors, spec, path);
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

/// Limits of indexed jobs, and what others do not have.
fn indexes(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    const MOST: i64 = 100_000;
    const MOST_OF_MANY: i64 = 10_000;
    let mode = present(spec, &["completionMode"]).and_then(Value::as_str);
    if matches!(mode, None | Some("NonIndexed")) {
        for field in ["backoffLimitPerIndex", "maxFailedIndexes"] {
            if let Some(number) = spec.i64_at(&[field]) {
                errors.invalid(&path.child(field), number, "requires indexed completion mode");
            }
        }
    }
    if mode != Some("Indexed") {
        return;
    }
    let number = |field: &str| spec.i64_at(&[field]);
    let at_most = |most: i64| format!("must be less than or equal to {most}");
    if number("completions").is_none() {
        errors.required(&path.child("completions"), "when completion mode is Indexed");
    }
    let mut too_many = |field: &str, most: i64, detail: String| {
        if let Some(given) = number(field).filter(|given| *given > most) {
            errors.invalid(&path.child_named(field), given, detail);
        }
    };
    too_many("parallelism", MOST, format!("{} when completion mode is Indexed", at_most(MOST)));
    if let Some(completions) = number("completions") {
        let detail = "must be less than or equal to completions".to_owned();
        too_many("maxFailedIndexes", completions, detail);
    }
    too_many("maxFailedIndexes", MOST, at_most(MOST));
    if number("completions").is_none_or(|completions| completions <= MOST)
        || number("backoffLimitPerIndex").is_none()
    {
        return;
    }
    let detail = format!(
        "{} when completions are above {MOST} and used with backoff limit per index",
        at_most(MOST_OF_MANY)
    );
    if number("maxFailedIndexes").is_none() {
        let detail = format!("must be specified when completions is above {MOST}");
        errors.required(&path.child("maxFailedIndexes"), detail);
    }
    for field in ["parallelism", "maxFailedIndexes"] {
        if let Some(given) = number(field).filter(|given| *given > MOST_OF_MANY) {
            errors.invalid(&path.child(field), given, detail.clone());
        }
    }
}

/// `ValidateJobSpecUpdate`.
fn validate_change(errors: &mut FieldErrors, object: &Value, old: &Value) {
    let path = FieldPath::new("spec");
    validate_whole_spec(errors, &shown(object, &["spec"]), &path);
    completions(errors, object, old, &path);
    immutable_selector(errors, object, old);
    template_update(errors, object, old, &path.child("template"));
    immutable(errors, object, old, &["spec", "completionMode"]);
    immutable_struct(errors, object, old, &["spec", "podFailurePolicy"], "PodFailurePolicy");
    immutable(errors, object, old, &["spec", "backoffLimitPerIndex"]);
    immutable(errors, object, old, &["spec", "managedBy"]);
    immutable_struct(errors, object, old, &["spec", "successPolicy"], "SuccessPolicy");
}

/// `validateCompletions`.
fn completions(errors: &mut FieldErrors, object: &Value, old: &Value, path: &FieldPath) {
    let at = &["spec", "completions"];
    if object.str_at(&["spec", "completionMode"]) != "Indexed" {
        immutable(errors, object, old, at);
        return;
    }
    let Some(new) = object.i64_at(at) else { return };
    if old.i64_at(at) != Some(new) && object.i64_at(&["spec", "parallelism"]) != Some(new) {
        errors.invalid(
            &path.child("completions"),
            new,
            "can only be modified in tandem with spec.parallelism",
        );
    }
}

/// While a job is suspended and none of its pods runs, its scheduling directives and resources may change.
fn template_update(errors: &mut FieldErrors, object: &Value, old: &Value, path: &FieldPath) {
    let mut template = shown(object, &["spec", "template"]);
    let before = shown(old, &["spec", "template"]);
    let suspended = old.bool_at(&["spec", "suspend"]);
    let stopped = !has(old, &["status", "startTime"]) || status::is_true(old, "Suspended");
    let free = suspended && stopped && old.i64_at(&["status", "active"]).unwrap_or(0) == 0;
    if free {
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
        for list in ["containers", "initContainers"] {
            keep_resources(&mut template, &before, list);
        }
        if !same_of("core.v1.PodSpec", template.get("spec"), before.get("spec")) {
            let given = go_form::of("PodSpec", &shown(object, &["spec", "template", "spec"]));
            errors.invalid(&path.child("spec"), given, IMMUTABLE);
        }
    } else if !same_of("core.v1.PodTemplateSpec", Some(&template), Some(&before)) {
        let given = go_form::of("PodTemplateSpec", &shown(object, &["spec", "template"]));
        errors.invalid(path, given, IMMUTABLE);
    }
}

fn keep_resources(template: &mut Value, before: &Value, list: &str) {
    let old = before.array_at(&["spec", list]).to_vec();
    if old.len() != template.array_at(&["spec", list]).len() {
        return;
    }
    let mut old = old.iter();
    each_mut(template, &["spec", list], |container| {
        if let Some(old) = old.next()
            && old.str_at(&["name"]) == container.str_at(&["name"])
        {
            keep(container, old, &["resources"]);
        }
    });
}
