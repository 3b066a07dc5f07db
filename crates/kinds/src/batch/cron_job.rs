//! CronJob.

use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value};

use super::schedule;
use crate::check::{at_least_zero_each, one_of, path_of};
use crate::go_form;
use crate::kind::Kind;
use crate::pod::warnings;
use crate::shape::{default, default_nil, has, present, same, shown};
use crate::table;

pub(super) static KIND: Kind = Kind {
    status: true,
    generation: true,
    defaults: set_defaults,
    validate: |errors, _, object, old| validate(errors, object, old),
    warnings: cron_job_warnings,
    cells: table::cron_job,
    pod_spec: Some(&["spec", "jobTemplate", "spec", "template", "spec"]),
    ..Kind::new("batch", "cronjobs")
};

fn set_defaults(object: &mut Value) {
    let spec = object.at_mut(&["spec"]);
    default(spec, &["concurrencyPolicy"], "Allow");
    default_nil(spec, &["suspend"], false);
    default_nil(spec, &["successfulJobsHistoryLimit"], 3);
    default_nil(spec, &["failedJobsHistoryLimit"], 1);
    default_nil(spec, &["jobTemplate", "metadata"], Value::object());
    let job = spec.at_mut(&["jobTemplate", "spec"]);
    if !matches!(job, Value::Object(_)) {
        *job = Value::object();
    }
    super::job::shared_defaults(job);
}

fn validate(errors: &mut FieldErrors, object: &Value, old: Option<&Value>) {
    let path = FieldPath::new("spec");
    let spec = shown(object, &["spec"]);
    let text = spec.str_at(&["schedule"]);
    let had_zone = old.is_some_and(|old| old.str_at(&["spec", "schedule"]).contains("TZ"));
    if text.is_empty() {
        errors.required(&path.child("schedule"), "");
    } else {
        if let Err(why) = schedule::parse(text) {
            errors.invalid(&path.child("schedule"), text, why);
        }
        if text.contains("TZ") && !had_zone {
            let detail = "cannot use TZ or CRON_TZ in schedule, use timeZone field instead";
            errors.invalid(&path.child("schedule"), text, detail);
        } else if text.contains("TZ") && has(&spec, &["timeZone"]) {
            let detail = "cannot use both timeZone field and TZ or CRON_TZ in schedule";
            errors.invalid(&path.child("schedule"), text, detail);
        }
    }
    at_least_zero_each(errors, &spec, &["startingDeadlineSeconds"], &path);
    let zone_changed = old.is_none_or(|old| !same(old.at(&["spec", "timeZone"]), spec.get("timeZone")));
    if zone_changed {
        time_zone(errors, &spec, &path.child("timeZone"));
    }
    let policies = ["Allow", "Forbid", "Replace"];
    one_of(errors, spec.str_at(&["concurrencyPolicy"]), &policies, &path.child("concurrencyPolicy"));
    let job = shown(&spec, &["jobTemplate"]);
    super::job::validate_spec(errors, &shown(&job, &["spec"]), &path.child("jobTemplate").child("spec"));
    if has(&job, &["spec", "selector"]) {
        let path = path.child("jobTemplate").child("spec").child("selector");
        let selector = go_form::label_selector(&shown(&job, &["spec", "selector"]));
        errors.invalid(&path, selector, "`selector` will be auto-generated");
    }
    if job.bool_at(&["spec", "manualSelector"]) {
        let path = path.child("jobTemplate").child("spec").child("manualSelector");
        errors.not_supported(&path, true, &["nil", "false"]);
    }
    at_least_zero_each(errors, &spec, &["successfulJobsHistoryLimit", "failedJobsHistoryLimit"], &path);
    // Jobs are named after the cron job, with eleven letters more.
    if object.name().len() > 52 && old.is_none() {
        let detail = "must be no more than 52 characters";
        errors.invalid(&FieldPath::new("metadata").child("name"), object.name(), detail);
    }
}

/// Names of zones are those of files, and so told apart by case.
fn is_known(zone: &str) -> bool {
    jiff::tz::TimeZone::get(zone).is_ok_and(|found| found.iana_name() == Some(zone))
}

fn time_zone(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let Some(zone) = present(spec, &["timeZone"]).and_then(Value::as_str) else { return };
    if zone.is_empty() {
        errors.invalid(path, zone, "timeZone must be nil or non-empty string");
        return;
    }
    let letter = |b: u8| b.is_ascii_alphanumeric() || b".-_+".contains(&b);
    let part_ok = |part: &str| {
        ![".", ".."].contains(&part)
            && !part.starts_with('-')
            && (1..=14).contains(&part.len())
            && part.bytes().all(letter)
    };
    let unknown = || format!("unknown time zone {zone}");
    if zone.split('/').any(|part| !part_ok(part)) {
        return errors.invalid(path, zone, unknown());
    }
    if zone.eq_ignore_ascii_case("local") {
        errors.invalid(
            path,
            zone,
            "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones",
        );
    }
    if zone != "UTC" && zone != "Local" && !is_known(zone) {
        errors.invalid(path, zone, unknown());
    }
}

fn cron_job_warnings(object: &Value, old: Option<&Value>) -> Vec<String> {
    let mut out = warnings::name_of_pods(object, old);
    if !warnings::same_generation(object, old) {
        let at = &["spec", "jobTemplate", "spec"];
        out.extend(super::job::spec_warnings(&shown(object, at), &path_of(at)));
    }
    if old.is_some() && object.str_at(&["spec", "schedule"]).contains("TZ") {
        // The path is upstream's.
        out.push("cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details".to_owned());
    }
    out
}
