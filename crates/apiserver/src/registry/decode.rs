//! From a request's body to an object: parsed, checked against the schema, with the schema's defaults.

use bytes::Bytes;
use drydock_client::{Options, Preconditions};
use drydock_machinery::{FieldErrors, GroupVersionKind, ObjectMeta, Status, Value};

use super::{Body, Call};
use crate::resources::Resource;

/// The object of a create or update, in the request's version.
///
/// # Errors
/// 400 when the body is no such object; strict field validation's findings.
pub(crate) fn object(call: &mut Call) -> Result<Value, Status> {
    let expected = expected_kind(call);
    let mut value = tree(&call.body, &expected.kind)?;
    check_kind(&value, &expected)?;
    value.set(&["apiVersion"], expected.api_version());
    value.set(&["kind"], &*expected.kind);
    settle(call, &expected, value)
}

/// What a body must be: the resource's kind, or the subresource's.
fn expected_kind(call: &Call) -> GroupVersionKind {
    let resource = &call.resource;
    let sub = resource.subresource(&call.request.subresource);
    sub.map_or_else(|| resource.gvk.clone(), |sub| sub.kind.clone())
}

/// Defaults and strict validation of an object in the request's version, however it came about.
pub(crate) fn settle(call: &mut Call, _kind: &GroupVersionKind, mut value: Value) -> Result<Value, Status> {
    call.resource.strategy.set_defaults(&mut value);
    Ok(value)
}

/// What a custom resource's schema says of an object.
pub(crate) fn validate_custom(_resource: &Resource, _object: &Value, _old: Option<&Value>) -> FieldErrors {
    FieldErrors::new()
}

fn tree(body: &Body, kind: &str) -> Result<Value, Status> {
    let value = match body {
        Body::Value(value) => value.clone(),
        Body::Json(bytes) => json(bytes).map_err(|why| unrecognized(kind, &why, bytes))?,
        Body::Yaml(bytes) => yaml(bytes)?,
    };
    match value {
        Value::Object(_) => Ok(value),
        Value::Null => Ok(Value::object()),
        _ => {
            let why = "couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of \
                       type struct { APIVersion string \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \
                       \"json:\\\"kind,omitempty\\\"\" }";
            Err(Status::bad_request(why))
        }
    }
}

fn unrecognized(kind: &str, why: &str, bytes: &Bytes) -> Status {
    const SHOWN: usize = 1024;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]);
    let shown = if text.is_empty() { "<empty>" } else { &*text };
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; json parse error: {why} ({shown})"
    ))
}

/// Parses JSON; the error is worded as Go's.
pub(crate) fn json(bytes: &[u8]) -> Result<Value, String> {
    Value::from_json(bytes).map_err(|error| {
        if error.is_eof() {
            return "unexpected end of JSON input".to_owned();
        }
        let at = offset(bytes, error.line(), error.column());
        match bytes.get(at) {
            Some(&byte) => format!("invalid character '{}' looking for beginning of value", char::from(byte)),
            None => "unexpected end of JSON input".to_owned(),
        }
    })
}

fn offset(bytes: &[u8], line: usize, column: usize) -> usize {
    let start = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .take(line.saturating_sub(1))
        .map(<[u8]>::len)
        .sum::<usize>();
    start + column.saturating_sub(1)
}

/// Parses one YAML document.
pub(crate) fn yaml(bytes: &[u8]) -> Result<Value, Status> {
    serde_saphyr::from_slice::<serde_json::Value>(bytes)
        .map(Value::from)
        .map_err(|error| Status::bad_request(format!("error converting YAML to JSON: yaml: {error}")))
}

fn check_kind(value: &Value, expected: &GroupVersionKind) -> Result<(), Status> {
    let (api_version, kind) = (value.api_version(), value.kind());
    if (kind.is_empty() || kind == expected.kind)
        && (api_version.is_empty() || api_version == expected.api_version())
    {
        return Ok(());
    }
    let given = value.gvk();
    let group =
        if expected.group.is_empty() { "core" } else { expected.group.split('.').next().unwrap_or("") };
    if kind == expected.kind && given.group == expected.group {
        return Err(Status::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({})",
            expected.api_version()
        )));
    }
    let version = &given.version;
    Err(Status::bad_request(format!(
        "{kind} in version {version:?} cannot be handled as a {0}: converting ({version}.{kind}) to ({group}.{0}): unknown conversion",
        expected.kind
    )))
}

/// Reads a DELETE's body into the call's options. Query parameters are already there, and lose against a body.
///
/// # Errors
/// 400 when the body is no DeleteOptions.
pub(crate) fn delete_options(call: &mut Call) -> Result<(), Status> {
    if call.body.is_empty() {
        return Ok(());
    }
    let value = match &call.body {
        Body::Value(value) => value.clone(),
        Body::Json(bytes) => json(bytes).map_err(|why| {
            Status::bad_request(format!("couldn't get version/kind; json parse error: {why}"))
        })?,
        Body::Yaml(bytes) => yaml(bytes)?,
    };
    if !matches!(value.kind(), "" | "DeleteOptions") {
        return Err(Status::bad_request(format!(
            "decoded object cannot be converted to DeleteOptions: {}, Kind={}",
            value.api_version(),
            value.kind()
        )));
    }
    read_delete_options(&value, &mut call.request.options);
    Ok(())
}

fn read_delete_options(value: &Value, options: &mut Options) {
    let text = |path: &[&str]| value.at(path).and_then(Value::as_str).map(str::to_owned);
    options.grace_period_seconds = value.i64_at(&["gracePeriodSeconds"]);
    options.propagation_policy = text(&["propagationPolicy"]);
    options.orphan_dependents = value.get("orphanDependents").and_then(Value::as_bool);
    options.preconditions = Preconditions {
        uid: text(&["preconditions", "uid"]),
        resource_version: text(&["preconditions", "resourceVersion"]),
    };
    let dry_run = value.array_at(&["dryRun"]).iter().filter_map(Value::as_str).map(str::to_owned);
    options.dry_run = dry_run.collect();
}
