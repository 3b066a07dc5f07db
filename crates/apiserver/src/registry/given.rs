//! What of an object is given, and what is written: Go's `omitempty` and protobuf lose what is empty.

use std::borrow::Cow;

use drydock_client::{PatchType, Verb};
use drydock_machinery::decode::{Decoded, Emptied};
use drydock_machinery::{GroupVersionKind, ObjectMeta as _, Value, defaults};

use super::{Call, decode, managed};
use crate::resources::Resource;

/// The object as it was given, for defaults to see.
pub(super) fn with_emptied(mut decoded: Decoded) -> Decoded {
    decoded.emptied.iter().for_each(|emptied| emptied.put_back(&mut decoded.value));
    decoded
}

/// The object as Go would write it. The call remembers what that leaves out.
pub(super) fn without_emptied(call: &Call, mut object: Value, mut emptied: Vec<Emptied>) -> Value {
    emptied.retain(|emptied| emptied.take_out(&mut object));
    if call.request.verb == Verb::Update && emptied.iter().any(|emptied| emptied.is_at(&managed::PATH)) {
        // That asks for them to be forgotten.
        object.set(&managed::PATH, Value::Array(Default::default()));
    }
    *call.emptied.lock() = emptied;
    object
}

impl Call {
    /// The object that is to be written as validation sees it: with the empty lists and maps that were given.
    pub(crate) fn as_given<'a>(&self, object: &'a Value) -> Cow<'a, Value> {
        let emptied = self.emptied.lock();
        // What is written in another version has its fields elsewhere.
        if emptied.is_empty() || self.resource.gvk != *self.resource.working_kind() {
            return Cow::Borrowed(object);
        }
        let keeps_status = self.request.verb != Verb::Create && self.resource.subresource("status").is_some();
        let is_written = |top: &str| match self.request.subresource.as_str() {
            "" => top != "status" || !keeps_status,
            "status" => top == "status",
            _ => false,
        };
        let mut given = object.clone();
        emptied
            .iter()
            .filter(|emptied| is_written(emptied.top()))
            .for_each(|emptied| emptied.put_back(&mut given));
        Cow::Owned(given)
    }
}

impl Call {
    /// The object with the empty lists and maps that were given inside of atomic lists; None if there are none. Go's
    /// `reflect.DeepEqual` compares such lists, to which these are something else than absent ones.
    pub(crate) fn with_emptied_in_atomic_lists(&self, object: &Value) -> Option<Value> {
        let emptied = self.emptied.lock();
        let schema = self.resource.schema.as_ref()?;
        if emptied.is_empty() || self.resource.gvk != *self.resource.working_kind() {
            return None;
        }
        let mut given = None;
        for emptied in emptied.iter().filter(|emptied| emptied.is_in_atomic_list(schema.root())) {
            emptied.put_back(given.get_or_insert_with(|| object.clone()));
        }
        given
    }

    /// Whether something under this field of the whole object, or itself, was given and is empty.
    pub(crate) fn was_emptied(&self, is_counted: impl Fn(&str) -> bool) -> bool {
        self.emptied.lock().iter().any(|emptied| is_counted(emptied.top()))
    }
}

/// Groups whose servers store JSON, which tells an empty list from none.
const STORED_AS_JSON: [&str; 2] = ["apiextensions.k8s.io", "apiregistration.k8s.io"];

/// What storing changes of an object.
pub(super) fn as_stored(call: &Call, object: &mut Value) {
    let resource: &Resource = &call.resource;
    if call.request.verb == Verb::Patch(PatchType::Apply) {
        decode::settle_applied(resource, object);
    }
    // What was given as empty is absent to whoever reads it, and has its defaults.
    let is_prepared = call.request.verb == Verb::Create && resource.strategy.has_defaults_of_prepared();
    if is_prepared || !call.emptied.lock().is_empty() {
        resource.strategy.set_defaults(object);
    }
    if resource.custom.is_some() {
        object.settle_numbers();
    }
    let storage = GroupVersionKind::from_api_version(object.api_version(), object.kind());
    if resource.custom.is_none()
        && !STORED_AS_JSON.contains(&&*storage.group)
        && let Some(schema) = drydock_machinery::Catalog::builtin().schema(&storage)
    {
        defaults::forget_empty(object, schema.root());
    }
}
