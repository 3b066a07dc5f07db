//! How plugins say no, and what they all ask of a request.

use drydock_machinery::{ObjectMeta, Status, Value};

use super::{AdmissionRequest, Operation};

impl AdmissionRequest<'_> {
    /// The 403 of upstream's `admission.NewForbidden`.
    pub(super) fn forbidden(&self, why: &str) -> Status {
        Status::forbidden(&self.resource.group, &self.resource.resource, self.shown_name(), why)
    }

    /// An object without a name yet is shown by its generateName.
    fn shown_name(&self) -> &str {
        if !self.name.is_empty() {
            return &self.name;
        }
        let Some(object) = &self.object else { return "Unknown" };
        match (object.name(), object.str_at(&["metadata", "generateName"])) {
            ("", "") => "Unknown",
            ("", prefix) => prefix,
            (name, _) => name,
        }
    }

    /// The namespace that reviews and policies see: a namespace is in itself.
    pub(super) fn shown_namespace(&self) -> &str {
        if self.is_of("", "namespaces") { &self.name } else { self.namespace }
    }

    /// Whether the request is about this resource itself.
    pub(super) fn is_for(&self, group: &str, resource: &str) -> bool {
        self.subresource.is_empty() && self.is_of(group, resource)
    }

    /// Whether the request is about this resource or a subresource of it.
    pub(super) fn is_of(&self, group: &str, resource: &str) -> bool {
        self.resource.resource == resource && self.resource.group == group
    }

    pub(super) fn is_create_of(&self, group: &str, resource: &str) -> bool {
        self.operation == Operation::Create && self.is_for(group, resource)
    }

    /// The object, or null for deletes.
    pub(super) fn object(&self) -> &Value {
        static NULL: Value = Value::Null;
        self.object.as_ref().unwrap_or(&NULL)
    }

    /// The stored object, or null for creates.
    pub(super) fn old(&self) -> &Value {
        static NULL: Value = Value::Null;
        self.old_object.as_ref().map_or(&NULL, |old| old.value())
    }
}
