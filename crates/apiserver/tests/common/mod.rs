//! What tests through the in-process client share.

use drydock_client::{Options, Request, Verb};
use drydock_machinery::{GroupVersionResource, Value};

/// A request in the namespace `default`.
pub(crate) fn request(
    verb: Verb,
    resource: GroupVersionResource,
    name: &str,
    body: Option<Value>,
) -> Request {
    Request {
        verb,
        resource,
        namespace: "default".to_owned(),
        name: name.to_owned(),
        subresource: String::new(),
        options: Options::default(),
        body,
    }
}
