//! A pod's addresses and its host's: one of each family, the first of them the one that stands alone.

use std::net::IpAddr;

use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::check::net;
use crate::go_form;

const ONE_EACH: &str = "may specify no more than one IP for each IP family";

/// `validatePodIPs`.
pub(super) fn pod_ips(errors: &mut FieldErrors, status: &Value, before: &Value, path: &FieldPath) {
    let ips = texts(status, "podIPs");
    each_valid(errors, &ips, &texts(before, "podIPs"), path);
    if ips.len() > 1 {
        families(errors, status, "podIPs", "PodIP", &ips, path);
    }
}

/// `validateHostIPs`.
pub(super) fn host_ips(errors: &mut FieldErrors, status: &Value, before: &Value, path: &FieldPath) {
    let ips = texts(status, "hostIPs");
    let Some(first) = ips.first() else { return };
    if *first != status.str_at(&["hostIP"]) {
        errors.invalid(&path.index(0).child("ip"), *first, "must be equal to `hostIP`");
    }
    each_valid(errors, &ips, &texts(before, "hostIPs"), path);
    if ips.len() > 1 {
        families(errors, status, "hostIPs", "HostIP", &ips, path);
    }
}

fn texts<'a>(status: &'a Value, field: &str) -> Vec<&'a str> {
    status.array_at(&[field]).iter().map(|ip| ip.str_at(&["ip"])).collect()
}

fn each_valid(errors: &mut FieldErrors, ips: &[&str], before: &[&str], path: &FieldPath) {
    for (i, ip) in ips.iter().enumerate() {
        net::ip_unless(errors, ip, before, &path.index(i));
    }
}

fn families(
    errors: &mut FieldErrors,
    status: &Value,
    field: &str,
    type_name: &str,
    ips: &[&str],
    path: &FieldPath,
) {
    let parsed: Vec<Option<IpAddr>> = ips.iter().map(|ip| net::parse_ip(ip)).collect();
    if let Some(i) = parsed.iter().position(Option::is_none) {
        let what = format!("failed to check for dual stack with error:invalid IP[{i}]: {}", ips[i]);
        errors.internal(path, what);
    }
    let parsed: Vec<IpAddr> = parsed.into_iter().flatten().collect();
    if parsed.len() != 2 || ips.len() != 2 || !net::dual_stack(&parsed) {
        let shown = status.array_at(&[field]).iter().map(|ip| go_form::of(type_name, ip));
        errors.invalid(path, go_form::list(shown), ONE_EACH);
    }
}
