//! Between the version of a request and the version that is stored.
//!
//! Built-in kinds' conversions are `drydock-kinds`'. Custom resources' versions differ in their schema alone, over which
//! an object that is read is pruned and defaulted.

use std::sync::Arc;

use drydock_client::{ObjectList, Reply};
use drydock_machinery::{Object, ObjectMeta, Value, decode, defaults};

use crate::resources::Resource;

/// From the request's version to the storage version.
pub(crate) fn to_storage(resource: &Resource, mut object: Value) -> Value {
    if resource.is_storage_version() {
        return object;
    }
    if let Some(custom) = &resource.custom {
        object.set(&["apiVersion"], resource.storage.api_version());
        if !custom.preserve_unknown {
            decode::prune(&mut object, custom.storage_schema.root());
        }
        return object;
    }
    drydock_kinds::convert(&mut object, &resource.storage);
    resource.strategy.set_defaults(&mut object);
    object
}

/// From the storage version to the request's.
pub(crate) fn from_storage(resource: &Resource, mut object: Value) -> Value {
    if resource.custom.is_some() {
        return custom(resource, object);
    }
    if !resource.is_storage_version() {
        drydock_kinds::convert(&mut object, &resource.gvk);
    }
    object
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
