//! Between the version of a request and the version that is stored.
//!
//! Most resources have one served version, or versions that differ in their name alone.

use std::sync::Arc;

use drydock_client::{ObjectList, Reply};
use drydock_machinery::{Object, ObjectMeta, Value};

use crate::resources::Resource;

/// From the request's version to the storage version.
pub(crate) fn to_storage(resource: &Resource, mut object: Value) -> Value {
    if !resource.is_storage_version() {
        drydock_kinds::convert(&mut object, &resource.storage);
        resource.strategy.set_defaults(&mut object);
    }
    object
}

/// From the storage version to the request's.
pub(crate) fn from_storage(resource: &Resource, mut object: Value) -> Value {
    drydock_kinds::convert(&mut object, &resource.gvk);
    object
}

/// Whether stored objects may need [`object`].
pub(crate) fn is_needed(resource: &Resource) -> bool {
    !resource.is_storage_version()
}

/// A stored object as the resource's version shows it.
pub(crate) fn object(resource: &Resource, object: Arc<Object>) -> Arc<Object> {
    if !is_needed(resource) {
        return object;
    }
    let revision = object.revision();
    Arc::new(Object::new(from_storage(resource, object.value().clone()), revision))
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
        Reply::Virtual(value) if value.api_version() == resource.storage.api_version() => {
            Reply::Virtual(from_storage(resource, value))
        }
        other => other,
    }
}
