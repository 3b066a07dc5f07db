//! The body of a DELETE.

use drydock_client::{Options, Preconditions};
use drydock_machinery::decode::{self as machinery, FieldValidation};
use drydock_machinery::{GroupVersionKind, ObjectMeta as _, Status, Value, protobuf};

use super::{Body, Call, MEDIA_TYPES, decode, unknown_format};

const DELETE_OPTIONS: GroupVersionKind = GroupVersionKind::new("", "v1", "DeleteOptions");

/// Reads a DELETE's body into the call's options. Query parameters are already there, and lose against a body.
///
/// # Errors
/// 400 when the body is no DeleteOptions.
pub(crate) fn read(call: &mut Call) -> Result<(), Status> {
    if call.body.is_empty() {
        return Ok(());
    }
    let text = decode::text(&call.body);
    decode::type_meta(&call.body, &text).map_err(Status::bad_request)?;
    let value = match &call.body {
        Body::Value(value) => value.clone(),
        Body::Protobuf(bytes) => message(bytes)?,
        Body::Json(bytes) => decode::json(bytes).map_err(Status::bad_request)?,
        Body::Yaml(_) => machinery::yaml(&text).map_err(|why| Status::bad_request(why.to_string()))?.value,
        Body::Other => return Err(unknown_format(&MEDIA_TYPES)),
    };
    if !matches!(value.kind(), "" | "DeleteOptions") {
        let kind = value.kind();
        let version = match value.api_version() {
            "" => "meta.k8s.io/v1",
            given => given,
        };
        return Err(Status::bad_request(format!(
            "no kind {kind:?} is registered for version {version:?} in scheme \"pkg/apis/meta/internalversion/scheme/register.go:27\""
        )));
    }
    if let Some(schema) = drydock_machinery::Catalog::builtin().schema(&DELETE_OPTIONS) {
        let typed = machinery::value(&value, schema.root(), FieldValidation::Ignore);
        typed.map_err(|why| Status::bad_request(why.to_string()))?;
    }
    fill(&value, &mut call.request.options);
    Ok(())
}

fn message(bytes: &[u8]) -> Result<Value, Status> {
    let bad = |why: &dyn std::fmt::Display| Status::bad_request(why.to_string());
    let schema = drydock_machinery::Catalog::builtin().schema(&DELETE_OPTIONS);
    let schema = schema.ok_or_else(|| Status::internal("no schema of DeleteOptions"))?;
    let opened = protobuf::open(bytes).map_err(|why| bad(&why))?;
    let mut value = protobuf::decode_message(opened.raw, schema.root()).map_err(|why| bad(&why))?;
    value.set(&["kind"], opened.type_meta.kind);
    Ok(value)
}

fn fill(value: &Value, options: &mut Options) {
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
