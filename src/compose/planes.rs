//! Opens and destroys control planes of `drydock-tenant`, behind the service's seam.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use drydock_apiserver::{ServiceRange, Version};
use drydock_auth::tokens::KeyReservoir;
use drydock_cloud::{PoolRecords, release_remains};
use drydock_cloud_api::ClusterRef;
use drydock_runtime::{Clock, Tasks};
use drydock_store::StoreError;
use drydock_store::sqlite::Writers;
use drydock_tenant::{Tenant, TenantError};
use tokio::net::TcpListener;

use super::plane::Plane;
use super::providers::Clouds;
use crate::config::Config;
use crate::database::cluster::{ClusterRecord, ClusterState};
use crate::service::control_plane::{ControlPlane, ControlPlaneError, ControlPlanes};

/// Threads that write the stores of all clusters.
const WRITERS: usize = 4;

/// Signing keys for clusters to come. One takes a core 0.1 s or so to make, and clusters come in bursts.
const SIGNING_KEYS: usize = 8;

pub(super) struct Planes {
    clouds: Clouds,
    records: Arc<dyn PoolRecords>,
    folder: PathBuf,
    host: String,
    bind: std::net::IpAddr,
    speed: f64,
    writers: Writers,
    signing_keys: Arc<KeyReservoir>,
    refilling: Arc<tokio::sync::Mutex<()>>,
    tasks: Tasks,
}

impl Planes {
    pub(super) fn new(config: &Config, clouds: Clouds, records: Arc<dyn PoolRecords>) -> Self {
        let planes = Self {
            clouds,
            records,
            folder: config.data_dir.join("clusters"),
            host: config.cluster_host.clone(),
            bind: config.cluster_ports.address,
            speed: config.speed,
            writers: Writers::new(WRITERS),
            signing_keys: Arc::new(KeyReservoir::new(SIGNING_KEYS)),
            refilling: Arc::default(),
            tasks: Tasks::new("", Clock::real()),
        };
        planes.refill_signing_keys();
        planes
    }

    /// Makes keys, one at a time, until there are enough; does nothing when somebody is at it, or there are.
    fn refill_signing_keys(&self) {
        if self.signing_keys.is_full() {
            return;
        }
        let Ok(refilling) = self.refilling.clone().try_lock_owned() else { return };
        let (keys, tasks) = (self.signing_keys.clone(), self.tasks.clone());
        self.tasks.spawn("signing-keys", async move {
            let _refilling = refilling;
            while !keys.is_full() {
                let one = keys.clone();
                match tasks.blocking(move || one.refill_one()).await {
                    Some(Ok(())) => {}
                    Some(Err(error)) => {
                        tracing::error!(error = %drydock_runtime::tasks::chain(&error), "no signing key was made");
                        return;
                    }
                    None => return,
                }
            }
        });
    }

    fn folder(&self, cluster: &ClusterRecord) -> PathBuf {
        self.folder.join(&cluster.uid)
    }

    fn cloud(&self, cluster: &ClusterRecord) -> Result<super::providers::ForClock, ControlPlaneError> {
        let name = &cluster.scope.provider;
        self.clouds.get(name).ok_or_else(|| {
            ControlPlaneError::new(
                "ProviderAbsent",
                format!("this build of drydock has no provider {name:?}"),
            )
        })
    }

    /// A cluster that was active and has no state any more must not come back as an empty one of the same name.
    fn refuse_lost_state(&self, cluster: &ClusterRecord) -> Result<(), ControlPlaneError> {
        const CODE: &str = "StateLost";
        let known = cluster.reason.as_ref().is_some_and(|reason| reason.code == CODE);
        if cluster.state != ClusterState::Active && !known {
            return Ok(());
        }
        let file = self.folder(cluster).join(drydock_tenant::STATE_FILE);
        let written = |path: &Path| std::fs::metadata(path).is_ok_and(|meta| meta.len() > 0);
        if written(&file) || written(&file.with_extension("db-wal")) {
            return Ok(());
        }
        let message =
            format!("{} is missing or empty; restore it from a copy, or delete the cluster", file.display());
        Err(ControlPlaneError::new(CODE, message))
    }

    async fn listener(&self, port: u16) -> Result<TcpListener, ControlPlaneError> {
        let address = SocketAddr::new(self.bind, port);
        TcpListener::bind(address).await.map_err(|error| {
            let code = match error.kind() {
                std::io::ErrorKind::AddrInUse => "PortTaken",
                _ => "CannotListen",
            };
            ControlPlaneError::new(
                code,
                format!("the cluster's endpoint cannot listen on {address}: {error}"),
            )
        })
    }
}

#[async_trait]
impl ControlPlanes for Planes {
    async fn open(&self, cluster: &ClusterRecord) -> Result<Arc<dyn ControlPlane>, ControlPlaneError> {
        self.refuse_lost_state(cluster)?;
        let config = drydock_tenant::Config {
            cluster: cluster_ref(cluster),
            folder: self.folder(cluster),
            version: version(&cluster.version),
            listener: self.listener(cluster.port).await?,
            address: format!("{}:{}", self.host, cluster.port),
            names: vec![self.host.clone()],
            provider: self.cloud(cluster)?,
            records: self.records.clone(),
            pools: Vec::new(),
            pod_cidr: cluster.pod_cidr.clone(),
            service_range: service_range(cluster)?,
            writers: self.writers.clone(),
            signing_keys: self.signing_keys.clone(),
            speed: self.speed,
            settings: settings(cluster)?,
        };
        let tenant = Tenant::open(config, &self.tasks).await.map_err(|error| tenant_error(&error))?;
        self.refill_signing_keys();
        Ok(Arc::new(Plane::new(tenant, cluster)))
    }

    async fn destroy(&self, cluster: &ClusterRecord) -> Result<(), ControlPlaneError> {
        self.clean_cloud(cluster).await?;
        let folder = self.folder(cluster);
        match tokio::fs::remove_dir_all(&folder).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(ControlPlaneError::new(
                "FolderInUse",
                format!("cannot remove {}: {error}", folder.display()),
            )),
            _ => Ok(()),
        }
    }
}

impl Planes {
    /// What a cluster that could never be opened left at its provider, and on record. Nothing, mostly.
    async fn clean_cloud(&self, cluster: &ClusterRecord) -> Result<(), ControlPlaneError> {
        let provider = self.cloud(cluster)?(&Clock::real());
        let cluster = cluster_ref(cluster);
        let records = self.records.list(&cluster.uid).await.map_err(|error| {
            ControlPlaneError::new("RecordsUnavailable", drydock_runtime::tasks::chain(&error))
        })?;
        release_remains(&*provider, &cluster)
            .await
            .map_err(|error| ControlPlaneError::new(error.kind().as_str(), error.to_string()))?;
        let tokens: Vec<String> = records.into_iter().map(|record| record.client_token).collect();
        self.records.remove(&cluster.uid, &tokens).await.map_err(|error| {
            ControlPlaneError::new("RecordsUnavailable", drydock_runtime::tasks::chain(&error))
        })
    }
}

fn cluster_ref(cluster: &ClusterRecord) -> ClusterRef {
    ClusterRef {
        uid: cluster.uid.clone(),
        account: cluster.scope.account.clone(),
        name: cluster.name.clone(),
        region: cluster.scope.region.clone(),
    }
}

/// Validation let it pass, so only a record that somebody changed by hand has none.
fn service_range(cluster: &ClusterRecord) -> Result<ServiceRange, ControlPlaneError> {
    let wrong = || format!("the cluster's record has the service network {:?}", cluster.service_cidr);
    ServiceRange::parse(&cluster.service_cidr)
        .ok_or_else(|| ControlPlaneError::new("NetworkUnusable", wrong()))
}

/// Validation let them pass; a newer drydock may have let more pass.
fn settings(cluster: &ClusterRecord) -> Result<drydock_tenant::Settings, ControlPlaneError> {
    let parsed = crate::service::settings::parse(&cluster.settings, &cluster.version);
    parsed.map(tenant_settings).map_err(|wrong| {
        let wrong = wrong.0.into_iter().map(|error| format!("{}: {}", error.field, error.message));
        let message =
            format!("the cluster's settings cannot be used: {}", wrong.collect::<Vec<_>>().join("; "));
        ControlPlaneError::new("SettingsUnusable", message)
    })
}

pub(super) fn tenant_settings(parsed: crate::service::settings::Parsed) -> drydock_tenant::Settings {
    drydock_tenant::Settings { access: parsed.access, scheduler: parsed.scheduler }
}

/// The release of a minor version that clusters run.
fn version(minor: &str) -> Version {
    Version { minor: crate::service::minor_version(minor), git: git_version(minor) }
}

pub(super) fn git_version(minor: &str) -> String {
    let patch = if minor == "1.36" { 2 } else { 0 };
    format!("v{minor}.{patch}")
}

pub(super) fn tenant_error(error: &TenantError) -> ControlPlaneError {
    let code = match error {
        TenantError::Store(StoreError::Unusable { .. }) => "StateUnusable",
        TenantError::Folder { .. } => "FolderUnusable",
        TenantError::Damaged { .. } | TenantError::Pki(_) | TenantError::Tls(_) => "StateDamaged",
        TenantError::Store(_) | TenantError::Bootstrap(_) => "StartFailed",
    };
    ControlPlaneError::new(code, drydock_runtime::tasks::chain(error))
}
