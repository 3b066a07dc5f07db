//! Probes and lifecycle hooks.

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::check::{IntOrPercent, at_least_zero_each, int_or_percent, one_of_given, port_name, port_number};
use crate::shape::{has, present, shown};

const HANDLERS: [&str; 4] = ["exec", "httpGet", "tcpSocket", "grpc"];

pub(super) fn probes(errors: &mut FieldErrors, container: &Value, path: &FieldPath) {
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = present(container, &[name]) else { continue };
        let path = path.child(name);
        validate_probe(errors, probe, &path);
        let threshold = probe.i64_at(&["successThreshold"]).unwrap_or(0);
        if name != "readinessProbe" && threshold != 1 {
            errors.invalid(&path.child("successThreshold"), threshold, "must be 1");
        }
        if name == "readinessProbe" && has(probe, &["terminationGracePeriodSeconds"]) {
            let seconds = shown(probe, &["terminationGracePeriodSeconds"]);
            errors.invalid(
                &path.child("terminationGracePeriodSeconds"),
                seconds,
                "must not be set for readinessProbes",
            );
        }
    }
}

fn validate_probe(errors: &mut FieldErrors, probe: &Value, path: &FieldPath) {
    handler(errors, probe, path);
    at_least_zero_each(
        errors,
        probe,
        &["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"],
        path,
    );
    if let Some(seconds) = probe.i64_at(&["terminationGracePeriodSeconds"])
        && seconds <= 0
    {
        errors.invalid(&path.child("terminationGracePeriodSeconds"), seconds, "must be greater than 0");
    }
}

fn handler(errors: &mut FieldErrors, probe: &Value, path: &FieldPath) {
    let mut found = 0;
    for name in HANDLERS {
        let Some(action) = present(probe, &[name]) else { continue };
        let path = path.child(name);
        found += 1;
        if found > 1 {
            errors.forbidden(&path, "may not specify more than 1 handler type");
            continue;
        }
        match name {
            "exec" => exec(errors, action, &path),
            "httpGet" => http_get(errors, action, &path),
            "tcpSocket" => port(errors, action.get("port"), &path.child("port")),
            _ => port_number(errors, action.i64_at(&["port"]).unwrap_or(0), &path.child("port")),
        }
    }
    if found == 0 {
        errors.required(path, "must specify a handler type");
    }
}

fn exec(errors: &mut FieldErrors, action: &Value, path: &FieldPath) {
    if action.array_at(&["command"]).is_empty() {
        errors.required(&path.child("command"), "");
    }
}

fn http_get(errors: &mut FieldErrors, action: &Value, path: &FieldPath) {
    if action.str_at(&["path"]).is_empty() {
        errors.required(&path.child("path"), "");
    }
    port(errors, action.get("port"), &path.child("port"));
    one_of_given(errors, action.str_at(&["scheme"]), &["HTTP", "HTTPS"], &path.child("scheme"));
    for header in action.array_at(&["httpHeaders"]) {
        let name = header.str_at(&["name"]);
        names::invalid_each(errors, &path.child("httpHeaders"), name, names::is_http_header_name(name));
    }
}

/// `ValidatePortNumOrName`.
pub(crate) fn port(errors: &mut FieldErrors, value: Option<&Value>, path: &FieldPath) {
    match int_or_percent(value) {
        Some(IntOrPercent::Text(name)) => {
            port_name(errors, name, path);
        }
        Some(IntOrPercent::Int(number)) => port_number(errors, number, path),
        None => port_number(errors, 0, path),
    }
}

pub(super) fn lifecycle(errors: &mut FieldErrors, container: &Value, spec: &Value, path: &FieldPath) {
    let grace = spec.i64_at(&["terminationGracePeriodSeconds"]);
    let Some(lifecycle) = present(container, &["lifecycle"]) else { return };
    let path = path.child("lifecycle");
    for hook in ["postStart", "preStop"] {
        if let Some(action) = present(lifecycle, &[hook]) {
            lifecycle_handler(errors, action, grace, &path.child(hook));
        }
    }
    if let Some(signal) = present(lifecycle, &["stopSignal"]).and_then(Value::as_str) {
        stop_signal(errors, signal, spec, &path.child("stopSignal"));
    }
}

/// Signals that stop a container, by the system that its pod says it is for.
fn stop_signal(errors: &mut FieldErrors, signal: &str, spec: &Value, path: &FieldPath) {
    if !has(spec, &["os"]) {
        errors.forbidden(path, "may not be set for containers with empty `spec.os.name`");
        return;
    }
    match spec.str_at(&["os", "name"]) {
        "windows" => one_of_given(errors, signal, &["SIGKILL", "SIGTERM"], path),
        "linux" => {
            let mut all: Vec<String> = SIGNALS.split(' ').map(|name| format!("SIG{name}")).collect();
            all.extend((1..=15).map(|i| format!("SIGRTMIN+{i}")));
            all.extend((1..=14).map(|i| format!("SIGRTMAX-{i}")));
            all.sort_unstable();
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            one_of_given(errors, signal, &all, path);
        }
        _ => {}
    }
}

const SIGNALS: &str = "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ RTMIN RTMAX";

fn lifecycle_handler(errors: &mut FieldErrors, action: &Value, grace: Option<i64>, path: &FieldPath) {
    let mut found = 0;
    for name in ["exec", "httpGet", "tcpSocket", "sleep"] {
        let Some(part) = present(action, &[name]) else { continue };
        let path = path.child(name);
        found += 1;
        if found > 1 {
            errors.forbidden(&path, "may not specify more than 1 handler type");
            continue;
        }
        match name {
            "exec" => exec(errors, part, &path),
            "httpGet" => http_get(errors, part, &path),
            "tcpSocket" => port(errors, part.get("port"), &path.child("port")),
            _ => sleep(errors, part, grace, &path),
        }
    }
    if found == 0 {
        errors.required(path, "must specify a handler type");
    }
}

fn sleep(errors: &mut FieldErrors, action: &Value, grace: Option<i64>, path: &FieldPath) {
    let seconds = action.i64_at(&["seconds"]).unwrap_or(0);
    if let Some(grace) = grace
        && !(0..=grace).contains(&seconds)
    {
        let detail = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.invalid(path, seconds, detail);
    }
}

/// What a handler of an ephemeral container would be; none may be set.
pub(super) const PROBE_FIELDS: [&str; 4] = ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"];
