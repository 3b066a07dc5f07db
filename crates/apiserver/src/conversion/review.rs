//! ConversionReview: what a webhook is asked, what it answers, and what it may change of an object.

use drydock_machinery::names_validation::{validate_annotations, validate_labels};
use drydock_machinery::{FieldErrors, FieldPath, Map, ObjectMeta, Value, value};

/// The review that asks for `objects` in `api_version`.
pub(super) fn request(objects: &[Value], api_version: &str, version: &str) -> Value {
    let mut review = value!({
        "kind": "ConversionReview",
        "request": {"uid": uuid::Uuid::new_v4().to_string(), "desiredAPIVersion": api_version},
        "response": {"uid": "", "convertedObjects": null, "result": {"metadata": {}}},
    });
    review.set(&["apiVersion"], format!("apiextensions.k8s.io/{version}"));
    review.set(&["request", "objects"], objects.to_vec());
    review
}

/// The objects of an answer to `asked`.
///
/// # Errors
/// When it is no answer to it, or says that it failed.
pub(super) fn objects(answer: &Value, asked: &Value) -> Result<Vec<Value>, String> {
    let version = asked.api_version();
    // The first version of the protocol did not ask for these.
    let strict = version == "apiextensions.k8s.io/v1";
    let got = (answer.api_version(), answer.kind());
    if strict && got != (version, "ConversionReview") {
        return Err(format!(
            "expected webhook response of {version}, Kind=ConversionReview, got {}, Kind={}",
            got.0, got.1
        ));
    }
    let Some(response) = answer.get("response").filter(|response| !response.is_null()) else {
        return Err("no response provided".to_owned());
    };
    let (uid, own) = (asked.str_at(&["request", "uid"]), response.str_at(&["uid"]));
    if strict && own != uid {
        return Err(format!("expected response.uid={uid:?}, got {own:?}"));
    }
    let status = response.str_at(&["result", "status"]);
    if status != "Success" {
        return Err(match response.str_at(&["result", "message"]) {
            "" => format!("response.result.status was '{status}', not 'Success'"),
            message => message.to_owned(),
        });
    }
    Ok(response.array_at(&["convertedObjects"]).to_vec())
}

/// The answered objects with the metadata of those asked about: a webhook changes labels and annotations alone.
///
/// # Errors
/// What it changed that it may not, to come after "returned".
pub(super) fn settle(
    asked: &[Value],
    mut answered: Vec<Value>,
    api_version: &str,
) -> Result<Vec<Value>, String> {
    if answered.len() != asked.len() {
        return Err(format!("{} objects, expected {}", answered.len(), asked.len()));
    }
    for (i, (original, converted)) in asked.iter().zip(&mut answered).enumerate() {
        // Of one object the place says nothing.
        let at = if asked.len() == 1 { String::new() } else { format!(" at index {i}") };
        let what = if asked.len() == 1 { "invalid object" } else { "invalid converted object" };
        if converted.api_version() != api_version {
            let got = converted.api_version();
            return Err(format!(
                "{what} at index {i}: invalid groupVersion (expected {api_version}, received {got})"
            ));
        }
        if converted.kind() != original.kind() {
            return Err(format!(
                "{what} at index {i}: invalid kind (expected {}, received {})",
                original.kind(),
                converted.kind()
            ));
        }
        same_object(original, converted).map_err(|why| format!("{what}{at}: {why}"))?;
        let place = if asked.len() == 1 { String::new() } else { format!(" in object at index {i}") };
        restore_metadata(original, converted).map_err(|why| format!("invalid metadata{place}: {why}"))?;
    }
    Ok(answered)
}

fn same_object(original: &Value, converted: &Value) -> Result<(), String> {
    let pairs = [
        ("name", original.name(), converted.name()),
        ("namespace", original.namespace(), converted.namespace()),
        ("UID", original.uid(), converted.uid()),
    ];
    match pairs.into_iter().find(|(_, expected, got)| expected != got) {
        Some((what, expected, got)) => Err(format!("must have the same {what}: {expected} != {got}")),
        None => Ok(()),
    }
}

/// Takes the original's metadata over, but for labels and annotations.
fn restore_metadata(original: &Value, converted: &mut Value) -> Result<(), String> {
    let answered = match converted.get("metadata") {
        None => return Err("missing metadata in converted object".to_owned()),
        Some(metadata @ Value::Object(_)) => metadata.clone(),
        Some(other) => {
            return Err(format!("invalid metadata of type {} in converted object", go_type(other)));
        }
    };
    let mut metadata = original.get("metadata").cloned().unwrap_or_else(Value::object);
    for field in ["labels", "annotations"] {
        let own = match answered.get(field) {
            None | Some(Value::Null) => {
                metadata.remove(&[field]);
                continue;
            }
            Some(Value::Object(own)) => own,
            Some(other) => {
                let kind = go_type(other);
                return Err(format!("invalid metadata.{field} of type {kind} in converted object"));
            }
        };
        if let Some((key, other)) = own.iter().find(|(_, value)| value.as_str().is_none()) {
            let kind = go_type(other);
            return Err(format!(
                "metadata.{field}[{key}] must be a string, but is {kind} in converted object"
            ));
        }
        if metadata.object_at(&[field]) != own {
            check(field, own)?;
        }
        metadata.set(&[field], Value::Object(own.clone()));
    }
    converted.set(&["metadata"], metadata);
    Ok(())
}

/// What a webhook changed is checked as if a client had.
fn check(field: &str, entries: &Map) -> Result<(), String> {
    let mut errors = FieldErrors::new();
    if field == "labels" {
        validate_labels(&mut errors, entries, &FieldPath::new("metadata").child("labels"));
    } else {
        // Upstream names the field so.
        validate_annotations(&mut errors, entries, &FieldPath::new("metadata").child("annotation"));
    }
    errors.aggregate().map_or(Ok(()), Err)
}

fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Float(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
