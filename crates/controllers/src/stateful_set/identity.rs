//! What makes a pod the n-th of its set: name, labels, host name and claims.

use drydock_machinery::{Object, ObjectMeta, Value, value};

use super::REVISION_LABEL;
use crate::util::history;
use crate::util::owner::controller_ref;
use crate::util::pod_control::pod_from_template;

const NAME_LABEL: &str = "statefulset.kubernetes.io/pod-name";
const INDEX_LABEL: &str = "apps.kubernetes.io/pod-index";

/// The number at the end of the name of a pod of this set.
pub(super) fn ordinal(pod: &Value, set: &str) -> Option<i64> {
    let (parent, number) = pod.name().rsplit_once('-')?;
    (parent == set).then(|| number.parse().ok()).flatten()
}

/// The pod of an ordinal, of a revision's template.
pub(super) fn new_pod(set: &Object, revision: &Object, ordinal: i64) -> Value {
    let mut pod = pod_from_template(&history::template(revision), set);
    let name = format!("{}-{ordinal}", set.name());
    pod.set(&["metadata", "name"], name.clone());
    pod.set(&["metadata", "labels", NAME_LABEL], name.clone());
    pod.set(&["metadata", "labels", INDEX_LABEL], ordinal.to_string());
    pod.set(&["metadata", "labels", REVISION_LABEL], revision.name());
    pod.set(&["spec", "hostname"], name);
    let service = set.str_at(&["spec", "serviceName"]);
    if !service.is_empty() {
        pod.set(&["spec", "subdomain"], service);
    }
    let mut volumes: Vec<Value> = Vec::new();
    for template in set.array_at(&["spec", "volumeClaimTemplates"]) {
        let claim = claim_name(template, set, ordinal);
        volumes.push(value!({
            "name": template.name(), "persistentVolumeClaim": {"claimName": claim},
        }));
    }
    let own = pod.array_at(&["spec", "volumes"]).iter();
    let others: Vec<Value> = own
        .filter(|volume| !volumes.iter().any(|claimed| claimed.str_at(&["name"]) == volume.str_at(&["name"])))
        .cloned()
        .collect();
    volumes.extend(others);
    if !volumes.is_empty() {
        pod.set(&["spec", "volumes"], volumes);
    }
    pod
}

/// Whether the pod's labels say which it is of the set's.
pub(super) fn is_labelled(pod: &Object, ordinal: i64) -> bool {
    let label = |name: &str| pod.labels().get(name).and_then(Value::as_str);
    label(NAME_LABEL) == Some(pod.name()) && label(INDEX_LABEL) == Some(&ordinal.to_string())
}

/// The pod with such labels.
pub(super) fn labelled(pod: &Object, ordinal: i64) -> Value {
    let mut new = pod.value().clone();
    new.set(&["metadata", "labels", NAME_LABEL], pod.name());
    new.set(&["metadata", "labels", INDEX_LABEL], ordinal.to_string());
    new
}

fn claim_name(template: &Value, set: &Object, ordinal: i64) -> String {
    format!("{}-{}-{ordinal}", template.name(), set.name())
}

/// The claims of an ordinal.
pub(super) fn claims(set: &Object, ordinal: i64) -> Vec<Value> {
    let templates = set.array_at(&["spec", "volumeClaimTemplates"]).iter();
    templates
        .map(|template| {
            let mut claim = template.clone();
            claim.set(&["apiVersion"], "v1");
            claim.set(&["kind"], "PersistentVolumeClaim");
            claim.remove(&["status"]);
            claim.set(&["metadata", "name"], claim_name(template, set, ordinal));
            claim.set(&["metadata", "namespace"], set.namespace());
            for (key, text) in set.object_at(&["spec", "selector", "matchLabels"]).iter() {
                claim.set(&["metadata", "labels", key], text.clone());
            }
            let owner = retention_owner(set);
            if let Some(owner) = owner {
                claim.set(&["metadata", "ownerReferences"], vec![owner]);
            }
            claim
        })
        .collect()
}

/// With `whenDeleted: Delete` the set owns its claims, so that they are collected with it.
fn retention_owner(set: &Object) -> Option<Value> {
    let policy = set.str_at(&["spec", "persistentVolumeClaimRetentionPolicy", "whenDeleted"]);
    (policy == "Delete").then(|| controller_ref(set))
}
