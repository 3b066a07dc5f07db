//! A service's addresses and their families, which stay as they were allocated.

use std::net::IpAddr;

use drydock_machinery::{FieldErrors, FieldPath, Value};

use super::is_headless;
use crate::check::{net, one_of_given};
use crate::core::service::kind_of;
use crate::shape::{has, shown};

const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];
const ONCE: &str = "may not change once set";

/// `ValidateServiceClusterIPsRelatedFields`.
pub(super) fn cluster_ips(
    errors: &mut FieldErrors,
    object: &Value,
    spec: &Value,
    before: &[&str],
    path: &FieldPath,
) {
    if kind_of(object) == "ExternalName" {
        return;
    }
    let ips: Vec<&str> = spec.array_at(&["clusterIPs"]).iter().filter_map(Value::as_str).collect();
    let all = path.child("clusterIPs");
    match (spec.str_at(&["clusterIP"]), &ips[..]) {
        ("", []) => {}
        ("", _) => {
            let detail = "must be empty when `clusterIP` is not specified";
            errors.invalid(&all, shown(spec, &["clusterIPs"]), detail);
        }
        (_, []) => errors.required(&all, ""),
        (first, ips) if ips[0] != first => {
            errors.invalid(&all, shown(spec, &["clusterIPs"]), "first value must match `clusterIP`");
        }
        _ => {}
    }
    families(errors, spec, path);
    let found = errors.len();
    for (i, ip) in ips.iter().enumerate() {
        if i > 0 || *ip != "None" {
            net::ip_unless(errors, ip, before, &all.index(i));
        } else if ips.len() > 1 {
            let detail = "'None' must be the first and only value";
            errors.invalid(&all, shown(spec, &["clusterIPs"]), detail);
        }
    }
    let malformed = errors.len() > found;
    if ips.len() > 2 {
        errors.invalid(&all, shown(spec, &["clusterIPs"]), "may only hold up to 2 values");
    }
    if !malformed {
        families_of_ips(errors, object, spec, &ips, &all);
    }
}

fn families(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let families: Vec<&str> = spec.array_at(&["ipFamilies"]).iter().filter_map(Value::as_str).collect();
    for (i, family) in families.iter().enumerate() {
        let path = path.child("ipFamilies").index(i);
        if !FAMILIES.contains(family) {
            errors.not_supported(&path, *family, &FAMILIES);
        }
        if families[..i].contains(family) {
            errors.duplicate(&path, *family);
        }
    }
    if has(spec, &["ipFamilyPolicy"]) {
        let supported = ["PreferDualStack", "RequireDualStack", "SingleStack"];
        let policy = spec.str_at(&["ipFamilyPolicy"]);
        one_of_given(errors, policy, &supported, &path.child("ipFamilyPolicy"));
    }
}

fn families_of_ips(errors: &mut FieldErrors, object: &Value, spec: &Value, ips: &[&str], path: &FieldPath) {
    if ips.len() > 1 {
        let parsed: Vec<IpAddr> = ips.iter().filter_map(|ip| net::parse_ip(ip)).collect();
        if !net::dual_stack(&parsed) {
            let detail = "may specify no more than one IP for each IP family";
            errors.invalid(path, shown(spec, &["clusterIPs"]), detail);
        }
    }
    if is_headless(object) {
        return;
    }
    let families = spec.array_at(&["ipFamilies"]).iter().filter_map(Value::as_str);
    for (i, (ip, family)) in ips.iter().zip(families).enumerate() {
        let is_v6 = net::parse_ip(ip).is_some_and(|ip| ip.is_ipv6());
        if family == "IPv4" && is_v6 || family == "IPv6" && !is_v6 {
            let detail = format!("expected an {family} value as indicated by `ipFamilies[{i}]`");
            errors.invalid(&path.index(i), *ip, detail);
        }
    }
}

/// `validateUpgradeDowngradeClusterIPs` and `validateUpgradeDowngradeIPFamilies`.
pub(super) fn changes(errors: &mut FieldErrors, object: &Value, old: &Value) {
    if kind_of(object) == "ExternalName" || kind_of(old) == "ExternalName" {
        return;
    }
    let (new_headless, old_headless) = (is_headless(object), is_headless(old));
    if !(new_headless && old_headless) {
        changed_ips(errors, object, old);
    }
    if !new_headless && !old_headless {
        changed_families(errors, object, old);
    }
}

fn changed_ips(errors: &mut FieldErrors, object: &Value, old: &Value) {
    let at = &["spec", "clusterIPs"];
    let (new, before) = (object.array_at(at), old.array_at(at));
    let path = FieldPath::new("spec").child("clusterIPs");
    // What is left out is filled in with what there was.
    if new.is_empty() {
        return;
    }
    let first_changed = !new.is_empty() && !before.is_empty() && new[0] != before[0];
    if new.len() == before.len() {
        for (i, _) in new.iter().zip(before).enumerate().filter(|(_, (new, old))| new != old) {
            errors.invalid(&path.index(i), shown(object, at), ONCE);
        }
        return;
    }
    if first_changed {
        errors.invalid(&path.index(0), shown(object, at), ONCE);
    }
    if new.len() < before.len() && new.len() == 1 {
        single_stack(errors, object, "clusterIP");
    }
}

fn changed_families(errors: &mut FieldErrors, object: &Value, old: &Value) {
    let at = &["spec", "ipFamilies"];
    let (new, before) = (object.array_at(at), old.array_at(at));
    let path = FieldPath::new("spec").child("ipFamilies").index(0);
    // What is left out is filled in with what there was.
    if new.is_empty() {
        return;
    }
    let first_changed = !new.is_empty() && !before.is_empty() && new[0] != before[0];
    if new.len() == before.len() {
        for _ in new.iter().zip(before).filter(|(new, old)| new != old) {
            errors.invalid(&path, shown(object, at), ONCE);
        }
        return;
    }
    if first_changed {
        errors.invalid(&path, shown(object, &["spec", "clusterIPs"]), ONCE);
    }
    if new.len() < before.len() && new.len() == 1 {
        single_stack(errors, object, "ipFamily");
    }
}

/// Giving up a second address must be meant.
fn single_stack(errors: &mut FieldErrors, object: &Value, what: &str) {
    let at = &["spec", "ipFamilyPolicy"];
    if object.str_at(at) != "SingleStack" {
        let detail = format!("must be set to 'SingleStack' when releasing the secondary {what}");
        errors.invalid(&FieldPath::new("spec").child("ipFamilyPolicy"), shown(object, at), detail);
    }
}
