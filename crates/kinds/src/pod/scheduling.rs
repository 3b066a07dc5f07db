//! What a pod asks of its node: affinity, tolerations, spread, gates.

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, Value};
use foldhash::HashSet;

use crate::check::{
    POSITIVE, dns_label, dns_subdomain, label_selector, label_value, one_of, one_of_or_empty, qualified_name,
};
use crate::go_form;
use crate::shape::{has, present, shown};

const EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

pub(super) fn affinity(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let Some(affinity) = present(spec, &["affinity"]) else { return };
    if let Some(node) = present(affinity, &["nodeAffinity"]) {
        node_affinity(errors, node, &path.child("nodeAffinity"));
    }
    for field in ["podAffinity", "podAntiAffinity"] {
        if let Some(pods) = present(affinity, &[field]) {
            pod_affinity(errors, pods, &path.child(field));
        }
    }
}

fn node_affinity(errors: &mut FieldErrors, affinity: &Value, path: &FieldPath) {
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    if let Some(selector) = present(affinity, &[required]) {
        node_selector(errors, selector, &path.child(required));
    }
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    for (i, term) in affinity.array_at(&[preferred]).iter().enumerate() {
        let path = path.child(preferred).index(i);
        weight(errors, term, &path);
        node_selector_term(errors, &shown(term, &["preference"]), false, &path.child("preference"));
    }
}

fn weight(errors: &mut FieldErrors, term: &Value, path: &FieldPath) {
    let weight = term.i64_at(&["weight"]).unwrap_or(0);
    if !(1..=100).contains(&weight) {
        errors.invalid(&path.child("weight"), weight, "must be in the range 1-100");
    }
}

/// `ValidateNodeSelector`: of pods, volumes and device slices.
pub(crate) fn node_selector(errors: &mut FieldErrors, selector: &Value, path: &FieldPath) {
    let terms = selector.array_at(&["nodeSelectorTerms"]);
    let path = path.child("nodeSelectorTerms");
    if terms.is_empty() {
        errors.required(&path, "must have at least one node selector term");
    }
    for (i, term) in terms.iter().enumerate() {
        node_selector_term(errors, term, true, &path.index(i));
    }
}

/// What a term prefers may have any values.
fn node_selector_term(errors: &mut FieldErrors, term: &Value, strict: bool, path: &FieldPath) {
    for (i, requirement) in term.array_at(&["matchExpressions"]).iter().enumerate() {
        node_requirement(errors, requirement, strict, &path.child("matchExpressions").index(i));
    }
    for (i, requirement) in term.array_at(&["matchFields"]).iter().enumerate() {
        node_field_requirement(errors, requirement, &path.child("matchFields").index(i));
    }
}

fn node_requirement(errors: &mut FieldErrors, requirement: &Value, strict: bool, path: &FieldPath) {
    let values = requirement.array_at(&["values"]);
    let values_path = path.child("values");
    match requirement.str_at(&["operator"]) {
        "In" | "NotIn" => {
            if values.is_empty() {
                errors.required(&values_path, "must be specified when `operator` is 'In' or 'NotIn'");
            }
        }
        "Exists" | "DoesNotExist" => {
            if !values.is_empty() {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                errors.forbidden(&values_path, detail);
            }
        }
        "Gt" | "Lt" => {
            if values.len() != 1 {
                let detail = "must be specified single value when `operator` is 'Lt' or 'Gt'";
                errors.required(&values_path, detail);
            }
        }
        other => {
            let operator = go_form::typed(&other.into());
            errors.invalid(&path.child("operator"), operator, "not a valid selector operator");
        }
    }
    names::validate_label_name(errors, requirement.str_at(&["key"]), &path.child("key"));
    for (i, value) in values.iter().filter_map(Value::as_str).enumerate().filter(|_| strict) {
        label_value(errors, value, &values_path.index(i));
    }
}

fn node_field_requirement(errors: &mut FieldErrors, requirement: &Value, path: &FieldPath) {
    let values = requirement.array_at(&["values"]);
    match requirement.str_at(&["operator"]) {
        "In" | "NotIn" => {
            if values.len() != 1 {
                let detail =
                    "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
                errors.required(&path.child("values"), detail);
            }
        }
        other => {
            let operator = go_form::typed(&other.into());
            errors.invalid(&path.child("operator"), operator, "not a valid selector operator");
        }
    }
    match requirement.str_at(&["key"]) {
        "metadata.name" => {
            for (i, value) in values.iter().filter_map(Value::as_str).enumerate() {
                dns_subdomain(errors, value, &path.child("values").index(i));
            }
        }
        key => errors.invalid(&path.child("key"), key, "not a valid field selector key"),
    }
}

fn pod_affinity(errors: &mut FieldErrors, affinity: &Value, path: &FieldPath) {
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    for (i, term) in affinity.array_at(&[required]).iter().enumerate() {
        pod_affinity_term(errors, term, &path.child(required).index(i));
    }
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    for (i, weighted) in affinity.array_at(&[preferred]).iter().enumerate() {
        let path = path.child(preferred).index(i);
        weight(errors, weighted, &path);
        pod_affinity_term(errors, &shown(weighted, &["podAffinityTerm"]), &path.child("podAffinityTerm"));
    }
}

fn pod_affinity_term(errors: &mut FieldErrors, term: &Value, path: &FieldPath) {
    for field in ["labelSelector", "namespaceSelector"] {
        if let Some(selector) = present(term, &[field]) {
            label_selector(errors, selector, &path.child(field));
        }
    }
    for namespace in term.array_at(&["namespaces"]).iter().filter_map(Value::as_str) {
        dns_label(errors, namespace, &path.child("namespace"));
    }
    label_keys(errors, term, path);
    let key = term.str_at(&["topologyKey"]);
    if key.is_empty() {
        errors.required(&path.child("topologyKey"), "can not be empty");
    }
    names::validate_label_name(errors, key, &path.child("topologyKey"));
}

/// `ValidateMatchLabelKeysAndMismatchLabelKeys`.
fn label_keys(errors: &mut FieldErrors, term: &Value, path: &FieldPath) {
    let selector = present(term, &["labelSelector"]);
    for field in ["matchLabelKeys", "mismatchLabelKeys"] {
        let keys = term.array_at(&[field]);
        let path = path.child(field);
        if !keys.is_empty() && selector.is_none() {
            errors.forbidden(&path, "must not be specified when labelSelector is not set");
            continue;
        }
        for (i, key) in keys.iter().filter_map(Value::as_str).enumerate() {
            names::validate_label_name(errors, key, &path.index(i));
        }
    }
    let keys = |field: &str| term.array_at(&[field]).iter().filter_map(Value::as_str).collect::<Vec<_>>();
    let matching = keys("matchLabelKeys");
    if let Some(selector) = selector {
        let mut seen: HashSet<&str> =
            selector.object_at(&["matchLabels"]).keys().map(|key| key.as_str()).collect();
        for expression in selector.array_at(&["matchExpressions"]) {
            let key = expression.str_at(&["key"]);
            if let Some(i) = matching.iter().rposition(|other| *other == key)
                && seen.contains(key)
            {
                errors.invalid(&path.index(i), key, "exists in both matchLabelKeys and labelSelector");
            }
            seen.insert(key);
        }
    }
    let mismatching = keys("mismatchLabelKeys");
    for (i, key) in matching.iter().enumerate().filter(|(_, key)| mismatching.contains(key)) {
        let path = path.child("matchLabelKeys").index(i);
        errors.invalid(&path, *key, "exists in both matchLabelKeys and mismatchLabelKeys");
    }
}

pub(super) fn tolerations(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    for (i, toleration) in spec.array_at(&["tolerations"]).iter().enumerate() {
        validate_toleration(errors, toleration, &path.index(i));
    }
}

pub(crate) fn validate_toleration(errors: &mut FieldErrors, toleration: &Value, path: &FieldPath) {
    let text = |field: &str| toleration.str_at(&[field]);
    let (key, value, effect) = (text("key"), text("value"), text("effect"));
    if !key.is_empty() {
        names::validate_label_name(errors, key, &path.child("key"));
    }
    if key.is_empty() && text("operator") != "Exists" {
        errors.invalid(
            &path.child("operator"),
            text("operator"),
            "operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
        );
    }
    if has(toleration, &["tolerationSeconds"]) && effect != "NoExecute" {
        let detail = "effect must be 'NoExecute' when `tolerationSeconds` is set";
        errors.invalid(&path.child("effect"), effect, detail);
    }
    match text("operator") {
        "" | "Equal" => {
            let wrong = names::is_valid_label_value(value);
            if !wrong.is_empty() {
                errors.invalid(&path.child("operator"), value, wrong.join(";"));
            }
        }
        "Exists" => {
            if !value.is_empty() {
                let detail = "value must be empty when `operator` is 'Exists'";
                errors.invalid(&path.child("operator"), value, detail);
            }
        }
        other @ ("Lt" | "Gt") => {
            errors.not_supported(&path.child("operator"), other, &["Equal", "Exists", "Lt", "Gt"]);
        }
        other => errors.not_supported(&path.child("operator"), other, &["Equal", "Exists"]),
    }
    one_of_or_empty(errors, effect, &EFFECTS, &path.child("effect"));
}

/// A taint's effect: required.
pub(crate) fn taint_effect(errors: &mut FieldErrors, effect: &str, path: &FieldPath) {
    one_of(errors, effect, &EFFECTS, path);
}

pub(super) fn topology_spread(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let constraints = spec.array_at(&["topologySpreadConstraints"]);
    for (i, constraint) in constraints.iter().enumerate() {
        let at = path.index(i);
        let text = |field: &str| constraint.str_at(&[field]);
        let skew = constraint.i64_at(&["maxSkew"]).unwrap_or(0);
        if skew <= 0 {
            errors.invalid(&at.child("maxSkew"), skew, POSITIVE);
        }
        if text("topologyKey").is_empty() {
            errors.required(&at.child("topologyKey"), "can not be empty");
        }
        let when = text("whenUnsatisfiable");
        if !["DoNotSchedule", "ScheduleAnyway"].contains(&when) {
            errors.not_supported(&at.child("whenUnsatisfiable"), when, &["DoNotSchedule", "ScheduleAnyway"]);
        }
        // A pair that stands later in the list again is reported here.
        let again = |other: &&Value| {
            other.str_at(&["topologyKey"]) == text("topologyKey")
                && other.str_at(&["whenUnsatisfiable"]) == when
        };
        if constraints[i + 1..].iter().any(|other| again(&other)) {
            let pair = format!("{{{}, {when}}}", text("topologyKey"));
            errors.duplicate(&at.child("{topologyKey, whenUnsatisfiable}"), pair);
        }
        min_domains(errors, constraint, &at);
        for field in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            if has(constraint, &[field]) && !["Ignore", "Honor"].contains(&text(field)) {
                errors.not_supported(&at.child(field), text(field), &["Honor", "Ignore"]);
            }
        }
        label_keys(errors, constraint, &at);
        if let Some(selector) = present(constraint, &["labelSelector"]) {
            label_selector(errors, selector, &at.child("labelSelector"));
        }
    }
}

fn min_domains(errors: &mut FieldErrors, constraint: &Value, path: &FieldPath) {
    let Some(domains) = constraint.i64_at(&["minDomains"]) else { return };
    let path = path.child("minDomains");
    if domains <= 0 {
        errors.invalid(&path, domains, POSITIVE);
    }
    let when = constraint.str_at(&["whenUnsatisfiable"]);
    if when != "DoNotSchedule" {
        let detail = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {when}");
        errors.invalid(&path, domains, detail);
    }
}

pub(super) fn scheduling_gates(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let mut seen = HashSet::default();
    for (i, gate) in spec.array_at(&["schedulingGates"]).iter().enumerate() {
        let name = gate.str_at(&["name"]);
        qualified_name(errors, name, &path.index(i));
        if !seen.insert(name) {
            errors.duplicate(&path.index(i), name);
        }
    }
}

pub(super) fn readiness_gates(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    for (i, gate) in spec.array_at(&["readinessGates"]).iter().enumerate() {
        qualified_name(errors, gate.str_at(&["conditionType"]), &path.index(i).child("conditionType"));
    }
}
