//! What scheduler and controllers must judge alike: node selectors, node affinity, tolerations.

use drydock_machinery::selector::Selector;
use drydock_machinery::{Object, ObjectMeta, Value};

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

    /// The node names to which the term's fields restrict it; none when they contradict each other.
    fn names(&self) -> Option<Vec<&str>> {
        let by_name = |one: &&NodeRequirement| one.key == "metadata.name" && one.operator == "In";
        let mut lists = self.fields.iter().filter(by_name).map(|one| &one.values);
        let first: Vec<&str> = lists.next()?.iter().map(String::as_str).collect();
        Some(lists.fold(first, |names, list| {
            names.into_iter().filter(|name| list.iter().any(|other| other == name)).collect()
        }))
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
        let terms = self.terms.as_ref().filter(|terms| !terms.is_empty())?;
        let mut names = Vec::new();
        for term in terms {
            names.extend(term.names()?);
        }
        Some(names)
    }
}

/// The names of the claims that a pod's volumes are; the flag is true for those of generic ephemeral volumes, which are
/// made for the pod.
pub fn claims_of(pod: &Value) -> impl Iterator<Item = (String, bool)> {
    pod.array_at(&["spec", "volumes"]).iter().filter_map(|volume| claim_of(pod, volume))
}

fn claim_of(pod: &Value, volume: &Value) -> Option<(String, bool)> {
    match volume.str_at(&["persistentVolumeClaim", "claimName"]) {
        "" => {
            volume.get("ephemeral").filter(|ephemeral| !ephemeral.is_null())?;
            Some((format!("{}-{}", pod.name(), volume.str_at(&["name"])), true))
        }
        name => Some((name.to_owned(), false)),
    }
}

/// Whether a toleration is for a taint.
pub fn tolerates(toleration: &Value, taint: &Value) -> bool {
    let text = |value: &Value, key: &str| value.str_at(&[key]).to_owned();
    let effect = text(toleration, "effect");
    let key = text(toleration, "key");
    let same_effect = effect.is_empty() || effect == taint.str_at(&["effect"]);
    let same_key = key.is_empty() || key == taint.str_at(&["key"]);
    let number = |value: &Value| value.str_at(&["value"]).parse::<i64>().ok();
    let pair = number(taint).zip(number(toleration));
    same_effect
        && same_key
        && match toleration.str_at(&["operator"]) {
            "Exists" => true,
            "Gt" => pair.is_some_and(|(taint, own)| taint > own),
            "Lt" => pair.is_some_and(|(taint, own)| taint < own),
            _ => !key.is_empty() && toleration.str_at(&["value"]) == taint.str_at(&["value"]),
        }
}
