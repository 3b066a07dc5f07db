//! Which nodes a daemon set runs on, and the pod made for a node.

use drydock_client::scheduling::{RequiredNodeAffinity, tolerates};
use drydock_machinery::{Object, ObjectMeta, Value, value};

use super::HASH_LABEL;
use crate::util::pod_control::pod_from_template;

const GENERATION_LABEL: &str = "pod-template-generation";
const GENERATION_ANNOTATION: &str = "deprecated.daemonset.template.generation";

/// What a node is to a daemon set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fit {
    pub(super) should_run: bool,
    /// A pod that is there may stay, though none would be put there.
    pub(super) should_continue: bool,
}

pub(super) fn fit(set: &Object, node: &Object) -> Fit {
    let no = Fit { should_run: false, should_continue: false };
    let mut pod = Value::object();
    let spec = set.at(&["spec", "template", "spec"]).cloned().unwrap_or_else(Value::object);
    pod.set(&["spec"], spec);
    let wanted = pod.str_at(&["spec", "nodeName"]);
    if !wanted.is_empty() && wanted != node.name() {
        return no;
    }
    if !RequiredNodeAffinity::of(&pod).matches(node) {
        return no;
    }
    let tolerations = tolerations(&pod);
    let untolerated = |effect: &str| {
        let mut taints =
            node.array_at(&["spec", "taints"]).iter().filter(|taint| taint.str_at(&["effect"]) == effect);
        taints.any(|taint| !tolerations.iter().any(|toleration| tolerates(toleration, taint)))
    };
    if untolerated("NoExecute") {
        return no;
    }
    Fit { should_run: !untolerated("NoSchedule"), should_continue: true }
}

/// The template's own, and those that every daemon pod has.
fn tolerations(pod: &Value) -> Vec<Value> {
    let mut all = pod.array_at(&["spec", "tolerations"]).to_vec();
    let mut add = |key: &str, effect: &str| {
        let toleration =
            value!({"key": format!("node.kubernetes.io/{key}"), "operator": "Exists", "effect": effect});
        let is_same = |own: &&mut Value| {
            let fields = ["key", "effect", "operator", "value"];
            fields.iter().all(|field| own.str_at(&[field]) == toleration.str_at(&[field]))
        };
        match all.iter_mut().find(is_same) {
            // One for a time only becomes one for good.
            Some(own) => *own = toleration,
            None => all.push(toleration),
        }
    };
    add("not-ready", "NoExecute");
    add("unreachable", "NoExecute");
    add("disk-pressure", "NoSchedule");
    add("memory-pressure", "NoSchedule");
    add("pid-pressure", "NoSchedule");
    add("unschedulable", "NoSchedule");
    if pod.bool_at(&["spec", "hostNetwork"]) {
        add("network-unavailable", "NoSchedule");
    }
    all
}

/// A pod of the set that only that node satisfies.
pub(super) fn new_pod(set: &Object, node: &str, hash: &str) -> Value {
    let mut pod = pod_from_template(set.at(&["spec", "template"]).unwrap_or(&Value::Null), set);
    pod.set(&["metadata", "labels", HASH_LABEL], hash);
    if let Some(generation) = set.annotation(GENERATION_ANNOTATION) {
        pod.set(&["metadata", "labels", GENERATION_LABEL], generation);
    }
    let path = ["spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"];
    // What the template requires was judged already: the node's name replaces it.
    pod.set(
        &path,
        value!({"nodeSelectorTerms": [
            {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]},
        ]}),
    );
    let tolerations = tolerations(&pod);
    pod.set(&["spec", "tolerations"], tolerations);
    pod
}

/// The node that the pod is on, or that it was made for.
pub(super) fn node_of(pod: &Value) -> Option<&str> {
    let bound = pod.str_at(&["spec", "nodeName"]);
    if !bound.is_empty() {
        return Some(bound);
    }
    let path = ["spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"];
    let terms = pod.at(&path)?.array_at(&["nodeSelectorTerms"]);
    let fields = terms.iter().flat_map(|term| term.array_at(&["matchFields"]));
    let named = fields.into_iter().find(|field| field.str_at(&["key"]) == "metadata.name")?;
    named.array_at(&["values"]).first()?.as_str()
}
