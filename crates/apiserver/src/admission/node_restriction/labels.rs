//! Which labels of its node a kubelet may set.

use drydock_machinery::{ObjectMeta, Value};

/// Labels that were set, changed or removed, and that are not a kubelet's.
pub(super) fn forbidden_labels(new: &Value, old: &Value) -> Vec<String> {
    let changed = |key: &str| new.labels().get(key) != old.labels().get(key);
    let mut keys: Vec<&str> =
        new.labels().keys().chain(old.labels().keys()).map(|key| key.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter().filter(|key| changed(key) && is_forbidden_label(key)).map(str::to_owned).collect()
}

fn is_forbidden_label(key: &str) -> bool {
    const OWN: [&str; 12] = [
        "kubernetes.io/hostname",
        "kubernetes.io/arch",
        "kubernetes.io/os",
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/instance-type",
        "beta.kubernetes.io/os",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.kubernetes.io/region",
        "failure-domain.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    ];
    let Some((domain, _)) = key.split_once('/') else { return false };
    let under = |parent: &str| domain == parent || domain.ends_with(&format!(".{parent}"));
    if under("node-restriction.kubernetes.io") {
        return true;
    }
    let is_kubernetes = under("kubernetes.io") || under("k8s.io");
    let is_kubelets = OWN.contains(&key) || under("kubelet.kubernetes.io") || under("node.kubernetes.io");
    is_kubernetes && !is_kubelets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubelets_set_their_own_labels_only() {
        for (key, forbidden) in [
            ("kubernetes.io/hostname", false),
            ("node.kubernetes.io/instance-type", false),
            ("eks.amazonaws.com/nodegroup", false),
            ("team", false),
            ("node-role.kubernetes.io/control-plane", true),
            ("x.node-restriction.kubernetes.io/a", true),
            ("foo.k8s.io/bar", true),
        ] {
            assert_eq!(is_forbidden_label(key), forbidden, "{key}");
        }
    }
}
