//! Labels of nodes by their old names, and selectors that select nothing.

use drydock_machinery::{FieldPath, Value};

use crate::shape::has;

/// Label keys that have other names now, and what to say of them: `GetNodeLabelDeprecatedMessage`.
pub(crate) fn deprecated_label(key: &str) -> Option<&'static str> {
    Some(match key {
        "beta.kubernetes.io/arch" => "deprecated since v1.14; use \"kubernetes.io/arch\" instead",
        "beta.kubernetes.io/os" => "deprecated since v1.14; use \"kubernetes.io/os\" instead",
        "failure-domain.beta.kubernetes.io/region" => {
            "deprecated since v1.17; use \"topology.kubernetes.io/region\" instead"
        }
        "failure-domain.beta.kubernetes.io/zone" => {
            "deprecated since v1.17; use \"topology.kubernetes.io/zone\" instead"
        }
        "beta.kubernetes.io/instance-type" => {
            "deprecated since v1.17; use \"node.kubernetes.io/instance-type\" instead"
        }
        _ => return None,
    })
}

/// Of the node selector, the node affinity and the topology spread constraints.
pub(super) fn labels(out: &mut Vec<String>, spec: &Value, path: &FieldPath) {
    for key in spec.object_at(&["nodeSelector"]).keys() {
        if let Some(text) = deprecated_label(key) {
            out.push(format!("{}: {text}", path.child("nodeSelector").key(key)));
        }
    }
    let affinity = path.child("affinity").child("nodeAffinity");
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let terms = spec.array_at(&["affinity", "nodeAffinity", required, "nodeSelectorTerms"]);
    for (i, term) in terms.iter().enumerate() {
        node_term(out, term, false, &affinity.child(required).child("nodeSelectorTerms").index(i));
    }
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    for (i, term) in spec.array_at(&["affinity", "nodeAffinity", preferred]).iter().enumerate() {
        let at = affinity.child(preferred).index(i).child("preference");
        node_term(out, term.get("preference").unwrap_or(&Value::Null), true, &at);
    }
    spread(out, spec, &path.child("topologySpreadConstraints"));
}

/// `GetWarningsForNodeSelectorTerm`.
pub(crate) fn node_term(out: &mut Vec<String>, term: &Value, with_values: bool, path: &FieldPath) {
    for (i, expression) in term.array_at(&["matchExpressions"]).iter().enumerate() {
        let path = path.child("matchExpressions").index(i);
        let key = expression.str_at(&["key"]);
        if let Some(text) = deprecated_label(key) {
            out.push(format!("{}: {key} is {text}", path.child("key")));
        }
        if !with_values {
            continue;
        }
        let values = expression.array_at(&["values"]).iter().filter_map(Value::as_str);
        for (j, value) in values.enumerate() {
            for wrong in drydock_machinery::names_validation::is_valid_label_value(value) {
                out.push(format!("{}: {value} is invalid, {wrong}", path.child("values").index(j)));
            }
        }
    }
}

fn spread(out: &mut Vec<String>, spec: &Value, path: &FieldPath) {
    for (i, constraint) in spec.array_at(&["topologySpreadConstraints"]).iter().enumerate() {
        let path = path.index(i);
        let key = constraint.str_at(&["topologyKey"]);
        if let Some(text) = deprecated_label(key) {
            out.push(format!("{}: {key} is {text}", path.child("topologyKey")));
        }
        if !has(constraint, &["labelSelector"]) {
            out.push(null_selector(&path));
        }
    }
}

/// Of the affinities between pods.
pub(super) fn null_selectors(out: &mut Vec<String>, spec: &Value, path: &FieldPath) {
    for kind in ["podAffinity", "podAntiAffinity"] {
        let required = "requiredDuringSchedulingIgnoredDuringExecution";
        for (i, term) in spec.array_at(&["affinity", kind, required]).iter().enumerate() {
            if !has(term, &["labelSelector"]) {
                out.push(null_selector(&path.child(kind).child(required).index(i)));
            }
        }
        let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
        for (i, term) in spec.array_at(&["affinity", kind, preferred]).iter().enumerate() {
            if !has(term, &["podAffinityTerm", "labelSelector"]) {
                out.push(null_selector(&path.child(kind).child(preferred).index(i).child("podAffinityTerm")));
            }
        }
    }
}

fn null_selector(path: &FieldPath) -> String {
    format!("{}: a null labelSelector results in matching no pod", path.child("labelSelector"))
}
