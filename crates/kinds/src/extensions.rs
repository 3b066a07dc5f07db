//! apiextensions.k8s.io and apiregistration.k8s.io. The validation of definitions of custom resources needs the
//! schema compiler and is the API server's.

use drydock_machinery::names_validation as names;
use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::kind::{Kind, MetaChecks, StatusMeta};
use crate::shape::{default_nil, has};
use crate::{NameRule, table};

pub(crate) const KINDS: &[&Kind] = &[&DEFINITION, &SERVICE];

static DEFINITION: Kind = Kind {
    meta: MetaChecks::PLAIN,
    status: true,
    generation: true,
    unconditional_update: false,
    ..Kind::new("apiextensions.k8s.io", "customresourcedefinitions")
};

static SERVICE: Kind = Kind {
    meta: MetaChecks::PLAIN_WHOLE_LAST,
    status_meta: StatusMeta::LabelsAndAnnotationsKept,
    name: NameRule::Any,
    status: true,
    unconditional_update: false,
    defaults: |object| {
        if has(object, &["spec", "service"]) {
            default_nil(object, &["spec", "service", "port"], 443);
        }
    },
    validate: |errors, _, object| validate_service(errors, object),
    cells: table::api_service,
    ..Kind::new("apiregistration.k8s.io", "apiservices")
};

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
    for (field, most) in [("groupPriorityMinimum", 20_000), ("versionPriority", 1000)] {
        let number = object.i64_at(&["spec", field]).unwrap_or(0);
        if number <= 0 || number > most {
            let detail = format!("must be positive and less than {most}");
            errors.invalid(&path.child(field), number, detail);
        }
    }
    if !has(object, &["spec", "service"]) {
        if !object.str_at(&["spec", "caBundle"]).is_empty() {
            errors.invalid(&path.child("caBundle"), "0 bytes", "local APIServices may not have a caBundle");
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
    if object.bool_at(&["spec", "insecureSkipTLSVerify"]) && !object.str_at(&["spec", "caBundle"]).is_empty()
    {
        errors.invalid(&path.child("insecureSkipTLSVerify"), true, "may not be true if caBundle is present");
    }
}
