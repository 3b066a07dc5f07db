//! The arguments of plugins, a profile's `pluginConfig`.

use std::time::Duration;

use drydock_machinery::document::Fields;
use drydock_machinery::names_validation::validate_label_name;
use drydock_machinery::{FieldErrors, FieldPath, Key, go_duration};

use super::{VERSION, affinity, spread};
use crate::plugin::Plugin;
use crate::profile::{Args, Fit, Strategy};

/// Reads the arguments of a plugin into those of the profile.
pub(super) fn read(plugin: Plugin, mut fields: Fields<'_>, out: &mut Args, errors: &mut FieldErrors) {
    check_type(plugin, &mut fields, errors);
    match plugin {
        Plugin::DefaultPreemption => read_candidates(&mut fields, out, errors),
        Plugin::InterPodAffinity => read_inter_pod(&mut fields, out, errors),
        Plugin::NodeAffinity => out.added_affinity = affinity::read(&mut fields, errors),
        Plugin::NodeResourcesBalancedAllocation => read_balanced(&mut fields, out, errors),
        Plugin::NodeResourcesFit => out.fit = read_fit(&mut fields, errors),
        Plugin::PodTopologySpread => out.spread = spread::read(&mut fields, errors),
        Plugin::VolumeBinding => read_volume_binding(&mut fields, out, errors),
        Plugin::DynamicResources => read_devices(&mut fields, out, errors),
        // They take none: what is given is unknown.
        _ => {}
    }
    fields.finish(errors);
}

fn check_type(plugin: Plugin, fields: &mut Fields<'_>, errors: &mut FieldErrors) {
    let wanted = format!("{}Args", plugin.name());
    let kind = fields.text("kind", errors);
    if !kind.is_empty() && kind != wanted {
        let group = VERSION.split('/').next().unwrap_or_default();
        let name = plugin.name();
        let why = format!("args for plugin {name} were not of type {wanted}.{group}, got {kind}.{group}");
        errors.invalid(&fields.child("kind"), kind, why);
    }
    let version = fields.text("apiVersion", errors);
    if !matches!(version, "" | VERSION) {
        errors.not_supported(&fields.child("apiVersion"), version, &[VERSION]);
    }
}

fn read_candidates(fields: &mut Fields<'_>, out: &mut Args, errors: &mut FieldErrors) {
    let (of_hundred, at_least) = ("minCandidateNodesPercentage", "minCandidateNodesAbsolute");
    let percentage = fields.integer(of_hundred, errors).unwrap_or(10);
    let absolute = fields.integer(at_least, errors).unwrap_or(100);
    if !(0..=100).contains(&percentage) {
        errors.invalid(&fields.child(of_hundred), percentage, "not in valid range [0, 100]");
    }
    if absolute < 0 {
        errors.invalid(&fields.child(at_least), absolute, "not in valid range [0, inf)");
    }
    if percentage == 0 && absolute == 0 {
        let why = |other: &str| format!("cannot be zero at the same time as {other}");
        errors.invalid(&fields.child(of_hundred), percentage, why(at_least));
        errors.invalid(&fields.child(at_least), absolute, why(of_hundred));
    }
    out.candidates.percentage = usize::try_from(percentage).unwrap_or(0);
    out.candidates.absolute = usize::try_from(absolute).unwrap_or(0);
}

fn read_inter_pod(fields: &mut Fields<'_>, out: &mut Args, errors: &mut FieldErrors) {
    let name = "hardPodAffinityWeight";
    let weight = fields.integer(name, errors).unwrap_or(1);
    if !(0..=100).contains(&weight) {
        errors.invalid(&fields.child(name), weight, "not in valid range [0, 100]");
    }
    out.inter_pod.hard_weight = weight;
    let ignores = fields.flag("ignorePreferredTermsOfExistingPods", errors);
    out.inter_pod.ignore_preferences_of_others = ignores.unwrap_or(false);
}

fn read_balanced(fields: &mut Fields<'_>, out: &mut Args, errors: &mut FieldErrors) {
    let mut resources: Vec<Key> = Vec::new();
    for (path, name, weight) in read_resources(fields, errors) {
        if resources.contains(&name) {
            errors.duplicate(&path.child("name"), name.as_str());
        }
        if weight != 1 {
            errors.invalid(&path.child("weight"), weight, "must be 1");
        }
        resources.push(name);
    }
    if !resources.is_empty() {
        out.balanced = resources;
    }
}

/// Names and weights, and where they are; a weight of 0 is one that is not given.
fn read_resources(fields: &mut Fields<'_>, errors: &mut FieldErrors) -> Vec<(FieldPath, Key, i64)> {
    let entries = fields.objects("resources", errors).into_iter();
    let read = entries.map(|mut entry| {
        let path = entry.path().clone();
        let name = Key::from(entry.text("name", errors));
        let weight = entry.integer("weight", errors).unwrap_or(0);
        entry.finish(errors);
        (path, name, if weight == 0 { 1 } else { weight })
    });
    read.collect()
}

fn read_fit(fields: &mut Fields<'_>, errors: &mut FieldErrors) -> Fit {
    let mut out = Fit::default();
    let path = fields.child("ignoredResources");
    for (i, name) in fields.texts("ignoredResources", errors).into_iter().enumerate() {
        validate_label_name(errors, &name, &path.index(i));
        out.ignored.insert(name);
    }
    let path = fields.child("ignoredResourceGroups");
    for (i, group) in fields.texts("ignoredResourceGroups", errors).into_iter().enumerate() {
        if group.contains('/') {
            errors.invalid(&path.index(i), group.as_str(), "resource group name can't contain '/'");
        }
        validate_label_name(errors, &group, &path.index(i));
        out.ignored_groups.insert(group);
    }
    if let Some(strategy) = fields.object("scoringStrategy", errors) {
        read_strategy(strategy, &mut out, errors);
    }
    out
}

fn read_strategy(mut fields: Fields<'_>, out: &mut Fit, errors: &mut FieldErrors) {
    const TYPES: [&str; 3] = ["LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"];
    let kind = fields.text("type", errors);
    if !TYPES.contains(&kind) {
        errors.not_supported(&fields.child("type"), kind, &TYPES);
    }
    let resources = read_resources(&mut fields, errors);
    for (path, name, weight) in &resources {
        if !(1..=100).contains(weight) {
            let why = format!("resource weight of {name} not in valid range (0, 100]");
            errors.invalid(&path.child("weight"), *weight, why);
        }
    }
    if !resources.is_empty() {
        out.resources = resources.into_iter().map(|(_, name, weight)| (name, weight)).collect();
    }
    let ratio_path = fields.child("requestedToCapacityRatio");
    let ratio = fields.object("requestedToCapacityRatio", errors);
    out.strategy = match (kind, ratio) {
        ("RequestedToCapacityRatio", Some(ratio)) => {
            Strategy::RequestedToCapacityRatio(read_shape(ratio, errors))
        }
        ("RequestedToCapacityRatio", None) => {
            errors.required(&ratio_path, "must be specified when type is RequestedToCapacityRatio");
            Strategy::LeastAllocated
        }
        (_, Some(_)) => {
            errors.forbidden(&ratio_path, "must be nil when type is not RequestedToCapacityRatio");
            Strategy::LeastAllocated
        }
        ("MostAllocated", None) => Strategy::MostAllocated,
        _ => Strategy::LeastAllocated,
    };
    fields.finish(errors);
}

/// Points of utilization and score.
fn read_shape(mut fields: Fields<'_>, errors: &mut FieldErrors) -> Vec<(i64, i64)> {
    let path = fields.child("shape");
    let mut points: Vec<(i64, i64)> = Vec::new();
    for mut point in fields.objects("shape", errors) {
        let utilization = point.integer("utilization", errors).unwrap_or(0);
        points.push((utilization, point.integer("score", errors).unwrap_or(0)));
        point.finish(errors);
    }
    fields.finish(errors);
    if points.is_empty() {
        errors.required(&path, "at least one point must be specified");
    }
    if let Some(i) = (1..points.len()).find(|i| points[i - 1].0 >= points[*i].0) {
        let why = "values must be sorted in increasing order";
        errors.invalid(&path.index(i).child("utilization"), points[i].0, why);
    }
    for (i, (utilization, score)) in points.iter().enumerate() {
        if !(0..=100).contains(utilization) {
            let path = path.index(i).child("utilization");
            errors.invalid(&path, *utilization, "not in valid range [0, 100]");
        }
        if !(0..=10).contains(score) {
            errors.invalid(&path.index(i).child("score"), *score, "not in valid range [0, 10]");
        }
    }
    points
}

fn read_volume_binding(fields: &mut Fields<'_>, out: &mut Args, errors: &mut FieldErrors) {
    let name = "bindTimeoutSeconds";
    let seconds = fields.integer(name, errors).unwrap_or(600);
    match u64::try_from(seconds) {
        Ok(seconds) => out.volumes_timeout = Duration::from_secs(seconds),
        Err(_) => {
            let why = "invalid BindTimeoutSeconds, should not be a negative value";
            errors.invalid(&fields.child(name), seconds, why);
        }
    }
    if let Some(shape) = fields.value("shape") {
        let points = shape.as_array().unwrap_or_default().iter().map(|point| {
            let number = |name: &str| point.i64_at(&[name]).unwrap_or(0);
            format!("{{\"Utilization\":{},\"Score\":{}}}", number("utilization"), number("score"))
        });
        let shown = format!("[{}]", points.collect::<Vec<_>>().join(","));
        let why = "unexpected field `shape`, remove it or turn on the feature gate StorageCapacityScoring";
        errors.invalid_shown(&fields.child("shape"), shown, why);
    }
}

fn read_devices(fields: &mut Fields<'_>, out: &mut Args, errors: &mut FieldErrors) {
    let mut duration = |name: &'static str, least: i64, why: &str| {
        let text = fields.given_text(name, errors)?;
        match go_duration::parse(text) {
            Ok(nanoseconds) if nanoseconds < least => errors.invalid(&fields.child(name), text, why),
            Ok(nanoseconds) => return u64::try_from(nanoseconds).ok().map(Duration::from_nanos),
            Err(wrong) => errors.invalid(&fields.child(name), text, wrong),
        }
        None
    };
    // Finding devices is not cut off here.
    duration("filterTimeout", 0, "must be zero or positive");
    if let Some(timeout) = duration("bindingTimeout", 1_000_000_000, "must be at least 1 second") {
        out.devices_timeout = timeout;
    }
}
