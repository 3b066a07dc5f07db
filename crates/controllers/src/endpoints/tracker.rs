//! What was written of slices, until the informer shows it: who plans from older slices makes the same endpoints twice.

use std::collections::HashMap;
use std::sync::Arc;

use drydock_client::resources::ENDPOINT_SLICES;
use drydock_client::{Change, Client, DeleteOptions};
use drydock_machinery::{Key, Object, ObjectMeta, Reason, Status, Value};
use parking_lot::Mutex;

use super::{MANAGED_BY_SLICE, SERVICE_NAME};

/// By service, and by the slices' uids.
#[derive(Debug, Default)]
pub(super) struct Tracker(Mutex<HashMap<Key, HashMap<Key, Expected>>>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// This revision, or a later one.
    Revision(u64),
    Gone,
}

/// The key of the service that a slice is of.
fn service_of(slice: &Object) -> Key {
    format!("{}/{}", slice.namespace(), slice.label(SERVICE_NAME).unwrap_or("")).into()
}

impl Tracker {
    /// The services that must be looked at after a change of a slice, as it is somebody else's doing. `manager` is who
    /// manages the slices that count.
    pub(super) fn concerned(&self, manager: &str, change: Change<'_>) -> Vec<Key> {
        let ours = |slice: &Object| slice.label(MANAGED_BY_SLICE) == Some(manager);
        let slice = change.object();
        let mut concerned = Vec::new();
        if let Some(old) = change.old().filter(|old| ours(old))
            && (!ours(slice) || service_of(old) != service_of(slice))
        {
            // Somebody gave it to another.
            if let Some(expected) = self.0.lock().get_mut(&service_of(old)) {
                expected.remove(old.uid());
            }
            concerned.push(service_of(old));
        }
        if ours(slice) && self.is_news(change) {
            concerned.push(service_of(slice));
        }
        concerned
    }

    /// Whether the change is not what was written here.
    fn is_news(&self, change: Change<'_>) -> bool {
        let slice = change.object();
        let mut all = self.0.lock();
        let Some(expected) = all.get_mut(&service_of(slice)) else { return true };
        match change {
            Change::Deleted(_) => expected.remove(slice.uid()) != Some(Expected::Gone),
            _ => match expected.get(slice.uid()) {
                Some(Expected::Revision(written)) => slice.revision() > *written,
                Some(Expected::Gone) => false,
                None => true,
            },
        }
    }

    /// Whether the slices are older than what was written of the service's.
    pub(super) fn is_stale(&self, service: &str, slices: &[Arc<Object>]) -> bool {
        let all = self.0.lock();
        let Some(expected) = all.get(service) else { return false };
        let older = |slice: &Arc<Object>| match expected.get(slice.uid()) {
            Some(Expected::Revision(written)) => *written > slice.revision(),
            Some(Expected::Gone) => true,
            None => false,
        };
        let is_shown = |uid: &Key| slices.iter().any(|slice| slice.uid() == uid.as_str());
        slices.iter().any(older)
            || expected.iter().any(|(uid, expected)| *expected != Expected::Gone && !is_shown(uid))
    }

    pub(super) fn forget(&self, service: &str) {
        self.0.lock().remove(service);
    }

    fn expect(&self, slice: &Object, expected: Expected) {
        let mut all = self.0.lock();
        all.entry(service_of(slice)).or_default().insert(slice.uid().into(), expected);
    }
}

/// That the informer has yet to show what was written. Tried again a little later.
pub(super) fn stale() -> Status {
    Status::new(409, Reason::Conflict, "EndpointSlice informer cache is out of date")
}

/// Writes slices, and remembers it.
#[derive(Clone, Copy)]
pub(super) struct Writer<'a> {
    pub(super) client: &'a Client,
    pub(super) tracker: &'a Tracker,
}

impl Writer<'_> {
    pub(super) async fn create(self, slice: Value) -> Result<(), Status> {
        let written = self.client.create(&ENDPOINT_SLICES, slice).await?;
        self.tracker.expect(&written, Expected::Revision(written.revision()));
        Ok(())
    }

    pub(super) async fn update(self, slice: Value) -> Result<(), Status> {
        let written = self.client.update(&ENDPOINT_SLICES, slice).await?;
        self.tracker.expect(&written, Expected::Revision(written.revision()));
        Ok(())
    }

    pub(super) async fn delete(self, slice: &Object) -> Result<(), Status> {
        let options = DeleteOptions::default();
        match self.client.delete(&ENDPOINT_SLICES, slice.namespace(), slice.name(), options).await {
            Err(status) if !status.is_not_found() => Err(status),
            _ => {
                self.tracker.expect(slice, Expected::Gone);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    fn slice(uid: &str, revision: u64) -> Arc<Object> {
        let labels = value!({"kubernetes.io/service-name": "s"});
        let tree = value!({"metadata": {"name": uid, "namespace": "d", "uid": uid, "labels": labels}});
        Arc::new(Object::new(tree, revision))
    }

    #[test]
    fn slices_are_stale_until_what_was_written_is_shown() {
        let tracker = Tracker::default();
        assert!(!tracker.is_stale("d/s", &[]));
        tracker.expect(&slice("a", 5), Expected::Revision(5));
        assert!(tracker.is_stale("d/s", &[]), "made, and not shown");
        assert!(tracker.is_stale("d/s", &[slice("a", 4)]));
        assert!(!tracker.is_stale("d/s", &[slice("a", 5)]));
        assert!(!tracker.is_news(Change::Added(&slice("a", 5))));
        assert!(tracker.is_news(Change::Added(&slice("a", 6))), "somebody else's");
        tracker.expect(&slice("a", 6), Expected::Gone);
        assert!(tracker.is_stale("d/s", &[slice("a", 6)]));
        assert!(!tracker.is_news(Change::Deleted(&slice("a", 7))));
        assert!(!tracker.is_stale("d/s", &[]));
        assert!(tracker.is_news(Change::Deleted(&slice("b", 8))));
    }
}
