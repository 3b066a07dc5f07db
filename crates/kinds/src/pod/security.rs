//! Security contexts of pods and containers.

mod annotations;
mod windows;

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, Value};
use foldhash::HashSet;

use super::containers::each_container;
use super::volumes::relative;
use crate::check::one_of_given;
use crate::go_form;
use crate::shape::{has, present};

pub(super) use self::annotations::{
    annotation_updates, app_armor_field, fields_agree, pod_annotations, profiles_from_annotations,
};
pub(super) use self::windows::{host_process, os};

/// `validatePodSpecSecurityContext`.
pub(super) fn pod_security(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let path = path.child("securityContext");
    let nothing = Value::Null;
    let context = present(spec, &["securityContext"]).unwrap_or(&nothing);
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(errors, context, field, &path);
    }
    for (i, group) in context.array_at(&["supplementalGroups"]).iter().filter_map(Value::as_i64).enumerate() {
        let wrong = names::is_valid_id(group);
        names::invalid_each(errors, &path.child("supplementalGroups").index(i), group, wrong);
    }
    if spec.bool_at(&["shareProcessNamespace"]) && spec.bool_at(&["hostPID"]) {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.invalid(&path.child("shareProcessNamespace"), true, detail);
    }
    sysctls(errors, spec, context.array_at(&["sysctls"]), &path.child("sysctls"));
    policy(errors, context, "fsGroupChangePolicy", &["Always", "OnRootMismatch"], &path);
    seccomp(errors, context, &path);
    windows::options(errors, context, &path);
    app_armor(errors, context, &path);
    policy(errors, context, "supplementalGroupsPolicy", &["Merge", "Strict"], &path);
    // Mounting with a label is not for volumes of every kind yet.
    policy(errors, context, "seLinuxChangePolicy", &["Recursive"], &path);
}

fn policy(errors: &mut FieldErrors, context: &Value, field: &str, supported: &[&str], path: &FieldPath) {
    if has(context, &[field]) {
        one_of_given(errors, context.str_at(&[field]), supported, &path.child_named(field));
    }
}

fn id(errors: &mut FieldErrors, context: &Value, field: &str, path: &FieldPath) {
    if let Some(id) = context.i64_at(&[field]) {
        names::invalid_each(errors, &path.child_named(field), id, names::is_valid_id(id));
    }
}

fn sysctls(errors: &mut FieldErrors, spec: &Value, sysctls: &[Value], path: &FieldPath) {
    let mut seen = HashSet::default();
    for (i, sysctl) in sysctls.iter().enumerate() {
        let path = path.index(i).child("name");
        let name = sysctl.str_at(&["name"]);
        if name.is_empty() {
            errors.required(&path, "");
        } else if !is_sysctl_name(name) {
            errors.invalid(
                &path,
                name,
                "must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
            );
        } else if seen.contains(name) {
            errors.duplicate(&path, name);
        }
        for (field, ours) in [("hostNetwork", is_of_network(name)), ("hostIPC", is_of_ipc(name))] {
            if ours && spec.bool_at(&[field]) {
                errors.invalid(&path, name, format!("may not be specified when '{field}' is true"));
            }
        }
        seen.insert(name);
    }
}

fn is_sysctl_name(name: &str) -> bool {
    let part_ok = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
            && !part.starts_with(['-', '_'])
            && !part.ends_with(['-', '_'])
    };
    name.len() <= 253 && name.split(['.', '/']).all(part_ok)
}

/// Sysctls of the network's namespace.
fn is_of_network(name: &str) -> bool {
    name.starts_with("net.") || name.starts_with("net/")
}

/// Sysctls of the namespace of inter-process communication.
fn is_of_ipc(name: &str) -> bool {
    let name = name.replace('/', ".");
    name == "kernel.sem"
        || ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|prefix| name.starts_with(prefix))
}

const PROFILES: [&str; 3] = ["Localhost", "RuntimeDefault", "Unconfined"];

fn seccomp(errors: &mut FieldErrors, context: &Value, path: &FieldPath) {
    let Some(profile) = present(context, &["seccompProfile"]) else { return };
    let path = path.child("seccompProfile");
    let kind = profile.str_at(&["type"]);
    match kind {
        "" => errors.required(&path.child("type"), "type is required when seccompProfile is set"),
        kind => one_of_given(errors, kind, &PROFILES, &path.child("type")),
    }
    let path = path.child("localhostProfile");
    match present(profile, &["localhostProfile"]).and_then(Value::as_str) {
        None if kind == "Localhost" => {
            errors.required(&path, "must be set when seccomp type is Localhost");
        }
        Some(local) if kind == "Localhost" => relative(errors, local, &path),
        Some(_) => {
            let shown = go_form::of("SeccompProfile", profile);
            errors.invalid(&path, shown, "can only be set when seccomp type is Localhost");
        }
        None => {}
    }
}

fn app_armor(errors: &mut FieldErrors, context: &Value, path: &FieldPath) {
    const NEEDED: &str = "must be set when AppArmor type is Localhost";
    let Some(profile) = present(context, &["appArmorProfile"]) else { return };
    let path = path.child("appArmorProfile");
    let local = present(profile, &["localhostProfile"]).and_then(Value::as_str);
    let local_path = path.child("localhostProfile");
    match (profile.str_at(&["type"]), local) {
        ("Localhost", None | Some("")) => errors.required(&local_path, NEEDED),
        ("Localhost", Some(local)) => {
            if local.trim() != local {
                errors.invalid(&local_path, local, "must not be padded with whitespace");
            }
            if local.len() > 4095 {
                errors.too_long(&local_path, 4095);
            }
        }
        ("RuntimeDefault" | "Unconfined", Some(local)) => {
            errors.invalid(&local_path, local, "can only be set when AppArmor type is Localhost");
        }
        ("RuntimeDefault" | "Unconfined", None) => {}
        ("", _) => errors.required(&path.child("type"), "type is required when appArmorProfile is set"),
        (other, _) => errors.not_supported(&path.child("type"), other, &PROFILES),
    }
}

/// `ValidateSecurityContext`.
pub(super) fn container_security(
    errors: &mut FieldErrors,
    container: &Value,
    spec: &Value,
    path: &FieldPath,
) {
    let Some(context) = present(container, &["securityContext"]) else { return };
    let path = path.child("securityContext");
    id(errors, context, "runAsUser", &path);
    id(errors, context, "runAsGroup", &path);
    if let Some(mount) = present(context, &["procMount"]).and_then(Value::as_str) {
        one_of_given(errors, mount, &["Default", "Unmasked"], &path.child("procMount"));
        if mount == "Unmasked" && spec.at(&["hostUsers"]).and_then(Value::as_bool) != Some(false) {
            let detail = "`hostUsers` must be false to use `Unmasked`";
            errors.invalid(&path.child("procMount"), mount, detail);
        }
    }
    seccomp(errors, context, &path);
    if context.at(&["allowPrivilegeEscalation"]).and_then(Value::as_bool) == Some(false) {
        let shown = go_form::of("SecurityContext", context);
        if context.bool_at(&["privileged"]) {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.invalid(&path, shown.clone(), detail);
        }
        let added = context.array_at(&["capabilities", "add"]).iter();
        for _ in added.filter(|capability| capability.as_str() == Some("CAP_SYS_ADMIN")) {
            let detail =
                "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.invalid(&path, shown.clone(), detail);
        }
    }
    windows::options(errors, context, &path);
    app_armor(errors, context, &path);
}

/// `validateHostUsers`: host namespaces need the host's users.
pub(super) fn host_users(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    if spec.at(&["hostUsers"]).and_then(Value::as_bool) != Some(false) {
        return;
    }
    for (field, shown) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if spec.bool_at(&[field]) {
            errors.forbidden(&path.child(shown), "when `hostUsers` is false");
        }
    }
    each_container(spec, path, |container, path| {
        if !container.array_at(&["volumeDevices"]).is_empty() {
            errors.forbidden(&path.child("volumeDevices"), "when `hostUsers` is false");
        }
    });
}
