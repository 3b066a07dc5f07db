//! apiextensions.k8s.io and apiregistration.k8s.io. The validation of definitions of custom resources needs the
//! schema compiler and is the API server's.

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value, value};

use crate::core::decode_base64;
use crate::kind::Kind;
use crate::shape::{default_nil, has};
use crate::{Context, NameRule, table};

pub(crate) const KINDS: &[&Kind] = &[&DEFINITION, &SERVICE];

static DEFINITION: Kind = Kind {
    status: true,
    generation: true,
    unconditional_update: false,
    ..Kind::new("apiextensions.k8s.io", "customresourcedefinitions")
};

static SERVICE: Kind = Kind {
    name: NameRule::PathSegment,
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
    validate: |errors, _, object| validate_service(errors, object),
    cells: table::api_service,
    ..Kind::new("apiregistration.k8s.io", "apiservices")
};

/// What is served by this very server is there at once.
fn local(context: &Context<'_>) -> Value {
    let now = jiff::Timestamp::from_second(context.now.as_second()).unwrap_or(context.now).to_string();
    value!([{
        "type": "Available", "status": "True", "lastTransitionTime": now, "reason": "Local",
        "message": "Local APIServices are always available",
    }])
}

fn validate_service(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("spec");
    let (group, version) = (object.str_at(&["spec", "group"]), object.str_at(&["spec", "version"]));
    let expected = format!("{version}.{group}");
    if object.name() != expected {
        let detail = format!("must be `spec.version+\".\"+spec.group`: {expected:?}");
        errors.invalid(&FieldPath::new("metadata").child("name"), object.name(), detail);
    }
    if group.is_empty() && version != "v1" {
        let detail = "only v1 may have an empty group and it better be legacy kube";
        errors.required(&path.child("group"), detail);
    }
    if !group.is_empty() {
        names::invalid_each(errors, &path.child("group"), group, names::is_dns1123_subdomain(group));
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
    let port = object.i64_at(&["spec", "service", "port"]).unwrap_or(0);
    let wrong = names::is_valid_port_num(port);
    if !wrong.is_empty() {
        let detail = format!("port is not valid: {}", wrong.join(", "));
        errors.invalid(&path.child("service").child("port"), port, detail);
    }
    if object.bool_at(&["spec", "insecureSkipTLSVerify"]) && !object.str_at(&["spec", "caBundle"]).is_empty()
    {
        errors.invalid(&path.child("insecureSkipTLSVerify"), true, "may not be true if caBundle is present");
    }
}
