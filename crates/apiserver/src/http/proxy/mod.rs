//! Proxies to pods, services and nodes: `pods/NAME/proxy`, `services/NAME/proxy`, `nodes/NAME/proxy`.
//!
//! A name may be `NAME`, `NAME:PORT` or `SCHEME:NAME:PORT`. Pods are reached over the cluster's network, which the node
//! agents play; a node's own port is its kubelet. Every method goes through, and so do upgrades.
//!
//! Deliberately absent: links in HTML are not rewritten; locations of redirects are.

mod dial;
mod forward;
mod target;

use drydock_client::{Request, Verb};
use drydock_machinery::{Reason, Status, value};
use http::header::{HOST, HeaderName, HeaderValue, LOCATION};
use http::{Method, StatusCode};
use hyper::body::Incoming;

use super::handler::Req;
use super::path::ResourcePath;
use super::{Answer, body, resource};
use crate::registry::{Body, Call};

pub(crate) use dial::{TlsTarget, Unverified, cluster_network, tcp, tls};
pub(crate) use forward::{Outgoing, cleaned, forward};

/// # Errors
/// As the client sees it.
pub(crate) async fn serve(request: &Req, path: &ResourcePath, incoming: Incoming) -> Result<Answer, Status> {
    let verb = resource::verb(&request.parts.method, path, &request.query);
    request.core.authorize(&path.attributes(&request.user, verb), request.audit.as_deref()).await?;
    if matches!(request.parts.method, Method::CONNECT | Method::TRACE) {
        return Err(crate::local::method_not_allowed());
    }
    if request.query.get("dryRun").is_some_and(|value| !value.is_empty()) {
        return Err(Status::bad_request("dryRun is not supported"));
    }
    let rest = rest(request.parts.uri.path());
    admit(request, path, rest).await?;
    let upgrades = drydock_streams::handshake::asked(&request.parts.headers).is_some();
    let location = target::resolve(&request.core, path)?;
    if rest.is_empty() && !upgrades && matches!(request.parts.method, Method::GET | Method::HEAD) {
        return Ok(with_slash(request));
    }
    let authority = location.authority.clone();
    let unreachable = |why: String| {
        if upgrades {
            return Status::new(500, Reason::Unknown, format!("error dialing backend: {why}"));
        }
        let text = format!("error trying to reach service: {why}");
        Status::new(503, Reason::ServiceUnavailable, text)
    };
    let stream = location.connect(&request.core).await.map_err(unreachable)?;
    let query = request.parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let outgoing = Outgoing {
        stream,
        uri: format!("/{}{query}", rest.trim_start_matches('/')),
        headers: headers(request),
    };
    let mut answer = forward(request, incoming, outgoing).await.map_err(unreachable)?;
    rewrite_location(request, &authority, &mut answer);
    Ok(answer)
}

/// What follows `proxy` in a path, as it was sent.
fn rest(path: &str) -> &str {
    let mut parts = path.match_indices('/').map(|(at, _)| at);
    let namespaced = path.starts_with("/api/v1/namespaces/");
    // The slash behind `proxy`, if there is one.
    let end = parts.nth(if namespaced { 7 } else { 5 });
    end.map_or("", |at| &path[at..])
}

async fn admit(request: &Req, path: &ResourcePath, rest: &str) -> Result<(), Status> {
    let found = request.core.registry.resources.find(&path.group, &path.version, &path.resource);
    let resource = found.ok_or_else(crate::local::no_such_resource)?;
    let kind = match path.resource.as_str() {
        "pods" => "PodProxyOptions",
        "services" => "ServiceProxyOptions",
        _ => "NodeProxyOptions",
    };
    let mut asked = Request::new(Verb::Get, &resource.gvr, &path.namespace, &path.name);
    asked.subresource = "proxy".to_owned();
    let mut call = Call {
        user: request.user.clone(),
        resource,
        request: asked,
        body: Body::Json(Default::default()),
        default_manager: String::new(),
        warnings: Vec::new(),
        audit: request.audit.clone(),
        elsewhere: request.elsewhere.clone(),
        emptied: Default::default(),
    };
    let options = value!({"kind": kind, "apiVersion": "v1", "path": rest});
    request.core.registry.admit_connection(&mut call, options).await
}

/// An empty path is one that ends in a slash.
fn with_slash(request: &Req) -> Answer {
    let query = request.parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut answer = body::text(301, "");
    if let Ok(location) = HeaderValue::from_str(&format!("{}/{query}", request.parts.uri.path())) {
        answer.headers_mut().insert(LOCATION, location);
    }
    answer
}

/// The client's headers, and those that say where the request comes from.
fn headers(request: &Req) -> http::HeaderMap {
    let mut headers = cleaned(&request.parts.headers);
    let host = headers.get(HOST).cloned();
    let uri = HeaderValue::from_str(request.parts.uri.path()).ok();
    for (name, value) in [
        (HeaderName::from_static("x-forwarded-uri"), uri),
        (HeaderName::from_static("x-forwarded-host"), host),
        (HeaderName::from_static("x-forwarded-proto"), Some(HeaderValue::from_static("https"))),
    ] {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
    headers
}

/// A redirect to the same server goes through the proxy again.
fn rewrite_location(request: &Req, authority: &str, answer: &mut Answer) {
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    let Some(location) = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok()) else { return };
    let own_host = request.parts.headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or("");
    let path = match forward::url_authority(location) {
        Some((host, path)) if host == authority || host == own_host => path,
        Some(_) => return,
        None if location.starts_with('/') => location,
        None => return,
    };
    let whole = request.parts.uri.path();
    let prefix = &whole[..whole.len() - rest(whole).len()];
    let path = if path.starts_with(prefix) { path.to_owned() } else { format!("{prefix}{path}") };
    if let Ok(value) = HeaderValue::from_str(&path) {
        answer.headers_mut().insert(LOCATION, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_a_path_is_what_follows_the_proxy() {
        for (path, expected) in [
            ("/api/v1/namespaces/n/pods/p/proxy", ""),
            ("/api/v1/namespaces/n/pods/p/proxy/", "/"),
            ("/api/v1/namespaces/n/services/https:s:port/proxy/a/b%2Fc/", "/a/b%2Fc/"),
            ("/api/v1/nodes/n/proxy/stats/summary", "/stats/summary"),
        ] {
            assert_eq!(rest(path), expected, "{path}");
        }
    }
}
