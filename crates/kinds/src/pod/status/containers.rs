//! What statuses say of containers' users and devices.

use drydock_machinery::{FieldErrors, FieldPath, Value};
use foldhash::HashSet;

use crate::check::{in_range, one_of_given};
use crate::shape::{has, present};

/// `validateContainerStatusUsers`.
pub(super) fn users(errors: &mut FieldErrors, object: &Value, list: &str, path: &FieldPath) {
    let os = object.str_at(&["spec", "os", "name"]);
    for (i, status) in object.array_at(&["status", list]).iter().enumerate() {
        let Some(user) = present(status, &["user"]) else { continue };
        let path = path.index(i).child("user").child("linux");
        if os == "windows" && has(user, &["linux"]) {
            errors.forbidden(&path, "cannot be set for a windows pod");
        } else if let Some(user) = present(user, &["linux"]) {
            linux_user(errors, user, &path);
        }
    }
}

fn linux_user(errors: &mut FieldErrors, user: &Value, path: &FieldPath) {
    let most = i64::from(i32::MAX);
    for field in ["uid", "gid"] {
        in_range(errors, user.i64_at(&[field]).unwrap_or(0), 0, most, &path.child(field));
    }
    for (i, group) in user.array_at(&["supplementalGroups"]).iter().filter_map(Value::as_i64).enumerate() {
        in_range(errors, group, 0, most, &path.child("supplementalGroups").index(i));
    }
}

/// `validateContainerStatusAllocatedResourcesStatus`; ephemeral containers have none.
pub(super) fn allocated(
    errors: &mut FieldErrors,
    object: &Value,
    (list, of): (&str, &str),
    path: &FieldPath,
) {
    for (i, status) in object.array_at(&["status", list]).iter().enumerate() {
        let path = path.index(i).child("allocatedResourcesStatus");
        let given = status.array_at(&["allocatedResourcesStatus"]);
        if of == "ephemeralContainers" {
            if !given.is_empty() {
                errors.forbidden(&path, "must not be specified in container status");
            }
            continue;
        }
        let named = |container: &&Value| container.str_at(&["name"]) == status.str_at(&["name"]);
        let container = object.array_at(&["spec", of]).iter().find(named);
        of_container(errors, given, container, &path);
    }
}

fn of_container(errors: &mut FieldErrors, given: &[Value], container: Option<&Value>, path: &FieldPath) {
    const HEALTH: [&str; 3] = ["Healthy", "Unhealthy", "Unknown"];
    for (i, status) in given.iter().enumerate() {
        let path = path.index(i);
        let name = status.str_at(&["name"]);
        if let Some(container) = container {
            requested(errors, container, name, &path.child("name"));
        }
        let mut ids = HashSet::default();
        for (j, resource) in status.array_at(&["resources"]).iter().enumerate() {
            let path = path.child("resources").index(j);
            let (id, health) = (resource.str_at(&["resourceID"]), resource.str_at(&["health"]));
            one_of_given(errors, health, &HEALTH, &path.child("health"));
            message(errors, resource, &path.child("message"));
            if !ids.insert(id) {
                errors.duplicate(&path.child("resourceID"), id);
            }
        }
    }
}

fn message(errors: &mut FieldErrors, resource: &Value, path: &FieldPath) {
    match present(resource, &["message"]).and_then(Value::as_str) {
        Some("") => errors.required(path, "must be non-empty if specified"),
        Some(text) if text.len() > 1024 => errors.too_long(path, 1024),
        _ => {}
    }
}

fn requested(errors: &mut FieldErrors, container: &Value, name: &str, path: &FieldPath) {
    let Some(claim) = name.strip_prefix("claim:") else {
        if !container.object_at(&["resources", "requests"]).contains_key(name) {
            errors.invalid(path, name, "must match one of the container's resource requests");
        }
        return;
    };
    let is = |given: &Value| {
        let (name, request) = (given.str_at(&["name"]), given.str_at(&["request"]));
        claim == name && request.is_empty() || claim == format!("{name}/{request}")
    };
    if !container.array_at(&["resources", "claims"]).iter().any(is) {
        let detail = "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty";
        errors.invalid(path, name, detail);
    }
}
