//! PodTopologySpread's `defaultConstraints`.

use drydock_machinery::FieldErrors;
use drydock_machinery::document::Fields;
use drydock_machinery::names_validation::validate_label_name;

use crate::pod_info::SpreadConstraint;
use crate::profile::SpreadDefaults;

pub(super) fn read(args: &mut Fields<'_>, errors: &mut FieldErrors) -> SpreadDefaults {
    let has_own = args
        .value("defaultConstraints")
        .is_some_and(|list| list.as_array().is_some_and(|list| !list.is_empty()));
    let path = args.child("defaultingType");
    let kind = args.given_text("defaultingType", errors).unwrap_or("System");
    match kind {
        "System" if has_own => errors.invalid(&path, kind, "when .defaultConstraints are not empty"),
        "System" | "List" => {}
        other => errors.not_supported(&path, other, &["System", "List"]),
    }
    let constraints = read_constraints(args, errors);
    if kind == "List" { SpreadDefaults { constraints, is_system: false } } else { SpreadDefaults::default() }
}

fn read_constraints(args: &mut Fields<'_>, errors: &mut FieldErrors) -> Vec<SpreadConstraint> {
    let path = args.child("defaultConstraints");
    let mut constraints: Vec<SpreadConstraint> = Vec::new();
    for (i, fields) in args.objects("defaultConstraints", errors).into_iter().enumerate() {
        let (constraint, action) = read_constraint(fields, errors);
        let same = |other: &SpreadConstraint| {
            other.topology_key == constraint.topology_key && other.hard == constraint.hard
        };
        if constraints.iter().any(same) {
            let key = &constraint.topology_key;
            errors.duplicate(&path.index(i), format!("{{{key}, {action}}}"));
        }
        constraints.push(constraint);
    }
    constraints
}

/// The constraint, and its `whenUnsatisfiable`.
fn read_constraint<'a>(mut fields: Fields<'a>, errors: &mut FieldErrors) -> (SpreadConstraint, &'a str) {
    let max_skew = fields.integer("maxSkew", errors).unwrap_or(0);
    if max_skew <= 0 {
        errors.invalid(&fields.child("maxSkew"), max_skew, "not in valid range (0, inf)");
    }
    let (key, path) = (fields.text("topologyKey", errors), fields.child("topologyKey"));
    if key.is_empty() {
        errors.required(&path, "can not be empty");
    } else {
        validate_label_name(errors, key, &path);
    }
    let (action, path) = (fields.text("whenUnsatisfiable", errors), fields.child("whenUnsatisfiable"));
    match action {
        "DoNotSchedule" | "ScheduleAnyway" => {}
        "" => errors.required(&path, "can not be empty"),
        other => errors.not_supported(&path, other, &["DoNotSchedule", "ScheduleAnyway"]),
    }
    if fields.value("labelSelector").is_some() {
        let why = "constraint must not define a selector, as they deduced for each pod";
        errors.forbidden(&fields.child("labelSelector"), why);
    }
    fields.texts("matchLabelKeys", errors);
    let min_domains = fields.integer("minDomains", errors).unwrap_or(1);
    let honor_affinity = fields.text("nodeAffinityPolicy", errors) != "Ignore";
    let honor_taints = fields.text("nodeTaintsPolicy", errors) == "Honor";
    fields.finish(errors);
    let constraint = SpreadConstraint {
        hard: action == "DoNotSchedule",
        min_domains,
        honor_affinity,
        honor_taints,
        ..SpreadConstraint::soft(key, max_skew)
    };
    (constraint, action)
}
