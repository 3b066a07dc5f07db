//! Between the version of a request and the version that is stored.
//!
//! Most resources have one served version. Events and autoscalers have two forms, each in its file; custom resources'
//! versions differ in their schema alone, over which an object that is read is pruned and defaulted.

mod autoscaler;
mod event;

use std::sync::Arc;

use drydock_client::{ObjectList, Reply};
use drydock_machinery::decode::{self, FieldValidation};
use drydock_machinery::{Object, ObjectMeta, Value, defaults};

use crate::resources::Resource;

/// From the request's version to the storage version.
pub(crate) fn to_storage(resource: &Resource, object: Value) -> Value {
    if resource.is_storage_version() {
        return object;
    }
    let mut stored = match form(resource) {
        Form::Same => object,
        Form::Event => event::to_core(object),
        Form::Autoscaler => autoscaler::to_v2(object),
    };
    stored.set(&["apiVersion"], resource.storage.api_version());
    stored.set(&["kind"], &*resource.storage.kind);
    if form(resource) == Form::Same {
        return stored;
    }
    typed(stored, drydock_machinery::Catalog::builtin().schema(&resource.storage).as_ref())
}

/// From the storage version to the request's.
pub(crate) fn from_storage(resource: &Resource, mut object: Value) -> Value {
    if resource.custom.is_some() {
        return custom(resource, object);
    }
    if resource.is_storage_version() {
        return object;
    }
    object = match form(resource) {
        Form::Same => object,
        Form::Event => event::from_core(object),
        Form::Autoscaler => autoscaler::from_v2(object),
    };
    object.set(&["apiVersion"], resource.gvk.api_version());
    object.set(&["kind"], &*resource.gvk.kind);
    typed(object, resource.schema.as_ref())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Same,
    Event,
    Autoscaler,
}

fn form(resource: &Resource) -> Form {
    match &*resource.gvk.kind {
        "Event" if resource.custom.is_none() => Form::Event,
        "HorizontalPodAutoscaler" if resource.custom.is_none() => Form::Autoscaler,
        _ => Form::Same,
    }
}

/// Zero values as the target's Go type writes them.
fn typed(object: Value, schema: Option<&drydock_machinery::Schema>) -> Value {
    let decoded = schema.map(|schema| decode::value(&object, schema.root(), FieldValidation::Ignore));
    match decoded {
        Some(Ok(decoded)) => {
            let mut value = decoded.value;
            for field in ["apiVersion", "kind"] {
                if let Some(text) = object.get(field) {
                    value.set(&[field], text.clone());
                }
            }
            value
        }
        _ => object,
    }
}

fn custom(resource: &Resource, mut object: Value) -> Value {
    let api_version = resource.gvk.api_version();
    if object.api_version() != api_version {
        object.set(&["apiVersion"], api_version);
    }
    let (Some(schema), Some(custom)) = (&resource.schema, &resource.custom) else { return object };
    if !custom.preserve_unknown {
        decode::prune(&mut object, schema.root());
    }
    defaults::apply_defaults(&mut object, schema.root());
    object
}

/// Whether stored objects may need [`object`].
pub(crate) fn is_needed(resource: &Resource) -> bool {
    !resource.is_storage_version() || resource.custom.is_some()
}

/// A stored object as the resource's version shows it.
pub(crate) fn object(resource: &Resource, object: Arc<Object>) -> Arc<Object> {
    if !is_needed(resource) {
        return object;
    }
    let shown = from_storage(resource, object.value().clone());
    if shown == *object.value() {
        return object;
    }
    let revision = object.revision();
    Arc::new(Object::new(shown, revision))
}

/// A stored custom object as its storage version's schema has it by now: what updates start from.
pub(crate) fn refreshed(resource: &Resource, stored: Arc<Object>) -> Arc<Object> {
    if resource.custom.is_none() || !resource.is_storage_version() {
        return stored;
    }
    object(resource, stored)
}

pub(crate) fn reply(resource: &Resource, reply: Reply) -> Reply {
    if !is_needed(resource) {
        return reply;
    }
    match reply {
        Reply::Object(stored) => Reply::Object(object(resource, stored)),
        Reply::List(list) => {
            let items = list.items.into_iter().map(|item| object(resource, item)).collect();
            Reply::List(ObjectList { items, ..list })
        }
        Reply::Virtual(value)
            if value.kind() == resource.storage.kind
                && value.api_version() == resource.storage.api_version() =>
        {
            Reply::Virtual(from_storage(resource, value))
        }
        other => other,
    }
}
