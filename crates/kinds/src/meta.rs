//! `metadata`: apimachinery's `ValidateObjectMeta`, with core's further check of finalizer names.

use drydock_machinery::names_validation::{self as names, NamePart};
use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta, Value};

use crate::NameRule;
use crate::check::{IMMUTABLE, NOT_NEGATIVE, net, qualified_name};
use crate::go_form;
use crate::shape::{is_zero, same, shown};

/// What `rule` finds wrong with a name.
pub(crate) fn name_errors(rule: NameRule, name: &str, part: NamePart) -> Vec<String> {
    match rule {
        NameRule::DnsSubdomain => names::name_is_dns_subdomain(name, part),
        NameRule::DnsLabel => names::name_is_dns_label(name, part),
        NameRule::Dns1035Label => names::name_is_dns1035_label(name, part),
        NameRule::PathSegment => names::name_is_path_segment(name, part),
        NameRule::IpAddress => {
            let mut errors = FieldErrors::new();
            net::canonical_ip(&mut errors, name, &FieldPath::root());
            errors.iter().map(|error| error.detail.clone()).collect()
        }
        NameRule::Long if part == NamePart::Prefix => Vec::new(),
        NameRule::Long => {
            let mut wrong = names::name_is_dns_subdomain(name, part);
            if name.len() > 253 {
                wrong = vec!["must be no more than 253 bytes".to_owned()];
            }
            wrong
        }
        NameRule::Any => Vec::new(),
    }
}

/// A new object's metadata, after generateName has been used.
pub fn validate_object_meta(errors: &mut FieldErrors, object: &Value, rule: NameRule) {
    validate_any_object_meta(errors, object, rule);
    validate_kube_finalizers(errors, object);
}

/// That, for kinds whose finalizers may be called anything.
pub(crate) fn validate_any_object_meta(errors: &mut FieldErrors, object: &Value, rule: NameRule) {
    validate_names(errors, object, rule);
    let path = &FieldPath::new("metadata");
    let meta = shown(object, &["metadata"]);
    validate_common(errors, &meta, path);
    validate_finalizers(errors, &meta, &path.child("finalizers"));
}

/// The part of it about what the object is called.
pub(crate) fn validate_names(errors: &mut FieldErrors, object: &Value, rule: NameRule) {
    let path = &FieldPath::new("metadata");
    let meta = shown(object, &["metadata"]);
    let generate = meta.str_at(&["generateName"]);
    if !generate.is_empty() {
        let wrong = name_errors(rule, generate, NamePart::Prefix);
        names::invalid_each(errors, &path.child("generateName"), generate, wrong);
    }
    let name = meta.str_at(&["name"]);
    if name.is_empty() {
        errors.required(&path.child("name"), "name or generateName is required");
    } else {
        names::invalid_each(errors, &path.child("name"), name, name_errors(rule, name, NamePart::Whole));
    }
}

fn validate_common(errors: &mut FieldErrors, meta: &Value, path: &FieldPath) {
    let generation = meta.i64_at(&["generation"]).unwrap_or(0);
    if generation < 0 {
        errors.invalid(&path.child("generation"), generation, NOT_NEGATIVE);
    }
    names::validate_labels(errors, meta.object_at(&["labels"]), &path.child("labels"));
    names::validate_annotations(errors, meta.object_at(&["annotations"]), &path.child("annotations"));
    validate_owners(errors, meta.array_at(&["ownerReferences"]), &path.child("ownerReferences"));
    validate_managers(errors, meta.array_at(&["managedFields"]), &path.child("managedFields"));
}

fn validate_managers(errors: &mut FieldErrors, entries: &[Value], path: &FieldPath) {
    const MAX: usize = 128;
    for (i, entry) in entries.iter().enumerate() {
        let path = path.index(i).child("manager");
        let manager = entry.str_at(&["manager"]);
        if manager.len() > MAX {
            errors.too_long(&path, MAX);
        }
        for (at, c) in manager.char_indices().filter(|(_, c)| c.is_control()) {
            let detail = format!("invalid character U+{:04X} (at position {at})", u32::from(c));
            errors.invalid(&path, manager, detail);
        }
    }
}

fn validate_owners(errors: &mut FieldErrors, owners: &[Value], path: &FieldPath) {
    let mut first_controller: Option<String> = None;
    for owner in owners {
        let api_version = owner.str_at(&["apiVersion"]);
        let kind = owner.str_at(&["kind"]);
        // Of what is no group and version nothing is left.
        let version = if api_version.matches('/').count() > 1 {
            ""
        } else {
            api_version.rsplit('/').next().unwrap_or("")
        };
        if version.is_empty() {
            errors.invalid(&path.child("apiVersion"), api_version, "version must not be empty");
        }
        for field in ["kind", "name", "uid"] {
            if owner.str_at(&[field]).is_empty() {
                errors.invalid(&path.child(field), "", "must not be empty");
            }
        }
        if api_version == "v1" && kind == "Event" {
            errors.invalid(path, owner_shown(owner), "/v1, Kind=Event is disallowed from being an owner");
        }
        if owner.bool_at(&["controller"]) {
            let current = format!("{kind}/{}", owner.str_at(&["name"]));
            match &first_controller {
                Some(first) => errors.invalid(
                    path,
                    go_form::list(owners.iter().map(owner_shown)),
                    format!(
                        "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {current}"
                    ),
                ),
                None => first_controller = Some(current),
            }
        }
    }
}

/// With its fields in the order of upstream's struct.
fn owner_shown(owner: &Value) -> Value {
    const FIELDS: [&str; 6] = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];
    go_form::ordered(owner, &FIELDS)
}

fn validate_finalizers(errors: &mut FieldErrors, meta: &Value, path: &FieldPath) {
    let finalizers = meta.array_at(&["finalizers"]);
    for finalizer in finalizers.iter().filter_map(Value::as_str) {
        qualified_name(errors, finalizer, path);
    }
    let has = |name: &str| finalizers.iter().any(|finalizer| finalizer.as_str() == Some(name));
    if has("orphan") && has("foregroundDeletion") {
        let detail = "finalizer orphan and foregroundDeletion cannot be both set";
        errors.invalid(path, shown(meta, &["finalizers"]), detail);
    }
}

fn validate_kube_finalizers(errors: &mut FieldErrors, object: &Value) {
    let path = FieldPath::new("metadata").child("finalizers");
    for (i, finalizer) in object.finalizers().enumerate() {
        validate_kube_finalizer(errors, finalizer, &path.index(i));
    }
}

/// `validateKubeFinalizerName`: a name without a domain must be one of the standard ones.
pub(crate) fn validate_kube_finalizer(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    if !name.contains('/') && !["kubernetes", "orphan", "foregroundDeletion"].contains(&name) {
        errors.invalid(path, name, "name is neither a standard finalizer name nor is it fully qualified");
    }
}

/// `ValidateTemplateObjectMeta`: the metadata of something that others are made from has labels and annotations.
pub(crate) fn validate_template_meta(errors: &mut FieldErrors, holder: &Value, path: &FieldPath) {
    let meta = shown(holder, &["metadata"]);
    names::validate_annotations(errors, meta.object_at(&["annotations"]), &path.child("annotations"));
    names::validate_labels(errors, meta.object_at(&["labels"]), &path.child("labels"));
    for (field, shown) in FORBIDDEN_IN_TEMPLATES {
        // Lists and pointers that are there are set, also when they are empty or point to nothing much.
        let is_set = match meta.get(field) {
            Some(Value::Array(_)) => true,
            Some(Value::Int(_)) => field == "deletionGracePeriodSeconds",
            _ => false,
        };
        if is_set || !is_zero(meta.get(field)) {
            errors.forbidden(&path.child(shown), "cannot be set");
        }
    }
}

/// With the names that upstream's struct has for them.
const FORBIDDEN_IN_TEMPLATES: [(&str, &str); 13] = [
    ("name", "name"),
    ("generateName", "generateName"),
    ("namespace", "namespace"),
    ("selfLink", "selfLink"),
    ("uid", "uID"),
    ("resourceVersion", "resourceVersion"),
    ("generation", "generation"),
    ("creationTimestamp", "creationTimestamp"),
    ("deletionTimestamp", "deletionTimestamp"),
    ("deletionGracePeriodSeconds", "deletionGracePeriodSeconds"),
    ("ownerReferences", "ownerReferences"),
    ("finalizers", "finalizers"),
    ("managedFields", "managedFields"),
];

/// What may not change in an object's metadata: `ValidateObjectMetaUpdate`.
pub fn validate_object_meta_update(errors: &mut FieldErrors, object: &Value, old: &Value) {
    validate_any_object_meta_update(errors, object, old);
    validate_kube_finalizers(errors, object);
}

/// That, for kinds whose finalizers may be called anything.
pub(crate) fn validate_any_object_meta_update(errors: &mut FieldErrors, object: &Value, old: &Value) {
    let path = FieldPath::new("metadata");
    if old.is_deleting() {
        validate_no_new_finalizers(errors, object, old, &path.child("finalizers"));
    }
    if object.resource_version().is_empty() {
        errors.invalid(&path.child("resourceVersion"), "", "must be specified for an update");
    }
    if object.generation() < old.generation() {
        errors.invalid(&path.child("generation"), object.generation(), "must not be decremented");
    }
    for field in
        ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"]
    {
        let at = ["metadata", field];
        if !same(object.at(&at), old.at(&at)) {
            errors.invalid(&path.child(field), shown(object, &at), IMMUTABLE);
        }
    }
    validate_common(errors, &shown(object, &["metadata"]), &path);
}

fn validate_no_new_finalizers(errors: &mut FieldErrors, object: &Value, old: &Value, path: &FieldPath) {
    let mut extra: Vec<&str> =
        object.finalizers().filter(|new| !old.finalizers().any(|old| old == *new)).collect();
    extra.sort_unstable();
    if extra.is_empty() {
        return;
    }
    let quoted: Vec<String> = extra.iter().map(|name| format!("{name:?}")).collect();
    errors.forbidden(
        path,
        format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            quoted.join(", ")
        ),
    );
}
