//! Requests about resources: from method and path to a call of the registry, and back to an answer.

use std::sync::Arc;

use drydock_auth::{Attributes, UserInfo};
use drydock_client::{Options, Request, Verb};
use drydock_machinery::{GroupVersionResource, Status};
use http::Method;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use hyper::body::Incoming;

use super::handler::Req;
use super::negotiate::{self, Format, Offer, Wanted};
use super::path::{Path, ResourcePath};
use super::query::Query;
use super::{Answer, audit, body, encode, failure, route, watch_body};
use crate::local::{attributes, check_served, no_such_resource};
use crate::registry::{self, Body, Call, MEDIA_TYPES, unknown_format, verb_name};
use crate::resources::{Resource, Source};

/// What the method and the path ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    verb: Verb,
    watch: bool,
}

impl Asked {
    fn name(self) -> &'static str {
        if self.watch { "watch" } else { verb_name(self.verb) }
    }
}

/// What is rare and large is on the heap, so that the future of the usual requests is small.
pub(crate) async fn serve(request: Req, path: ResourcePath, incoming: Incoming) -> Result<Answer, Status> {
    if is_proxied(&path) {
        return Box::pin(super::proxy::serve(&request, &path, incoming)).await;
    }
    let Some(resource) = find(&request, &path) else { return not_served(&request, &path).await };
    let asked = asked(&request.parts.method, &path, &request.query);
    let verb = verb(&request.parts.method, &path, &request.query);
    let attributes = selecting(path.attributes(&request.user, verb), &request.query);
    request.core.authorize(&attributes, request.audit.as_deref()).await?;
    let mut call = call(&request, &path, resource, asked)?;
    check_served(&call.resource, &call.request, asked.name())?;
    if &*call.resource.gvr.resource == "pods" && call.resource.gvr.group.is_empty() {
        match call.request.subresource.as_str() {
            "log" => return Box::pin(super::streams::log(&request, &call)).await,
            "exec" | "attach" | "portforward" => {
                // Who connects by a WebSocket, which is a GET, needs the right to create as well.
                authorize(&request, &call, Asked { verb: Verb::Create, watch: false }).await?;
                return Box::pin(super::streams::connect(&request, call)).await;
            }
            _ => {}
        }
    }
    let answered = answer(&request, &mut call, asked, incoming).await;
    let mut warnings = std::mem::take(&mut call.warnings);
    let deprecated = deprecation(&call.resource).filter(|text| !warnings.iter().any(|own| own == text));
    // Upstream finds no route for some requests, and so nobody to warn.
    let is_routed = !matches!(&answered, Err(status) if negotiate::is_unrouted(status));
    warnings.splice(0..0, deprecated.filter(|_| is_routed).map(str::to_owned));
    let mut answer = answered.unwrap_or_else(|status| {
        let form = failure::Form::of(&request.parts.headers, &request.query);
        audit::failed(request.audit.as_deref(), &status, form)
    });
    warnings.iter().for_each(|warning| body::warn(&mut answer, warning));
    Ok(answer)
}

async fn answer(request: &Req, call: &mut Call, asked: Asked, incoming: Incoming) -> Result<Answer, Status> {
    let patch = patch(request, call)?;
    if call.request.name.is_empty() && matches!(asked.verb, Verb::Update | Verb::Patch(_)) {
        return Err(Status::bad_request("name must be provided"));
    }
    let wanted = wanted(request, call, asked)?;
    if call.resource.namespaced && call.request.namespace.is_empty() && asked.verb != Verb::List {
        return Err(Status::bad_request("Namespace parameter required."));
    }
    call.request.options = request.query.options(asked.verb)?;
    if asked.watch {
        return Box::pin(watch(request, call, wanted)).await;
    }
    read_body(request, call, patch, incoming).await?;
    if asked.verb == Verb::Create && matches!(call.body, Body::Other) {
        return Err(unknown_format(&MEDIA_TYPES));
    }
    let done = request.core.registry.call(call).await?;
    encode::done(request, &call.resource, wanted, done).await
}

/// # Errors
/// 406.
fn wanted(request: &Req, call: &Call, asked: Asked) -> Result<Wanted, Status> {
    if call.resource.custom.is_some() {
        // Upstream has one path for all of them, whatever is accepted.
        return negotiate::accept_of_all(request.header(ACCEPT), offer(call));
    }
    let streams = asked.verb == Verb::List && call.resource.has_verb("watch");
    let wanted = negotiate::accept(request.header(ACCEPT), offer(call));
    wanted.map_err(|status| if streams { negotiate::with_streams(status) } else { status })
}

/// Whether a path goes through a proxy to a pod, a service or a node.
pub(crate) fn is_proxied(path: &ResourcePath) -> bool {
    let namespaced = match path.resource.as_str() {
        "pods" | "services" => true,
        "nodes" => false,
        _ => return false,
    };
    path.subresource == "proxy"
        && path.group.is_empty()
        && path.version == "v1"
        && !path.watch
        && path.namespace.is_empty() != namespaced
}

/// Whether there is such a resource.
pub(super) fn is_served(request: &Req, path: &ResourcePath) -> bool {
    find(request, path).is_some()
}

fn find(request: &Req, path: &ResourcePath) -> Option<Arc<Resource>> {
    let found = request.core.registry.resources.find(&path.group, &path.version, &path.resource)?;
    // A namespaced resource needs no namespace for lists; a cluster-scoped one takes none.
    let is_own = path.resource == "namespaces" && path.namespace == path.name;
    let in_namespace = (path.in_namespace || !path.namespace.is_empty()) && !is_own;
    if in_namespace && !found.namespaced {
        return None;
    }
    // Nor is there a path to a namespaced custom resource that leaves out where, but to read them all.
    let reads_all = || matches!(verb(&request.parts.method, path, &request.query), "list" | "watch");
    if found.custom.is_some() && found.namespaced && path.namespace.is_empty() && !reads_all() {
        return None;
    }
    Some(found)
}

/// 403 comes before 404: what is not allowed is not told about.
async fn not_served(request: &Req, path: &ResourcePath) -> Result<Answer, Status> {
    let table = request.core.registry.resources.table();
    let verb = verb(&request.parts.method, path, &request.query);
    request.core.authorize(&path.attributes(&request.user, verb), request.audit.as_deref()).await?;
    if table.is_built_in_group(&path.group) { Err(no_such_resource()) } else { Ok(body::page_not_found()) }
}

/// What RBAC calls a request to a path: nothing, if its method means nothing.
pub(crate) fn verb(method: &Method, path: &ResourcePath, query: &Query) -> &'static str {
    if is_served_at_all(method) || *method == Method::HEAD { asked(method, path, query).name() } else { "" }
}

pub(super) fn is_served_at_all(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::POST | Method::PUT | Method::PATCH | Method::DELETE)
}

/// What a request wants, with what it selects by.
pub(crate) fn attributes_of<'a>(
    user: &'a UserInfo,
    verb: &'a str,
    path: &'a Path,
    query: &'a Query,
) -> Attributes<'a> {
    selecting(path.attributes(user, verb), query)
}

fn selecting<'a>(plain: Attributes<'a>, query: &'a Query) -> Attributes<'a> {
    if !plain.is_resource || !matches!(plain.verb, "list" | "watch" | "deletecollection") {
        return plain;
    }
    let field_selector = query.get("fieldSelector").unwrap_or("");
    let is_of_one = plain.name.is_empty() && plain.verb != "deletecollection";
    let name = if is_of_one { selected_name(field_selector) } else { plain.name };
    Attributes { name, field_selector, label_selector: query.get("labelSelector").unwrap_or(""), ..plain }
}

/// The name that a list is restricted to, "" when it is not.
fn selected_name(field_selector: &str) -> &str {
    let name = field_selector.split(',').find_map(|term| {
        let rest = term.strip_prefix("metadata.name")?;
        rest.strip_prefix("==").or_else(|| rest.strip_prefix('='))
    });
    // What is escaped is no name that an object can have.
    let is_name = |name: &&str| !name.contains(['\\', '=', '/', '%']) && !matches!(*name, "." | "..");
    name.filter(is_name).unwrap_or("")
}

fn asked(method: &Method, path: &ResourcePath, query: &Query) -> Asked {
    let watch = path.watch || (path.name.is_empty() && query.flag("watch") == Some(true));
    asked_of_method(method, path, watch)
}

fn asked_of_method(method: &Method, path: &ResourcePath, watch: bool) -> Asked {
    let named = !path.name.is_empty();
    let verb = match *method {
        // Of whatever method, it is a watch; only those with GET are served.
        _ if path.watch => Verb::List,
        Method::POST => Verb::Create,
        Method::PUT => Verb::Update,
        Method::PATCH => Verb::Patch(drydock_client::PatchType::Merge),
        Method::DELETE if named => Verb::Delete,
        Method::DELETE => Verb::DeleteCollection,
        _ if named && !watch => Verb::Get,
        _ => Verb::List,
    };
    Asked { verb, watch: watch && verb == Verb::List }
}

fn call(request: &Req, path: &ResourcePath, resource: Arc<Resource>, asked: Asked) -> Result<Call, Status> {
    route::check(&resource, path, asked.verb, &request.parts.method)?;
    // Where a custom resource is created is not asked of the path.
    let is_named = asked.verb != Verb::Create || !path.subresource.is_empty() || resource.custom.is_none();
    let name = if is_named { path.name.clone() } else { String::new() };
    let namespace = if path.resource == "namespaces" { String::new() } else { path.namespace.clone() };
    let built = Request {
        verb: asked.verb,
        resource: GroupVersionResource {
            group: resource.gvr.group.clone(),
            version: resource.gvr.version.clone(),
            resource: resource.gvr.resource.clone(),
        },
        namespace,
        name,
        subresource: path.subresource.clone(),
        options: Options::default(),
        body: None,
    };
    Ok(Call {
        user: request.user.clone(),
        resource,
        request: built,
        body: Body::Json(Default::default()),
        default_manager: manager(request),
        warnings: Vec::new(),
        audit: request.audit.clone(),
        elsewhere: request.elsewhere.clone(),
        emptied: Default::default(),
    })
}

/// `managerOrUserAgent`: the agent's name up to its version.
fn manager(request: &Req) -> String {
    let agent = request.header(USER_AGENT).unwrap_or("");
    let name = agent.split('/').next().unwrap_or("");
    if name.is_empty() {
        "unknown".to_owned()
    } else {
        name.chars().filter(|c| !c.is_control()).take(128).collect()
    }
}

async fn authorize(request: &Req, call: &Call, asked: Asked) -> Result<(), Status> {
    let mut attributes = attributes(&request.user, &call.resource, &call.request, asked.name());
    // A list of one name is a request about that name; a namespace is in itself.
    if attributes.name.is_empty() && asked.verb == Verb::List {
        attributes.name = selected_name(&call.request.options.field_selector);
    }
    if call.resource.gvr.resource == "namespaces" && call.resource.gvr.group.is_empty() {
        attributes.namespace = &call.request.name;
    }
    request.core.authorize(&attributes, request.audit.as_deref()).await
}

/// Requests that only act, such as reviews and bindings, have no table.
fn offer(call: &Call) -> Offer {
    let table = match call.request.subresource.as_str() {
        "" => call.resource.has_verb("list") && call.resource.source != Source::Request,
        // Upstream left it out for the status of some kinds.
        "status" => {
            let without = ["resourceclaims", "customresourcedefinitions", "apiservices"];
            call.resource.custom.is_some() || !without.contains(&&*call.resource.gvr.resource)
        }
        subresource => subresource == "scale",
    };
    Offer { protobuf: call.resource.custom.is_none(), table, metadata: true }
}

/// How the body of a patch is written; nothing can be read of another's.
///
/// # Errors
/// 415, before it is looked at what the client accepts.
fn patch(request: &Req, call: &mut Call) -> Result<Option<Format>, Status> {
    let Verb::Patch(_) = call.request.verb else { return Ok(None) };
    let strategic = call.resource.custom.is_none();
    let (patch, format) = negotiate::patch_type(request.header(CONTENT_TYPE), strategic)?;
    call.request.verb = Verb::Patch(patch);
    Ok(Some(format))
}

async fn read_body(
    request: &Req,
    call: &mut Call,
    patch: Option<Format>,
    incoming: Incoming,
) -> Result<(), Status> {
    let content_type = request.header(CONTENT_TYPE);
    let format = match call.request.verb {
        Verb::Get | Verb::List => return Ok(()),
        Verb::Delete | Verb::DeleteCollection => {
            let bytes = body::read(incoming).await?;
            if !bytes.is_empty() {
                call.body = as_body(negotiate::content_type(content_type), bytes);
            }
            return Ok(());
        }
        Verb::Patch(_) | Verb::Create | Verb::Update => {
            patch.or_else(|| negotiate::content_type(content_type))
        }
    };
    call.body = as_body(format, body::read(incoming).await?);
    Ok(())
}

fn as_body(format: Option<Format>, bytes: bytes::Bytes) -> Body {
    match format {
        Some(Format::Json) => Body::Json(bytes),
        Some(Format::Yaml) => Body::Yaml(bytes),
        Some(Format::Protobuf) => Body::Protobuf(bytes),
        None => Body::Other,
    }
}

/// What every request to a deprecated resource is told.
fn deprecation(resource: &Resource) -> Option<&str> {
    if let Some(custom) = &resource.custom {
        return custom.warning.as_deref();
    }
    match (&*resource.gvr.group, &*resource.gvr.resource) {
        ("", "endpoints") => {
            Some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice")
        }
        ("", "componentstatuses") => Some("v1 ComponentStatus is deprecated in v1.19+"),
        _ => None,
    }
}

async fn watch(request: &Req, call: &mut Call, wanted: Wanted) -> Result<Answer, Status> {
    registry::Selection::new(&call.resource, &call.request)?;
    let name = call.request.name.as_str();
    if !name.is_empty() {
        let selector = &mut call.request.options.field_selector;
        let is_named = |term: &str| {
            term.split_once('=')
                .is_some_and(|(key, value)| key == "metadata.name" && value.trim_start_matches('=') == name)
        };
        if !selector.is_empty() && !selector.split(',').any(is_named) {
            return Err(Status::bad_request("fieldSelector metadata.name doesn't match requested name"));
        }
        selector.clear();
    }
    let watcher = registry::watch(&request.core.registry, call).await;
    watch_body::answer(request, call, watcher, wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_one_name_is_about_it() {
        for (selector, name) in [
            ("metadata.name=a", "a"),
            ("metadata.name==a", "a"),
            ("status.phase=Running,metadata.name=a", "a"),
            ("metadata.name!=a", ""),
            ("metadata.namespace=a", ""),
            ("metadata.name=..", ""),
            ("metadata.name=a\\,b", ""),
        ] {
            assert_eq!(selected_name(selector), name, "{selector}");
        }
    }

    #[test]
    fn the_old_paths_of_watches_are_watches_by_any_method() {
        let Path::Resource(path) = super::super::path::parse("/api/v1/watch/namespaces/a/pods/b") else {
            panic!()
        };
        for method in [Method::GET, Method::DELETE, Method::POST, Method::PATCH] {
            assert_eq!(asked_of_method(&method, &path, true).name(), "watch");
        }
    }
}
