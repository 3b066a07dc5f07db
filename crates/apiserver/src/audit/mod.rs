//! The audit log: who asked for what, and how it ended, one JSON document a line.
//!
//! An `Auditor` belongs to one API server. While it has no policy it costs a load of one flag per request. With one,
//! each request that the policy wants an `Event` of has one, which the parts of the server write into as they go:
//! authorization its decision, admission its annotations, the registry the objects. At each stage the event is encoded
//! and handed to the `sink`, which never keeps a request for longer than a bound.
//!
//! Absent: what is to be written down, which is the policy's to say (`drydock_auth::audit`).

mod encode;
mod event;
mod sink;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use drydock_auth::audit::{Level, Policy};
use drydock_auth::{Attributes, UserInfo};
use drydock_runtime::{Clock, Tasks};
use parking_lot::RwLock;

pub(crate) use event::{Event, Head, PATCH_ANNOTATION, ended};
pub use sink::Limits;
use sink::Sink;

/// Where the log is written.
#[derive(Clone, Debug)]
pub struct AuditLog {
    /// `audit.log`; older parts are beside it as `audit.log.1` and so on.
    pub file: PathBuf,
    pub limits: Limits,
}

/// One API server's audit log.
pub(crate) struct Auditor {
    /// Whether there is a policy.
    enabled: AtomicBool,
    policy: RwLock<Option<Arc<Policy>>>,
    /// None: there is nowhere to write to.
    sink: Option<Sink>,
    clock: Clock,
}

impl Auditor {
    pub(crate) fn new(log: Option<AuditLog>, clock: Clock, tasks: &Tasks) -> Self {
        let sink = log.map(|log| Sink::new(log, tasks.clone()));
        Self { enabled: AtomicBool::new(false), policy: RwLock::default(), sink, clock }
    }

    /// From the next request on this policy says what is written down; without one nothing is.
    pub(crate) fn set_policy(&self, policy: Option<Policy>) {
        let on = policy.is_some() && self.sink.is_some();
        *self.policy.write() = policy.map(Arc::new);
        self.enabled.store(on, Ordering::Release);
    }

    /// The event of a request, if the policy wants one.
    pub(crate) fn begin(
        &self,
        attributes: &Attributes<'_>,
        head: impl FnOnce() -> Head,
    ) -> Option<Arc<Event>> {
        if !self.enabled.load(Ordering::Acquire) {
            return None;
        }
        let config = self.policy.read().as_ref()?.evaluate(attributes);
        let sink = self.sink.as_ref()?;
        sink.count_level(config.level);
        if config.level == Level::None {
            return None;
        }
        Some(Arc::new(Event::new(sink.clone(), config, attributes, head(), self.clock.clone())))
    }

    /// The event of a request whose credentials are not good, which has no user.
    pub(crate) fn begin_nameless(
        &self,
        attributes: impl FnOnce(&UserInfo) -> Option<Arc<Event>>,
    ) -> Option<Arc<Event>> {
        if !self.enabled.load(Ordering::Acquire) {
            return None;
        }
        attributes(&UserInfo::default())
    }

    /// Prometheus' text form.
    pub(crate) fn write_metrics(&self, out: &mut String) {
        if let Some(sink) = &self.sink {
            sink.write_metrics(out);
        }
    }
}
