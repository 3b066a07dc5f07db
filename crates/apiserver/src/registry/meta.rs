//! Object metadata: what the server fills in, and what clients may not change.
//!
//! The rules are those of apiserver's `registry/rest`; whether metadata is well formed is the strategy's to say.

use drydock_machinery::names_validation::{self as names, NamePart};
use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta, Status, Value};
use rand::Rng as _;

use super::Call;
use crate::resources::Resource;

/// `rest.EnsureObjectNamespaceMatchesRequestNamespace`: an absent namespace is the request's.
///
/// # Errors
/// 400 when the object names another namespace than the URL.
pub(crate) fn match_namespace(call: &Call, object: &mut Value) -> Result<(), Status> {
    let asked = call.request.namespace.as_str();
    if !call.resource.namespaced {
        object.remove(&["metadata", "namespace"]);
        return Ok(());
    }
    let own = object.namespace();
    if own == asked {
        return Ok(());
    }
    if own.is_empty() {
        object.set(&["metadata", "namespace"], asked);
        return Ok(());
    }
    Err(Status::bad_request(
        "the namespace of the provided object does not match the namespace sent on the request",
    ))
}

/// Clears what a client may not say of a new object.
pub(crate) fn wipe(object: &mut Value) {
    for field in ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "uid", "selfLink"] {
        object.remove(&["metadata", field]);
    }
}

/// Fills in what a new object gets from the server, and a name if it has only generateName.
pub(crate) fn fill_for_create(object: &mut Value, now: &str) {
    let metadata = object.at_mut(&["metadata"]);
    if !matches!(metadata, Value::Object(_)) {
        *metadata = Value::object();
    }
    metadata.set(&["creationTimestamp"], now);
    metadata.set(&["uid"], uuid::Uuid::new_v4().to_string());
    let base = metadata.str_at(&["generateName"]);
    if metadata.str_at(&["name"]).is_empty() && !base.is_empty() {
        let name = generate_name(base);
        metadata.set(&["name"], name);
    }
}

/// `names.SimpleNameGenerator`.
pub(crate) fn generate_name(base: &str) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    const MAX_BASE: usize = 58;
    let mut name: String = base.chars().take(MAX_BASE).collect();
    let mut rng = rand::rng();
    for _ in 0..5 {
        name.push(char::from(LETTERS[rng.random_range(0..LETTERS.len())]));
    }
    name
}

/// Keeps what an update may not touch: uid, times, generation. `rest.BeforeUpdate`.
pub(crate) fn keep_on_update(object: &mut Value, old: &Value) {
    let keep = |object: &mut Value, field: &str, always: bool| {
        let path = ["metadata", field];
        match old.at(&path) {
            Some(value) if always || object.at(&path).is_none() => object.set(&path, value.clone()),
            None if always => {
                object.remove(&path);
            }
            _ => {}
        }
    };
    keep(object, "uid", false);
    keep(object, "generation", true);
    keep(object, "creationTimestamp", true);
    if old.is_deleting() {
        keep(object, "deletionTimestamp", true);
        keep(object, "deletionGracePeriodSeconds", false);
    }
    object.remove(&["metadata", "selfLink"]);
}

/// What the strategy leaves to the registry: the namespace fits the resource's scope.
pub(crate) fn validate_namespace(resource: &Resource, object: &Value) -> FieldErrors {
    let mut errors = FieldErrors::new();
    let path = FieldPath::new("metadata").child("namespace");
    let namespace = object.namespace();
    if !resource.namespaced {
        if !namespace.is_empty() {
            errors.forbidden(&path, "not allowed on this type");
        }
        return errors;
    }
    if namespace.is_empty() {
        errors.required(&path, "");
        return errors;
    }
    for text in names::name_is_dns_label(namespace, NamePart::Whole) {
        errors.invalid(&path, namespace, text);
    }
    errors
}

/// Custom resources' finalizers need no domain, and upstream checks the metadata of their updates twice.
pub(crate) fn of_custom(
    resource: &Resource,
    found: FieldErrors,
    update: Option<(&Value, &Value)>,
) -> FieldErrors {
    if resource.custom.is_none() {
        return found;
    }
    let mut all = found;
    if let Some((new, old)) = update {
        drydock_kinds::validate_object_meta_update(&mut all, new, old);
    }
    let mut kept = FieldErrors::new();
    let standard = "name is neither a standard finalizer name nor is it fully qualified";
    all.iter().filter(|error| error.detail != standard).for_each(|error| kept.push(error.clone()));
    kept
}

/// An update that names no uid means the object's own.
pub(crate) fn keep_absent_uid(object: &mut Value, old: &Value) {
    if object.uid().is_empty() {
        object.set(&["metadata", "uid"], old.uid());
    }
}

/// Drops repeated owner references. Answers the warning about them, if there were any: writes of whole objects are
/// looked at before admission, patches after it.
pub(crate) fn dedup_owners(object: &mut Value, patch: bool) -> Option<String> {
    let owners = object.owner_references();
    let mut kept: Vec<Value> = Vec::new();
    let mut repeated: Vec<&str> = Vec::new();
    for owner in owners {
        if !kept.contains(owner) {
            kept.push(owner.clone());
        } else if !repeated.contains(&owner.str_at(&["uid"])) {
            repeated.push(owner.str_at(&["uid"]));
        }
    }
    if repeated.is_empty() {
        return None;
    }
    let after = if patch { " after mutating admission happens" } else { "" };
    let warning = format!(
        ".metadata.ownerReferences contains duplicate entries{after}; API server dedups owner references in 1.20+, and \
         may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: {}",
        repeated.join(", ")
    );
    object.set(&["metadata", "ownerReferences"], kept);
    Some(warning)
}
