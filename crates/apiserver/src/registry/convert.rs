//! Between the version of a request, the version that the registry works in, and the version that is stored.
//!
//! Built-in kinds are worked on in their storage version; their conversions are `drydock-kinds`'. Custom resources are
//! worked on in the request's version: admission, validation and managed fields see what the client wrote. They are
//! converted at the edge of the store, by their definition's [`Conversion`](crate::conversion::Conversion). Whenever they
//! are read, they are pruned and defaulted by the schema of the version that they are stored in, and what comes of their
//! conversion is pruned by that of the request's.

use std::sync::Arc;

use drydock_client::{ObjectList, Reply};
use drydock_machinery::{Object, ObjectMeta, Status, Value, decode, defaults};

use crate::admission::Reader;
use crate::cache::{Changes, Step};
use crate::resources::{Custom, Resource};

/// From the request's version to the one the registry works in.
pub(crate) fn to_working(resource: &Resource, mut object: Value) -> Value {
    if resource.custom.is_some() || resource.is_storage_version() {
        return object;
    }
    drydock_kinds::convert(&mut object, &resource.storage);
    resource.strategy.set_defaults(&mut object);
    object
}

/// From the version the registry works in to the request's.
pub(crate) fn from_working(resource: &Resource, mut object: Value) -> Value {
    if resource.custom.is_none() && !resource.is_storage_version() {
        drydock_kinds::convert(&mut object, &resource.gvk);
    }
    object
}

/// The form in which an object that was worked on is stored.
///
/// # Errors
/// What the conversion webhook did wrong.
pub(crate) async fn to_stored(
    reader: &dyn Reader,
    resource: &Resource,
    object: Value,
) -> Result<Value, Status> {
    let Some(custom) = &resource.custom else { return Ok(object) };
    let storage = resource.storage.api_version();
    if object.api_version() == storage {
        return Ok(object);
    }
    let mut converted = custom.conversion.convert(reader, vec![object], &storage).await?;
    let mut object = converted.pop().ok_or_else(|| Status::internal("the conversion lost the object"))?;
    if !custom.preserve_unknown {
        decode::prune(&mut object, custom.storage_schema.root());
    }
    Ok(object)
}

/// A stored object in the version the registry works in.
///
/// # Errors
/// What the conversion webhook did wrong.
pub(crate) async fn working(
    reader: &dyn Reader,
    resource: &Resource,
    stored: Arc<Object>,
) -> Result<Arc<Object>, Status> {
    if resource.custom.is_none() {
        return Ok(stored);
    }
    let mut shown = shown(reader, resource, vec![stored]).await?;
    shown.pop().ok_or_else(|| Status::internal("the conversion lost the object"))
}

/// Stored objects as the resource's version shows them.
///
/// # Errors
/// What the conversion webhook did wrong.
pub(crate) async fn shown(
    reader: &dyn Reader,
    resource: &Resource,
    objects: Vec<Arc<Object>>,
) -> Result<Vec<Arc<Object>>, Status> {
    if let Some(custom) = &resource.custom {
        // Defaults are those of the version that is stored; another only leaves out what it does not know.
        let own = resource.gvk.api_version();
        let objects: Vec<_> =
            objects.into_iter().map(|object| changed(object, |value| fitted(custom, value))).collect();
        if objects.iter().all(|object| object.api_version() == own) {
            return Ok(objects);
        }
        let objects = custom.conversion.stored(reader, objects, &own).await?;
        return Ok(objects
            .into_iter()
            .map(|object| changed(object, |value| pruned(custom, &own, value)))
            .collect());
    }
    if resource.is_storage_version() {
        return Ok(objects);
    }
    Ok(objects.into_iter().map(|object| changed(object, |value| from_working(resource, value))).collect())
}

/// What a watch says, as the resource's version shows it. An object that cannot be converted ends the watch.
pub(crate) async fn step(reader: &dyn Reader, resource: &Resource, step: Step) -> Step {
    let changes = match step {
        Step::Changes(changes) if is_needed(resource) => changes,
        other => return other,
    };
    let (kinds, objects): (Vec<_>, Vec<_>) = changes.into_iter().unzip();
    match shown(reader, resource, objects).await {
        Ok(objects) => Step::Changes(kinds.into_iter().zip(objects).collect::<Changes>()),
        Err(status) => Step::Error(status),
    }
}

/// Whether stored objects may look otherwise in the resource's version.
pub(super) fn is_needed(resource: &Resource) -> bool {
    !resource.is_storage_version() || resource.custom.is_some()
}

/// A stored custom object as the schema of its version has it: without unknown fields, with defaults.
fn fitted(custom: &Custom, object: Value) -> Value {
    let version = object.api_version().to_owned();
    let mut object = pruned(custom, &version, object);
    if let Some(schema) = custom.conversion.schema(&version) {
        defaults::apply_defaults(&mut object, schema.root());
    }
    object
}

/// A custom object without what the schema of `api_version` does not know.
fn pruned(custom: &Custom, api_version: &str, mut object: Value) -> Value {
    let schema = custom.conversion.schema(api_version).filter(|_| !custom.preserve_unknown);
    if let Some(schema) = schema {
        decode::prune(&mut object, schema.root());
    }
    object
}

/// The same object, if `change` leaves it as it is.
fn changed(object: Arc<Object>, change: impl FnOnce(Value) -> Value) -> Arc<Object> {
    let new = change(object.value().clone());
    if new == *object.value() { object } else { Arc::new(Object::new(new, object.revision())) }
}

/// What is answered, in the request's version.
///
/// # Errors
/// What the conversion webhook did wrong.
pub(crate) async fn reply(reader: &dyn Reader, resource: &Resource, reply: Reply) -> Result<Reply, Status> {
    Ok(match reply {
        Reply::Object(stored) => match shown(reader, resource, vec![stored]).await?.pop() {
            Some(object) => Reply::Object(object),
            None => return Err(Status::internal("the conversion lost the object")),
        },
        Reply::List(list) => {
            let items = shown(reader, resource, list.items).await?;
            Reply::List(ObjectList { items, ..list })
        }
        Reply::Virtual(value)
            if value.kind() == resource.storage.kind
                && value.api_version() == resource.storage.api_version() =>
        {
            Reply::Virtual(from_working(resource, value))
        }
        other => other,
    })
}
