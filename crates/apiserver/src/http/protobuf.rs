//! Kubernetes' protobuf, for built-in kinds and the metadata of all. What has no protobuf form is answered with JSON.

use bytes::Bytes;
use drydock_client::ObjectList;
use drydock_machinery::{Catalog, GroupVersionKind, ObjectMeta, Value, protobuf};

use super::list_body;
use crate::resources::Resource;

pub(crate) const CONTENT_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// The object in its envelope; None when its kind has no protobuf.
pub(crate) fn object(value: &Value) -> Option<Bytes> {
    let kind = value.gvk();
    let kind = match (&*kind.group, &*kind.kind) {
        (_, "Status") => STATUS,
        ("", "APIVersions" | "APIResourceList") => GroupVersionKind { version: "v1".into(), ..kind },
        ("meta.k8s.io", "Table") => return None,
        ("meta.k8s.io", _) => return protobuf::encode_metadata(value).ok().map(Bytes::from),
        _ => kind,
    };
    let schema = Catalog::builtin().schema(&kind)?;
    protobuf::encode(value, schema.root()).ok().map(Bytes::from)
}

const STATUS: GroupVersionKind = GroupVersionKind::new("", "v1", "Status");

pub(crate) fn list(resource: &Resource, list: &ObjectList) -> Option<Bytes> {
    object(&list_body::value(resource, list))
}

/// One event of a watch.
pub(crate) fn event(kind: &str, value: &Value) -> Option<Vec<u8>> {
    Some(protobuf::watch_frame(kind, &object(value)?))
}
