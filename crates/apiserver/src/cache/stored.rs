//! How objects are written to the store: compact JSON without the resourceVersion, which is the commit's revision.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use drydock_machinery::{Object, Value};
use drydock_store::{Payload, Revision};

/// An object on its way to the store. The writer and the watch cache get the same [`Object`] out of it, so that it is
/// built and encoded once.
#[derive(Debug)]
pub(crate) struct Stored {
    value: Value,
    object: OnceLock<Arc<Object>>,
}

impl Stored {
    /// `value` must have no resourceVersion.
    pub(crate) fn new(value: Value) -> Arc<Self> {
        Arc::new(Self { value, object: OnceLock::new() })
    }

    /// The object as committed. Always called with the one revision of that commit.
    pub(crate) fn object(&self, revision: Revision) -> Arc<Object> {
        self.object.get_or_init(|| Arc::new(Object::new(self.value.clone(), revision))).clone()
    }

    pub(crate) fn payload(self: &Arc<Self>) -> Payload {
        let bytes = Bytes::from(self.value.to_json());
        Payload { bytes, decoded: Some(self.clone()) }
    }
}

/// None when the bytes are not an object.
pub(crate) fn decode(payload: &Payload, revision: Revision) -> Option<Arc<Object>> {
    if let Some(decoded) = &payload.decoded
        && let Ok(stored) = decoded.clone().downcast::<Stored>()
    {
        return Some(stored.object(revision));
    }
    let value = Value::from_json(&payload.bytes).ok()?;
    value.as_object()?;
    Some(Arc::new(Object::new(value, revision)))
}
