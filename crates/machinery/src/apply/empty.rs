//! What Go's empty struct of a kind looks like: what a creation is compared with.

use crate::decode;
use crate::names::GroupVersionKind;
use crate::schema::TypeRef;
use crate::value::Value;

/// An empty object. A built-in kind's has what Go writes always: who creates an object does not come to own `spec`
/// itself, since that was there before. A custom resource's has nothing.
pub(super) fn empty_object(kind: &GroupVersionKind, schema: TypeRef<'_>) -> Value {
    let mut object = decode::zero(schema);
    object.set(&["apiVersion"], kind.api_version());
    object.set(&["kind"], kind.kind.as_ref());
    object
}
