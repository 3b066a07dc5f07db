//! What the baseline level forbids.

use std::collections::BTreeSet;

use drydock_machinery::{ObjectMeta, Value};

use super::violations::{
    Violation, bad_containers, containers, has_user_namespace, name, named, plural, quoted, quoted_set,
    setters,
};

/// Some checks are left to the restricted level's stricter ones.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    Alone,
    UnderRestricted,
}

/// Runs the checks in the order of upstream's identifiers of them.
pub(super) fn check(pod: &Value, minor: u32, scope: Scope) -> Vec<Violation> {
    let alone = scope == Scope::Alone;
    let mut found = vec![app_armor(pod)];
    if alone || minor < 22 {
        found.push(capabilities(pod));
    }
    found.push(host_namespaces(pod));
    if alone {
        found.push(host_path_volumes(pod));
    }
    found.push(host_ports(pod));
    if minor >= 34 {
        found.push(probe_hosts(pod));
    }
    found.push(privileged(pod));
    if (alone || minor < 35) && !has_user_namespace(pod, minor) {
        found.push(proc_mount(pod));
    }
    found.push(se_linux(pod, minor));
    if alone || minor < 19 {
        found.push(if minor >= 19 { seccomp(pod) } else { seccomp_annotations(pod) });
    }
    found.push(sysctls(pod, minor));
    found.push(host_process(pod));
    found.into_iter().flatten().collect()
}

fn app_armor(pod: &Value) -> Option<Violation> {
    const PREFIX: &str = "container.apparmor.security.beta.kubernetes.io/";
    let mut values: BTreeSet<String> = BTreeSet::new();
    let mut is_bad = |holder: &Value| {
        let Some(profile) = holder.at(&["securityContext", "appArmorProfile"]) else { return false };
        let kind = profile.str_at(&["type"]);
        let bad = !matches!(kind, "RuntimeDefault" | "Localhost");
        if bad {
            values.insert(kind.to_owned());
        }
        bad
    };
    let pod_too = pod.get("spec").is_some_and(&mut is_bad);
    let bad = bad_containers(pod, &mut is_bad);
    let annotations: Vec<String> = pod
        .annotations()
        .iter()
        .filter(|(key, _)| key.starts_with(PREFIX))
        .map(|(key, value)| (key, value.as_str().unwrap_or("")))
        .filter(|(_, value)| {
            !value.is_empty() && *value != "runtime/default" && !value.starts_with("localhost/")
        })
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect();

    let mut setters = setters(pod_too, &bad);
    if !annotations.is_empty() {
        let noun = plural("annotation", annotations.len());
        setters = if setters.is_empty() { noun } else { format!("{setters} and {noun}") };
    }
    if setters.is_empty() {
        return None;
    }
    let all: Vec<&str> = values.iter().chain(&annotations).map(String::as_str).collect();
    Some(Violation::new(
        plural("forbidden AppArmor profile", all.len()),
        format!("{setters} must not set AppArmor profile type to {}", quoted(all.iter().copied())),
    ))
}

fn capabilities(pod: &Value) -> Option<Violation> {
    const ALLOWED: [&str; 13] = [
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    ];
    let mut added: BTreeSet<String> = BTreeSet::new();
    let bad = bad_containers(pod, |container| {
        let add = container.array_at(&["securityContext", "capabilities", "add"]);
        let forbidden: Vec<&str> =
            add.iter().filter_map(Value::as_str).filter(|name| !ALLOWED.contains(name)).collect();
        added.extend(forbidden.iter().map(|&name| name.to_owned()));
        !forbidden.is_empty()
    });
    let detail = format!(
        "{} must not include {} in securityContext.capabilities.add",
        named(&bad),
        quoted_set(&added)
    );
    (!bad.is_empty()).then(|| Violation::new("non-default capabilities", detail))
}

fn host_namespaces(pod: &Value) -> Option<Violation> {
    let set: Vec<String> = ["hostNetwork", "hostPID", "hostIPC"]
        .into_iter()
        .filter(|field| pod.bool_at(&["spec", field]))
        .map(|field| format!("{field}=true"))
        .collect();
    (!set.is_empty()).then(|| Violation::new("host namespaces", set.join(", ")))
}

fn host_path_volumes(pod: &Value) -> Option<Violation> {
    let volumes = pod.array_at(&["spec", "volumes"]).iter();
    let bad: Vec<&str> = volumes.filter(|volume| volume.get("hostPath").is_some()).map(name).collect();
    let detail = format!("{} {}", plural("volume", bad.len()), quoted(bad.iter().copied()));
    (!bad.is_empty()).then(|| Violation::new("hostPath volumes", detail))
}

fn host_ports(pod: &Value) -> Option<Violation> {
    let mut ports: BTreeSet<String> = BTreeSet::new();
    let bad = bad_containers(pod, |container| {
        let own = container.array_at(&["ports"]).iter().filter_map(|port| port.i64_at(&["hostPort"]));
        let own: Vec<i64> = own.filter(|port| *port != 0).collect();
        ports.extend(own.iter().map(i64::to_string));
        !own.is_empty()
    });
    let list: Vec<&str> = ports.iter().map(String::as_str).collect();
    let uses = if bad.len() == 1 { "uses" } else { "use" };
    let detail = format!("{} {uses} {} {}", named(&bad), plural("hostPort", list.len()), list.join(", "));
    (!bad.is_empty()).then(|| Violation::new("hostPort", detail))
}

fn probe_hosts(pod: &Value) -> Option<Violation> {
    const HANDLERS: [&[&str]; 5] = [
        &["livenessProbe"],
        &["readinessProbe"],
        &["startupProbe"],
        &["lifecycle", "postStart"],
        &["lifecycle", "preStop"],
    ];
    let mut hosts: BTreeSet<String> = BTreeSet::new();
    let mut bad: BTreeSet<String> = BTreeSet::new();
    for container in containers(pod) {
        for handler in HANDLERS.iter().filter_map(|path| container.at(path)) {
            for action in ["httpGet", "tcpSocket"] {
                let host = handler.str_at(&[action, "host"]);
                if !host.is_empty() {
                    hosts.insert(host.to_owned());
                    bad.insert(name(container).to_owned());
                }
            }
        }
    }
    let bad: Vec<&str> = bad.iter().map(String::as_str).collect();
    let uses = if bad.len() == 1 { "uses" } else { "use" };
    let what = plural("probe or lifecycle host", hosts.len());
    let detail = format!("{} {uses} {what} {}", named(&bad), quoted_set(&hosts));
    (!bad.is_empty()).then(|| Violation::new("probe or lifecycle host", detail))
}

fn privileged(pod: &Value) -> Option<Violation> {
    let bad = bad_containers(pod, |container| container.bool_at(&["securityContext", "privileged"]));
    let detail = format!("{} must not set securityContext.privileged=true", named(&bad));
    (!bad.is_empty()).then(|| Violation::new("privileged", detail))
}

pub(super) fn proc_mount(pod: &Value) -> Option<Violation> {
    let mut types: BTreeSet<String> = BTreeSet::new();
    let bad = bad_containers(pod, |container| {
        let kind = container.str_at(&["securityContext", "procMount"]);
        let bad = !matches!(kind, "" | "Default");
        if bad {
            types.insert(kind.to_owned());
        }
        bad
    });
    let detail = format!("{} must not set securityContext.procMount to {}", named(&bad), quoted_set(&types));
    (!bad.is_empty()).then(|| Violation::new("procMount", detail))
}

fn se_linux(pod: &Value, minor: u32) -> Option<Violation> {
    let mut types: BTreeSet<String> = BTreeSet::new();
    let (mut sets_user, mut sets_role) = (false, false);
    let mut is_bad = |holder: &Value| {
        let text = |field: &str| holder.str_at(&["securityContext", "seLinuxOptions", field]);
        let kind = text("type");
        let allowed = matches!(kind, "" | "container_t" | "container_init_t" | "container_kvm_t")
            || minor >= 31 && kind == "container_engine_t";
        if !allowed {
            types.insert(kind.to_owned());
        }
        sets_user |= !text("user").is_empty();
        sets_role |= !text("role").is_empty();
        !allowed || !text("user").is_empty() || !text("role").is_empty()
    };
    let pod_too = pod.get("spec").is_some_and(&mut is_bad);
    let bad = bad_containers(pod, &mut is_bad);
    let mut data = Vec::new();
    if !types.is_empty() {
        data.push(format!("{} {}", plural("type", types.len()), quoted_set(&types)));
    }
    if sets_user {
        data.push("user may not be set".to_owned());
    }
    if sets_role {
        data.push("role may not be set".to_owned());
    }
    let setters = setters(pod_too, &bad);
    let detail = format!("{setters} set forbidden securityContext.seLinuxOptions: {}", data.join("; "));
    (!setters.is_empty()).then(|| Violation::new("seLinuxOptions", detail))
}

pub(super) fn seccomp_type(holder: &Value) -> Option<&str> {
    holder.at(&["securityContext", "seccompProfile"]).map(|profile| profile.str_at(&["type"]))
}

pub(super) fn is_good_seccomp(kind: &str) -> bool {
    matches!(kind, "RuntimeDefault" | "Localhost")
}

/// Explicitly bad seccomp profiles.
pub(super) fn seccomp(pod: &Value) -> Option<Violation> {
    let mut types: BTreeSet<String> = BTreeSet::new();
    let mut is_bad = |holder: &Value| match seccomp_type(holder) {
        Some(kind) if !is_good_seccomp(kind) => {
            types.insert(kind.to_owned());
            true
        }
        _ => false,
    };
    let pod_too = pod.get("spec").is_some_and(&mut is_bad);
    let setters = setters(pod_too, &bad_containers(pod, &mut is_bad));
    let detail =
        format!("{setters} must not set securityContext.seccompProfile.type to {}", quoted_set(&types));
    (!setters.is_empty()).then(|| Violation::new("seccompProfile", detail))
}

/// Before 1.19 profiles were annotations.
fn seccomp_annotations(pod: &Value) -> Option<Violation> {
    let mut keys = vec!["seccomp.security.alpha.kubernetes.io/pod".to_owned()];
    keys.extend(
        containers(pod).map(|c| format!("container.seccomp.security.alpha.kubernetes.io/{}", name(c))),
    );
    let bad: BTreeSet<String> = keys
        .iter()
        .filter_map(|key| pod.annotation(key).map(|value| (key, value)))
        .filter(|(_, value)| {
            !matches!(*value, "runtime/default" | "docker/default") && !value.starts_with("localhost/")
        })
        .map(|(key, value)| format!("{key}={value:?}"))
        .collect();
    let list: Vec<&str> = bad.iter().map(String::as_str).collect();
    let detail = format!("forbidden {} {}", plural("annotation", list.len()), list.join(", "));
    (!list.is_empty()).then(|| Violation::new("seccompProfile", detail))
}

fn sysctls(pod: &Value, minor: u32) -> Option<Violation> {
    /// With the version from which each is allowed.
    const ALLOWED: [(&str, u32); 14] = [
        ("kernel.shm_rmid_forced", 0),
        ("net.ipv4.ip_local_port_range", 0),
        ("net.ipv4.tcp_syncookies", 0),
        ("net.ipv4.ping_group_range", 0),
        ("net.ipv4.ip_unprivileged_port_start", 0),
        ("net.ipv4.ip_local_reserved_ports", 27),
        ("net.ipv4.tcp_keepalive_time", 29),
        ("net.ipv4.tcp_fin_timeout", 29),
        ("net.ipv4.tcp_keepalive_intvl", 29),
        ("net.ipv4.tcp_keepalive_probes", 29),
        ("net.ipv4.tcp_rmem", 32),
        ("net.ipv4.tcp_wmem", 32),
        ("net.ipv4.tcp_slow_start_after_idle", 37),
        ("net.ipv4.tcp_notsent_lowat", 37),
    ];
    /// The newest version whose policy is known to clusters of 1.36.
    const NEWEST: u32 = 36;
    let allowed = |name: &str| ALLOWED.iter().any(|(own, since)| *own == name && *since <= minor.min(NEWEST));
    let list = pod.array_at(&["spec", "securityContext", "sysctls"]).iter().map(name);
    let bad: Vec<&str> = list.filter(|name| !allowed(name)).collect();
    (!bad.is_empty()).then(|| Violation::new("forbidden sysctls", bad.join(", ")))
}

fn host_process(pod: &Value) -> Option<Violation> {
    let is_bad = |holder: &Value| holder.bool_at(&["securityContext", "windowsOptions", "hostProcess"]);
    let setters = setters(pod.get("spec").is_some_and(is_bad), &bad_containers(pod, is_bad));
    let detail = format!("{setters} must not set securityContext.windowsOptions.hostProcess=true");
    (!setters.is_empty()).then(|| Violation::new("hostProcess", detail))
}
