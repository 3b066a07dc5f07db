//! One cluster's control plane, assembled.
//!
//! [`Tenant::open`] starts everything that a cluster is, on what its folder holds: the store, the API server and its
//! endpoint, the controllers, the scheduler, the cloud controller manager, node pools and node agents. It is the one
//! place that knows them all; they know each other through the API only.
//!
//! Owns: the cluster's folder, its task group, its clock. Keys and the clock's state are in the cluster's own store,
//! under `/drydock/`, beside the API objects under `/registry/`.
//!
//! Deliberately absent: what clusters there are and what is wanted of them; that is the service.

mod agents;
mod api_services;
mod audit;
mod bootstrap;
mod certificates;
mod components;
mod flow_control;
mod keeper;
mod kubeconfig;
mod pki;
mod renewal;
mod settings;
mod stepper;

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use drydock_apiserver::admission::AdmissionChain;
use drydock_apiserver::audit::AuditLog;
use drydock_apiserver::{Access, ApiServer, Identity, ServiceRange, Version};
use drydock_auth::pki::ClusterPki;
use drydock_auth::tokens::{KeyReservoir, TokenAuthority};
use drydock_auth::user::UserInfo;
use drydock_client::Client;
use drydock_cloud::{NodePools, PoolRecords, PoolSpec};
use drydock_cloud_api::{CloudProvider, ClusterRef};
use drydock_runtime::wall::Stopwatch;
use drydock_runtime::{Clock, Tasks};
use drydock_scheduler::{Explanation, NotExplained, Scheduler};
use drydock_store::sqlite::{SqliteStore, Writers};
use drydock_store::{Store, StoreError};
use futures::stream::BoxStream;
use tokio::net::TcpListener;

pub use kubeconfig::Credential;
pub use settings::Settings;

/// The name of a cluster's database in its folder.
pub const STATE_FILE: &str = "state.db";

/// What a cluster is made of.
pub struct Config {
    pub cluster: ClusterRef,
    /// The cluster's own folder. Made if absent.
    pub folder: PathBuf,
    pub version: Version,
    /// Where the endpoint listens, bound by the caller so that a taken port is its to report.
    pub listener: TcpListener,
    /// Host and port that clients reach the endpoint by.
    pub address: String,
    /// Further DNS names and IP addresses in the endpoint's certificate.
    pub names: Vec<String>,
    /// Makes the provider, whose waiting is on the cluster's clock.
    pub provider: Arc<dyn Fn(&Clock) -> Arc<dyn CloudProvider> + Send + Sync>,
    pub records: Arc<dyn PoolRecords>,
    pub pools: Vec<PoolSpec>,
    /// The pods' network, such as `10.244.0.0/16`; each node gets a /24 of it.
    pub pod_cidr: String,
    /// The Services' network; the first address is that of `kubernetes`.
    pub service_range: ServiceRange,
    pub writers: Writers,
    /// RSA keys made ahead of time, for the tokens of new clusters. A new cluster that finds it empty gets an ECDSA
    /// key, rather than wait.
    pub signing_keys: Arc<KeyReservoir>,
    /// How many times as fast as real time the cluster's clock runs, unless the cluster was given a speed of its own.
    /// At 0 it stands still, to be stepped by hand.
    pub speed: f64,
    pub settings: Settings,
}

/// A running cluster.
pub struct Tenant {
    tasks: Tasks,
    store: Arc<dyn Store>,
    server: ApiServer,
    pki: Arc<ClusterPki>,
    pools: NodePools,
    scheduler: Arc<Scheduler>,
    keeper: keeper::Keeper,
    stepper: stepper::Stepper,
    configurable: settings::Configurable,
    folder: PathBuf,
    cluster: ClusterRef,
    address: String,
}

/// What a cluster's clock shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockState {
    pub now: jiff::Timestamp,
    /// How many times as fast as real time it runs; 0 when it stands still.
    pub speed: f64,
    /// The time that it is being stepped to by hand.
    pub target: Option<jiff::Timestamp>,
}

/// Why a cluster does not run.
#[derive(Debug, thiserror::Error)]
pub enum TenantError {
    #[error("cannot make the folder {}", folder.display())]
    Folder { folder: PathBuf, source: std::io::Error },
    #[error("the cluster's store cannot be used")]
    Store(#[from] StoreError),
    #[error("the cluster's keys cannot be used")]
    Pki(#[from] drydock_auth::pki::PkiError),
    #[error("the cluster's {what} cannot be read: {why}")]
    Damaged { what: &'static str, why: String },
    #[error("the endpoint's certificate cannot be used")]
    Tls(#[from] rustls::Error),
    #[error("what every cluster has could not be created")]
    Bootstrap(#[from] drydock_machinery::Status),
}

impl Tenant {
    /// Starts the cluster; answers once it serves and what every cluster has is there. `parent` ends it too.
    ///
    /// # Errors
    /// When its folder, store or keys cannot be used. Nothing of it runs then.
    pub async fn open(config: Config, parent: &Tasks) -> Result<Self, TenantError> {
        let store = open_store(&config, parent).await?;
        let opened = Self::start(config, parent, store.clone()).await;
        if opened.is_err() {
            // The file must be free for the next attempt.
            let _ = store.close().await;
        }
        opened
    }

    async fn start(config: Config, parent: &Tasks, store: Arc<dyn Store>) -> Result<Self, TenantError> {
        let (clock, own_speed) = keeper::clock(&*store, config.speed).await?;
        let tasks = parent.child(config.cluster.name.clone(), clock);
        let started = Self::start_in(config, store, own_speed, &tasks).await;
        if started.is_err() {
            tasks.close().await;
        }
        started
    }

    async fn start_in(
        config: Config,
        store: Arc<dyn Store>,
        own_speed: Option<f64>,
        tasks: &Tasks,
    ) -> Result<Self, TenantError> {
        let clock = tasks.clock().clone();
        let pki = Arc::new(pki::load_or_make(&*store, &config.signing_keys, tasks).await?);
        let issuer = format!("https://{}", config.address);
        let tokens = Arc::new(
            TokenAuthority::new(
                drydock_auth::tokens::TokenConfig {
                    jwks_uri: format!("{issuer}/openid/v1/jwks"),
                    ..drydock_auth::tokens::TokenConfig::default()
                },
                vec![drydock_auth::tokens::SigningKey::from_pem(&pki.service_accounts.to_pem())?],
            )
            .with_clock(clock.clone()),
        );
        let authenticator = drydock_auth::Authenticator::new(tokens.clone())
            .with_front_proxy(pki.front_proxy.certificate_der().to_vec());
        let identity = Arc::new(Identity::new(Arc::new(authenticator)));
        let authorizer = Arc::new(drydock_auth::Authorizer::new());
        let access = Arc::new(Access::new(authorizer.clone()));
        let configurable = settings::Configurable { identity: identity.clone(), access: access.clone() };
        let agents = agents::Agents::new(tasks);
        let server = ApiServer::start(drydock_apiserver::Config {
            store: store.clone(),
            clock: clock.clone(),
            tasks: tasks.clone(),
            authenticator: identity.clone(),
            tokens: identity,
            admission: AdmissionChain::upstream(&authorizer),
            authorizer: access,
            nodes: Some(agents.clone()),
            version: config.version.clone(),
            address: config.address.clone(),
            service_range: config.service_range,
            front_proxy: Some(pki::front_proxy(&pki)?),
            audit_log: Some(AuditLog { file: config.folder.join(audit::FILE), limits: Default::default() }),
        })
        .await?;
        configurable.configure(&server, config.settings.access.clone());
        let bootstrapping = Stopwatch::start();
        bootstrap::run(&server, tasks.clock(), &pki, &config).await?;
        tracing::debug!(elapsed = ?bootstrapping.elapsed(), "bootstrapped");
        let keeper = keeper::Keeper::start(store.clone(), clock.clone(), own_speed, tasks);
        let stepper = stepper::Stepper::new(store.clone(), clock, keeper.clone(), tasks.clone());
        let tls = pki::server_config(&pki, config.service_range.first_address(), &config.names)?;
        let serving = server.clone();
        tasks.spawn("endpoint", async move { serving.serve(config.listener, Some(tls)).await });
        let (pools, scheduler) = components::start(
            &server,
            &agents,
            components::Keys { pki: pki.clone(), tokens },
            tasks,
            components::Wanted {
                cluster: config.cluster.clone(),
                provider: (config.provider)(tasks.clock()),
                records: config.records,
                pools: config.pools,
                pod_cidr: config.pod_cidr,
                scheduler: config.settings.scheduler,
            },
        );
        server.set_ready();
        Ok(Self {
            tasks: tasks.clone(),
            store,
            server,
            pki,
            pools,
            scheduler,
            keeper,
            stepper,
            configurable,
            folder: config.folder,
            cluster: config.cluster,
            address: config.address,
        })
    }

    /// `https://HOST:PORT`.
    pub fn endpoint(&self) -> String {
        format!("https://{}", self.address)
    }

    pub fn ca_pem(&self) -> String {
        self.pki.cluster.certificate_pem()
    }

    /// An administrator's kubeconfig, as YAML.
    ///
    /// # Errors
    /// When signing fails.
    pub async fn kubeconfig(&self, credential: Credential) -> Result<String, TenantError> {
        kubeconfig::write(self, credential).await
    }

    /// From the next request, and the next decision about a pod, on these settings are in force.
    pub fn configure(&self, settings: Settings) {
        self.configurable.configure(&self.server, settings.access);
        self.scheduler.configure(settings.scheduler);
    }

    /// Why a pod is where it is, or nowhere.
    ///
    /// # Errors
    /// When there is no such pod, or it is not for the cluster's own scheduler.
    pub async fn explain_scheduling(&self, namespace: &str, name: &str) -> Result<Explanation, NotExplained> {
        // With thousands of nodes it takes its time.
        let (scheduler, namespace, name) = (self.scheduler.clone(), namespace.to_owned(), name.to_owned());
        let explained = self.tasks.blocking(move || scheduler.explain(&namespace, &name)).await;
        explained.unwrap_or(Err(NotExplained::Failed))
    }

    /// The audit log, one JSON document a line, from the oldest that is kept. When it is followed it goes on with what is
    /// written from then on, until the cluster is closed.
    pub fn audit_log(&self, follow: bool) -> BoxStream<'static, Bytes> {
        audit::read(&self.folder, follow, self.tasks.clone())
    }

    /// A client that calls the API server in process as `user`.
    pub fn client(&self, user: UserInfo) -> Client {
        self.server.client(user)
    }

    pub fn server(&self) -> &ApiServer {
        &self.server
    }

    pub fn pools(&self) -> &NodePools {
        &self.pools
    }

    /// The cluster's tasks, for what its owner runs beside it.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    pub fn clock(&self) -> &Clock {
        self.tasks.clock()
    }

    pub fn clock_state(&self) -> ClockState {
        let target = *self.stepper.target().borrow();
        ClockState { now: self.clock().now(), speed: self.clock().rate(), target }
    }

    /// Gives the cluster's clock a speed of its own, which it keeps across restarts.
    ///
    /// # Errors
    /// When it could not be remembered.
    pub async fn set_clock_speed(&self, speed: f64) -> Result<(), TenantError> {
        Ok(self.keeper.set_speed(speed).await?)
    }

    /// Begins to step the clock forward, in steps small enough for the cluster to live through all that is due.
    pub fn advance_clock(&self, by: std::time::Duration) {
        self.stepper.advance(by);
    }

    /// Answers when the clock is not being stepped any more.
    pub async fn clock_arrived(&self) {
        let _ = self.stepper.target().wait_for(Option::is_none).await;
    }

    /// Stops everything, and answers when the endpoint is free and the file is closed. What the cluster has stays.
    pub async fn close(&self) {
        self.keeper.close().await;
        self.tasks.close().await;
        if let Err(error) = self.store.close().await {
            tracing::error!(error = %drydock_runtime::tasks::chain(&error), "closing the store failed");
        }
    }
}

async fn open_store(config: &Config, tasks: &Tasks) -> Result<Arc<dyn Store>, TenantError> {
    let (folder, writers) = (config.folder.clone(), config.writers.clone());
    let open = move || -> Result<SqliteStore, TenantError> {
        std::fs::create_dir_all(&folder)
            .map_err(|source| TenantError::Folder { folder: folder.clone(), source })?;
        Ok(SqliteStore::open(&folder.join(STATE_FILE), &writers)?)
    };
    let store: SqliteStore = tasks.blocking(open).await.unwrap_or(Err(StoreError::Closed.into()))?;
    Ok(Arc::new(store))
}

impl std::fmt::Debug for Tenant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tenant({} at {})", self.cluster.name, self.address)
    }
}
