//! How objects are written to the store: compact JSON without the resourceVersion, which is the commit's revision.

use std::sync::Arc;

use bytes::Bytes;
use drydock_machinery::apply::share_managed_fields;
use drydock_machinery::{Object, Value};
use drydock_store::{Content, Payload, Revision};
use parking_lot::Mutex;

/// An object on its way to the store. The writer and the watch cache get the same [`Object`] out of it, so that it is
/// built once.
#[derive(Debug)]
pub(crate) struct Stored(Mutex<Form>);

#[derive(Debug)]
enum Form {
    /// Without a resourceVersion.
    Given(Value),
    Committed(Arc<Object>),
}

impl Stored {
    /// `value` must have no resourceVersion.
    pub(crate) fn new(value: Value) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Form::Given(value))))
    }

    /// The object as committed. Always called with the one revision of that commit.
    pub(crate) fn object(&self, revision: Revision) -> Arc<Object> {
        let mut form = self.0.lock();
        let value = match &mut *form {
            Form::Committed(object) => return object.clone(),
            Form::Given(value) => std::mem::take(value),
        };
        let object = Arc::new(Object::new(value, revision));
        *form = Form::Committed(object.clone());
        object
    }

    pub(crate) fn payload(self: &Arc<Self>) -> Payload {
        Payload::of(self.clone())
    }
}

impl Content for Stored {
    fn encode(&self) -> Bytes {
        let object = match &*self.0.lock() {
            Form::Given(value) => return Bytes::from(value.to_json()),
            Form::Committed(object) => object.clone(),
        };
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

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    #[test]
    fn the_bytes_are_the_same_before_and_after_the_commit() {
        let stored = Stored::new(value!({"kind": "ConfigMap", "metadata": {"name": "a"}}));
        let before = stored.encode();
        let object = stored.object(7);
        assert_eq!(stored.encode(), before);
        assert!(Arc::ptr_eq(&object, &stored.object(7)));
    }
}
