//! Clusters, node pools, operations, providers and versions: what users want, and what is observed.
//!
//! A request of a user is checked, recorded in one transaction as intent and as an operation, and acknowledged. The
//! cluster's reconciler then makes it so: it re-reads the records, drives the control plane through [`control_plane`],
//! and records what it observes and how the operation ended. It can be cut off at any point and goes on from the records.
//!
//! State: records are the database's; running control planes are the fleet's (`fleet`), one reconciler each.
//! Invariants: nothing acknowledged is only in memory; one cluster's failure is one cluster's state.
//! Deliberately absent: HTTP and any cloud's vocabulary (those are doors), and Kubernetes objects (those are tenants').

use std::sync::Arc;

use drydock_runtime::{CancellationToken, Clock, Tasks};
use tokio::sync::broadcast;

use crate::database::Database;

mod clock;
pub mod cluster;
pub mod control_plane;
mod error;
mod fleet;
pub mod node_pool;
mod observe;
pub mod operation;
mod page;
mod ports;
mod provider;
mod reconcile;
pub mod scheduling;
pub mod settings;
mod sweep;
pub mod validation;
mod version;

pub(crate) use clock::check_speed;
pub use clock::{MAX_ADVANCE, MAX_SPEED};
pub use control_plane::{ControlPlane, ControlPlanes};
pub use error::{FieldError, Result, ServiceError};
pub use page::{Page, PageRequest};
pub use ports::PortRange;
pub use provider::{Provider, Providers};
pub(crate) use version::minor as minor_version;
pub use version::{DEFAULT_VERSION, VERSIONS, Version};

/// The service. Clones are the same service.
#[derive(Clone)]
pub struct Service {
    inner: Arc<Inner>,
}

struct Inner {
    database: Database,
    providers: Providers,
    planes: Arc<dyn ControlPlanes>,
    ports: PortRange,
    fleet: fleet::Fleet,
    tasks: Tasks,
    closing: CancellationToken,
    /// Ids of operations that changed.
    changed: broadcast::Sender<Arc<str>>,
}

/// What a service is made of.
pub struct Parts {
    pub database: Database,
    pub providers: Providers,
    pub control_planes: Arc<dyn ControlPlanes>,
    pub ports: PortRange,
}

impl Service {
    /// Starts the service: every recorded cluster gets its reconciler, which opens it.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub async fn start(parts: Parts) -> Result<Self> {
        let (changed, _) = broadcast::channel(1024);
        let inner = Inner {
            database: parts.database,
            providers: parts.providers,
            planes: parts.control_planes,
            ports: parts.ports,
            fleet: fleet::Fleet::default(),
            // Users compare the service's times with their own: it lives on wall time, tenants on their clocks.
            tasks: Tasks::new("", Clock::real()),
            closing: CancellationToken::new(),
            changed,
        };
        let service = Self { inner: Arc::new(inner) };
        // What was observed before the start says nothing about now.
        service.inner.database.node_pool_none_ready().await?;
        service.sweep().await?;
        service.inner.fleet.all_known();
        service.start_sweeping();
        Ok(service)
    }

    /// Lets requests that wait answer at once.
    pub fn begin_close(&self) {
        self.inner.closing.cancel();
    }

    /// Stops every reconciler, closes every control plane, then the database.
    pub async fn close(&self) {
        self.begin_close();
        self.inner.tasks.close().await;
        self.inner.fleet.close().await;
        self.inner.database.close().await;
    }

    pub fn providers(&self) -> &Providers {
        &self.inner.providers
    }

    pub fn versions(&self) -> &'static [Version] {
        &VERSIONS
    }

    /// Fires when the service is closing.
    pub fn closing(&self) -> CancellationToken {
        self.inner.closing.clone()
    }

    /// Whether the service does its work: the database answers, and every cluster was opened or has failed.
    pub async fn readiness(&self) -> Readiness {
        let database = self.inner.database.ping().await.is_ok();
        Readiness { database, opening: self.inner.fleet.opening() }
    }

    /// For metrics and doors that count.
    pub fn database(&self) -> &Database {
        &self.inner.database
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Readiness {
    pub database: bool,
    /// Clusters that were not opened yet since the start of the service.
    pub opening: usize,
}
