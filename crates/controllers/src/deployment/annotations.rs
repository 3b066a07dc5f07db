//! The annotations by which a deployment and its replica sets tell their revision and proportions.

use drydock_machinery::{Object, ObjectMeta, Value};

use super::replicas;
use super::rollback::ROLLBACK_TO;
use super::rolling::max_surge;

pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub(super) const DESIRED_REPLICAS: &str = "deployment.kubernetes.io/desired-replicas";
pub(super) const MAX_REPLICAS: &str = "deployment.kubernetes.io/max-replicas";

/// Not copied from a deployment to its replica sets.
const SKIPPED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED_REPLICAS,
    MAX_REPLICAS,
    ROLLBACK_TO,
];

/// Revision histories longer than this lose their oldest entries.
const MAX_HISTORY_CHARS: usize = 2000;

pub(super) fn revision(set: &Value) -> i64 {
    set.annotation(REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn set_annotation(object: &mut Value, key: &str, value: &str) -> bool {
    if object.annotation(key) == Some(value) {
        return false;
    }
    object.set(&["metadata", "annotations", key], value);
    true
}

/// True when it changed.
pub(super) fn set_deployment_revision(deployment: &mut Value, revision: &str) -> bool {
    set_annotation(deployment, REVISION, revision)
}

/// True when anything changed.
pub(super) fn set_replicas_annotations(set: &mut Value, desired: i64, max: i64) -> bool {
    let desired = set_annotation(set, DESIRED_REPLICAS, &desired.to_string());
    let max = set_annotation(set, MAX_REPLICAS, &max.to_string());
    desired || max
}

/// The count that an annotation says, when it does.
pub(super) fn count(set: &Value, annotation: &str) -> Option<i64> {
    set.annotation(annotation)?.parse().ok()
}

/// Brings the new replica set's annotations up to date; true when anything changed.
pub(super) fn set_new_replica_set(
    deployment: &Object,
    set: &mut Value,
    new_revision: i64,
    exists: bool,
) -> bool {
    let mut changed = false;
    for (key, value) in deployment.annotations().iter() {
        let text = value.as_str().unwrap_or("");
        if !SKIPPED.contains(&key.as_str()) {
            changed |= set_annotation(set, key, text);
        }
    }
    let had_revision = set.annotation(REVISION).map(str::to_owned);
    let old_revision = revision(set);
    if old_revision < new_revision {
        changed |= set_annotation(set, REVISION, &new_revision.to_string());
        // A rollback to an old template: what it was before is kept.
        if let Some(old) = had_revision {
            let history = set.annotation(REVISION_HISTORY).unwrap_or("").to_owned();
            let history = appended(&history, &old);
            set_annotation(set, REVISION_HISTORY, &history);
        }
    }
    if !exists {
        let desired = replicas(deployment);
        changed |= set_replicas_annotations(set, desired, desired + max_surge(deployment));
    }
    changed
}

/// A deployment that goes back to a set has its annotations again.
pub(super) fn set_from_replica_set(deployment: &mut Value, set: &Object) {
    let of_deployment = deployment.annotations().iter().filter(|(key, _)| SKIPPED.contains(&key.as_str()));
    let of_set = set.annotations().iter().filter(|(key, _)| !SKIPPED.contains(&key.as_str()));
    let all = of_deployment.chain(of_set).map(|(key, value)| (key.clone(), value.clone())).collect();
    deployment.set(&["metadata", "annotations"], Value::Object(all));
}

fn appended(history: &str, revision: &str) -> String {
    if history.is_empty() {
        return revision.to_owned();
    }
    let mut kept = history;
    while kept.len() + revision.len() + 1 > MAX_HISTORY_CHARS {
        match kept.split_once(',') {
            Some((_, rest)) => kept = rest,
            None => return revision.to_owned(),
        }
    }
    format!("{kept},{revision}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_grows_and_drops_its_oldest() {
        assert_eq!(appended("", "1"), "1");
        assert_eq!(appended("1,2", "3"), "1,2,3");
        let long = "1234,".repeat(500);
        assert!(appended(&long, "9").len() <= MAX_HISTORY_CHARS);
    }
}
