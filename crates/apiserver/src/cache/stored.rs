//! How objects are written to the store: compact JSON without the resourceVersion, which is the commit's revision.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use drydock_machinery::apply::share_managed_fields;
use drydock_machinery::{Object, Value};
use drydock_store::{Content, Payload, Revision};
use parking_lot::Mutex;

/// An object on its way to the store. The writer and the watch cache get the same [`Object`] out of it, so that it is
/// built once.
#[derive(Debug)]
pub(crate) struct Stored {
    /// Without a resourceVersion. Taken when the object is made.
    value: Mutex<Value>,
    object: OnceLock<Arc<Object>>,
}

impl Stored {
    /// `value` must have no resourceVersion.
    pub(crate) fn new(value: Value) -> Arc<Self> {
        Arc::new(Self { value: Mutex::new(value), object: OnceLock::new() })
    }

    /// The object as committed. Always called with the one revision of that commit.
    pub(crate) fn object(&self, revision: Revision) -> Arc<Object> {
        let make = || Arc::new(Object::new(std::mem::take(&mut *self.value.lock()), revision));
        self.object.get_or_init(make).clone()
    }

    pub(crate) fn payload(self: &Arc<Self>) -> Payload {
        Payload::of(self.clone())
    }
}

impl Content for Stored {
    fn encode(&self) -> Bytes {
        let value = self.value.lock();
        let Some(object) = self.object.get() else { return Bytes::from(value.to_json()) };
        let mut value = object.value().clone();
        value.remove(&["metadata", "resourceVersion"]);
        Bytes::from(value.to_json())
    }
}

/// None when the bytes are not an object.
pub(crate) fn decode(payload: &Payload, revision: Revision) -> Option<Arc<Object>> {
    if let Some(stored) = payload.content::<Stored>() {
        return Some(stored.object(revision));
    }
    let mut value = Value::from_json(&payload.bytes()).ok()?;
    value.as_object()?;
    share_managed_fields(&mut value);
    Some(Arc::new(Object::new(value, revision)))
}
