//! How objects are written to the store: compact JSON without the resourceVersion, which is the commit's revision.

use std::sync::Arc;

use bytes::Bytes;
use drydock_machinery::apply::share_managed_fields;
use drydock_machinery::json::Unversioned;
use drydock_machinery::{Object, Value};
use drydock_store::{Content, Payload, Revision};
use parking_lot::Mutex;

/// An object on its way to the store. The writer and the watch cache get the same [`Object`] out of it, so that it is
/// built once.
#[derive(Debug)]
pub(crate) struct Stored {
    form: Mutex<Form>,
    /// Whether it is written as it will be answered, rather than sorted, which is quicker.
    answered: bool,
}

#[derive(Debug)]
enum Form {
    /// Without a resourceVersion.
    Given(Value),
    Committed(Arc<Object>),
}

impl Stored {
    /// `value` must have no resourceVersion.
    pub(crate) fn new(value: Value) -> Arc<Self> {
        Arc::new(Self { form: Mutex::new(Form::Given(value)), answered: false })
    }

    /// The same, and its JSON for the answer.
    pub(crate) fn answered(value: Value) -> (Arc<Self>, Option<Unversioned>) {
        let json = Unversioned::of(&value);
        (Arc::new(Self { form: Mutex::new(Form::Given(value)), answered: json.is_some() }), json)
    }

    /// The object as committed. Always called with the one revision of that commit.
    pub(crate) fn object(&self, revision: Revision) -> Arc<Object> {
        let mut form = self.form.lock();
        let value = match &mut *form {
            Form::Committed(object) => return object.clone(),
            Form::Given(value) => std::mem::take(value),
        };
        let object = Arc::new(Object::new(value, revision));
        *form = Form::Committed(object.clone());
        object
    }

    fn json(&self, value: &Value) -> Bytes {
        if self.answered
            && let Some(unversioned) = Unversioned::of(value)
        {
            return unversioned.json().clone();
        }
        Bytes::from(value.to_json())
    }
}

impl Content for Stored {
    fn encode(&self) -> Bytes {
        let object = match &*self.form.lock() {
            Form::Given(value) => return self.json(value),
            Form::Committed(object) => object.clone(),
        };
        let mut value = object.value().clone();
        value.remove(&["metadata", "resourceVersion"]);
        self.json(&value)
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
        let given = value!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"uid": "u", "name": "a"}});
        let (answered, json) = Stored::answered(given.clone());
        assert_eq!(answered.encode(), *json.unwrap().json());
        for stored in [Stored::new(given), answered] {
            let before = stored.encode();
            let object = stored.object(7);
            assert_eq!(stored.encode(), before);
            assert!(Arc::ptr_eq(&object, &stored.object(7)));
        }
    }
}
