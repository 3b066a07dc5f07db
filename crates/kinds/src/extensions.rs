//! apiextensions.k8s.io and apiregistration.k8s.io. The validation of definitions of custom resources needs the
//! schema compiler and is the API server's.

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, Value, value};

use crate::check::{dns_subdomain, one_of_given};
use crate::core::decode_base64;
use crate::kind::{Finalizers, Kind, StatusMeta, Step};
use crate::shape::{default_nil, has, seconds};
use crate::{Context, NameRule, table};

pub(crate) const KINDS: &[&Kind] = &[&DEFINITION, &SERVICE];

static DEFINITION: Kind = Kind {
    finalizers: Finalizers::Any,
    status: true,
    generation: true,
    unconditional_update: false,
    ..Kind::new("apiextensions.k8s.io", "customresourcedefinitions")
};

static SERVICE: Kind = Kind {
    finalizers: Finalizers::Any,
    update: &[Step::MetaChange, Step::Meta, Step::Body],
    status_meta: StatusMeta::Kept,
    name: NameRule::Any,
    status: true,
    unconditional_update: false,
    defaults: |object| {
        if has(object, &["spec", "service"]) {
            default_nil(object, &["spec", "service", "port"], 443);
        }
    },
    prepare_create: |context, object| {
        if !has(object, &["spec", "service"]) {
            object.set(&["status", "conditions"], local(context));
        }
    },
    validate: |errors, _, object, _| validate_service(errors, object),
    validate_status: |errors, _, object, _| {
        let path = FieldPath::new("status").child("conditions");
        for (i, condition) in object.array_at(&["status", "conditions"]).iter().enumerate() {
            let path = path.index(i).child("status");
            one_of_given(errors, condition.str_at(&["status"]), &["True", "False", "Unknown"], &path);
        }
    },
    cells: table::api_service,
    ..Kind::new("apiregistration.k8s.io", "apiservices")
};

/// What is served by this very server is there at once.
fn local(context: &Context<'_>) -> Value {
    let now = seconds(context.now);
    value!([{
        "type": "Available", "status": "True", "lastTransitionTime": now, "reason": "Local",
        "message": "Local APIServices are always available",
    }])
}

fn validate_service(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec");
    let (group, version) = (object.str_at(&["spec", "group"]), object.str_at(&["spec", "version"]));
    let expected = format!("{version}.{group}");
    for field in ["generateName", "name"] {
        let name = object.str_at(&["metadata", field]);
        let path = FieldPath::new("metadata").child(field);
        let wrong = names::name_is_path_segment(name, names::NamePart::Whole);
        if !wrong.is_empty() {
            names::invalid_each(errors, &path, name, wrong);
        } else if !name.is_empty() && name != expected {
            let detail = format!("must be `spec.version+\".\"+spec.group`: {expected:?}");
            errors.invalid(&path, name, detail);
        }
    }
    if group.is_empty() {
        if version != "v1" {
            let detail = "only v1 may have an empty group and it better be legacy kube";
            errors.required(&path.child("group"), detail);
        }
    } else {
        dns_subdomain(errors, group, &path.child("group"));
    }
    names::invalid_each(errors, &path.child("version"), version, names::is_dns1035_label(version));
    for (field, most) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1000)] {
        let number = object.i64_at(&["spec", field]).unwrap_or(0);
        if number <= 0 || number > most {
            let detail = format!("must be positive and less than {most}");
            errors.invalid(&path.child(field), number, detail);
        }
    }
    if !has(object, &["spec", "service"]) {
        let bundle = decode_base64(object.str_at(&["spec", "caBundle"])).len();
        if bundle > 0 {
            let detail = "local APIServices may not have a caBundle";
            errors.invalid(&path.child("caBundle"), format!("{bundle} bytes"), detail);
        }
        if object.bool_at(&["spec", "insecureSkipTLSVerify"]) {
            let path = path.child("insecureSkipTLSVerify");
            errors.invalid(&path, true, "local APIServices may not have insecureSkipTLSVerify");
        }
        return;
    }
    for field in ["namespace", "name"] {
        if object.str_at(&["spec", "service", field]).is_empty() {
            errors.required(&path.child("service").child(field), "");
        }
    }
    if let Some(port) = object.i64_at(&["spec", "service", "port"])
        && !(1..=65_535).contains(&port)
    {
        let detail = "port is not valid: must be between 1 and 65535, inclusive";
        errors.invalid(&path.child("service").child("port"), port, detail);
    }
    if object.bool_at(&["spec", "insecureSkipTLSVerify"]) && !object.str_at(&["spec", "caBundle"]).is_empty()
    {
        errors.invalid(&path.child("insecureSkipTLSVerify"), true, "may not be true if caBundle is present");
    }
}
