//! networking.k8s.io.

mod ingress;
mod network_policy;

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value};

use crate::check::{IMMUTABLE, net, path_segment};
use crate::kind::Kind;
use crate::shape::{has, present, same, shown};
use crate::{NameRule, table};

const GROUP: &str = "networking.k8s.io";

pub(crate) const KINDS: &[&Kind] =
    &[&ingress::KIND, &network_policy::KIND, &INGRESS_CLASS, &IP_ADDRESS, &SERVICE_CIDR];

static INGRESS_CLASS: Kind = Kind {
    generation: true,
    defaults: |object| {
        crate::shape::with_mut(object, &["spec", "parameters"], |parameters| {
            crate::shape::default_nil(parameters, &["scope"], "Cluster");
        });
    },
    validate: |errors, _, object| validate_class(errors, object),
    validate_update: Some(|errors, _, object, old| {
        let at = &["spec", "controller"];
        if !same(object.at(at), old.at(at)) {
            errors.invalid(&FieldPath::new("spec").child("controller"), shown(object, at), IMMUTABLE);
        }
        validate_class(errors, object);
    }),
    cells: table::ingress_class,
    ..Kind::new(GROUP, "ingressclasses")
};

fn validate_class(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec");
    let controller = object.str_at(&["spec", "controller"]);
    if controller.len() > 250 {
        errors.too_long(&path.child("controller"), 250);
    }
    names::validate_domain_prefixed_path(errors, &path.child("controller"), controller);
    if let Some(parameters) = present(object, &["spec", "parameters"]) {
        class_parameters(errors, parameters, &path.child("parameters"));
    }
}

fn class_parameters(errors: &mut FieldErrors, parameters: &Value, path: &FieldPath) {
    reference(errors, parameters, path);
    let namespace = present(parameters, &["namespace"]).and_then(Value::as_str);
    match parameters.str_at(&["scope"]) {
        "" => errors.required(&path.child("scope"), ""),
        "Cluster" => {
            if namespace.is_some() {
                errors.forbidden(&path.child("namespace"), "`parameters.scope` is set to 'Cluster'");
            }
        }
        "Namespace" => match namespace {
            None => errors.required(&path.child("namespace"), "`parameters.scope` is set to 'Namespace'"),
            Some(namespace) => crate::check::dns_label(errors, namespace, &path.child("namespace")),
        },
        other => errors.not_supported(&path.child("scope"), other, &["Cluster", "Namespace"]),
    }
}

/// `validateTypedLocalObjectReference`.
pub(crate) fn reference(errors: &mut FieldErrors, reference: &Value, path: &FieldPath) {
    let group = reference.str_at(&["apiGroup"]);
    if !group.is_empty() {
        crate::check::dns_subdomain(errors, group, &path.child("apiGroup"));
    }
    for field in ["kind", "name"] {
        let text = reference.str_at(&[field]);
        if text.is_empty() {
            errors.required(&path.child(field), "");
        } else {
            path_segment(errors, text, &path.child(field));
        }
    }
}

static IP_ADDRESS: Kind = Kind {
    generation: true,
    name: NameRule::Any,
    validate: |errors, _, object| {
        net::ip(errors, object.name(), &FieldPath::new("metadata").child("name"));
        let path = FieldPath::new("spec").child("parentRef");
        match present(object, &["spec", "parentRef"]) {
            None => errors.required(&path, ""),
            Some(parent) => {
                for field in ["resource", "name"] {
                    if parent.str_at(&[field]).is_empty() {
                        errors.required(&path.child(field), "");
                    }
                }
            }
        }
    },
    validate_update: Some(|errors, _, object, old| immutable_at(errors, object, old, "parentRef")),
    cells: table::ip_address,
    ..Kind::new(GROUP, "ipaddresses")
};

static SERVICE_CIDR: Kind = Kind {
    status: true,
    generation: true,
    validate: |errors, _, object| {
        let path = FieldPath::new("spec").child("cidrs");
        let cidrs = object.array_at(&["spec", "cidrs"]);
        if cidrs.is_empty() {
            errors.required(&path, "at least one CIDR required");
        }
        if cidrs.len() > 2 {
            let detail = "may only hold up to 2 values";
            errors.invalid(&FieldPath::new("spec"), shown(object, &["spec"]), detail);
        }
        for (i, cidr) in cidrs.iter().filter_map(Value::as_str).enumerate() {
            net::cidr(errors, cidr, &path.index(i));
        }
    },
    validate_update: Some(|errors, _, object, old| immutable_at(errors, object, old, "cidrs")),
    cells: table::service_cidr,
    ..Kind::new(GROUP, "servicecidrs")
};

/// One field of the spec that never changes.
fn immutable_at(errors: &mut FieldErrors, object: &Value, old: &Value, field: &str) {
    let at = ["spec", field];
    if !same(object.at(&at), old.at(&at)) || !has(object, &at) {
        errors.invalid(&FieldPath::new("spec").child(field), shown(object, &at), IMMUTABLE);
    }
}
