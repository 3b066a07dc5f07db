//! Lists: the encoded items one after the other, in chunks, so that a large list is never in memory twice.

use bytes::Bytes;
use drydock_client::ObjectList;
use drydock_machinery::{Value, json, value};

use super::handler::Req;
use super::{Answer, body, encode};
use crate::resources::Resource;

/// Lists up to this size are sent whole, with their length; larger ones in chunks of it.
const CHUNK: usize = 256 * 1024;

pub(crate) async fn answer(request: &Req, resource: &Resource, list: ObjectList) -> Answer {
    let frame = Frame::of(resource, &list);
    let mut out = Vec::with_capacity(8 * 1024);
    out.extend_from_slice(&frame.head);
    let mut items = list.items.into_iter();
    let mut first = true;
    let mut fill = move |out: &mut Vec<u8>| {
        while out.len() < CHUNK {
            let Some(item) = items.next() else {
                out.extend_from_slice(&frame.tail);
                return true;
            };
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
            item.write_item(out);
        }
        false
    };
    if fill(&mut out) {
        return encode::finish(request, body::whole(200, body::JSON, out)).await;
    }
    if encode::takes_gzip(request) {
        while !fill_more(&mut out, &mut fill) {}
        return encode::finish(request, body::whole(200, body::JSON, out)).await;
    }
    let rest = futures::stream::unfold((Some(out), fill, false), |(ready, mut fill, over)| async move {
        if let Some(ready) = ready {
            return Some((Bytes::from(ready), (None, fill, false)));
        }
        if over {
            return None;
        }
        let mut chunk = Vec::with_capacity(CHUNK + 16 * 1024);
        let over = fill(&mut chunk);
        Some((Bytes::from(chunk), (None, fill, over)))
    });
    body::streamed(body::JSON, rest)
}

/// What stands before and after the items: of a built-in kind in Go's order, else sorted.
struct Frame {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Frame {
    fn of(resource: &Resource, list: &ObjectList) -> Self {
        let mut whole = value!({"kind": resource.list_kind, "apiVersion": resource.gvr.api_version()});
        let mut metadata = metadata_of(list);
        if resource.custom.is_some() && list.continue_token.is_empty() {
            // Lists without a Go type write it always.
            metadata.set(&["continue"], "");
        }
        whole.set(&["metadata"], metadata);
        whole.set(&["items"], Value::Array(Default::default()));
        let mut head = Vec::with_capacity(256);
        json::write(&whole, &mut head);
        // No field before the items can hold this: in strings the quotes are escaped.
        let empty = br#""items":[]"#;
        let at = head.windows(empty.len()).position(|part| part == empty);
        let mut tail = head.split_off(at.map_or(head.len(), |at| at + empty.len() - 1));
        tail.push(b'\n');
        Self { head, tail }
    }
}

/// Appends another chunk; true at the end.
fn fill_more(out: &mut Vec<u8>, fill: &mut impl FnMut(&mut Vec<u8>) -> bool) -> bool {
    let mut chunk = Vec::with_capacity(CHUNK + 16 * 1024);
    let over = fill(&mut chunk);
    out.append(&mut chunk);
    over
}

/// `metav1.ListMeta`.
pub(crate) fn metadata_of(list: &ObjectList) -> Value {
    let mut metadata = Value::object();
    if !list.resource_version.is_empty() {
        metadata.set(&["resourceVersion"], list.resource_version.as_str());
    }
    if !list.continue_token.is_empty() {
        metadata.set(&["continue"], list.continue_token.as_str());
    }
    if let Some(count) = list.remaining_item_count {
        metadata.set(&["remainingItemCount"], count);
    }
    metadata
}

/// The list as a tree, for YAML and for people.
pub(crate) fn value(resource: &Resource, list: &ObjectList) -> Value {
    let items: Vec<Value> = list
        .items
        .iter()
        .map(|item| {
            let mut item = item.value().clone();
            if resource.custom.is_none() {
                item.remove(&["apiVersion"]);
                item.remove(&["kind"]);
            }
            item
        })
        .collect();
    let mut out = value!({"kind": resource.list_kind, "apiVersion": resource.gvr.api_version()});
    out.set(&["metadata"], metadata_of(list));
    out.set(&["items"], items);
    out
}

/// `PartialObjectMetadataList`.
pub(crate) fn metadata(list: &ObjectList, version: &str) -> Value {
    let items: Vec<Value> = list.items.iter().map(|item| encode::partial(item.value(), version)).collect();
    // Upstream's list of none is no list.
    let items = if items.is_empty() { Value::Null } else { Value::from(items) };
    let mut out =
        value!({"kind": "PartialObjectMetadataList", "apiVersion": format!("meta.k8s.io/{version}")});
    out.set(&["metadata"], metadata_of(list));
    out.set(&["items"], items);
    out
}
