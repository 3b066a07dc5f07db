//! Since when what endpoints show has been so: the annotation by which the delay of their propagation is measured.

use std::collections::HashMap;
use std::sync::Arc;

use drydock_machinery::{Key, Object, ObjectMeta};
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::util::{pod, time_at};

/// What was seen of each service, by its key; forgotten with it.
#[derive(Debug, Default)]
pub(super) struct Triggers(Mutex<HashMap<Key, Seen>>);

#[derive(Debug, Default)]
struct Seen {
    service: Option<Timestamp>,
    pods: HashMap<String, Timestamp>,
}

impl Triggers {
    /// The first moment at which the service or one of its pods changed since this was asked last; None when none did.
    pub(super) fn next(&self, service: &Object, pods: &[Arc<Object>]) -> Option<String> {
        let mut all = self.0.lock();
        let before = all.entry(service.key().into()).or_default();
        let mut changed: Option<Timestamp> = None;
        let mut note = |at: Timestamp, before: Option<Timestamp>| {
            if before.is_none_or(|before| at > before) {
                changed = Some(changed.map_or(at, |first| first.min(at)));
            }
        };
        let mut now = HashMap::new();
        for pod in pods {
            if let Some(at) = pod::ready_since(pod) {
                note(at, before.pods.get(pod.name()).copied());
                now.insert(pod.name().to_owned(), at);
            }
        }
        before.pods = now;
        if let Some(at) = time_at(service, &["metadata", "creationTimestamp"]) {
            note(at, before.service);
            before.service = Some(at);
        }
        changed.map(drydock_runtime::clock::rfc3339)
    }

    pub(super) fn forget(&self, service: &str) {
        self.0.lock().remove(service);
    }
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    #[test]
    fn a_change_is_told_once() {
        let service = Object::new(
            value!({"metadata": {"name": "s", "namespace": "d", "creationTimestamp": "2026-01-01T00:00:00Z"}}),
            1,
        );
        let pod = |at: &str| {
            let tree = value!({"metadata": {"name": "p"}, "status": {"conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": at}]}});
            Arc::new(Object::new(tree, 1))
        };
        let triggers = Triggers::default();
        assert_eq!(triggers.next(&service, &[]).as_deref(), Some("2026-01-01T00:00:00Z"));
        assert_eq!(triggers.next(&service, &[]), None);
        let pods = [pod("2026-01-01T00:00:05Z")];
        assert_eq!(triggers.next(&service, &pods).as_deref(), Some("2026-01-01T00:00:05Z"));
        assert_eq!(triggers.next(&service, &pods), None);
        triggers.forget("d/s");
        assert_eq!(triggers.next(&service, &pods).as_deref(), Some("2026-01-01T00:00:00Z"));
    }
}
