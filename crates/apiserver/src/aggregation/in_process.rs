//! Reads in process of what other servers serve, in the name of who asks: how the autoscaler gets at metrics.

use std::fmt::Write as _;
use std::sync::Arc;

use drydock_auth::{Attributes, UserInfo};
use drydock_client::{ObjectList, Options, Reply, Request, Verb};
use drydock_machinery::{Object, ObjectMeta as _, Reason, Status, Value};

use super::Route;
use crate::local::{no_such_resource, verb};
use crate::server::Core;

/// What the server that answers for the request's group and version says; None when this server answers, and for
/// requests that are no reads.
///
/// # Errors
/// 403 when `user` may not do it, 503 when the server is not reached, and what the server answers.
pub(crate) async fn read(core: &Core, user: &UserInfo, request: &Request) -> Option<Result<Reply, Status>> {
    if !matches!(request.verb, Verb::Get | Verb::List) {
        return None;
    }
    let route = core.aggregation.route_of(&request.resource.group, &request.resource.version)?;
    Some(Box::pin(ask(core, user, request, &route)).await)
}

async fn ask(core: &Core, user: &UserInfo, request: &Request, route: &Route) -> Result<Reply, Status> {
    let resource = &request.resource;
    let attributes = Attributes {
        version: &resource.version,
        subresource: &request.subresource,
        name: &request.name,
        namespace: &request.namespace,
        field_selector: &request.options.field_selector,
        label_selector: &request.options.label_selector,
        ..Attributes::resource(user, verb(request.verb), &resource.group, &resource.resource)
    };
    core.authorize(&attributes, None).await?;
    let unavailable = || {
        let message = "the server is currently unable to handle the request";
        Status::new(503, Reason::ServiceUnavailable, message)
    };
    if !route.available {
        return Err(unavailable());
    }
    let answer = route.get_as(core, user, &uri(request), "application/json").await;
    let (code, body) = answer.map_err(|why| {
        tracing::debug!(why, name = route.name, "an extension server was not reached");
        unavailable()
    })?;
    let value = Value::from_json(&body).unwrap_or_default();
    match code {
        200..300 => Ok(reply(request.verb, value)),
        _ => Err(Status::from_value(&value).unwrap_or_else(|| match code {
            404 => no_such_resource(),
            503 => unavailable(),
            _ => Status::new(code, Reason::Unknown, format!("the server answered with code {code}")),
        })),
    }
}

fn reply(verb: Verb, value: Value) -> Reply {
    if verb != Verb::List {
        return Reply::Virtual(value);
    }
    let items = value.array_at(&["items"]).iter().map(|item| Arc::new(Object::new(item.clone(), 0)));
    Reply::List(ObjectList {
        items: items.collect(),
        resource_version: value.resource_version().to_owned(),
        continue_token: value.str_at(&["metadata", "continue"]).to_owned(),
        remaining_item_count: None,
    })
}

/// As the request would come by HTTP.
fn uri(request: &Request) -> String {
    let resource = &request.resource;
    let mut uri = format!("/apis/{}/{}", resource.group, resource.version);
    let namespace = if request.namespace.is_empty() { "" } else { "namespaces" };
    for part in [namespace, &request.namespace, &resource.resource, &request.name, &request.subresource] {
        if !part.is_empty() {
            uri.push('/');
            escape_into(&mut uri, part);
        }
    }
    let Options { label_selector, field_selector, continue_token, .. } = &request.options;
    let mut separator = '?';
    for (name, value) in
        [("labelSelector", label_selector), ("fieldSelector", field_selector), ("continue", continue_token)]
    {
        if !value.is_empty() {
            let _ = write!(uri, "{separator}{name}=");
            escape_into(&mut uri, value);
            separator = '&';
        }
    }
    uri
}

fn escape_into(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~*".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use drydock_machinery::{GroupVersionResource, value};

    use super::*;

    #[test]
    fn requests_read_as_they_would_by_http() {
        let resource = GroupVersionResource::new("custom.metrics.k8s.io", "v1beta2", "pods");
        let options = Options { label_selector: "a=b,c in (d)".to_owned(), ..Options::default() };
        let request = Request::new(Verb::Get, &resource, "d", "*").subresource("hits").options(options);
        assert_eq!(
            uri(&request),
            "/apis/custom.metrics.k8s.io/v1beta2/namespaces/d/pods/*/hits?labelSelector=a%3Db%2Cc%20in%20%28d%29"
        );
    }

    #[test]
    fn lists_are_taken_apart() {
        let list = value!({"metadata": {"resourceVersion": "7"}, "items": [{"metadata": {"name": "p"}}]});
        let Reply::List(list) = reply(Verb::List, list) else { panic!("no list") };
        assert_eq!((list.items[0].name(), list.resource_version.as_str()), ("p", "7"));
    }
}
