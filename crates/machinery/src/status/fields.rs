//! What is wrong with the fields of an object: apimachinery's `field.Error`.

use std::fmt;

use crate::field_path::FieldPath;
use crate::go_text::go_quote;
use crate::json;
use crate::value::Value;

/// What is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldErrorKind {
    NotFound,
    Required,
    Duplicate,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
    TooMany,
    TooFew,
    TypeInvalid,
    /// As [`FieldErrorKind::Duplicate`], of a value that is too large to be shown.
    DuplicateOmitted,
    /// As [`FieldErrorKind::Invalid`], but the detail begins with the value as Go shows it.
    InvalidShown,
    Internal,
}

impl FieldErrorKind {
    fn title(self) -> &'static str {
        match self {
            Self::NotFound => "Not found",
            Self::Required => "Required value",
            Self::Duplicate | Self::DuplicateOmitted => "Duplicate value",
            Self::Invalid | Self::TypeInvalid | Self::InvalidShown => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::TooFew => "Too few",
            Self::Internal => "Internal error",
        }
    }

    /// The `reason` of a status cause.
    pub(super) fn cause(self) -> &'static str {
        match self {
            Self::NotFound => "FieldValueNotFound",
            Self::Required => "FieldValueRequired",
            Self::Duplicate | Self::DuplicateOmitted => "FieldValueDuplicate",
            Self::Invalid | Self::InvalidShown => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TooFew => "FieldValueTooFew",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::Internal => "InternalError",
        }
    }
}

/// One thing wrong with one field.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldError {
    pub kind: FieldErrorKind,
    pub field: String,
    /// The offending value; shown for the kinds that show it.
    pub value: Option<Value>,
    pub detail: String,
}

impl FieldError {
    /// The message without the field's name, as in a status cause.
    pub fn body(&self) -> String {
        let mut out = self.kind.title().to_owned();
        match self.kind {
            FieldErrorKind::Required
            | FieldErrorKind::Forbidden
            | FieldErrorKind::TooLong
            | FieldErrorKind::InvalidShown
            | FieldErrorKind::DuplicateOmitted
            | FieldErrorKind::Internal => {}
            _ => {
                out.push_str(": ");
                out.push_str(&match (self.kind, &self.value) {
                    // Values of enumerations are of types of their own, and so written as JSON.
                    (FieldErrorKind::NotSupported, Some(value @ Value::String(_))) => json::text(value),
                    (_, value) => show(value.as_ref()),
                });
            }
        }
        if !self.detail.is_empty() {
            out.push_str(": ");
            out.push_str(&self.detail);
        }
        out
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

/// Everything wrong with an object, in the order found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FieldErrors(Vec<FieldError>);

impl FieldErrors {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &FieldError> {
        self.0.iter()
    }

    pub fn push(&mut self, error: FieldError) {
        self.0.push(error);
    }

    /// Sorts by what the errors say.
    pub fn sort(&mut self) {
        self.0.sort_by_cached_key(ToString::to_string);
    }

    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    fn add(
        &mut self,
        kind: FieldErrorKind,
        field: &FieldPath,
        value: Option<Value>,
        detail: impl Into<String>,
    ) {
        self.push(FieldError { kind, field: field.to_string(), value, detail: detail.into() });
    }

    pub fn required(&mut self, field: &FieldPath, detail: impl Into<String>) {
        self.add(FieldErrorKind::Required, field, None, detail);
    }

    pub fn invalid(&mut self, field: &FieldPath, value: impl Into<Value>, detail: impl Into<String>) {
        self.add(FieldErrorKind::Invalid, field, Some(value.into()), detail);
    }

    /// An invalid value of which only Go's rendering is at hand: a struct with its own names and order of fields.
    pub fn invalid_shown(&mut self, field: &FieldPath, shown: impl fmt::Display, detail: impl fmt::Display) {
        self.add(FieldErrorKind::InvalidShown, field, None, format!("{shown}: {detail}"));
    }

    pub fn type_invalid(&mut self, field: &FieldPath, value: impl Into<Value>, detail: impl Into<String>) {
        self.add(FieldErrorKind::TypeInvalid, field, Some(value.into()), detail);
    }

    pub fn forbidden(&mut self, field: &FieldPath, detail: impl Into<String>) {
        self.add(FieldErrorKind::Forbidden, field, None, detail);
    }

    pub fn duplicate(&mut self, field: &FieldPath, value: impl Into<Value>) {
        self.add(FieldErrorKind::Duplicate, field, Some(value.into()), "");
    }

    pub fn not_found(&mut self, field: &FieldPath, value: impl Into<Value>) {
        self.add(FieldErrorKind::NotFound, field, Some(value.into()), "");
    }

    /// `supported` is shown quoted, in the order given.
    pub fn not_supported(&mut self, field: &FieldPath, value: impl Into<Value>, supported: &[&str]) {
        let quoted: Vec<String> = supported.iter().map(|s| go_quote(s)).collect();
        let detail = if quoted.is_empty() {
            String::new()
        } else {
            format!("supported values: {}", quoted.join(", "))
        };
        self.add(FieldErrorKind::NotSupported, field, Some(value.into()), detail);
    }

    /// More than `max` bytes.
    pub fn too_long(&mut self, field: &FieldPath, max: usize) {
        let bytes = if max == 1 { "byte" } else { "bytes" };
        self.add(FieldErrorKind::TooLong, field, None, format!("may not be more than {max} {bytes}"));
    }

    pub fn too_many(&mut self, field: &FieldPath, actual: usize, max: usize) {
        let items = if max == 1 { "item" } else { "items" };
        let detail = format!("must have at most {max} {items}");
        self.add(FieldErrorKind::TooMany, field, Some(actual.into()), detail);
    }

    pub fn internal(&mut self, field: &FieldPath, detail: impl Into<String>) {
        self.add(FieldErrorKind::Internal, field, None, detail);
    }

    /// `utilerrors.Aggregate`: one message as it is; several distinct ones in brackets. None when there is none.
    pub fn aggregate(&self) -> Option<String> {
        let mut texts: Vec<String> = Vec::new();
        for error in &self.0 {
            let text = error.to_string();
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        match texts.len() {
            0 => None,
            1 => texts.pop(),
            _ => Some(format!("[{}]", texts.join(", "))),
        }
    }
}

/// How a field error shows a value: strings quoted, numbers and booleans plain, the rest as JSON.
fn show(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "null".to_owned(),
        Some(Value::String(s)) => go_quote(s),
        Some(value) if literal_text(value).is_some() => literal_text(value).unwrap_or_default().to_owned(),
        Some(other) => json::text(other),
    }
}

/// The only key of what [`literal`] makes; no object of a client's has it alone.
const LITERAL: &str = "\u{0}literal";

/// A value that a field error shows as this very text: Go structs, whose fields have an order and names of their own.
pub fn literal(text: impl Into<String>) -> Value {
    Value::Object([(LITERAL.into(), Value::from(text.into()))].into_iter().collect())
}

/// The text of a [`literal`].
pub fn literal_text(value: &Value) -> Option<&str> {
    value.get(LITERAL)?.as_str()
}
