//! Watches over HTTP: one JSON document a line. An object is encoded once, whoever watches it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use drydock_machinery::value::write_json_string;
use drydock_machinery::{Object, Status, Value, json, value};
use drydock_runtime::{Stopwatch, wall};
use futures::stream;

use super::handler::Req;
use super::negotiate::{self, Format, View, Wanted};
use super::{Answer, body, encode, protobuf, table};
use crate::cache::{ChangeKind, Step, Watcher};
use crate::registry::{Call, convert};
use crate::resources::Resource;

const PROTOBUF_STREAM: &str = "application/vnd.kubernetes.protobuf;stream=watch";

/// How events are written for one watcher.
struct Encoder {
    resource: Arc<Resource>,
    view: View,
    protobuf: bool,
    table: table::Options,
    /// A table's columns are sent once.
    columns_sent: bool,
}

/// # Errors
/// What kept the watch from starting, unless that is an expired revision, which is sent as an event.
pub(crate) fn answer(
    request: &Req,
    call: &Call,
    watcher: Result<Watcher, Status>,
    wanted: Wanted,
) -> Result<Answer, Status> {
    negotiate::check_stream(wanted)?;
    let table = table::Options::of(request)?;
    let protobuf = wanted.format == Format::Protobuf && !matches!(wanted.view, View::Table(_));
    let content_type = if protobuf { PROTOBUF_STREAM } else { body::JSON };
    let mut encoder =
        Encoder { resource: call.resource.clone(), view: wanted.view, protobuf, table, columns_sent: false };
    let watcher = match watcher {
        Ok(watcher) => watcher,
        Err(status) if status.code == 410 => {
            let event = encoder.encode(Step::Error(status));
            return Ok(body::streamed(content_type, stream::once(async move { event })));
        }
        Err(status) => return Err(status),
    };
    let Some(watching) = request.core.requests.watch() else { return Ok(super::flow::too_many_requests()) };
    let cache = request.core.registry.cache.clone();
    let events = stream::unfold(Some((watcher, encoder, Pace(None), cache, watching)), |state| async move {
        let (mut watcher, mut encoder, mut pace, cache, watching) = state?;
        pace.wait().await;
        let step = watcher.next().await?;
        pace.saw(&step);
        let step = convert::step(&*cache, &encoder.resource, step).await;
        let over = matches!(step, Step::Error(_));
        let bytes = encoder.encode(step);
        Some((bytes, (!over).then_some((watcher, encoder, pace, cache, watching))))
    });
    Ok(body::streamed(content_type, events))
}

/// Lets events gather while there are many: each write to a connection costs as much as several events. An event that
/// comes alone is sent at once, and the more came together last time, the longer the next ones gather.
struct Pace(Option<(Stopwatch, Duration)>);

/// How long events gather for each that came last time, how long at most, and how many are not worth waiting for more.
const GATHER: Duration = Duration::from_millis(1);
const GATHER_AT_MOST: Duration = Duration::from_millis(5);
const ENOUGH: usize = 64;

impl Pace {
    async fn wait(&self) {
        let left = self.0.and_then(|(since, gather)| gather.checked_sub(since.elapsed()));
        if let Some(left) = left.filter(|left| !left.is_zero()) {
            wall::sleep(left).await;
        }
    }

    fn saw(&mut self, step: &Step) {
        self.0 = match step {
            Step::Changes(changes) if changes.len() < ENOUGH => {
                let gather = GATHER * u32::try_from(changes.len()).unwrap_or(1);
                Some((Stopwatch::start(), gather.min(GATHER_AT_MOST)))
            }
            _ => None,
        };
    }
}

impl Encoder {
    fn encode(&mut self, step: Step) -> Bytes {
        let mut out = Vec::with_capacity(1024);
        match step {
            Step::Changes(changes) => {
                for (kind, object) in changes {
                    self.change(kind, &object, &mut out);
                }
            }
            Step::Bookmark { revision, initial_events_end } => {
                let bookmark = self.bookmark(revision, initial_events_end);
                self.event("BOOKMARK", &mut out, &bookmark);
            }
            Step::Error(status) => self.event("ERROR", &mut out, &status.to_value()),
        }
        Bytes::from(out)
    }

    fn change(&mut self, kind: ChangeKind, object: &Object, out: &mut Vec<u8>) {
        let kind = match kind {
            ChangeKind::Added => "ADDED",
            ChangeKind::Modified => "MODIFIED",
            ChangeKind::Deleted => "DELETED",
        };
        match self.view {
            View::Whole if self.protobuf => self.event(kind, out, object.value()),
            View::Whole => event(kind, out, |out| object.write_json(out)),
            // No object can be shown as a list of them.
            View::MetadataList(_) => {}
            View::Metadata(version) => {
                let partial = encode::partial(object.value(), version);
                self.event(kind, out, &partial);
            }
            View::Table(version) => {
                let columns = !std::mem::replace(&mut self.columns_sent, true);
                let table = table::event(&self.resource, object.value(), version, &self.table, columns);
                event(kind, out, |out| json::write(&table, out));
            }
        }
    }

    fn event(&self, kind: &str, out: &mut Vec<u8>, value: &Value) {
        match protobuf::event(kind, value).filter(|_| self.protobuf) {
            Some(frame) => out.extend_from_slice(&frame),
            None => event(kind, out, |out| json::write(value, out)),
        }
    }

    fn bookmark(&mut self, revision: u64, initial_events_end: bool) -> Value {
        let mut metadata = value!({"resourceVersion": revision.to_string()});
        if initial_events_end {
            metadata.set(&["annotations"], value!({"k8s.io/initial-events-end": "true"}));
        }
        let (kind, api_version) = match self.view {
            View::Whole => (self.resource.gvk.kind.to_string(), self.resource.gvk.api_version()),
            View::Metadata(version) | View::MetadataList(version) => {
                ("PartialObjectMetadata".to_owned(), format!("meta.k8s.io/{version}"))
            }
            View::Table(version) => return self.table_bookmark(metadata, version),
        };
        let mut bookmark = value!({"kind": kind, "apiVersion": api_version});
        bookmark.set(&["metadata"], metadata);
        bookmark
    }

    fn table_bookmark(&mut self, metadata: Value, version: &str) -> Value {
        let mut object = value!({"metadata": {}});
        object.set(&["metadata"], metadata);
        let columns = !std::mem::replace(&mut self.columns_sent, true);
        table::event(&self.resource, &object, version, &self.table, columns)
    }
}

fn event(kind: &str, out: &mut Vec<u8>, object: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"{\"type\":");
    write_json_string(kind, out);
    out.extend_from_slice(b",\"object\":");
    object(out);
    out.extend_from_slice(b"}\n");
}
