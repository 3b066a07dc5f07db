//! Every built-in object that a real 1.36 server answered in the fidelity corpus comes out of the decoder as it went in:
//! the decoder drops and adds exactly what Go's types do.
//!
//! The corpus lies beside the repository, in `shared/fidelity`; without it there is nothing to compare with.

use crate::shared;
use drydock_machinery::decode::{self, DecodeError, FieldValidation};
use drydock_machinery::{Catalog, GroupVersionKind, ObjectMeta as _, Value};

/// Cases whose steps leave required fields out of what they compare.
const PARTIAL: [&str; 2] = ["serviceaccount-token-request.golden.json", "pod-status-subresource.golden.json"];

#[test]
fn answers_of_a_real_server_survive_decoding() {
    let Some(corpus) = shared::folder("fidelity") else { return };
    let mut checked = 0;
    let mut problems = Vec::new();
    for file in shared::files(&corpus.join("cases"), ".golden.json") {
        if PARTIAL.iter().any(|name| file.ends_with(name)) {
            continue;
        }
        let steps = Value::from_json(&std::fs::read(&file).unwrap()).unwrap();
        for step in steps.as_array().unwrap() {
            let Some(body) = step.get("body") else { continue };
            let items = body.array_at(&["items"]).iter().map(|item| (item, body.kind().strip_suffix("List")));
            for (object, kind) in items.chain([(body, None)]) {
                if let Some(problem) = check(object, kind, body.api_version()) {
                    problems.push(format!("{}: {problem}", file.file_name().unwrap().display()));
                }
                checked += 1;
            }
        }
    }
    assert!(checked > 1000, "only {checked} objects");
    assert!(problems.is_empty(), "{} of {checked}:\n{}", problems.len(), problems.join("\n"));
}

/// Items of lists do not say what they are.
fn check(object: &Value, item_kind: Option<&str>, api_version: &str) -> Option<String> {
    let kind = item_kind.unwrap_or_else(|| object.kind());
    let kind = GroupVersionKind::from_api_version(api_version, kind);
    let schema = Catalog::builtin().schema(&kind)?;
    // Steps may show a part of an answer only.
    object.at(&["metadata", "uid"])?;
    // The recorder replaced what differs from run to run.
    let text = String::from_utf8(object.to_json()).unwrap();
    let text = text.replace("<time>", "2024-01-01T00:00:00Z");
    let mut micro = text.clone();
    for field in ["eventTime", "renewTime", "acquireTime", "lastObservedTime"] {
        let key = format!("\"{field}\":\"2024-01-01T00:00:00");
        micro = micro.replace(&format!("{key}Z"), &format!("{key}.000000Z"));
    }
    let expected = Value::from_json(micro.as_bytes()).unwrap();
    match decode::json(&micro, schema.root(), FieldValidation::Strict) {
        Ok(mut decoded) => {
            if expected.get("status").is_none() {
                // Many steps leave the status out, since controllers race with them.
                decoded.value.remove(&["status"]);
            }
            (decoded.value != expected)
                .then(|| format!("{kind}: {}", shared::difference(&decoded.value, &expected)))
        }
        // A step may show only some fields, under names that are paths.
        Err(DecodeError::Strict(_)) if text.contains('.') => None,
        // Placeholders are strings, also where a number was.
        Err(_) if text.contains('<') => None,
        Err(error) => Some(format!("{kind}: {error}")),
    }
}
