//! Pod affinity terms, compiled.

pub(crate) use drydock_client::scheduling::{NodeTerm, RequiredNodeAffinity};
use drydock_machinery::selector::Selector;
use drydock_machinery::{Map, ObjectMeta, Value};

/// A `PodAffinityTerm` of a pod in a namespace.
#[derive(Clone, Debug)]
pub struct PodTerm {
    pub topology_key: String,
    selector: Selector,
    namespaces: Vec<String>,
    namespace_selector: Option<Selector>,
    pub weight: i64,
}

impl PodTerm {
    pub fn parse(term: &Value, pod: &Value, weight: i64) -> Self {
        let mut namespaces: Vec<String> =
            term.array_at(&["namespaces"]).iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let namespace_selector = term.get("namespaceSelector").filter(|selector| !selector.is_null());
        if namespaces.is_empty() && namespace_selector.is_none() {
            namespaces.push(pod.namespace().to_owned());
        }
        Self {
            topology_key: term.str_at(&["topologyKey"]).to_owned(),
            selector: compiled(term.get("labelSelector")),
            namespaces,
            namespace_selector: namespace_selector.map(|selector| compiled(Some(selector))),
            weight,
        }
    }

    /// `namespace_labels` are those of the candidate's namespace.
    pub fn matches(&self, pod: &Value, namespace_labels: Option<&Map>) -> bool {
        let in_namespace = self.namespaces.iter().any(|namespace| namespace == pod.namespace())
            || self.namespace_selector.as_ref().is_some_and(|selector| {
                selector.is_everything() || namespace_labels.is_some_and(|labels| selector.matches(labels))
            });
        in_namespace && self.selector.matches(pod.labels())
    }
}

/// A label selector that validation has seen; one that is invalid all the same matches nothing.
pub(crate) fn compiled(selector: Option<&Value>) -> Selector {
    Selector::from_label_selector(selector).unwrap_or_else(|_| Selector::nothing())
}
