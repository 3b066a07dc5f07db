//! Label selectors and field selectors, in their query string and object forms.
//!
//! The grammar, the order of requirements and every error text are those of apimachinery's `pkg/labels`,
//! `pkg/fields` and `metav1.LabelSelectorAsSelector`. Which fields a kind can be selected by is not known here.

mod field;
mod label;
mod parse;

pub use field::{FieldSelector, FieldTerm};
pub use label::{Operator, Requirement, Selector, validate_label_selector};

/// A selector that cannot be used, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(pub String);
