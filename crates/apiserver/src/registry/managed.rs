//! `metadata.managedFields` of creates and updates. Who owns what is machinery's to compute.

use drydock_machinery::Value;
use jiff::Timestamp;

use super::Call;

/// A new object's fields belong to its creator.
pub(crate) fn on_create(_call: &Call, _object: &mut Value, _now: Timestamp) {}

/// What an update changed belongs to who changed it.
pub(crate) fn on_update(_call: &Call, old: &Value, object: &mut Value, _now: Timestamp) {
    if object.at(&["metadata", "managedFields"]).is_none()
        && let Some(managed) = old.at(&["metadata", "managedFields"])
    {
        object.set(&["metadata", "managedFields"], managed.clone());
    }
}
