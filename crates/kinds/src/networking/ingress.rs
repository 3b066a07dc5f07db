//! Ingress.

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value};

use super::GROUP;
use crate::check::{dns_label, dns_subdomain, net, port_name, port_number};
use crate::core::{load_balancer, load_balancer_warnings};
use crate::kind::{Kind, Step};
use crate::shape::{default_nil, has, present, shown};
use crate::table;

const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

pub(super) static KIND: Kind = Kind {
    update: &[Step::MetaChange, Step::Meta, Step::Body],
    status: true,
    generation: true,
    defaults: |object| default_nil(object, &["status", "loadBalancer"], Value::object()),
    prepare_create: |_, object| object.set(&["status", "loadBalancer"], Value::object()),
    validate: |errors, _, object, old| {
        validate(errors, object);
        if old.is_none()
            && let Some(class) = object.annotation(CLASS_ANNOTATION)
            && let Some(named) = present(object, &["spec", "ingressClassName"]).and_then(Value::as_str)
            && class != named
        {
            errors.invalid(
                &FieldPath::new("annotations").child(CLASS_ANNOTATION),
                class,
                "must match `ingressClassName` when both are specified",
            );
        }
    },
    validate_status: |errors, _, object, old| {
        let path = FieldPath::new("status").child("loadBalancer").child("ingress");
        load_balancer(errors, object, old, false, &path);
    },
    warnings: |object, old| {
        let warn = old.is_none()
            && object.annotation(CLASS_ANNOTATION).is_some()
            && !has(object, &["spec", "ingressClassName"]);
        let text = format!(
            "annotation {CLASS_ANNOTATION:?} is deprecated, please use 'spec.ingressClassName' instead"
        );
        if warn { vec![text] } else { Vec::new() }
    },
    status_warnings: load_balancer_warnings,
    cells: table::ingress,
    ..Kind::new(GROUP, "ingresses")
};

fn validate(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec");
    let spec = shown(object, &["spec"]);
    let rules = spec.array_at(&["rules"]);
    if rules.is_empty() && !has(&spec, &["defaultBackend"]) {
        let shown = spec.get("rules").cloned().unwrap_or_default();
        errors.invalid(&path, shown, "either `defaultBackend` or `rules` must be specified");
    }
    if let Some(backend) = present(&spec, &["defaultBackend"]) {
        validate_backend(errors, backend, &path.child("defaultBackend"));
    }
    for (i, rule) in rules.iter().enumerate() {
        validate_rule(errors, rule, &path.child("rules").index(i));
    }
    for (i, tls) in spec.array_at(&["tls"]).iter().enumerate() {
        validate_tls(errors, tls, &path.child("tls").index(i));
    }
    if let Some(class) = present(&spec, &["ingressClassName"]).and_then(Value::as_str) {
        dns_subdomain(errors, class, &path.child("ingressClassName"));
    }
}

fn host_name(errors: &mut FieldErrors, host: &str, path: &FieldPath) {
    let wrong = if host.contains('*') {
        names::is_wildcard_dns1123_subdomain(host)
    } else {
        names::is_dns1123_subdomain(host)
    };
    names::invalid_each(errors, path, host, wrong);
}

fn validate_rule(errors: &mut FieldErrors, rule: &Value, path: &FieldPath) {
    let host = rule.str_at(&["host"]);
    if !host.is_empty() {
        let path = path.child("host");
        if net::parse_ip(host).is_some() {
            errors.invalid(&path, host, "must be a DNS name, not an IP address");
        }
        host_name(errors, host, &path);
    }
    let Some(http) = present(rule, &["http"]) else { return };
    let path = path.child("http").child("paths");
    let paths = http.array_at(&["paths"]);
    if paths.is_empty() {
        errors.required(&path, "");
    }
    for (i, entry) in paths.iter().enumerate() {
        validate_path(errors, entry, &path.index(i));
    }
}

fn validate_path(errors: &mut FieldErrors, entry: &Value, path: &FieldPath) {
    const TYPES: [&str; 3] = ["Exact", "ImplementationSpecific", "Prefix"];
    let text = entry.str_at(&["path"]);
    let at = path.child("path");
    let Some(path_type) = present(entry, &["pathType"]).and_then(Value::as_str) else {
        errors.required(&path.child("pathType"), "pathType must be specified");
        return;
    };
    match path_type {
        "Exact" | "Prefix" => {
            if !text.starts_with('/') {
                errors.invalid(&at, text, "must be an absolute path");
            }
            if !text.is_empty() {
                for bad in ["//", "/./", "/../", "%2f", "%2F"] {
                    if text.contains(bad) {
                        errors.invalid(&at, text, format!("must not contain '{bad}'"));
                    }
                }
                for bad in ["/..", "/."] {
                    if text.ends_with(bad) {
                        errors.invalid(&at, text, format!("cannot end with '{bad}'"));
                    }
                }
            }
        }
        "ImplementationSpecific" => {
            if !text.is_empty() && !text.starts_with('/') {
                errors.invalid(&at, text, "must be an absolute path");
            }
        }
        other => errors.not_supported(&path.child("pathType"), other, &TYPES),
    }
    validate_backend(errors, &shown(entry, &["backend"]), &path.child("backend"));
}

fn validate_backend(errors: &mut FieldErrors, backend: &Value, path: &FieldPath) {
    let (service, resource) = (present(backend, &["service"]), present(backend, &["resource"]));
    match (service, resource) {
        (Some(_), Some(_)) => errors.invalid(path, "", "cannot set both resource and service backends"),
        (None, Some(resource)) => super::reference(errors, resource, &path.child("resource")),
        (Some(service), None) => validate_service(errors, service, path),
        (None, None) => errors.invalid(path, "", "resource or service backend is required"),
    }
}

fn validate_service(errors: &mut FieldErrors, service: &Value, path: &FieldPath) {
    let name = service.str_at(&["name"]);
    let name_path = path.child("service").child("name");
    if name.is_empty() {
        errors.required(&name_path, "");
    } else {
        dns_label(errors, name, &name_path);
    }
    let text = service.str_at(&["port", "name"]);
    let number = service.i64_at(&["port", "number"]).unwrap_or(0);
    let port_path = path.child("service").child("port");
    match (text.is_empty(), number) {
        (true, 0) => errors.required(path, "port name or number is required"),
        (true, number) => port_number(errors, number, &port_path.child("number")),
        (false, 0) => port_name(errors, text, &port_path.child("name")),
        (false, _) => errors.invalid(path, "", "cannot set both port name & port number"),
    }
}

fn validate_tls(errors: &mut FieldErrors, tls: &Value, path: &FieldPath) {
    for (i, host) in tls.array_at(&["hosts"]).iter().filter_map(Value::as_str).enumerate() {
        host_name(errors, host, &path.child("hosts").index(i));
    }
    let secret = tls.str_at(&["secretName"]);
    if !secret.is_empty() {
        dns_subdomain(errors, secret, &path.child("secretName"));
    }
}
