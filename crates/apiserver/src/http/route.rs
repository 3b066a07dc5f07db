//! Which paths and methods there are. Upstream has a route for each of a built-in resource's, and one handler for all of
//! custom resources', which looks at the path by itself.

use drydock_client::Verb;
use drydock_machinery::Status;
use http::Method;

use super::path::ResourcePath;
use super::resource::is_served_at_all;
use crate::local::{method_not_allowed, no_such_resource};
use crate::resources::Resource;

/// # Errors
/// 404 or 405, when there is no such path, or not with this method.
pub(super) fn check(
    resource: &Resource,
    path: &ResourcePath,
    verb: Verb,
    method: &Method,
) -> Result<(), Status> {
    match resource.custom {
        Some(_) => custom(resource, path, method),
        None => built_in(resource, path, verb, method),
    }
}

/// What follows the subresource does not count, nor does the method of a watch by its old path.
fn custom(resource: &Resource, path: &ResourcePath, method: &Method) -> Result<(), Status> {
    let gvr = &resource.gvr;
    if !path.subresource.is_empty() && resource.subresource(&path.subresource).is_none() {
        return Err(Status::not_found(&gvr.group, &gvr.resource, &path.name));
    }
    if !is_served_at_all(method) && *method != Method::HEAD && !path.watch {
        return Err(Status::method_not_supported(&gvr.group, &gvr.resource, ""));
    }
    Ok(())
}

fn built_in(resource: &Resource, path: &ResourcePath, verb: Verb, method: &Method) -> Result<(), Status> {
    let creates_only = resource.verbs == ["create"] && path.subresource.is_empty();
    if creates_only && !path.name.is_empty() {
        return Err(no_such_resource());
    }
    let lacks_namespace = resource.namespaced && path.namespace.is_empty() && !path.in_namespace;
    // There is no such path, while there is one without the name.
    if lacks_namespace && !path.name.is_empty() {
        return Err(no_such_resource());
    }
    if !path.rest.is_empty() && path.subresource != "proxy" {
        return Err(no_such_resource());
    }
    if path.watch {
        // The old spelling of watches has paths of its own, which can do nothing else.
        let is_served = path.subresource.is_empty() && resource.verbs.iter().any(|verb| *verb == "watch");
        if !is_served {
            return Err(no_such_resource());
        }
        if *method != Method::GET {
            return Err(method_not_allowed());
        }
    }
    if !path.subresource.is_empty() && resource.subresource(&path.subresource).is_none() {
        return Err(no_such_resource());
    }
    let named_only = matches!(verb, Verb::Update | Verb::Patch(_));
    let misplaced = (verb == Verb::Create && !path.name.is_empty() && path.subresource.is_empty())
        || (named_only && path.name.is_empty())
        || (lacks_namespace && verb != Verb::List);
    if misplaced || !is_served_at_all(method) {
        return Err(method_not_allowed());
    }
    Ok(())
}
