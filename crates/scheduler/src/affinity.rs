//! Node selectors and pod affinity terms, compiled.

use drydock_machinery::selector::Selector;
use drydock_machinery::{Map, Object, ObjectMeta, Value};

/// `spec.nodeSelector` and required node affinity together.
#[derive(Clone, Debug, Default)]
pub struct RequiredNodeAffinity {
    selector: Option<Selector>,
    /// None when there is no required affinity; terms are alternatives.
    terms: Option<Vec<NodeTerm>>,
}

/// A `NodeSelectorTerm`.
#[derive(Clone, Debug)]
pub struct NodeTerm {
    expressions: Vec<NodeRequirement>,
    fields: Vec<NodeRequirement>,
}

#[derive(Clone, Debug)]
struct NodeRequirement {
    key: String,
    operator: String,
    values: Vec<String>,
}

impl NodeRequirement {
    fn parse(value: &Value) -> Self {
        let values = value.array_at(&["values"]).iter().filter_map(Value::as_str);
        Self {
            key: value.str_at(&["key"]).to_owned(),
            operator: value.str_at(&["operator"]).to_owned(),
            values: values.map(str::to_owned).collect(),
        }
    }

    fn matches(&self, value: Option<&str>) -> bool {
        let listed = || value.is_some_and(|value| self.values.iter().any(|one| one == value));
        let number = |text: &str| text.parse::<i64>().ok();
        let bound = || self.values.first().and_then(|text| number(text));
        match self.operator.as_str() {
            "In" => listed(),
            "NotIn" => !listed(),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            "Gt" => value.and_then(number).zip(bound()).is_some_and(|(value, bound)| value > bound),
            "Lt" => value.and_then(number).zip(bound()).is_some_and(|(value, bound)| value < bound),
            _ => false,
        }
    }
}

impl NodeTerm {
    pub fn parse(value: &Value) -> Self {
        let list = |name| value.array_at(&[name]).iter().map(NodeRequirement::parse).collect();
        Self { expressions: list("matchExpressions"), fields: list("matchFields") }
    }

    /// A term without requirements matches no node.
    pub fn matches(&self, node: &Object) -> bool {
        if self.expressions.is_empty() && self.fields.is_empty() {
            return false;
        }
        self.expressions.iter().all(|one| one.matches(node.label(&one.key)))
            && self.fields.iter().all(|one| one.key == "metadata.name" && one.matches(Some(node.name())))
    }

    /// The node names to which the term's fields restrict it.
    fn names(&self) -> Option<&[String]> {
        let by_name = |one: &&NodeRequirement| one.key == "metadata.name" && one.operator == "In";
        self.fields.iter().find(by_name).map(|one| one.values.as_slice())
    }
}

impl RequiredNodeAffinity {
    pub fn of(pod: &Value) -> Self {
        let selector = pod.object_at(&["spec", "nodeSelector"]);
        let path = ["spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"];
        let terms = pod.at(&path).filter(|required| !required.is_null());
        Self {
            selector: (!selector.is_empty()).then(|| Selector::from_set(selector)),
            terms: terms.map(|required| {
                required.array_at(&["nodeSelectorTerms"]).iter().map(NodeTerm::parse).collect()
            }),
        }
    }

    pub fn matches(&self, node: &Object) -> bool {
        self.selector.as_ref().is_none_or(|selector| selector.matches(node.labels()))
            && self.terms.as_ref().is_none_or(|terms| terms.iter().any(|term| term.matches(node)))
    }

    /// The only nodes that can match, when every alternative names its nodes.
    pub fn node_names(&self) -> Option<Vec<&str>> {
        let terms = self.terms.as_ref()?;
        let mut names = Vec::new();
        for term in terms {
            names.extend(term.names()?.iter().map(String::as_str));
        }
        Some(names)
    }
}

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
