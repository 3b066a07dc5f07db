//! Request bodies, read strictly: every wrong, missing or unknown field is named, all of them at once.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http::{Method, StatusCode, header};
use http_body_util::LengthLimitError;
use serde_json::{Map, Value};

use crate::duration;
use crate::service::validation::Findings;
use crate::yaml;

use super::problem::Problem;

/// Larger bodies are refused.
const LIMIT: usize = 1 << 20;

/// A body that is an object, and its bytes as they came.
pub(super) struct Body {
    pub(super) fields: Map<String, Value>,
    pub(super) bytes: Bytes,
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let media = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let format = Format::of(media, request.method())?;
        let body = axum::body::to_bytes(request.into_body(), LIMIT).await.map_err(|error| {
            if error.into_inner().is::<LengthLimitError>() {
                let detail = format!("the body is larger than {LIMIT} bytes");
                return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "bodyTooLarge", detail);
            }
            Problem::malformed("the body did not arrive whole")
        })?;
        match format.parse(&body)? {
            Value::Object(fields) => Ok(Self { fields, bytes: body }),
            _ => Err(Problem::malformed("the body must be an object")),
        }
    }
}

#[derive(Clone, Copy)]
enum Format {
    Json,
    Yaml,
}

impl Format {
    fn of(media: Option<&str>, method: &Method) -> Result<Self, Problem> {
        let essence = media.unwrap_or_default().split(';').next().unwrap_or_default().trim();
        match essence.to_ascii_lowercase().as_str() {
            "application/json" => return Ok(Self::Json),
            "application/yaml" => return Ok(Self::Yaml),
            "application/merge-patch+json" if method == Method::PATCH => return Ok(Self::Json),
            _ => {}
        }
        let given = if essence.is_empty() { String::new() } else { format!(", not {essence}") };
        let detail = format!("the Content-Type must be application/json or application/yaml{given}");
        Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupportedMediaType", detail))
    }

    fn parse(self, body: &[u8]) -> Result<Value, Problem> {
        match self {
            // A YAML parser's errors about JSON would confuse; its strictness about repeated keys is wanted for both.
            Self::Json => {
                serde_json::from_slice::<Value>(body)
                    .map_err(|error| Problem::malformed(format!("the body is not JSON: {error}")))?;
                repeated_keys(body)
            }
            Self::Yaml => {
                let text = std::str::from_utf8(body)
                    .map_err(|error| Problem::malformed(format!("the body is not UTF-8: {error}")))?;
                yaml::read(text).map_err(|error| Problem::malformed(format!("the body is not YAML: {error}")))
            }
        }
    }
}

/// JSON is YAML, except that `serde_json` takes the last of repeated keys silently.
fn repeated_keys(body: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice::<strict::Strict>(body)
        .map(|strict| strict.0)
        .map_err(|error| Problem::malformed(format!("the body is ambiguous: {error}")))
}

mod strict {
    //! A JSON value in which no object has a key twice.

    use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
    use serde_json::{Map, Value};

    pub(super) struct Strict(pub(super) Value);

    impl<'de> Deserialize<'de> for Strict {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(StrictVisitor).map(Self)
        }
    }

    struct StrictVisitor;

    impl<'de> Visitor<'de> for StrictVisitor {
        type Value = Value;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a JSON value")
        }

        fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
            Ok(value.into())
        }

        fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
            Ok(value.into())
        }

        fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
            Ok(value.into())
        }

        fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
            Ok(value.into())
        }

        fn visit_str<E>(self, value: &str) -> Result<Value, E> {
            Ok(value.into())
        }

        fn visit_unit<E>(self) -> Result<Value, E> {
            Ok(Value::Null)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
            let mut items = Vec::new();
            while let Some(Strict(item)) = seq.next_element()? {
                items.push(item);
            }
            Ok(Value::Array(items))
        }

        fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
            let mut map = Map::new();
            while let Some((key, Strict(value))) = access.next_entry::<String, Strict>()? {
                if map.contains_key(&key) {
                    return Err(A::Error::custom(format!("the field {key:?} is given twice")));
                }
                map.insert(key, value);
            }
            Ok(Value::Object(map))
        }
    }
}

/// Takes fields out of an object one by one. `null` is a value like any other: a field that has none is left out.
pub(super) struct Fields {
    /// Before the names of fields: `nodePools[0].`.
    path: String,
    what: &'static str,
    fields: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Fields {
    /// `what` the object is, with its article: `a cluster`.
    pub(super) fn new(what: &'static str, fields: Map<String, Value>) -> Self {
        Self { path: String::new(), what, fields, known: Vec::new() }
    }

    /// Reports fields that nobody took.
    pub(super) fn finish(self, findings: &mut Findings) {
        for name in self.fields.keys() {
            let message = format!("is not a field of {}; those are {}", self.what, self.known.join(", "));
            findings.add(format!("{}{name}", self.path), message);
        }
    }

    pub(super) fn required(&mut self, name: &'static str, findings: &mut Findings) -> String {
        match self.take(name) {
            Some(Value::String(text)) => text,
            None => {
                findings.add(format!("{}{name}", self.path), "is required");
                String::new()
            }
            Some(other) => self.wrong(name, "a string", &other, findings).unwrap_or_default(),
        }
    }

    pub(super) fn string(&mut self, name: &'static str, findings: &mut Findings) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            // YAML reads the version 1.36 as a number, and people forget the quotes.
            Value::Number(number) if name == "version" => Some(number.to_string()),
            other => self.wrong(name, "a string", &other, findings),
        }
    }

    pub(super) fn count(&mut self, name: &'static str, findings: &mut Findings) -> Option<u32> {
        let value = self.take(name)?;
        match value.as_u64().and_then(|count| u32::try_from(count).ok()) {
            Some(count) => Some(count),
            None => self.wrong(name, "a whole number from 0", &value, findings),
        }
    }

    pub(super) fn number(&mut self, name: &'static str, findings: &mut Findings) -> Option<f64> {
        let value = self.take(name)?;
        value.as_f64().or_else(|| self.wrong(name, "a number", &value, findings))
    }

    pub(super) fn duration(&mut self, name: &'static str, findings: &mut Findings) -> Option<Duration> {
        let value = self.take(name)?;
        let parsed = value.as_str().and_then(duration::parse);
        parsed
            .or_else(|| self.wrong(name, "a duration such as \"90s\", \"5m\" or \"1h30m\"", &value, findings))
    }

    pub(super) fn flag(&mut self, name: &'static str, findings: &mut Findings) -> Option<bool> {
        match self.take(name)? {
            Value::Bool(flag) => Some(flag),
            other => self.wrong(name, "true or false", &other, findings),
        }
    }

    pub(super) fn strings(&mut self, name: &'static str, findings: &mut Findings) -> Vec<String> {
        let mut out = Vec::new();
        for (i, item) in self.list(name, findings).into_iter().enumerate() {
            match item {
                Value::String(text) => out.push(text),
                other => {
                    self.wrong(&format!("{name}[{i}]"), "a string", &other, findings).unwrap_or_default()
                }
            }
        }
        out
    }

    /// A document whose own fields are not this API's to read.
    pub(super) fn document(&mut self, name: &'static str, findings: &mut Findings) -> Option<Value> {
        match self.take(name)? {
            document @ Value::Object(_) => Some(document),
            other => self.wrong(name, "an object", &other, findings),
        }
    }

    /// As in a merge patch: null removes. What is given replaces the whole document.
    pub(super) fn document_change(
        &mut self,
        name: &'static str,
        findings: &mut Findings,
    ) -> Option<Option<Value>> {
        match self.take(name)? {
            Value::Null => Some(None),
            document @ Value::Object(_) => Some(Some(document)),
            other => self.wrong(name, "an object or null", &other, findings),
        }
    }

    pub(super) fn labels(&mut self, name: &'static str, findings: &mut Findings) -> BTreeMap<String, String> {
        let mut out = BTreeMap::new();
        for (key, value) in self.label_changes(name, findings) {
            match value {
                Some(value) => drop(out.insert(key, value)),
                None => self
                    .wrong(&format!("{name}[{key:?}]"), "a string", &Value::Null, findings)
                    .unwrap_or_default(),
            }
        }
        out
    }

    /// As in a merge patch: null removes.
    pub(super) fn label_changes(
        &mut self,
        name: &'static str,
        findings: &mut Findings,
    ) -> BTreeMap<String, Option<String>> {
        let mut out = BTreeMap::new();
        let entries = match self.take(name) {
            None => return out,
            Some(Value::Object(entries)) => entries,
            Some(other) => {
                return self.wrong(name, "an object of strings", &other, findings).unwrap_or_default();
            }
        };
        for (key, value) in entries {
            match value {
                Value::String(text) => {
                    out.insert(key, Some(text));
                }
                Value::Null => {
                    out.insert(key, None);
                }
                other => {
                    self.wrong(&format!("{name}[{key:?}]"), "a string", &other, findings).unwrap_or_default()
                }
            }
        }
        out
    }

    pub(super) fn object(
        &mut self,
        name: &'static str,
        what: &'static str,
        findings: &mut Findings,
    ) -> Option<Self> {
        let path = format!("{}{name}.", self.path);
        match self.take(name)? {
            Value::Object(fields) => Some(Self { path, ..Self::new(what, fields) }),
            other => self.wrong(name, "an object", &other, findings),
        }
    }

    pub(super) fn objects(
        &mut self,
        name: &'static str,
        what: &'static str,
        findings: &mut Findings,
    ) -> Vec<Self> {
        let mut out = Vec::new();
        for (i, item) in self.list(name, findings).into_iter().enumerate() {
            let path = format!("{}{name}[{i}].", self.path);
            match item {
                Value::Object(fields) => out.push(Self { path, ..Self::new(what, fields) }),
                other => {
                    self.wrong(&format!("{name}[{i}]"), "an object", &other, findings).unwrap_or_default()
                }
            }
        }
        out
    }

    fn list(&mut self, name: &'static str, findings: &mut Findings) -> Vec<Value> {
        match self.take(name) {
            None => Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => self.wrong(name, "a list", &other, findings).unwrap_or_default(),
        }
    }

    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        self.fields.remove(name)
    }

    fn wrong<T>(&self, name: &str, wanted: &str, got: &Value, findings: &mut Findings) -> Option<T> {
        let mut shown = got.to_string();
        if shown.chars().count() > 40 {
            shown = shown.chars().take(39).chain(['…']).collect();
        }
        findings.add(format!("{}{name}", self.path), format!("must be {wanted}, not {shown}"));
        None
    }
}
