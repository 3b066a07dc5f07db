//! Patch: an update whose object is computed from the present one, again when another writer was faster.

use std::borrow::Cow;
use std::sync::Arc;

use drydock_client::PatchType;
use drydock_machinery::decode::{self as machinery, DecodeError, Decoded, Emptied, FieldValidation};
use drydock_machinery::patch::json::{json_kind, unknown_fields};
use drydock_machinery::patch::{go_format, json_patch, merge_patch, strategic_merge_patch};
use drydock_machinery::{
    FieldErrors, FieldPath, GroupVersionKind, Object, ObjectMeta, Reason, Schema, Status, Value,
};

use super::given::without_emptied;
use super::managed::{self, Tracking};
use super::update::{Updated, match_name};
use super::{Body, Call, Done, MEDIA_TYPES, Registry, convert, decode, meta, unknown_format};
use crate::resources::Resource;

impl Registry {
    pub(crate) async fn patch(&self, call: &mut Call, kind: PatchType) -> Result<Done, Status> {
        if kind == PatchType::Apply {
            return self.apply(call).await;
        }
        if self.current(call).is_none() {
            return Err(call.not_found());
        }
        let Read { patch, strict } = read(call, kind)?;
        let resource = call.resource.clone();
        let validation = decode::validation(call);
        let mut warnings = Vec::new();
        let make = |call: &Call, current: &Arc<Object>| {
            let shown = convert::from_working(&resource, current.value().clone());
            let tree = patched(resource.schema.as_ref(), kind, &shown, &patch)?;
            check_custom_kind(&resource, &tree)?;
            let decoded = fitted(&resource, kind, &tree, validation);
            let decoded = with_strict(decoded, &strict, validation)
                .map_err(|error| does_not_fit(kind, &tree, &patch, &error))?;
            warnings = decoded.warnings;
            let mut object = finished(call, &resource, decoded.value, decoded.emptied)?;
            managed::keep_reset(&tree, &mut object);
            Ok(object)
        };
        let at = call.warnings.len();
        let updated = self.update_with(call, Tracking::Changes, make).await;
        // What was found in reading comes before what validation has to say.
        call.warnings.splice(at..at, warnings);
        match updated? {
            Updated::Done(done) => Ok(done),
            Updated::Absent => Err(call.not_found()),
        }
    }

    /// Server-side apply. Creates what is not there.
    async fn apply(&self, call: &mut Call) -> Result<Done, Status> {
        let applied = read_applied(call)?;
        let resource = call.resource.clone();
        let validation = decode::validation(call);
        let now = self.clock.now();
        let mut warnings = Vec::new();
        let make = |call: &Call, current: &Arc<Object>| {
            let shown = convert::from_working(&resource, current.value().clone());
            let (object, found) = applied_over(call, &resource, Some(&shown), &applied, validation, now)?;
            warnings = found;
            Ok(object)
        };
        let at = call.warnings.len();
        let updated = self.update_with(call, Tracking::Done, make).await;
        call.warnings.splice(at..at, warnings);
        if let Updated::Done(done) = updated? {
            return Ok(done);
        }
        if !call.request.subresource.is_empty() {
            return Err(call.not_found());
        }
        let (mut object, found) = applied_over(call, &resource, None, &applied, validation, now)?;
        call.warnings.extend(found);
        object.remove(&["metadata", "resourceVersion"]);
        if !object.uid().is_empty() {
            let gvr = &resource.gvr;
            let why = format!(
                "uid mismatch: the provided object specified uid {}, and no existing object was found",
                object.uid()
            );
            return Err(Status::conflict(&gvr.group, &gvr.resource, &call.request.name, &why));
        }
        self.create_tracked(call, object, Tracking::Done).await
    }
}

/// The object that `applied` makes of `live`, in the working version, and warnings.
fn applied_over(
    call: &Call,
    resource: &Resource,
    live: Option<&Value>,
    applied: &Value,
    validation: FieldValidation,
    now: jiff::Timestamp,
) -> Result<(Value, Vec<String>), Status> {
    let tree = managed::apply(call, live, applied, now)?;
    let fits = match &resource.schema {
        Some(schema) if resource.custom.is_none() => machinery::restorable(&tree, schema.root()),
        _ => Ok(()),
    };
    let decoded = fits.map_err(DecodeError::Value).and_then(|()| match resource.custom {
        Some(_) => decode::applied(resource, &tree),
        None => restored(resource, &tree, validation),
    });
    let decoded = decoded.map_err(|error| {
        let gvk = &resource.gvk;
        match error {
            DecodeError::Strict(_) => Status::bad_request(format!(
                "{} in version {:?} cannot be handled as a {}: {error}",
                gvk.kind, gvk.version, gvk.kind
            )),
            DecodeError::Value(_) if resource.custom.is_none() => Status::new(
                500,
                Reason::Unknown,
                format!(
                    "failed to convert new object ({}/{}; {api_version}, Kind={kind}) to proper version: unable to \
                     convert unstructured object to {api_version}, Kind={kind}: {error}",
                    applied.namespace(),
                    applied.name(),
                    api_version = format!("{}/{}", gvk.group, gvk.version),
                    kind = gvk.kind,
                ),
            ),
            DecodeError::Value(_) => Status::bad_request(error.to_string()),
        }
    })?;
    Ok((finished(call, resource, decoded.value, decoded.emptied)?, decoded.warnings))
}

/// Checks that the patched object still is the one that was asked for, and takes it to the version that is worked on.
fn finished(
    call: &Call,
    resource: &Resource,
    mut object: Value,
    mut emptied: Vec<Emptied>,
) -> Result<Value, Status> {
    match_name(call, &object)?;
    meta::match_namespace(call, &mut object)?;
    if resource.gvk != *resource.working_kind() {
        object = without_emptied(call, object, std::mem::take(&mut emptied));
    }
    let mut object = convert::to_working(resource, object);
    resource.strategy.set_defaults(&mut object);
    Ok(without_emptied(call, object, emptied))
}

/// A custom object that a patch made another kind of is found invalid, where a built-in one does not decode.
fn check_custom_kind(resource: &Resource, tree: &Value) -> Result<(), Status> {
    if resource.custom.is_none() {
        return Ok(());
    }
    let expected = &resource.gvk;
    let mut errors = FieldErrors::new();
    for (field, given, wanted) in [
        ("kind", tree.kind(), expected.kind.to_string()),
        ("apiVersion", tree.api_version(), expected.api_version()),
    ] {
        if given != wanted {
            errors.invalid(&FieldPath::new(field), given, format!("must be {wanted}"));
        }
    }
    if errors.is_empty() {
        return Ok(());
    }
    let given = GroupVersionKind::from_api_version(tree.api_version(), tree.kind());
    Err(Status::invalid(&given.group, &given.kind, tree.name(), &errors))
}

/// A patch as a tree, and what strict decoding says of its text.
pub(crate) struct Read {
    pub(crate) patch: Value,
    pub(crate) strict: Vec<String>,
}

/// # Errors
/// 400 when it is not JSON, or no list of operations.
pub(crate) fn read(call: &Call, kind: PatchType) -> Result<Read, Status> {
    let bytes = match &call.body {
        Body::Value(value) => {
            note(call, value);
            return Ok(Read { patch: value.clone(), strict: Vec::new() });
        }
        Body::Json(bytes) | Body::Yaml(bytes) | Body::Protobuf(bytes) => bytes,
        Body::Other => return Err(unknown_format(&MEDIA_TYPES)),
    };
    let is_lax = decode::validation(call) == FieldValidation::Ignore;
    let refuse = |why: String| {
        Status::bad_request(match kind {
            PatchType::Strategic => why,
            PatchType::Merge if is_lax => "Invalid JSON Patch".to_owned(),
            _ if is_lax => why,
            _ => format!("error decoding patch: {why}"),
        })
    };
    machinery::check_syntax(bytes).map_err(refuse)?;
    let text = String::from_utf8_lossy(bytes);
    let validation = if is_lax { FieldValidation::Ignore } else { FieldValidation::Warn };
    let Decoded { value: patch, warnings: mut strict, .. } =
        machinery::untyped(&text, validation).map_err(|error| refuse(error.to_string()))?;
    if kind == PatchType::Json && !is_lax {
        strict.iter_mut().for_each(|text| text.insert_str(0, "json patch "));
        strict.extend(unknown_fields(&patch).map_err(refuse)?);
    }
    note(call, &patch);
    // JSON and merge patches take objects apart without reading their numbers, which are read when the patched object is.
    let is_exact = kind != PatchType::Strategic && call.resource.custom.is_none();
    let patch = if is_exact && has_fraction(&patch) { machinery::untyped_exact(&text) } else { patch };
    Ok(Read { patch, strict })
}

/// Whether there is a number that is no integer, or too large for one.
fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Float(_) => true,
        Value::Array(items) => items.iter().any(has_fraction),
        Value::Object(map) => map.values().any(has_fraction),
        _ => false,
    }
}

fn note(call: &Call, patch: &Value) {
    if let Some(event) = &call.audit {
        event.request_patch(patch);
    }
}

/// The object of a patched tree. Strategic patches make it otherwise than through JSON.
fn fitted(
    resource: &Resource,
    kind: PatchType,
    tree: &Value,
    validation: FieldValidation,
) -> Result<Decoded, DecodeError> {
    let schema =
        resource.schema.as_ref().filter(|_| kind == PatchType::Strategic && resource.custom.is_none());
    let Some(schema) = schema else { return decode::patched(resource, tree, validation) };
    machinery::restorable(tree, schema.root()).map_err(DecodeError::Value)?;
    // Whatever the patch says, it stays the kind that it is.
    let mut tree = tree.clone();
    tree.set(&["kind"], &*resource.gvk.kind);
    tree.set(&["apiVersion"], resource.gvk.api_version());
    let mut decoded = restored(resource, &tree, validation);
    if let Ok(Decoded { warnings: unknown, .. }) | Err(DecodeError::Strict(unknown)) = &mut decoded {
        unknown.sort_unstable();
    }
    decoded
}

/// The object of a tree that upstream does not take through JSON: numbers that are too large wrap around there.
fn restored(resource: &Resource, tree: &Value, validation: FieldValidation) -> Result<Decoded, DecodeError> {
    let schema = resource.schema.as_ref().filter(|_| resource.custom.is_none());
    match (decode::patched(resource, tree, validation), schema) {
        (Err(DecodeError::Value(why)), Some(schema)) => match machinery::wrapped(tree, schema.root()) {
            wrapped if wrapped == *tree => Err(DecodeError::Value(why)),
            wrapped => decode::patched(resource, &wrapped, validation),
        },
        (decoded, _) => decoded,
    }
}

/// What there is to say of the patch's text comes before what there is to say of the object.
pub(crate) fn with_strict(
    decoded: Result<Decoded, DecodeError>,
    strict: &[String],
    validation: FieldValidation,
) -> Result<Decoded, DecodeError> {
    let all = |found: &[String]| strict.iter().chain(found).cloned().collect();
    match decoded {
        Err(DecodeError::Strict(found)) => Err(DecodeError::Strict(all(&found))),
        Ok(_) if validation == FieldValidation::Strict && !strict.is_empty() => {
            Err(DecodeError::Strict(strict.to_vec()))
        }
        Ok(mut decoded) => {
            decoded.warnings = all(&decoded.warnings);
            Ok(decoded)
        }
        Err(error) => Err(error),
    }
}

/// An apply's body: YAML, of which JSON is a part.
pub(crate) fn read_applied(call: &mut Call) -> Result<Value, Status> {
    let text: Cow<'_, str> = match &call.body {
        Body::Value(value) => {
            note(call, value);
            return Ok(value.clone());
        }
        Body::Json(bytes) | Body::Yaml(bytes) | Body::Protobuf(bytes) => String::from_utf8_lossy(bytes),
        Body::Other => return Err(unknown_format(&MEDIA_TYPES)),
    };
    let yaml = machinery::yaml(&text).map_err(|why| {
        Status::bad_request(format!("error decoding YAML: error converting YAML to JSON: {why}"))
    })?;
    match (yaml.duplicates, decode::validation(call)) {
        (Some(why), FieldValidation::Strict) => {
            return Err(Status::bad_request(format!(
                "error strict decoding YAML: error converting YAML to JSON: {why}"
            )));
        }
        (Some(why), FieldValidation::Warn) => call.warnings.extend(decode::split_warning(why)),
        _ => {}
    }
    if !matches!(yaml.value, Value::Object(_) | Value::Null) {
        return Err(Status::bad_request(format!(
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {} into Go value \
             of type map[string]interface {{}}",
            json_kind(&yaml.value)
        )));
    }
    note(call, &yaml.value);
    Ok(yaml.value)
}

/// `current` with `patch` applied; `schema` is what strategic patches go by.
pub(crate) fn patched(
    schema: Option<&Schema>,
    kind: PatchType,
    current: &Value,
    patch: &Value,
) -> Result<Value, Status> {
    match (kind, schema) {
        (PatchType::Json, _) => Ok(json_patch(current, patch)?),
        (PatchType::Strategic, Some(schema)) => Ok(strategic_merge_patch(current, patch, schema.root())?),
        _ => {
            if patch.is_null() {
                return Err(Status::bad_request("Invalid JSON Patch"));
            }
            if !matches!(patch, Value::Object(_)) {
                let why = format!(
                    "json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
                    json_kind(patch)
                );
                return Err(Status::bad_request(format!("error decoding patch: {why}")));
            }
            Ok(merge_patch(current, patch))
        }
    }
}

/// The 422 for a patch whose result is no object of the kind.
pub(crate) fn does_not_fit(kind: PatchType, tree: &Value, patch: &Value, error: &DecodeError) -> Status {
    let shown =
        if kind == PatchType::Strategic { go_format::go_format(patch) } else { go_format::go_json(tree) };
    let mut errors = FieldErrors::new();
    errors.invalid(&FieldPath::new("patch"), shown, error.to_string());
    Status::invalid("", "", "", &errors)
}
