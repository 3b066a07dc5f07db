//! Control planes of `drydock-tenant`, behind the service's seam.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use drydock_apiserver::{ServiceRange, Version};
use drydock_auth::UserInfo;
use drydock_auth::tokens::KeyReservoir;
use drydock_client::{Options, Request, Verb, WatchEvent, resources};
use drydock_cloud::{NodePoolsStatus, PoolRecords, PoolSpec, PoolState};
use drydock_cloud_api::{CloudError, CloudErrorKind, ClusterRef};
use drydock_machinery::ObjectMeta as _;
use drydock_runtime::{Clock, Tasks};
use drydock_store::StoreError;
use drydock_store::sqlite::Writers;
use drydock_tenant::{Tenant, TenantError};
use futures::StreamExt as _;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::providers::Clouds;
use crate::config::Config;
use crate::database::cluster::{ClusterRecord, ClusterState, Reason};
use crate::database::node_pool::{NodePoolRecord, NodePoolState, Observed};
use crate::service::control_plane::{
    ClockChange, ClockState, ControlPlane, ControlPlaneError, ControlPlaneStatus, ControlPlanes, Credential,
    PoolStatus, Trouble,
};

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
        };
        let tenant = Tenant::open(config, &self.tasks).await.map_err(|error| tenant_error(&error))?;
        self.refill_signing_keys();
        Ok(Arc::new(Plane::new(tenant)))
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
        let (Some(instances), cluster) = (provider.instances(), cluster_ref(cluster)) else { return Ok(()) };
        let records = self.records.list(&cluster.uid).await.map_err(|error| {
            ControlPlaneError::new("RecordsUnavailable", drydock_runtime::tasks::chain(&error))
        })?;
        let found = instances.list(&cluster).await.map_err(|error| cloud_error(&error))?;
        for instance in found.iter().filter(|instance| !instance.state.is_ending()) {
            instances.terminate(&cluster, &instance.id).await.map_err(|error| cloud_error(&error))?;
        }
        if let Some(balancers) = provider.load_balancers() {
            for balancer in balancers.list(&cluster).await.map_err(|error| cloud_error(&error))? {
                balancers.delete(&cluster, &balancer.name).await.map_err(|error| cloud_error(&error))?;
            }
        }
        let pools: std::collections::BTreeSet<&str> =
            records.iter().map(|record| record.node_pool.as_str()).collect();
        for pool in pools {
            instances.release_pool(&cluster, pool).await.map_err(|error| cloud_error(&error))?;
        }
        instances.release_cluster(&cluster).await.map_err(|error| cloud_error(&error))?;
        let tokens: Vec<String> = records.into_iter().map(|record| record.client_token).collect();
        self.records.remove(&cluster.uid, &tokens).await.map_err(|error| {
            ControlPlaneError::new("RecordsUnavailable", drydock_runtime::tasks::chain(&error))
        })
    }
}

struct Plane {
    tenant: Tenant,
    /// The default service account exists.
    ready: watch::Receiver<bool>,
    pools: watch::Receiver<NodePoolsStatus>,
    /// As last wanted, by name.
    wanted: Mutex<BTreeMap<String, NodePoolRecord>>,
}

impl Plane {
    fn new(tenant: Tenant) -> Self {
        let (ready, when_ready) = watch::channel(false);
        let client =
            tenant.client(UserInfo::new("system:drydock", &["system:masters", "system:authenticated"]));
        tenant.tasks().spawn("readiness", async move {
            let mut request = Request::new(Verb::List, &resources::SERVICE_ACCOUNTS, "default", "");
            request.options = Options { allow_watch_bookmarks: false, ..Options::default() };
            let Ok(mut events) = client.transport().watch(request).await else { return };
            while let Some(event) = events.next().await {
                if matches!(&event, WatchEvent::Added(account) if account.name() == "default") {
                    ready.send_replace(true);
                    return;
                }
            }
        });
        let pools = tenant.pools().subscribe();
        Self { tenant, ready: when_ready, pools, wanted: Mutex::default() }
    }
}

impl Plane {
    fn pool_status(&self, name: &str, status: &drydock_cloud::PoolStatus) -> PoolStatus {
        // Those on their way out count as well: a pool is not scaled down while a machine still drains.
        let machines = u32::try_from(status.machines.len()).unwrap_or(u32::MAX);
        let draining = status.machines.iter().find_map(|machine| Some((machine, machine.draining.as_ref()?)));
        let note = draining.map(|(machine, progress)| format!("{} drains, {progress}", machine.node_name));
        let still =
            || (self.tenant.clock().rate() == 0.0).then(|| "the cluster's clock stands still".to_owned());
        PoolStatus {
            name: name.to_owned(),
            wanted: status.counts.desired,
            observed: Observed { machines, ready: status.counts.ready },
            note: note.or_else(still),
            trouble: status.reason.as_ref().map(|reason| Trouble {
                reason: Reason::new(reason.code.clone(), reason.message.clone()),
                permanent: PERMANENT.iter().any(|kind| kind.as_str() == reason.code),
            }),
            gone: status.state == PoolState::Deleted,
        }
    }
}

#[async_trait]
impl ControlPlane for Plane {
    fn endpoint(&self) -> String {
        self.tenant.endpoint()
    }

    fn ca_pem(&self) -> String {
        self.tenant.ca_pem()
    }

    async fn kubeconfig(&self, credential: Credential) -> Result<String, ControlPlaneError> {
        let credential = match credential {
            Credential::ClientCertificate => drydock_tenant::Credential::ClientCertificate,
            Credential::Token => drydock_tenant::Credential::Token,
        };
        self.tenant.kubeconfig(credential).await.map_err(|error| tenant_error(&error))
    }

    fn set_pools(&self, pools: Vec<NodePoolRecord>) {
        let pools: BTreeMap<String, NodePoolRecord> =
            pools.into_iter().map(|pool| (pool.name.clone(), pool)).collect();
        let mut wanted = self.wanted.lock();
        for name in wanted.keys().filter(|name| !pools.contains_key(*name)) {
            self.tenant.pools().forget(name);
        }
        for (name, pool) in &pools {
            let before = wanted.get(name);
            let deleting = pool.state == NodePoolState::Deleting;
            let was_deleting = before.is_some_and(|before| before.state == NodePoolState::Deleting);
            if before.is_none_or(|before| pool_spec(before) != pool_spec(pool)) {
                self.tenant.pools().set(pool_spec(pool));
            }
            if deleting && !was_deleting {
                self.tenant.pools().delete(name);
            }
        }
        *wanted = pools;
    }

    fn status(&self) -> ControlPlaneStatus {
        let pools = self.pools.borrow();
        ControlPlaneStatus {
            ready: *self.ready.borrow(),
            failure: None,
            pools: pools.pools.iter().map(|(name, status)| self.pool_status(name, status)).collect(),
        }
    }

    async fn changed(&self, seen: &ControlPlaneStatus) {
        let (mut ready, mut pools) = (self.ready.clone(), self.pools.clone());
        loop {
            ready.borrow_and_update();
            pools.borrow_and_update();
            if self.status() != *seen {
                return;
            }
            // A sender that is gone will never change anything again.
            tokio::select! {
                Ok(()) = ready.changed() => {}
                Ok(()) = pools.changed() => {}
                else => std::future::pending().await,
            }
        }
    }

    async fn release(&self) -> Result<(), ControlPlaneError> {
        self.tenant.pools().release();
        let mut pools = self.pools.clone();
        let done = pools.wait_for(|status| status.released || status.release_reason.is_some()).await;
        let Ok(status) = done else {
            return Err(ControlPlaneError::new("Closed", "the control plane was closed"));
        };
        match &status.release_reason {
            Some(reason) if !status.released => {
                Err(ControlPlaneError::new(&reason.code, reason.message.clone()))
            }
            _ => Ok(()),
        }
    }

    fn clock(&self) -> ClockState {
        let drydock_tenant::ClockState { now, speed, target } = self.tenant.clock_state();
        ClockState { now, speed, target }
    }

    async fn change_clock(&self, change: ClockChange) -> Result<(), ControlPlaneError> {
        if let Some(speed) = change.speed {
            self.tenant.set_clock_speed(speed).await.map_err(|error| tenant_error(&error))?;
        }
        if let Some(by) = change.advance {
            self.tenant.advance_clock(by);
        }
        Ok(())
    }

    async fn clock_arrived(&self) {
        self.tenant.clock_arrived().await;
    }

    async fn close(&self) {
        self.tenant.close().await;
    }
}

fn cluster_ref(cluster: &ClusterRecord) -> ClusterRef {
    ClusterRef { uid: cluster.uid.clone(), name: cluster.name.clone(), region: cluster.scope.region.clone() }
}

/// Validation let it pass, so only a record that somebody changed by hand has none.
fn service_range(cluster: &ClusterRecord) -> Result<ServiceRange, ControlPlaneError> {
    let wrong = || format!("the cluster's record has the service network {:?}", cluster.service_cidr);
    ServiceRange::parse(&cluster.service_cidr)
        .ok_or_else(|| ControlPlaneError::new("NetworkUnusable", wrong()))
}

/// The release of a minor version that clusters run.
fn version(minor: &str) -> Version {
    let number = minor.rsplit('.').next().and_then(|number| number.parse().ok()).unwrap_or(36);
    Version { minor: number, git: git_version(minor) }
}

fn git_version(minor: &str) -> String {
    let patch = if minor == "1.36" { 2 } else { 0 };
    format!("v{minor}.{patch}")
}

fn pool_spec(pool: &NodePoolRecord) -> PoolSpec {
    let taint = |taint: &crate::database::node_pool::Taint| drydock_cloud::Taint {
        key: taint.key.clone(),
        value: taint.value.clone(),
        effect: taint.effect.clone(),
    };
    PoolSpec {
        labels: pool.labels.clone(),
        taints: pool.taints.iter().map(taint).collect(),
        zones: pool.zones.clone(),
        spot: pool.spot,
        ..PoolSpec::new(&pool.name, pool.nodes, &pool.instance_type, &git_version(&pool.version))
    }
}

/// What no later attempt changes, though the attempts go on.
const PERMANENT: [CloudErrorKind; 2] = [CloudErrorKind::InvalidRequest, CloudErrorKind::Unsupported];

fn tenant_error(error: &TenantError) -> ControlPlaneError {
    let code = match error {
        TenantError::Store(StoreError::Unusable { .. }) => "StateUnusable",
        TenantError::Folder { .. } => "FolderUnusable",
        TenantError::Damaged { .. } | TenantError::Pki(_) | TenantError::Tls(_) => "StateDamaged",
        TenantError::Store(_) | TenantError::Bootstrap(_) => "StartFailed",
    };
    ControlPlaneError::new(code, drydock_runtime::tasks::chain(error))
}

fn cloud_error(error: &CloudError) -> ControlPlaneError {
    ControlPlaneError::new(error.kind().as_str(), error.to_string())
}
