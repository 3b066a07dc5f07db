//! What upstream says of its types and fields.
//!
//! The texts are upstream's and not in this repository: they come out of the k8s-openapi crate, which has those of one
//! Kubernetes version. Older versions show them for the types and fields that they have. Without the feature
//! `descriptions` there are none.

#[cfg(feature = "descriptions")]
mod upstream;

use std::collections::HashMap;
use std::sync::OnceLock;

/// Of one definition.
#[derive(Debug, Default)]
pub(super) struct Described {
    pub(super) text: String,
    fields: HashMap<String, String>,
}

impl Described {
    /// What is said of a field; "" when nothing is.
    pub(super) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }
}

/// What is said of a definition, such as `io.k8s.api.core.v1.Pod`.
pub(super) fn of(definition: &str) -> Option<&'static Described> {
    static ALL: OnceLock<HashMap<String, Described>> = OnceLock::new();
    let all = ALL.get_or_init(all);
    // Of lists there is one description for all, which has the fields that all have.
    all.get(definition).or_else(|| all.get(LIST).filter(|_| definition.ends_with("List")))
}

/// The one list that is described.
const LIST: &str = "List";

#[cfg(feature = "descriptions")]
fn all() -> HashMap<String, Described> {
    upstream::read()
}

#[cfg(not(feature = "descriptions"))]
fn all() -> HashMap<String, Described> {
    HashMap::new()
}
