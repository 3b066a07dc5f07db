//! Subresources: parts of an object with their own path and permissions, and actions on it.

mod eviction;
mod pod;
mod scale;
mod token;

use drydock_client::{Reply, Verb};
use drydock_machinery::{ObjectMeta, Status, Value};

use super::virtuals::verb_name;
use super::{Call, Done, Registry};
use crate::resources::Resource;

impl Registry {
    pub(crate) async fn call_subresource(&self, call: &mut Call) -> Result<Done, Status> {
        let name = call.request.subresource.clone();
        match (name.as_str(), call.request.verb) {
            ("scale", _) => self.scale(call).await,
            ("binding", Verb::Create) => self.create_binding(call).await,
            ("eviction", Verb::Create) => self.evict(call).await,
            ("token", Verb::Create) => self.create_token(call).await,
            (_, Verb::Get) => Ok(Done::ok(Reply::Object(self.get(call).await?))),
            (_, Verb::Update) => self.update(call).await,
            (_, Verb::Patch(kind)) => self.patch(call, kind).await,
            (_, verb) => Err(call.method_not_supported(verb_name(verb))),
        }
    }
}

/// What a write may change, by subresource: everything else becomes what it was.
pub(crate) fn narrow(resource: &Resource, subresource: &str, new: &mut Value, old: &Value) {
    match subresource {
        "" => {
            let has_status = resource.subresource("status").is_some();
            if has_status && (resource.strategy.has_status() || resource.custom.is_some()) {
                copy(new, old, &["status"]);
            }
        }
        // What is kept of the metadata is the strategy's to say.
        "status" | "approval" => keep_all_but(resource, new, old, &["status"], &[]),
        "finalize" => {
            let finalizers =
                new.at(&["spec", "finalizers"]).cloned().unwrap_or(Value::Array(Default::default()));
            keep_all_but(resource, new, old, &[], &KEPT);
            let left = finalizers.as_array().is_some_and(|list| !list.is_empty());
            put(new, &["spec", "finalizers"], Some(finalizers).filter(|_| left));
        }
        "ephemeralcontainers" => {
            let containers = new.at(&["spec", "ephemeralContainers"]).cloned();
            keep_all_but(resource, new, old, &[], &KEPT);
            put(new, &["spec", "ephemeralContainers"], containers);
        }
        // Pods themselves say what a resize may change, and the registry itself has made a bound pod.
        "resize" | "binding" => {}
        _ => keep_all_but(resource, new, old, &[], &KEPT),
    }
}

/// Metadata that most subresources do not change.
const KEPT: [&str; 2] = ["ownerReferences", "deletionTimestamp"];

/// Takes the old object, with the new one's `fields` and metadata but for those that are `kept`. Of a custom resource's
/// metadata only the managed fields are taken.
fn keep_all_but(resource: &Resource, new: &mut Value, old: &Value, fields: &[&str], kept: &[&str]) {
    let mut merged = old.clone();
    for field in fields {
        put(&mut merged, &[field], new.get(field).cloned());
    }
    if resource.custom.is_some() {
        put(&mut merged, &["metadata", "managedFields"], new.at(&["metadata", "managedFields"]).cloned());
    } else {
        put(&mut merged, &["metadata"], new.get("metadata").cloned());
        for kept in kept {
            copy(&mut merged, old, &["metadata", kept]);
        }
    }
    merged.set(&["metadata", "resourceVersion"], old.resource_version());
    *new = merged;
}

pub(crate) fn copy(to: &mut Value, from: &Value, path: &[&str]) {
    put(to, path, from.at(path).cloned());
}

pub(crate) fn put(to: &mut Value, path: &[&str], value: Option<Value>) {
    match value {
        Some(value) => {
            if to.at(path) != Some(&value) {
                to.set(path, value);
            }
        }
        None => {
            to.remove(path);
        }
    }
}

/// `v1 Status` of success.
pub(crate) fn success() -> Value {
    drydock_machinery::value!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201
    })
}
