//! networking.k8s.io.

mod ingress;
mod network_policy;

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::check::{IMMUTABLE, dns_label, dns_subdomain, immutable_struct, net, path_segment};
use crate::go_form;
use crate::kind::{CHANGED_THEN_NEW, Kind, NEW_THEN_CHANGED, StatusMeta, Step};
use crate::shape::{default_nil, has, present, shown, with_mut};
use crate::{NameRule, table};

const GROUP: &str = "networking.k8s.io";

pub(crate) const KINDS: &[&Kind] =
    &[&ingress::KIND, &network_policy::KIND, &INGRESS_CLASS, &IP_ADDRESS, &SERVICE_CIDR];

static INGRESS_CLASS: Kind = Kind {
    update: CHANGED_THEN_NEW,
    generation: true,
    defaults: |object| {
        with_mut(object, &["spec", "parameters"], |parameters| {
            default_nil(parameters, &["scope"], "Cluster");
        });
    },
    validate: |errors, _, object, _| validate_class(errors, object),
    validate_change: |errors, object, old| {
        let [new, before] = [object, old].map(|object| object.str_at(&["spec", "controller"]));
        if new != before {
            errors.invalid(&FieldPath::new("spec").child("controller"), new, IMMUTABLE);
        }
    },
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
    if !has(parameters, &["scope"]) {
        errors.required(&path.child("scope"), "");
    }
    match (parameters.str_at(&["scope"]), namespace) {
        ("Cluster", Some(_)) => {
            errors.forbidden(&path.child("namespace"), "`parameters.scope` is set to 'Cluster'");
        }
        ("Cluster", None) => {}
        ("Namespace", None) => {
            errors.required(&path.child("namespace"), "`parameters.scope` is set to 'Namespace'");
        }
        ("Namespace", Some(namespace)) => {
            dns_label(errors, namespace, &path.child("namespace"));
        }
        (other, _) => errors.not_supported(&path.child("scope"), other, &["Cluster", "Namespace"]),
    }
}

/// `validateTypedLocalObjectReference`.
pub(crate) fn reference(errors: &mut FieldErrors, reference: &Value, path: &FieldPath) {
    if let Some(group) = present(reference, &["apiGroup"]).and_then(Value::as_str) {
        dns_subdomain(errors, group, &path.child("apiGroup"));
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
    name: NameRule::IpAddress,
    update: NEW_THEN_CHANGED,
    validate: |errors, _, object, _| {
        let path = FieldPath::new("spec").child("parentRef");
        match present(object, &["spec", "parentRef"]) {
            None => errors.required(&path, ""),
            Some(parent) => parent_reference(errors, parent, &path),
        }
    },
    validate_change: |errors, object, old| {
        immutable_struct(errors, object, old, &["spec", "parentRef"], "ParentReference");
    },
    field_names: &["spec.parentRef.resource"],
    field_values: |object| {
        vec![("spec.parentRef.resource", object.str_at(&["spec", "parentRef", "resource"]).into())]
    },
    cells: table::ip_address,
    ..Kind::new(GROUP, "ipaddresses")
};

/// `validateIPAddressParentReference`.
fn parent_reference(errors: &mut FieldErrors, parent: &Value, path: &FieldPath) {
    let text = |field: &str| parent.str_at(&[field]);
    if !text("group").is_empty() {
        dns_subdomain(errors, text("group"), &path.child("group"));
    }
    for field in ["resource", "name"] {
        match text(field) {
            "" => errors.required(&path.child(field), ""),
            given => path_segment(errors, given, &path.child(field)),
        }
    }
    if !text("namespace").is_empty() {
        path_segment(errors, text("namespace"), &path.child("namespace"));
    }
}

static SERVICE_CIDR: Kind = Kind {
    status_meta: StatusMeta::Kept,
    status: true,
    update: &[Step::MetaChange, Step::Change],
    validate: |errors, _, object, _| validate_cidrs(errors, object),
    validate_change: cidrs_update,
    cells: table::service_cidr,
    ..Kind::new(GROUP, "servicecidrs")
};

/// `validateServiceCIDRSpec`.
fn validate_cidrs(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec").child("cidrs");
    let cidrs: Vec<&str> = object.array_at(&["spec", "cidrs"]).iter().filter_map(Value::as_str).collect();
    if cidrs.is_empty() {
        errors.required(&path, "at least one CIDR required");
        return;
    }
    if cidrs.len() > 2 {
        let shown = go_form::of("ServiceCIDRSpec", &shown(object, &["spec"]));
        errors.invalid(&path, shown, "may only hold up to 2 values");
        return;
    }
    for (i, cidr) in cidrs.iter().enumerate() {
        net::canonical_cidr(errors, cidr, &path.index(i));
    }
    let families: Vec<bool> =
        cidrs.iter().filter_map(|cidr| net::parse_cidr(cidr)).map(|(ip, _)| ip.is_ipv4()).collect();
    if families.len() == 2 && families[0] == families[1] {
        let detail =
            "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
        errors.invalid(&path, shown(object, &["spec", "cidrs"]), detail);
    }
}

/// A second family may be added; all else stays.
fn cidrs_update(errors: &mut FieldErrors, object: &Value, old: &Value) {
    let path = FieldPath::new("spec").child("cidrs");
    let at = &["spec", "cidrs"];
    let (new, before) = (object.array_at(at), old.array_at(at));
    if new.len() != before.len() && (before.len(), new.len()) != (1, 2) {
        errors.invalid(&path, shown(object, at), IMMUTABLE);
        return;
    }
    for (i, (new, _)) in new.iter().zip(before).enumerate().filter(|(_, (new, old))| new != old) {
        errors.invalid(&path.index(i), new.clone(), IMMUTABLE);
    }
    if new.len() != before.len() {
        validate_cidrs(errors, object);
    }
}
