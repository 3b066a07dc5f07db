//! Claims that were made for a pod.

use drydock_machinery::{FieldErrors, FieldPath, Value};
use foldhash::HashSet;

use crate::check::{dns_label, dns_subdomain};
use crate::shape::present;

/// `validatePodResourceClaimStatuses`.
pub(super) fn of_claims(errors: &mut FieldErrors, object: &Value, path: &FieldPath) {
    let claims = object.array_at(&["spec", "resourceClaims"]);
    let mut seen = HashSet::default();
    for (i, status) in object.array_at(&["status", "resourceClaimStatuses"]).iter().enumerate() {
        let path = path.index(i);
        let name = status.str_at(&["name"]);
        if !claims.iter().any(|claim| claim.str_at(&["name"]) == name) {
            let detail = "must match the name of an entry in `spec.resourceClaims`";
            errors.invalid(&path.child("name"), name, detail);
        }
        if !seen.insert(name) {
            errors.duplicate(&path.child("name"), name);
        }
        if let Some(claim) = present(status, &["resourceClaimName"]).and_then(Value::as_str) {
            dns_subdomain(errors, claim, &path.child("resourceClaimName"));
        }
    }
}

/// `validatePodExtendedResourceClaimStatus`.
pub(super) fn of_extended(errors: &mut FieldErrors, object: &Value, path: &FieldPath) {
    let Some(status) = present(object, &["status", "extendedResourceClaimStatus"]) else { return };
    let mappings = status.array_at(&["requestMappings"]);
    let at = path.child("requestMappings");
    if mappings.is_empty() {
        errors.required(&at, "at least one request mapping is required");
    }
    let mut seen = HashSet::default();
    for (i, mapping) in mappings.iter().enumerate() {
        let at = at.index(i);
        let fields =
            ["containerName", "resourceName", "requestName"].map(|field| (field, mapping.str_at(&[field])));
        let [(_, container), (_, resource), (_, request)] = fields;
        match container_of(object, container) {
            None => {
                let detail =
                    "must match the name of an entry in spec.initContainers.name or spec.containers.name";
                errors.invalid(&at.child("containerName"), container, detail);
            }
            Some(found) if !found.object_at(&["resources", "requests"]).contains_key(resource) => {
                let detail = "must match the extended resource name of an entry in spec.initContainers.resources.requests or spec.containers.resources.requests";
                errors.invalid(&at.child("resourceName"), resource, detail);
            }
            Some(_) => {}
        }
        dns_label(errors, request, &path.child("requestName"));
        if !seen.insert((container, resource, request)) {
            fields.into_iter().for_each(|(field, value)| errors.duplicate(&at.child(field), value));
        }
    }
    let name = status.str_at(&["resourceClaimName"]);
    if name.is_empty() {
        errors.required(&path.child("resourceClaimName"), "");
    } else {
        dns_subdomain(errors, name, &path.child("resourceClaimName"));
    }
}

fn container_of<'a>(object: &'a Value, name: &str) -> Option<&'a Value> {
    let lists = ["containers", "initContainers"];
    let mut all = lists.iter().flat_map(|list| object.array_at(&["spec", list]));
    all.find(|container| container.str_at(&["name"]) == name)
}
