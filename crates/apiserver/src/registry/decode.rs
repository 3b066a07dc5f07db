//! From a request's body to an object: parsed, checked against the schema, with the schema's defaults.

use std::borrow::Cow;
use std::sync::Arc;

use drydock_machinery::decode::{self, DecodeError, Decoded, FieldValidation, TypeMeta};
use drydock_machinery::{
    FieldErrors, FieldPath, GroupVersionKind, ObjectMeta, Schema, Status, Value, defaults, protobuf,
};

use super::given::{with_emptied, without_emptied};
use super::{Body, Call, MEDIA_TYPES, legacy, unknown_format};
use crate::resources::{Custom, Resource};

/// How Go shows the struct that says what a body is.
const TYPE_META: &str =
    r#"struct { APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }"#;

const META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// What a body must be.
struct Expected {
    kind: GroupVersionKind,
    /// None for kinds that are not in the catalog.
    schema: Option<Schema>,
    custom: Option<Arc<Custom>>,
}

/// The object of a create or update, in the request's version, with defaults.
///
/// # Errors
/// 400 when the body is no such object, or strict field validation finds something.
pub(crate) fn object(call: &mut Call) -> Result<Value, Status> {
    if matches!(call.body, Body::Other) {
        return Err(unknown_format(&MEDIA_TYPES));
    }
    let expected = expected(call);
    let validation = validation(call);
    let text = text(&call.body);
    let bytes = match &call.body {
        Body::Protobuf(bytes) => bytes.as_ref(),
        _ => text.as_bytes(),
    };
    let meta = type_meta(&call.body, &text).map_err(|why| unrecognized(&expected, &why, bytes))?;
    if meta.api_version.matches('/').count() > 1 {
        let why = format!("unexpected GroupVersion string: {}", meta.api_version);
        return Err(unrecognized(&expected, &why, bytes));
    }
    if expected.custom.is_some() {
        if meta.kind.is_empty() {
            return Err(without_kind(&expected, &call.body, &text));
        }
        check_custom_kind(&call.body, &text, &meta, &expected.kind)?;
    } else {
        check_kind(&meta, &expected).map_err(|other| {
            // Another kind is decoded as what it is before it is found to be another.
            let why = misread(call, &expected, &meta, &text);
            why.map_or(other, |why| transform(&expected, &meta, &why, text.as_bytes()))
        })?;
    }
    let refuse = |error: DecodeError| transform(&expected, &meta, &error.to_string(), text.as_bytes());
    let mut decoded = decoded(&call.body, &text, &expected, validation).map_err(refuse)?;
    settle_custom(&expected, &mut decoded, validation).map_err(refuse)?;
    call.warnings.extend(decoded.warnings.drain(..).flat_map(split_warning));
    let Decoded { value, emptied, .. } = with_emptied(decoded);
    let object = settle(call, &expected, value);
    let mut object = without_emptied(call, object, emptied);
    if let Body::Value(given) = &call.body {
        // What every cluster begins with is in memory once.
        object.share_with(given);
    }
    if let Some(event) = &call.audit {
        event.request_object(&object);
    }
    Ok(object)
}

/// What is wrong with a body that is of another known kind than was asked for.
fn misread(call: &Call, expected: &Expected, meta: &TypeMeta, text: &str) -> Option<String> {
    let kind = GroupVersionKind::from_api_version(&meta.api_version, &meta.kind);
    let is_known = scheme(&kind.group) == scheme(&expected.kind.group);
    let schema = drydock_machinery::Catalog::builtin().schema(&kind).filter(|_| is_known)?;
    let given = Expected { kind, schema: Some(schema), custom: None };
    decoded(&call.body, text, &given, validation(call)).err().map(|why| why.to_string())
}

/// What is strictly wrong with a YAML text is one error, but a warning for each line.
pub(crate) fn split_warning(warning: String) -> Vec<String> {
    match warning.strip_prefix("yaml: unmarshal errors:\n") {
        Some(lines) => lines.split('\n').map(|line| line.trim().to_owned()).collect(),
        None => vec![warning],
    }
}

/// An object that a patch made, in the request's version: decoded anew, with defaults.
///
/// # Errors
/// What decoding says.
pub(crate) fn patched(
    resource: &Resource,
    tree: &Value,
    validation: FieldValidation,
) -> Result<Decoded, DecodeError> {
    let expected = Expected {
        kind: resource.gvk.clone(),
        schema: resource.schema.clone(),
        custom: resource.custom.clone(),
    };
    let kind = &expected.kind;
    let is_kind = matches!(tree.kind(), "") || tree.kind() == kind.kind;
    if is_kind && tree.api_version().is_empty() && expected.custom.is_none() {
        return nameless(tree, validation);
    }
    if !is_kind || tree.api_version() != kind.api_version() {
        return Err(DecodeError::Value(other_kind(&expected.kind, tree.api_version(), tree.kind())));
    }
    let mut decoded = match &expected.schema {
        Some(schema) if expected.custom.is_none() => decode::value(tree, schema.root(), validation)?,
        _ => Decoded { value: tree.clone(), ..Decoded::default() },
    };
    settle_custom(&expected, &mut decoded, validation)?;
    let mut decoded = with_emptied(decoded);
    finish(&expected, &mut decoded.value);
    // What the patch left alone is shared with the object as it was.
    decoded.value.share_with(tree);
    Ok(decoded)
}

/// A custom object that an apply made, with defaults. Upstream does not decode it: fields that its schema does not know
/// go when it is stored, and nulls are looked at by validation.
///
/// # Errors
/// When it is of another kind now.
pub(crate) fn applied(resource: &Resource, tree: &Value) -> Result<Decoded, DecodeError> {
    let expected = Expected {
        kind: resource.gvk.clone(),
        schema: resource.schema.clone(),
        custom: resource.custom.clone(),
    };
    if tree.kind() != expected.kind.kind || tree.api_version() != expected.kind.api_version() {
        return Err(DecodeError::Value(other_kind(&expected.kind, tree.api_version(), tree.kind())));
    }
    let mut value = tree.clone();
    if let Some(schema) = &expected.schema {
        defaults::apply_defaults(&mut value, schema.root());
    }
    Ok(Decoded { value, ..Decoded::default() })
}

/// Takes out of a custom object what storing it does not keep.
pub(super) fn settle_applied(resource: &Resource, object: &mut Value) {
    let (Some(custom), Some(schema)) = (&resource.custom, &resource.schema) else { return };
    if !custom.preserve_unknown {
        decode::prune(object, schema.root());
    }
    // What is embedded, or metadata, and cannot be read was refused before.
    let _ = custom.compiled.coerce(object);
    defaults::drop_nulls(object, schema.root());
    if let Some(typed) = drydock_machinery::Catalog::builtin().definition(META)
        && let Some(metadata) = object.get("metadata")
        && let Ok(metadata) = decode::value(metadata, typed.root(), FieldValidation::Ignore)
    {
        object.set(&["metadata"], metadata.value);
    }
}

/// What is left of an object whose patch took its apiVersion away: upstream takes it for the internal form, which has
/// fields of other names.
fn nameless(tree: &Value, validation: FieldValidation) -> Result<Decoded, DecodeError> {
    let keys = tree.as_object().into_iter().flat_map(|map| map.keys());
    let keys = keys.filter(|key| !matches!(key.as_str(), "kind" | "apiVersion"));
    let unknown: Vec<String> = keys.map(|key| format!("unknown field {:?}", key.as_str())).collect();
    match validation {
        FieldValidation::Strict if !unknown.is_empty() => Err(DecodeError::Strict(unknown)),
        FieldValidation::Ignore => Ok(Decoded { value: Value::object(), ..Decoded::default() }),
        _ => Ok(Decoded { value: Value::object(), warnings: unknown, ..Decoded::default() }),
    }
}

pub(crate) fn validation(call: &Call) -> FieldValidation {
    match call.request.options.field_validation.as_str() {
        "Strict" => FieldValidation::Strict,
        "Ignore" => FieldValidation::Ignore,
        // Nobody reads the warnings of a call in process.
        "" if matches!(call.body, Body::Value(_)) => FieldValidation::Ignore,
        _ => FieldValidation::Warn,
    }
}

fn expected(call: &Call) -> Expected {
    let resource = &call.resource;
    match resource.subresource(&call.request.subresource) {
        Some(sub) if sub.kind != resource.gvk => Expected {
            kind: sub.kind.clone(),
            schema: drydock_machinery::Catalog::builtin().schema(&sub.kind),
            custom: None,
        },
        _ => Expected {
            kind: resource.gvk.clone(),
            schema: resource.schema.clone(),
            custom: resource.custom.clone(),
        },
    }
}

pub(super) fn text(body: &Body) -> Cow<'_, str> {
    match body {
        Body::Value(_) | Body::Protobuf(_) | Body::Other => Cow::Borrowed(""),
        // Whole texts are checked faster than wrong ones are mended.
        Body::Json(bytes) | Body::Yaml(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(bytes),
        },
    }
}

pub(super) fn type_meta(body: &Body, text: &str) -> Result<TypeMeta, String> {
    match body {
        Body::Value(value) => {
            Ok(TypeMeta { api_version: value.api_version().to_owned(), kind: value.kind().to_owned() })
        }
        Body::Json(_) => decode::type_meta(text.as_bytes())
            .map_err(|why| format!("couldn't get version/kind; json parse error: {why}")),
        Body::Yaml(_) => {
            let yaml = decode::yaml(text).map_err(|why| why.to_string())?;
            let refused = |kind| {
                format!(
                    "couldn't get version/kind; json parse error: json: cannot unmarshal {kind} into Go value of type {TYPE_META}"
                )
            };
            match yaml.value {
                Value::Object(_) | Value::Null => Ok(yaml.type_meta()),
                Value::Array(_) => Err(refused("array")),
                Value::String(_) => Err(refused("string")),
                Value::Bool(_) => Err(refused("bool")),
                Value::Int(_) | Value::Float(_) => Err(refused("number")),
            }
        }
        Body::Protobuf(bytes) => Ok(protobuf::open(bytes).map_err(|why| why.to_string())?.type_meta),
        Body::Other => Ok(TypeMeta::default()),
    }
}

fn decoded(
    body: &Body,
    text: &str,
    expected: &Expected,
    validation: FieldValidation,
) -> Result<Decoded, DecodeError> {
    let typed = expected.schema.as_ref().filter(|_| expected.custom.is_none());
    // What is strictly wrong with a custom object is said together with what its schema does not know.
    let validation = match validation {
        FieldValidation::Strict if expected.custom.is_some() => FieldValidation::Warn,
        other => other,
    };
    match (body, typed) {
        (Body::Value(value), Some(schema)) => decode::value(value, schema.root(), validation),
        (Body::Value(value), None) => Ok(Decoded { value: value.clone(), ..Decoded::default() }),
        (Body::Json(_), Some(schema)) => decode::json(text, schema.root(), validation),
        (Body::Json(_), None) => decode::untyped(text, validation),
        (Body::Yaml(_), typed) => yaml(text, typed, validation),
        (Body::Protobuf(bytes), Some(schema)) => from_protobuf(bytes, &expected.kind, schema),
        (Body::Other, _) => Err(DecodeError::Value(unknown_format(&MEDIA_TYPES).message)),
        (Body::Protobuf(_), None) => Err(DecodeError::Value("custom resources have no protobuf".to_owned())),
    }
}

fn yaml(text: &str, typed: Option<&Schema>, validation: FieldValidation) -> Result<Decoded, DecodeError> {
    let yaml = decode::yaml(text).map_err(|why| DecodeError::Value(why.to_string()))?;
    let decoded = match typed {
        Some(schema) => decode::value(&yaml.value, schema.root(), validation),
        None => Ok(Decoded { value: yaml.value, ..Decoded::default() }),
    };
    let Some(duplicates) = yaml.duplicates else { return decoded };
    match (decoded, validation) {
        (Err(DecodeError::Strict(mut found)), _) => {
            found.insert(0, duplicates);
            Err(DecodeError::Strict(found))
        }
        (Ok(_), FieldValidation::Strict) => Err(DecodeError::Strict(vec![duplicates])),
        (Ok(mut decoded), FieldValidation::Warn) => {
            decoded.warnings.insert(0, duplicates);
            Ok(decoded)
        }
        (decoded, _) => decoded,
    }
}

fn from_protobuf(bytes: &[u8], kind: &GroupVersionKind, schema: &Schema) -> Result<Decoded, DecodeError> {
    // Numbers are the newest version's, which older ones have too.
    let newest = drydock_machinery::Catalog::builtin().schema(kind).unwrap_or_else(|| schema.clone());
    let read = || protobuf::decode_message(protobuf::open(bytes)?.raw, newest.root());
    let value = read().map_err(|why: protobuf::ProtobufError| DecodeError::Value(why.to_string()))?;
    if Arc::ptr_eq(&newest.table, &schema.table) {
        return Ok(Decoded { value, ..Decoded::default() });
    }
    decode::value(&value, schema.root(), FieldValidation::Ignore)
}

fn settle(call: &Call, expected: &Expected, mut value: Value) -> Value {
    finish(expected, &mut value);
    if expected.kind == call.resource.gvk && call.resource.is_storage_version() {
        call.resource.strategy.set_defaults(&mut value);
    }
    value
}

fn finish(expected: &Expected, value: &mut Value) {
    if !matches!(value, Value::Object(_)) {
        *value = Value::object();
    }
    value.set(&["apiVersion"], expected.kind.api_version());
    value.set(&["kind"], &*expected.kind.kind);
    if let Some(schema) = &expected.schema {
        defaults::apply_defaults(value, schema.root());
        if expected.custom.is_some() {
            defaults::drop_nulls(value, schema.root());
        }
    }
    if expected.kind.kind == "CustomResourceDefinition" && expected.custom.is_none() {
        drydock_machinery::crd::definition::apply_defaults(value);
    }
}

/// A custom object's metadata is typed, and fields that its schema does not know are dropped.
fn settle_custom(
    expected: &Expected,
    decoded: &mut Decoded,
    validation: FieldValidation,
) -> Result<(), DecodeError> {
    let (Some(custom), Some(schema)) = (&expected.custom, &expected.schema) else { return Ok(()) };
    let mut unknown = std::mem::take(&mut decoded.warnings);
    if let (Some(metadata), Some(typed)) =
        (decoded.value.get("metadata"), drydock_machinery::Catalog::builtin().definition(META))
    {
        let metadata = decode::value(metadata, typed.root(), FieldValidation::Warn)?;
        unknown.extend(metadata.warnings.iter().map(|text| text.replace("field \"", "field \"metadata.")));
        decoded.value.set(&["metadata"], metadata.value);
    }
    let mut fields = Vec::new();
    if !custom.preserve_unknown {
        fields = decode::prune(&mut decoded.value, schema.root());
    }
    let embedded = custom.compiled.coerce(&mut decoded.value);
    fields.extend(embedded.map_err(|errors| DecodeError::Value(errors.aggregate().unwrap_or_default()))?);
    unknown.extend(fields.into_iter().map(|field| format!("unknown field {field:?}")));
    match validation {
        FieldValidation::Ignore => {}
        FieldValidation::Warn => decoded.warnings = unknown,
        FieldValidation::Strict if unknown.is_empty() => {}
        FieldValidation::Strict => return Err(DecodeError::Strict(unknown)),
    }
    Ok(())
}

/// `transformDecodeError` of a body that does not even say what it is.
fn unrecognized(expected: &Expected, why: &str, bytes: &[u8]) -> Status {
    Status::bad_request(format!(
        "the object provided is unrecognized (must be of type {}): {why} ({})",
        expected.kind.kind,
        summary(bytes)
    ))
}

/// `transformDecodeError`.
fn transform(expected: &Expected, meta: &TypeMeta, why: &str, bytes: &[u8]) -> Status {
    let kind = if meta.kind.is_empty() { &*expected.kind.kind } else { meta.kind.as_str() };
    if kind.is_empty() {
        return unrecognized(expected, why, bytes);
    }
    let version = match meta.api_version.as_str() {
        "" => &*expected.kind.version,
        given => given.rsplit('/').next().unwrap_or(given),
    };
    Status::bad_request(format!(
        "{kind} in version {version:?} cannot be handled as a {}: {why}",
        expected.kind.kind
    ))
}

/// `summarizeData` with upstream's limit.
fn summary(bytes: &[u8]) -> String {
    const SHOWN: usize = 30;
    let shown = &bytes[..bytes.len().min(SHOWN)];
    let more = if bytes.len() > SHOWN { " ..." } else { "" };
    match bytes.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(shown)),
        Some(_) => {
            let hex: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{hex}{more}")
        }
    }
}

/// Parses JSON; the error is worded as Go's.
pub(crate) fn json(bytes: &[u8]) -> Result<Value, String> {
    decode::check_syntax(bytes)?;
    Value::from_json(bytes).map_err(|error| error.to_string())
}

/// What Go calls the package of a kind's internal form.
pub(crate) fn internal_group(kind: &GroupVersionKind) -> &str {
    match &*kind.group {
        "" | "events.k8s.io" => "core",
        group => group.split('.').next().unwrap_or(""),
    }
}

/// The 400 for a custom object that does not say what it is.
fn without_kind(expected: &Expected, body: &Body, text: &str) -> Status {
    let json = match body {
        Body::Value(value) => String::from_utf8_lossy(&value.to_json()).into_owned(),
        Body::Yaml(_) => match decode::yaml(text) {
            Ok(yaml) => String::from_utf8_lossy(&yaml.value.to_json()).into_owned(),
            Err(_) => text.to_owned(),
        },
        Body::Json(_) | Body::Protobuf(_) | Body::Other => text.to_owned(),
    };
    unrecognized(expected, &format!("Object 'Kind' is missing in '{json}'"), text.as_bytes())
}

/// A custom object of another kind of its group decodes, and is then found invalid.
fn check_custom_kind(
    body: &Body,
    text: &str,
    meta: &TypeMeta,
    expected: &GroupVersionKind,
) -> Result<(), Status> {
    let given = GroupVersionKind::from_api_version(&meta.api_version, &meta.kind);
    if meta.api_version != expected.api_version() {
        return Err(Status::bad_request(format!(
            "the API version in the data ({}) does not match the expected API version ({})",
            meta.api_version,
            expected.api_version()
        )));
    }
    if given == *expected {
        return Ok(());
    }
    let tree = match body {
        Body::Value(value) => value.clone(),
        _ => Value::from_json(text.as_bytes()).unwrap_or_default(),
    };
    let mut errors = FieldErrors::new();
    errors.invalid(&FieldPath::new("kind"), &*given.kind, format!("must be {}", expected.kind));
    Err(Status::invalid(&given.group, &given.kind, tree.name(), &errors))
}

fn check_kind(meta: &TypeMeta, whole: &Expected) -> Result<(), Status> {
    let (api_version, kind) = (meta.api_version.as_str(), meta.kind.as_str());
    // The core group may be written out.
    let api_version = api_version.strip_prefix('/').unwrap_or(api_version);
    let expected = &whole.kind;
    if (kind.is_empty() || kind == expected.kind)
        && (api_version.is_empty() || api_version == expected.api_version())
    {
        return Ok(());
    }
    let given = GroupVersionKind::from_api_version(api_version, kind);
    if kind == "Eviction" && given.group == expected.group && given.version == "v1beta1" {
        return Ok(());
    }
    let known = drydock_machinery::Catalog::builtin().schema(&given).is_some();
    if kind == expected.kind && given.group == expected.group && known
        || legacy::is_readable_as(&given, expected)
    {
        return Err(Status::bad_request(format!(
            "the API version in the data ({api_version}) does not match the expected API version ({})",
            expected.api_version()
        )));
    }
    let why = other_kind(&whole.kind, api_version, kind);
    let version = &given.version;
    let kind = if kind.is_empty() { &*expected.kind } else { kind };
    Err(Status::bad_request(format!(
        "{kind} in version {version:?} cannot be handled as a {}: {why}",
        expected.kind
    )))
}

/// Which of upstream's three servers a group is of, as the place that makes its scheme.
fn scheme(group: &str) -> &'static str {
    match group {
        "apiextensions.k8s.io" => "pkg/apiserver/apiserver.go:55",
        "apiregistration.k8s.io" => "pkg/apiserver/scheme/scheme.go:28",
        _ => "pkg/api/legacyscheme/scheme.go:30",
    }
}

/// Why an object of another kind cannot be one of the expected.
pub(crate) fn other_kind(expected: &GroupVersionKind, api_version: &str, kind: &str) -> String {
    let given = GroupVersionKind::from_api_version(api_version, kind);
    let known = scheme(&given.group) == scheme(&expected.group)
        && (drydock_machinery::Catalog::builtin().schema(&given).is_some()
            || (api_version, kind) == ("v1", "List"));
    if !api_version.is_empty() && !known {
        let scheme = scheme(&expected.group);
        return format!("no kind {kind:?} is registered for version {api_version:?} in scheme {scheme:?}");
    }
    let version = if given.version.is_empty() { &expected.version } else { &given.version };
    let group = internal_group(expected);
    format!("converting ({version}.{kind}) to ({group}.{}): unknown conversion", expected.kind)
}
