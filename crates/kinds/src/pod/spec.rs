//! `ValidatePodSpec`, in upstream's order.

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use super::containers::{Surroundings, image_trimmed};
use super::{env, resources, scheduling, security, volumes};
use crate::check::{dns_label, dns_subdomain, in_range, net, one_of};
use crate::shape::{has, present};

/// Where a pod spec stands: in this pod, or in something that makes pods.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Within<'a> {
    Pod(&'a Value),
    Template,
}

impl<'a> Within<'a> {
    pub(super) fn pod(self) -> Option<&'a Value> {
        match self {
            Self::Pod(pod) => Some(pod),
            Self::Template => None,
        }
    }
}

pub(crate) fn validate(errors: &mut FieldErrors, spec: &Value, path: &FieldPath, within: Within<'_>) {
    if !has(spec, &["terminationGracePeriodSeconds"]) {
        errors.required(&path.child("terminationGracePeriodSeconds"), "");
    }
    let volumes = volumes::volumes(errors, spec, within, &path.child("volumes"));
    resources::claims(errors, spec, within, &path.child("resourceClaims"));
    let claims = spec.array_at(&["resourceClaims"]).iter().map(|claim| claim.str_at(&["name"]));
    let claims = claims.filter(|name| !name.is_empty()).collect();
    let surroundings = Surroundings { volumes, claims, spec };
    surroundings.containers(errors, &path.child("containers"));
    surroundings.init_containers(errors, &path.child("initContainers"));
    surroundings.ephemeral_containers(errors, &path.child("ephemeralContainers"));
    resources::pod_resources(errors, spec, &path.child("resources"));
    host_network(errors, spec, path, within);
    let restart = spec.str_at(&["restartPolicy"]);
    one_of(errors, restart, &["Always", "OnFailure", "Never"], &path.child("restartPolicy"));
    let policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    one_of(errors, spec.str_at(&["dnsPolicy"]), &policies, &path.child("dnsPolicy"));
    names::validate_labels(errors, spec.object_at(&["nodeSelector"]), &path.child("nodeSelector"));
    security::pod_security(errors, spec, path);
    scheduling::affinity(errors, spec, &path.child("affinity"));
    dns_config(errors, spec, &path.child("dnsConfig"));
    scheduling::readiness_gates(errors, spec, &path.child("readinessGates"));
    scheduling::scheduling_gates(errors, spec, &path.child("schedulingGates"));
    scheduling::topology_spread(errors, spec, &path.child("topologySpreadConstraints"));
    security::host_process(errors, spec, path);
    security::host_users(errors, spec, path);
    hostname_override(errors, spec, &path.child("hostnameOverride"));
    names_of_others(errors, spec, path);
    scheduling::tolerations(errors, spec, &path.child("tolerations"));
    host_aliases(errors, spec, &path.child("hostAliases"));
    let class = spec.str_at(&["priorityClassName"]);
    if !class.is_empty() {
        dns_subdomain(errors, class, &path.child("priorityClassName"));
    }
    if let Some(class) = present(spec, &["runtimeClassName"]).and_then(Value::as_str) {
        dns_subdomain(errors, class, &path.child("runtimeClassName"));
    }
    if let Some(policy) = present(spec, &["preemptionPolicy"]).and_then(Value::as_str) {
        one_of(errors, policy, &["PreemptLowerPriority", "Never"], &path.child("preemptionPolicy"));
    }
    resources::limits(errors, spec, &["overhead"], &path.child("overhead"));
    security::os(errors, spec, path);
    env::file_key_volumes(errors, spec, path);
}

/// `validatePodHostName`.
fn hostname_override(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let Some(name) = present(spec, &["hostnameOverride"]).and_then(Value::as_str) else { return };
    if spec.bool_at(&["setHostnameAsFQDN"]) {
        errors.forbidden(path, "may not be specified when setHostnameAsFQDN is true");
    }
    if spec.bool_at(&["hostNetwork"]) {
        errors.forbidden(path, "may not be specified when hostNetwork is true");
    }
    if name.len() > 64 {
        errors.too_long(path, 64);
    }
    dns_subdomain(errors, name, path);
}

fn names_of_others(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    for field in ["serviceAccountName", "nodeName"] {
        let name = spec.str_at(&[field]);
        if !name.is_empty() {
            dns_subdomain(errors, name, &path.child(field));
        }
    }
    if let Some(seconds) = spec.i64_at(&["activeDeadlineSeconds"]) {
        in_range(errors, seconds, 1, i32::MAX.into(), &path.child("activeDeadlineSeconds"));
    }
    for field in ["hostname", "subdomain"] {
        let name = spec.str_at(&[field]);
        if !name.is_empty() {
            dns_label(errors, name, &path.child(field));
        }
    }
}

fn host_network(errors: &mut FieldErrors, spec: &Value, path: &FieldPath, within: Within<'_>) {
    if !spec.bool_at(&["hostNetwork"]) {
        return;
    }
    for (i, container) in spec.array_at(&["containers"]).iter().enumerate() {
        for (j, port) in container.array_at(&["ports"]).iter().enumerate() {
            let number = |field: &str| port.i64_at(&[field]).unwrap_or(0);
            let (host, container) = (number("hostPort"), number("containerPort"));
            if (within.pod().is_some() || host != 0) && host != container {
                errors.invalid(
                    &path.child("containers").index(i).child("ports").index(j).child("hostPort"),
                    host,
                    "must match `containerPort` when `hostNetwork` is true",
                );
            }
        }
    }
}

fn dns_config(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let config = present(spec, &["dnsConfig"]);
    if spec.str_at(&["dnsPolicy"]) == "None" {
        let Some(config) = config else {
            errors.required(path, "must provide `dnsConfig` when `dnsPolicy` is None");
            return;
        };
        if config.array_at(&["nameservers"]).is_empty() {
            let detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
            errors.required(&path.child("nameservers"), detail);
            return;
        }
    }
    let Some(config) = config else { return };
    let servers = config.array_at(&["nameservers"]);
    if servers.len() > 3 {
        let shown = Value::Array(servers.iter().cloned().collect());
        errors.invalid(&path.child("nameservers"), shown, "must not have more than 3 nameservers");
    }
    for (i, server) in servers.iter().filter_map(Value::as_str).enumerate() {
        net::ip(errors, server, &path.child("nameservers").index(i));
    }
    let searches = config.array_at(&["searches"]);
    if searches.len() > 32 {
        let shown = Value::Array(searches.iter().cloned().collect());
        errors.invalid(&path.child("searches"), shown, "must not have more than 32 search paths");
    }
    let letters: usize = searches.iter().filter_map(Value::as_str).map(|search| search.len() + 1).sum();
    if letters > 2049 {
        let shown = Value::Array(searches.iter().cloned().collect());
        let detail = "must not have more than 2048 characters (including spaces) in the search list";
        errors.invalid(&path.child("searches"), shown, detail);
    }
    for (i, search) in searches.iter().filter_map(Value::as_str).enumerate() {
        if search != "." {
            let search = search.strip_suffix('.').unwrap_or(search);
            let wrong = names::is_dns1123_subdomain_with_underscore(search);
            names::invalid_each(errors, &path.child("searches").index(i), search, wrong);
        }
    }
    for (i, option) in config.array_at(&["options"]).iter().enumerate() {
        if option.str_at(&["name"]).is_empty() {
            errors.required(&path.child("options").index(i), "must not be empty");
        }
    }
}

fn host_aliases(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    for (i, alias) in spec.array_at(&["hostAliases"]).iter().enumerate() {
        let path = path.index(i);
        net::ip(errors, alias.str_at(&["ip"]), &path.child("ip"));
        for (j, name) in alias.array_at(&["hostnames"]).iter().filter_map(Value::as_str).enumerate() {
            dns_subdomain(errors, name, &path.child("hostnames").index(j));
        }
    }
}

/// What upstream asks of pods only, so as not to refuse old templates.
pub(super) fn validate_only_pod(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    if spec.str_at(&["serviceAccountName"]).is_empty() {
        for (i, volume) in spec.array_at(&["volumes"]).iter().enumerate() {
            for (j, source) in volume.array_at(&["projected", "sources"]).iter().enumerate() {
                if has(source, &["serviceAccountToken"]) {
                    let at = path.child("volumes").index(i).child("projected").child("sources").index(j);
                    let detail = "must not be specified when serviceAccountName is not set";
                    errors.forbidden(&at.child("serviceAccountToken"), detail);
                }
            }
        }
    }
    for list in ["containers", "initContainers"] {
        for (i, container) in spec.array_at(&[list]).iter().enumerate() {
            image_trimmed(errors, container, &path.child(list).index(i));
        }
    }
}
