//! The seam between what the service wants and the control plane that makes it so.
//!
//! The composition root joins it to `drydock-tenant`. An implementation owns everything below
//! `<data-dir>/clusters/<uid>/` and whatever the cluster has at its provider; the service owns neither.
//!
//! Rules: `open` and `destroy` may be cut off at any await, also by the end of the process; calling them again with the
//! same record carries on. At most one of a cluster's control planes is open.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

use crate::database::cluster::{ClusterRecord, ClusterSettings, Reason};
use crate::database::node_pool::{NodePoolRecord, Observed};

use super::scheduling::Scheduling;

/// Opens and destroys clusters' control planes.
#[async_trait]
pub trait ControlPlanes: Send + Sync + 'static {
    /// Starts the cluster's control plane, on what it has on disk if anything. Answers when its endpoint is bound, not
    /// necessarily when it is ready.
    ///
    /// # Errors
    /// Why it cannot start: its file is damaged, its port is taken. Nothing of it runs then.
    async fn open(&self, cluster: &ClusterRecord) -> Result<Arc<dyn ControlPlane>, ControlPlaneError>;

    /// Removes all that the cluster has: what is left of it at the provider, and what is on disk. The control plane is
    /// closed; if it could be opened at all, its [`ControlPlane::release`] has succeeded. Succeeds when nothing is left.
    async fn destroy(&self, cluster: &ClusterRecord) -> Result<(), ControlPlaneError>;
}

/// One cluster's running control plane.
#[async_trait]
pub trait ControlPlane: Send + Sync + 'static {
    /// `https://HOST:PORT`, the same as long as the cluster lives.
    fn endpoint(&self) -> String;

    /// The certificate authority that signed the endpoint's certificate, as PEM.
    fn ca_pem(&self) -> String;

    /// A kubeconfig of a cluster administrator, as YAML.
    async fn kubeconfig(&self, credential: Credential) -> Result<String, ControlPlaneError>;

    /// The pools that are wanted from now on. One that is left out is drained and removed, as is one that is deleting.
    fn set_pools(&self, pools: Vec<NodePoolRecord>);

    /// The settings that are in force from the next request on. They were checked.
    fn configure(&self, version: &str, settings: &ClusterSettings);

    /// The audit log from the oldest event that is kept; when it is followed it goes on until the control plane closes.
    fn audit_log(&self, follow: bool) -> BoxStream<'static, Bytes>;

    /// What the scheduler makes of a pod now; None when there is no such pod.
    ///
    /// # Errors
    /// When the pod is not for the cluster's own scheduler.
    async fn explain_scheduling(
        &self,
        namespace: &str,
        pod: &str,
    ) -> Result<Option<Scheduling>, ControlPlaneError>;

    /// What is observed now.
    fn status(&self) -> ControlPlaneStatus;

    /// Answers when something else is observed than `seen`.
    async fn changed(&self, seen: &ControlPlaneStatus);

    /// The cluster is to go: removes what it has at the provider, without draining, and makes nothing any more. Answers
    /// when nothing is left.
    ///
    /// # Errors
    /// What stands in the way at the moment. It goes on; call again to wait on.
    async fn release(&self) -> Result<(), ControlPlaneError>;

    /// What the cluster's clock shows.
    fn clock(&self) -> ClockState;

    /// Gives the clock another speed, or begins to step it; what is asked for is remembered when this answers.
    async fn change_clock(&self, change: ClockChange) -> Result<(), ControlPlaneError>;

    /// Answers when the clock is not being stepped any more.
    async fn clock_arrived(&self);

    /// Stops it; what it has stays. Answers when its endpoint is free and its file is closed.
    async fn close(&self);
}

/// What a cluster's clock shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockState {
    pub now: jiff::Timestamp,
    /// How many times as fast as real time it runs; 0 when it stands still.
    pub speed: f64,
    /// The time that it is being stepped to.
    pub target: Option<jiff::Timestamp>,
}

/// What to do with a cluster's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClockChange {
    pub speed: Option<f64>,
    /// Step it forward by so much.
    pub advance: Option<std::time::Duration>,
}

/// What the administrator of a kubeconfig proves itself with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    ClientCertificate,
    Token,
}

/// What is observed of a control plane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlPlaneStatus {
    /// It answers, and the default service account exists.
    pub ready: bool,
    /// Why it stopped by itself.
    pub failure: Option<Reason>,
    pub pools: Vec<PoolStatus>,
}

/// What is observed of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolStatus {
    /// The pool's.
    pub name: String,
    /// The number of nodes that it works towards: later than a call of `set_pools` it may still be the one before.
    pub wanted: u32,
    pub observed: Observed,
    /// What stands in the way.
    pub trouble: Option<Trouble>,
    /// What it is at, when that takes its time: pods that a drain waits for.
    pub note: Option<String>,
    /// Of a pool that is deleting: nothing is left of it.
    pub gone: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub reason: Reason,
    /// It will never succeed as it is asked for: an instance type that the cloud does not have.
    pub permanent: bool,
}

/// Why a control plane does not run. `reason` is for the cluster's users.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", reason.message)]
pub struct ControlPlaneError {
    pub reason: Reason,
}

impl ControlPlaneError {
    /// `code` is a word in camel case.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { reason: Reason::new(code, message) }
    }
}
