//! What pods for Windows may have and may not.

use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::check::dns_subdomain;
use crate::go_form;
use crate::pod::containers::each_container;
use crate::shape::{has, is_zero, present};

const CANNOT: &str = "cannot be set for a windows pod";

/// `validateWindowsSecurityContextOptions`.
pub(super) fn options(errors: &mut FieldErrors, context: &Value, path: &FieldPath) {
    let Some(options) = present(context, &["windowsOptions"]) else { return };
    let path = path.child("windowsOptions");
    let text = |field: &str| present(options, &[field]).and_then(Value::as_str);
    if let Some(name) = text("gmsaCredentialSpecName") {
        dns_subdomain(errors, name, &path.child("gmsaCredentialSpecName"));
    }
    if let Some(spec) = text("gmsaCredentialSpec") {
        let at = path.child("gmsaCredentialSpec");
        if spec.is_empty() {
            errors.invalid(&at, spec, "gmsaCredentialSpec cannot be an empty string");
        } else if spec.len() > 64 * 1024 {
            errors.invalid(&at, spec, "gmsaCredentialSpec size must be under 64 KiB");
        }
    }
    if let Some(name) = text("runAsUserName") {
        for wrong in user_name_errors(name) {
            let shown = go_form::typed(&name.into());
            errors.invalid(&path.child("runAsUserName"), shown, format!("runAsUserName{wrong}"));
        }
    }
}

/// `DOMAIN\user`, where the domain may be left out.
fn user_name_errors(name: &str) -> Vec<&'static str> {
    if name.is_empty() {
        return vec![" cannot be an empty string"];
    }
    if name.bytes().any(|b| b.is_ascii_control()) {
        return vec![" cannot contain control characters"];
    }
    let parts: Vec<&str> = name.split('\\').collect();
    let (domain, user) = match parts[..] {
        [user] => (None, user),
        [domain, user] => (Some(domain), user),
        _ => return vec![" cannot contain more than one backslash"],
    };
    let mut wrong = Vec::new();
    if domain.is_some_and(|domain| domain.len() >= 256) {
        wrong.push("'s Domain length must be under 256 characters");
    }
    if domain.is_some_and(|domain| !is_net_bios(domain) && !is_dns_name(domain)) {
        wrong.push("'s Domain doesn't match the NetBios nor the DNS format");
    }
    if user.is_empty() {
        wrong.push("'s User cannot be empty");
    } else if user.len() > 104 {
        wrong.push("'s User length must not be longer than 104 characters");
    }
    if !user.is_empty() && user.bytes().all(|b| b == b'.' || b == b' ') {
        wrong.push("'s User cannot contain only periods or spaces");
    }
    if user.contains(['"', '/', '\\', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>', '@', '[', ']']) {
        wrong.push("'s User cannot contain the following characters: \"/\\:;|=,+*?<>@[]");
    }
    wrong
}

fn is_net_bios(domain: &str) -> bool {
    let bad = ['\\', '/', ':', '*', '?', '"', '<', '>', '|'];
    (1..=15).contains(&domain.chars().count()) && !domain.starts_with('.') && !domain.contains(bad)
}

fn is_dns_name(domain: &str) -> bool {
    domain.split('.').all(|label| {
        let end = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
        label.len() <= 63
            && end(label.bytes().next())
            && end(label.bytes().last())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    })
}

/// `validateWindowsHostProcessPod`: all containers of a pod are host processes, or none.
pub(in crate::pod) fn host_process(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let at = &["securityContext", "windowsOptions", "hostProcess"];
    let of_pod = spec.at(at).and_then(Value::as_bool);
    let (mut containers, mut processes) = (0, 0);
    each_container(spec, path, |container, path| {
        containers += 1;
        let own = container.at(at).and_then(Value::as_bool);
        if let (Some(of_pod), Some(own)) = (of_pod, own)
            && of_pod != own
        {
            let path = at.iter().fold(path.clone(), |path, field| path.child(field));
            let detail =
                format!("pod hostProcess value must be identical if both are specified, was {of_pod}");
            errors.invalid(&path, own, detail);
        }
        processes += usize::from(own.or(of_pod) == Some(true));
    });
    if processes == 0 {
        return;
    }
    if processes != containers {
        let detail =
            "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        errors.invalid(path, "", detail);
    }
    if !spec.bool_at(&["hostNetwork"]) {
        let detail = "hostNetwork must be true if pod contains any hostProcess containers";
        errors.invalid(&path.child("hostNetwork"), false, detail);
    }
}

/// `validateOS`, and what pods for one system cannot have.
pub(in crate::pod) fn os(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let Some(os) = present(spec, &["os"]) else { return };
    match os.str_at(&["name"]) {
        "" => errors.required(&path.child("os").child("name"), ""),
        "linux" => linux(errors, spec, path),
        "windows" => windows(errors, spec, path),
        other => errors.not_supported(&path.child("os"), other, &["linux", "windows"]),
    }
}

fn linux(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    let detail = "windows options cannot be set for a linux pod";
    let mut check = |holder: &Value, path: &FieldPath| {
        if has(holder, &["securityContext", "windowsOptions"]) {
            errors.forbidden(&path.child("securityContext").child("windowsOptions"), detail);
        }
    };
    check(spec, path);
    each_container(spec, path, check);
}

/// Fields of the pod's security context, in upstream's order; some of them stand in the pod's spec.
const OF_POD: [(&str, bool); 15] = [
    ("appArmorProfile", true),
    ("seLinuxOptions", true),
    ("hostUsers", false),
    ("hostPID", false),
    ("hostIPC", false),
    ("seccompProfile", true),
    ("fsGroup", true),
    ("fsGroupChangePolicy", true),
    ("sysctls", true),
    ("shareProcessNamespace", false),
    ("runAsUser", true),
    ("runAsGroup", true),
    ("supplementalGroups", true),
    ("supplementalGroupsPolicy", true),
    ("seLinuxChangePolicy", true),
];

const OF_CONTAINER: [&str; 10] = [
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
];

fn windows(errors: &mut FieldErrors, spec: &Value, path: &FieldPath) {
    for (field, in_context) in OF_POD {
        let (value, at) = if in_context {
            (spec.at(&["securityContext", field]), path.child("securityContext").child(field))
        } else {
            (spec.get(field), path.child(field))
        };
        // These are no pointers.
        let plain = ["hostPID", "hostIPC", "sysctls"].contains(&field);
        let given = if plain { !is_zero(value) } else { value.is_some_and(|value| !value.is_null()) };
        if given {
            errors.forbidden(&at, CANNOT);
        }
    }
    each_container(spec, path, |container, path| {
        for field in OF_CONTAINER {
            if has(container, &["securityContext", field]) {
                errors.forbidden(&path.child("securityContext").child(field), CANNOT);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::user_name_errors;

    #[test]
    fn user_names_have_an_optional_domain() {
        for (name, wrong) in [
            ("user", None),
            ("CORP\\user", None),
            ("corp.example.com\\user", None),
            ("a\\b\\c", Some(" cannot contain more than one backslash")),
            ("a*b\\user", Some("'s Domain doesn't match the NetBios nor the DNS format")),
            ("CORP\\", Some("'s User cannot be empty")),
            ("...", Some("'s User cannot contain only periods or spaces")),
        ] {
            assert_eq!(user_name_errors(name).first().copied(), wrong, "{name}");
        }
    }
}
