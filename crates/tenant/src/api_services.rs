//! The API services of the groups that every cluster serves itself. Clients read in them what is served, and by whom.

use drydock_apiserver::ApiServer;
use drydock_machinery::{Value, value};

/// Upstream's priorities: of the group, and of its versions.
const PRIORITIES: [(&str, i64, i64); 21] = [
    ("", 18000, 1),
    ("apps", 17800, 15),
    ("events.k8s.io", 17750, 15),
    ("authentication.k8s.io", 17700, 15),
    ("authorization.k8s.io", 17600, 15),
    ("autoscaling", 17500, 15),
    ("batch", 17400, 15),
    ("certificates.k8s.io", 17300, 15),
    ("networking.k8s.io", 17200, 15),
    ("policy", 17100, 15),
    ("rbac.authorization.k8s.io", 17000, 15),
    ("storage.k8s.io", 16800, 15),
    ("apiextensions.k8s.io", 16700, 15),
    ("admissionregistration.k8s.io", 16700, 15),
    ("scheduling.k8s.io", 16600, 15),
    ("coordination.k8s.io", 16500, 15),
    ("node.k8s.io", 16300, 15),
    ("discovery.k8s.io", 16200, 15),
    ("resource.k8s.io", 16200, 21),
    ("flowcontrol.apiserver.k8s.io", 16100, 21),
    ("internal.apiserver.k8s.io", 16000, 9),
];

/// One per version of a built-in group, but for the group of API services itself.
pub(crate) fn all(server: &ApiServer) -> Vec<Value> {
    let table = server.resources();
    let mut all = Vec::new();
    for group in &table.groups {
        let Some((name, minimum, priority)) = PRIORITIES.iter().find(|(name, ..)| *name == group.name) else {
            continue;
        };
        for version in &group.versions {
            // Of two versions the newer one comes first.
            let priority = if version.version == "v2" { priority * 2 } else { *priority };
            all.push(value!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
                "metadata": {"name": format!("{}.{name}", version.version),
                    "labels": {"kube-aggregator.kubernetes.io/automanaged": "onstart"}},
                "spec": {"group": *name, "version": version.version.as_str(),
                    "groupPriorityMinimum": *minimum, "versionPriority": priority}}));
        }
    }
    all
}

/// Those that are served here are available.
pub(crate) fn available(now: &str) -> Value {
    value!({"conditions": [{"type": "Available", "status": "True", "reason": "Local",
        "message": "Local APIServices are always available", "lastTransitionTime": now}]})
}
