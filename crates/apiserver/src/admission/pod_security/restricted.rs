//! What the restricted level demands beyond the baseline.

use std::collections::BTreeSet;

use drydock_machinery::Value;

use super::baseline::{is_good_seccomp, proc_mount, seccomp, seccomp_type};
use super::violations::{
    Violation, bad_containers, has_user_namespace, is_windows, name, named, plural, quoted, quoted_set,
    setters,
};

/// Runs the checks in the order of upstream's identifiers of them.
pub(super) fn check(pod: &Value, minor: u32) -> Vec<Violation> {
    let exempt = minor >= 25 && is_windows(pod);
    let own_users = has_user_namespace(pod, minor);
    let mut found = Vec::new();
    if minor >= 8 && !exempt {
        found.push(privilege_escalation(pod));
    }
    if minor >= 22 && !exempt {
        found.push(capabilities(pod));
    }
    if minor >= 35 {
        found.push(proc_mount(pod));
    }
    found.push(volumes(pod));
    if !own_users {
        found.push(non_root(pod));
        if minor >= 23 {
            found.push(root_user(pod));
        }
    }
    if minor >= 19 && !exempt {
        found.push(seccomp_profile(pod));
    }
    found.into_iter().flatten().collect()
}

fn privilege_escalation(pod: &Value) -> Option<Violation> {
    let bad = bad_containers(pod, |container| {
        container.at(&["securityContext", "allowPrivilegeEscalation"]).and_then(Value::as_bool) != Some(false)
    });
    let detail = format!("{} must set securityContext.allowPrivilegeEscalation=false", named(&bad));
    (!bad.is_empty()).then(|| Violation::new("allowPrivilegeEscalation != false", detail))
}

fn capabilities(pod: &Value) -> Option<Violation> {
    let list = |container: &Value, field: &str| -> Vec<String> {
        let names = container.array_at(&["securityContext", "capabilities", field]).iter();
        names.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let keeps = bad_containers(pod, |container| !list(container, "drop").iter().any(|name| name == "ALL"));
    let mut added: BTreeSet<String> = BTreeSet::new();
    let adds = bad_containers(pod, |container| {
        let forbidden: Vec<String> =
            list(container, "add").into_iter().filter(|name| name != "NET_BIND_SERVICE").collect();
        let bad = !forbidden.is_empty();
        added.extend(forbidden);
        bad
    });
    let mut details = Vec::new();
    if !keeps.is_empty() {
        details.push(format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", named(&keeps)));
    }
    if !adds.is_empty() {
        let names = quoted_set(&added);
        details
            .push(format!("{} must not include {names} in securityContext.capabilities.add", named(&adds)));
    }
    (!details.is_empty()).then(|| Violation::new("unrestricted capabilities", details.join("; ")))
}

fn volumes(pod: &Value) -> Option<Violation> {
    const ALLOWED: [&str; 9] = [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ];
    let mut types: BTreeSet<String> = BTreeSet::new();
    let mut bad: Vec<&str> = Vec::new();
    for volume in pod.array_at(&["spec", "volumes"]) {
        if ALLOWED.iter().any(|source| volume.get(source).is_some()) {
            continue;
        }
        bad.push(name(volume));
        let fields = volume.as_object().into_iter().flat_map(|fields| fields.keys());
        let source = fields.map(|field| field.as_str()).find(|field| *field != "name");
        types.insert(source.unwrap_or("unknown").to_owned());
    }
    let uses = if bad.len() == 1 { "uses" } else { "use" };
    let detail = format!(
        "{} {} {uses} {} {}",
        plural("volume", bad.len()),
        quoted(bad.iter().copied()),
        plural("restricted volume type", types.len()),
        quoted_set(&types)
    );
    (!bad.is_empty()).then(|| Violation::new("restricted volume types", detail))
}

fn non_root(pod: &Value) -> Option<Violation> {
    const REASON: &str = "runAsNonRoot != true";
    let said = |holder: &Value| holder.at(&["securityContext", "runAsNonRoot"]).and_then(Value::as_bool);
    let of_pod = pod.get("spec").and_then(said);
    let setters =
        setters(of_pod == Some(false), &bad_containers(pod, |container| said(container) == Some(false)));
    if !setters.is_empty() {
        let detail = format!("{setters} must not set securityContext.runAsNonRoot=false");
        return Some(Violation::new(REASON, detail));
    }
    let silent = bad_containers(pod, |container| said(container).is_none() && of_pod != Some(true));
    let detail = format!("pod or {} must set securityContext.runAsNonRoot=true", named(&silent));
    (!silent.is_empty()).then(|| Violation::new(REASON, detail))
}

fn root_user(pod: &Value) -> Option<Violation> {
    let is_root = |holder: &Value| holder.i64_at(&["securityContext", "runAsUser"]) == Some(0);
    let setters = setters(pod.get("spec").is_some_and(is_root), &bad_containers(pod, is_root));
    (!setters.is_empty())
        .then(|| Violation::new("runAsUser=0", format!("{setters} must not set runAsUser=0")))
}

fn seccomp_profile(pod: &Value) -> Option<Violation> {
    if let Some(explicit) = seccomp(pod) {
        return Some(explicit);
    }
    let pod_sets = pod.get("spec").and_then(seccomp_type).is_some_and(is_good_seccomp);
    let silent = bad_containers(pod, |container| seccomp_type(container).is_none() && !pod_sets);
    let detail = format!(
        "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
        named(&silent)
    );
    (!silent.is_empty()).then(|| Violation::new("seccompProfile", detail))
}
