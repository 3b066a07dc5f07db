//! The running control planes, and one reconciler for each cluster.
//!
//! A member exists from the moment that its cluster is recorded (or found at the start) until the cluster is gone.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use super::control_plane::ControlPlane;

/// How many control planes may be opening at a time.
const OPENING: usize = 8;

pub(super) struct Fleet {
    members: Mutex<HashMap<String, Arc<Member>>>,
    /// Whoever opens a control plane holds a permit.
    pub(super) gate: Semaphore,
    /// The clusters of the start are all members.
    started: AtomicBool,
}

/// A cluster and its reconciler.
pub(super) struct Member {
    pub(super) uid: String,
    /// Something was recorded: look again.
    pub(super) wake: Notify,
    /// Was there at the start of the service.
    initial: bool,
    /// Reconciled at least once.
    pub(super) attempted: AtomicBool,
    /// The cluster's revision that was last reconciled.
    pub(super) seen: AtomicI64,
    plane: Mutex<Option<Arc<dyn ControlPlane>>>,
}

impl Default for Fleet {
    fn default() -> Self {
        Self { members: Mutex::default(), gate: Semaphore::new(OPENING), started: AtomicBool::new(false) }
    }
}

impl Fleet {
    /// Wakes the cluster's reconciler. Answers a new member when there was none; the caller gives it its reconciler.
    pub(super) fn wake(&self, uid: &str) -> Option<Arc<Member>> {
        let mut members = self.members.lock();
        if let Some(member) = members.get(uid) {
            member.wake.notify_one();
            return None;
        }
        let member = Arc::new(Member {
            uid: uid.to_owned(),
            wake: Notify::new(),
            initial: !self.started.load(Ordering::Acquire),
            attempted: AtomicBool::new(false),
            seen: AtomicI64::new(0),
            plane: Mutex::new(None),
        });
        members.insert(uid.to_owned(), member.clone());
        Some(member)
    }

    pub(super) fn seen(&self, uid: &str) -> Option<i64> {
        self.members.lock().get(uid).map(|member| member.seen.load(Ordering::Acquire))
    }

    /// Clusters that come from now on are new ones.
    pub(super) fn all_known(&self) {
        self.started.store(true, Ordering::Release);
    }

    /// Clusters of the start that were not reconciled yet.
    pub(super) fn opening(&self) -> usize {
        let waits = |member: &&Arc<Member>| member.initial && !member.attempted.load(Ordering::Acquire);
        self.members.lock().values().filter(waits).count()
    }

    pub(super) fn plane(&self, uid: &str) -> Option<Arc<dyn ControlPlane>> {
        self.members.lock().get(uid).and_then(|member| member.plane())
    }

    pub(super) fn remove(&self, uid: &str) {
        self.members.lock().remove(uid);
    }

    /// Closes every control plane, all at a time. Their reconcilers have ended.
    pub(super) async fn close(&self) {
        let members: Vec<_> = self.members.lock().drain().map(|(_, member)| member).collect();
        let closings = members.iter().filter_map(|member| member.take_plane());
        futures::future::join_all(closings.map(|plane| async move { plane.close().await })).await;
    }
}

impl Member {
    pub(super) fn plane(&self) -> Option<Arc<dyn ControlPlane>> {
        self.plane.lock().clone()
    }

    pub(super) fn set_plane(&self, plane: Arc<dyn ControlPlane>) {
        *self.plane.lock() = Some(plane);
    }

    pub(super) fn take_plane(&self) -> Option<Arc<dyn ControlPlane>> {
        self.plane.lock().take()
    }
}
