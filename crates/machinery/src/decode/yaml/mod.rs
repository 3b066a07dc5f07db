//! YAML as sigs.k8s.io/yaml reads it: YAML 1.1 in the dialect of go-yaml v2, and only the first document.
//!
//! `yes`, `on` and `y` are booleans, `010` is eight, `1_000` is a thousand, times stay strings, `<<` merges, keys become
//! strings. Of duplicate keys the last wins; they are reported as Go's strict decoder does. What is no YAML is refused
//! in the words of libyaml, which go-yaml is made after, with go-yaml's line numbers: [`scanner`] makes tokens of the
//! text, [`compose`] makes the document of the tokens.

mod compose;
mod cursor;
mod properties;
mod resolve;
mod scalars;
mod scanner;
#[cfg(test)]
mod tests;

use super::scan::TypeMeta;
use crate::value::Value;

/// A document, and what strict decoding says about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Yaml {
    pub value: Value,
    /// `yaml: unmarshal errors:\n  line 7: key "a" already set in map`: the first of the strict errors.
    pub duplicates: Option<String>,
}

/// Why a text is no YAML. Upstream says `error converting YAML to JSON: ` before it where it says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct YamlError(String);

impl YamlError {
    fn yaml(problem: &str) -> Self {
        Self(format!("yaml: {problem}"))
    }
}

/// Reads the first document of `text`; null when there is none.
///
/// # Errors
/// When the text is no YAML, or aliases expand without measure.
pub fn yaml(text: &str) -> Result<Yaml, YamlError> {
    if text.chars().any(|letter| !is_allowed(letter)) {
        return Err(YamlError::yaml("control characters are not allowed"));
    }
    compose::document(text)
}

fn is_allowed(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..)
}

impl Yaml {
    /// `apiVersion` and `kind` of the document.
    pub fn type_meta(&self) -> TypeMeta {
        let text = |key| self.value.str_at(&[key]).to_owned();
        TypeMeta { api_version: text("apiVersion"), kind: text("kind") }
    }
}
