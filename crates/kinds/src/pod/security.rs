//! Security contexts of pods and containers.

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use super::volumes::no_backsteps;
use crate::check::in_range;
use crate::shape::{has, present, shown};

const MAX_ID: i64 = i32::MAX as i64;

/// `validatePodSpecSecurityContext`.
pub(super) fn pod_security(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    if spec.bool_at(&["shareProcessNamespace"]) && spec.bool_at(&["hostPID"]) {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.invalid(&path.child("securityContext").child("shareProcessNamespace"), true, detail);
    }
    let Some(context) = present(spec, &["securityContext"]) else { return };
    let path = path.child("securityContext");
    for field in ["fsGroup", "runAsUser", "runAsGroup"] {
        id(errors, context, field, &path);
    }
    for (i, group) in context.array_at(&["supplementalGroups"]).iter().filter_map(Value::as_i64).enumerate() {
        in_range(errors, group, 0, MAX_ID, &path.child("supplementalGroups").index(i));
    }
    for (i, sysctl) in context.array_at(&["sysctls"]).iter().enumerate() {
        sysctl_name(errors, sysctl.str_at(&["name"]), &path.child("sysctls").index(i).child("name"));
    }
    let policies = [
        ("fsGroupChangePolicy", ["Always", "OnRootMismatch"]),
        ("supplementalGroupsPolicy", ["Merge", "Strict"]),
        ("seLinuxChangePolicy", ["MountOption", "Recursive"]),
    ];
    for (field, supported) in policies {
        let policy = context.str_at(&[field]);
        if has(context, &[field]) && !supported.contains(&policy) {
            errors.not_supported(&path.child(field), policy, &supported);
        }
    }
    seccomp(errors, context, &path);
    app_armor(errors, context, &path);
}

fn id(errors: &mut FieldErrors, context: &Value, field: &str, path: &FieldPath) {
    if let Some(id) = context.i64_at(&[field]) {
        names::invalid_each(errors, &path.child(field), id, names::is_valid_id(id));
    }
}

fn sysctl_name(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    let part_ok = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'))
            && !part.starts_with(['-', '_'])
            && !part.ends_with(['-', '_'])
    };
    if name.is_empty() {
        errors.required(path, "");
    } else if !name.split(['.', '/']).all(part_ok) || name.len() > 253 {
        errors.invalid(
            path,
            name,
            "must have at most 253 characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$",
        );
    }
}

fn seccomp(errors: &mut FieldErrors, context: &Value, path: &FieldPath) {
    let Some(profile) = present(context, &["seccompProfile"]) else { return };
    let path = path.child("seccompProfile");
    let local = present(profile, &["localhostProfile"]).and_then(Value::as_str);
    match profile.str_at(&["type"]) {
        "Localhost" => match local {
            None => {
                errors.required(&path.child("localhostProfile"), "must be set when seccomp type is Localhost")
            }
            Some(local) => {
                if local.starts_with('/') {
                    errors.invalid(&path.child("localhostProfile"), local, "must be a relative path");
                }
                no_backsteps(errors, local, &path.child("localhostProfile"));
            }
        },
        "RuntimeDefault" | "Unconfined" => {
            if let Some(local) = local {
                let detail = "can only be set when seccomp type is Localhost";
                errors.invalid(&path.child("localhostProfile"), local, detail);
            }
        }
        "" => errors.required(&path.child("type"), "type is required when seccompProfile is set"),
        other => {
            errors.not_supported(&path.child("type"), other, &["Localhost", "RuntimeDefault", "Unconfined"])
        }
    }
}

fn app_armor(errors: &mut FieldErrors, context: &Value, path: &FieldPath) {
    let Some(profile) = present(context, &["appArmorProfile"]) else { return };
    let path = path.child("appArmorProfile");
    let local = present(profile, &["localhostProfile"]).and_then(Value::as_str);
    match profile.str_at(&["type"]) {
        "Localhost" => {
            if local.is_none() {
                errors
                    .required(&path.child("localhostProfile"), "must be set when AppArmor type is Localhost");
            }
        }
        "RuntimeDefault" | "Unconfined" => {
            if let Some(local) = local {
                let detail = "can only be set when AppArmor type is Localhost";
                errors.invalid(&path.child("localhostProfile"), local, detail);
            }
        }
        "" => errors.required(&path.child("type"), "type is required when appArmorProfile is set"),
        other => {
            errors.not_supported(&path.child("type"), other, &["Localhost", "RuntimeDefault", "Unconfined"])
        }
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
        if !["Default", "Unmasked"].contains(&mount) {
            errors.not_supported(&path.child("procMount"), mount, &["Default", "Unmasked"]);
        }
        if mount == "Unmasked" && spec.at(&["hostUsers"]).and_then(Value::as_bool) != Some(false) {
            let detail = "`hostUsers` must be false to use `Unmasked`";
            errors.invalid(&path.child("procMount"), mount, detail);
        }
    }
    seccomp(errors, context, &path);
    if context.at(&["allowPrivilegeEscalation"]).and_then(Value::as_bool) == Some(false) {
        if context.bool_at(&["privileged"]) {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.invalid(&path, context.clone(), detail);
        }
        let added = context.array_at(&["capabilities", "add"]);
        if added.iter().any(|capability| capability.as_str() == Some("CAP_SYS_ADMIN")) {
            let detail =
                "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.invalid(&path, context.clone(), detail);
        }
    }
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
}

/// `validateOS`, and what neither system can have.
pub(super) fn os(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let Some(os) = present(spec, &["os"]) else { return };
    match os.str_at(&["name"]) {
        "" => errors.required(&path.child("os").child("name"), "cannot be empty"),
        "linux" => {
            if has(spec, &["securityContext", "windowsOptions"]) {
                let path = path.child("securityContext").child("windowsOptions");
                errors.forbidden(&path, "windows options cannot be set for a linux pod");
            }
        }
        "windows" => windows(errors, spec, path),
        other => errors.not_supported(&path.child("os"), other, &["linux", "windows"]),
    }
}

fn windows(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let context = shown(spec, &["securityContext"]);
    for field in [
        "appArmorProfile",
        "seLinuxOptions",
        "seccompProfile",
        "fsGroup",
        "fsGroupChangePolicy",
        "sysctls",
        "runAsUser",
        "runAsGroup",
        "supplementalGroups",
        "supplementalGroupsPolicy",
    ] {
        if has(&context, &[field]) {
            let path = path.child("securityContext").child(field);
            errors.forbidden(&path, "cannot be set for a windows pod");
        }
    }
    for field in ["hostPID", "hostIPC", "shareProcessNamespace"] {
        if spec.bool_at(&[field]) {
            errors.forbidden(&path.child(field), "cannot be set for a windows pod");
        }
    }
}
