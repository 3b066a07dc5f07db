//! From a registry's reply to the bytes of an answer.

use std::io::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use drydock_client::Reply;
use drydock_machinery::json::{self, Unversioned};
use drydock_machinery::{Object, ObjectMeta, Reason, Status, Value, value};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, HeaderValue, VARY};

use super::handler::Req;
use super::negotiate::{Format, View, Wanted};
use super::{Answer, body, list_body, protobuf, table};
use crate::audit::Event;
use crate::registry::{Done, internal_group};
use crate::resources::Resource;

/// Answers at least this large are compressed for clients that can read that.
const GZIP_FROM: usize = 128 * 1024;

/// # Errors
/// 406 for a view that the reply does not have.
pub(crate) async fn done(
    request: &Req,
    resource: &Arc<Resource>,
    wanted: Wanted,
    done: Done,
) -> Result<Answer, Status> {
    let Done { reply, code, json } = done;
    if let Some(event) = &request.audit {
        note(request, resource, wanted, &reply, event);
    }
    if wanted.format == Format::Protobuf
        && wanted.view == View::Whole
        && let Some(bytes) = as_protobuf(resource, &reply)
    {
        return Ok(finish(request, body::whole(code, protobuf::CONTENT_TYPE, bytes)).await);
    }
    let value = match (reply, wanted.view) {
        (Reply::Object(object), View::Whole) if wanted.format != Format::Yaml && !request.is_pretty() => {
            let bytes = object_bytes(&object, json.as_ref());
            return Ok(finish(request, body::whole(code, body::JSON, bytes)).await);
        }
        (Reply::List(list), View::Whole) if wanted.format != Format::Yaml && !request.is_pretty() => {
            return Ok(list_body::answer(request, resource, list).await);
        }
        (Reply::Object(object), view) => one(request, resource, object.value(), view)?,
        // A Status stays one, whatever view was asked for.
        (Reply::Virtual(value), _) if value.kind() == "Status" => value,
        (Reply::Virtual(value), view) => one(request, resource, &value, view)?,
        (Reply::List(list), View::Whole) => list_body::value(resource, &list),
        (Reply::List(list), View::Table(version)) => table::of_list(request, resource, &list, version)?,
        (Reply::List(list), View::MetadataList(version)) => list_body::metadata(&list, version),
        (Reply::List(_), View::Metadata(_)) => {
            return Err(other_view(
                resource,
                "PartialObjectMetadata, but the requested object is a list",
                "List",
            ));
        }
    };
    Ok(value_answer(request, code, &value, wanted.format).await)
}

/// The answer, for the audit event. Of tables and metadata what was left out is not what was answered.
fn note(request: &Req, resource: &Resource, wanted: Wanted, reply: &Reply, event: &Event) {
    let is_status = matches!(reply, Reply::Virtual(value) if value.kind() == "Status");
    if !is_status && !event.wants_response() {
        return;
    }
    let view = match (reply, wanted.view) {
        (Reply::Object(object), view) => one(request, resource, object.value(), view).ok(),
        (Reply::Virtual(value), view) if !is_status => one(request, resource, value, view).ok(),
        (Reply::List(list), View::Table(version)) => table::of_list(request, resource, list, version).ok(),
        (Reply::List(list), View::MetadataList(version)) => Some(list_body::metadata(list, version)),
        _ => None,
    };
    event.response_object(&view.unwrap_or_else(|| shown(resource, reply)));
}

/// A reply whole, as a tree.
pub(crate) fn shown(resource: &Resource, reply: &Reply) -> Value {
    match reply {
        Reply::Object(object) => object.value().clone(),
        Reply::Virtual(value) => value.clone(),
        Reply::List(list) => list_body::value(resource, list),
    }
}

fn as_protobuf(resource: &Resource, reply: &Reply) -> Option<Bytes> {
    match reply {
        Reply::Object(object) => protobuf::object(object.value()),
        Reply::Virtual(value) => protobuf::object(value),
        Reply::List(list) => protobuf::list(resource, list),
    }
}

/// A value in the format asked for, indented if a person looks.
pub(crate) async fn value_answer(request: &Req, code: u16, value: &Value, format: Format) -> Answer {
    let encoded = if format == Format::Protobuf { protobuf::object(value) } else { None };
    if let Some(bytes) = encoded {
        return finish(request, body::whole(code, protobuf::CONTENT_TYPE, bytes)).await;
    }
    let answer = match format {
        Format::Json | Format::Protobuf => {
            body::whole(code, body::JSON, json_bytes(value, request.is_pretty()))
        }
        Format::Yaml => {
            body::whole(code, "application/yaml", serde_saphyr::to_string(value).unwrap_or_default())
        }
    };
    finish(request, answer).await
}

/// As Go writes it: for people indented and without a newline at the end.
pub(crate) fn json_bytes(value: &Value, pretty: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    json::write(value, &mut bytes);
    if pretty {
        return json::indent(&bytes);
    }
    bytes.push(b'\n');
    bytes
}

/// A document that is no API object, which is indented for everyone.
pub(crate) fn document(value: &Value, definition: &str) -> Answer {
    let mut bytes = Vec::with_capacity(256);
    json::write_as(value, definition, &mut bytes);
    body::whole(200, body::JSON, json::indent(&bytes))
}

/// `json` is the object's, if that was made already.
fn object_bytes(object: &Object, json: Option<&Unversioned>) -> Bytes {
    let mut out = Vec::with_capacity(1024);
    match json {
        Some(json) => json.write_at(object.revision(), &mut out),
        None => object.write_json(&mut out),
    }
    out.push(b'\n');
    Bytes::from(out)
}

fn one(request: &Req, resource: &Resource, object: &Value, view: View) -> Result<Value, Status> {
    match view {
        View::Whole => Ok(object.clone()),
        View::Metadata(version) => Ok(partial(object, version)),
        View::Table(version) => table::of_object(request, resource, object, version),
        View::MetadataList(_) => {
            if resource.custom.is_some() {
                return Err(Status::new(500, Reason::Unknown, "content is not a list"));
            }
            Err(other_view(resource, "PartialObjectMetadataList, but the requested object is not a list", ""))
        }
    }
}

/// The 406 for what was done, and cannot be shown as it was asked for. Go names the type.
fn other_view(resource: &Resource, requested: &str, suffix: &str) -> Status {
    let kind = match resource.custom {
        Some(_) => format!("unstructured.Unstructured{suffix}"),
        None => format!("{}.{}{suffix}", internal_group(&resource.gvk), resource.gvk.kind),
    };
    let text = format!("you requested {requested} (*{kind})");
    Status::new(406, Reason::NotAcceptable, text)
}

/// `PartialObjectMetadata` of an object.
pub(crate) fn partial(object: &Value, version: &str) -> Value {
    let mut out = value!({"kind": "PartialObjectMetadata", "apiVersion": format!("meta.k8s.io/{version}")});
    let mut metadata = object.get("metadata").cloned().unwrap_or_default();
    if object.str_at(&["kind"]) == "DaemonSet" && object.api_version().starts_with("apps/") {
        // In upstream's internal form it is a field of the spec.
        metadata.remove(&["annotations", drydock_kinds::TEMPLATE_GENERATION]);
        if metadata.object_at(&["annotations"]).is_empty() {
            metadata.remove(&["annotations"]);
        }
    }
    out.set(&["metadata"], metadata);
    out
}

/// Compresses what is large enough.
pub(crate) async fn finish(request: &Req, answer: Answer) -> Answer {
    let length = hyper::body::Body::size_hint(answer.body()).exact().unwrap_or(0);
    if length < GZIP_FROM as u64 || !takes_gzip(request) {
        return answer;
    }
    let (mut parts, body) = answer.into_parts();
    let Ok(collected) = http_body_util::BodyExt::collect(body).await;
    let bytes = collected.to_bytes();
    let plain = bytes.clone();
    let Some(packed) = request.core.tasks.blocking(move || gzip(&plain)).await else {
        return Answer::from_parts(parts, full(bytes));
    };
    parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts.headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    Answer::from_parts(parts, full(Bytes::from(packed)))
}

fn full(bytes: Bytes) -> body::AnswerBody {
    http_body_util::BodyExt::boxed_unsync(http_body_util::Full::new(bytes))
}

pub(crate) fn takes_gzip(request: &Req) -> bool {
    let accepted = request.header(ACCEPT_ENCODING).unwrap_or("");
    accepted.split(',').any(|encoding| encoding.trim().split(';').next() == Some("gzip"))
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder =
        flate2::write::GzEncoder::new(Vec::with_capacity(bytes.len() / 6), flate2::Compression::new(1));
    // Writing to a Vec does not fail.
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}
