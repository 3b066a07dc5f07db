//! One tenant's API server, assembled from what it is given.

use std::sync::{Arc, OnceLock};

use drydock_auth::UserInfo;
use drydock_auth::impersonation::LastModes;
use drydock_client::Client;
use drydock_runtime::{Clock, Tasks, wall};
use drydock_store::{Store, StoreError};
use jiff::Timestamp;
use tokio::sync::watch;

use crate::admission::AdmissionChain;
use crate::aggregation::{Aggregation, FrontProxy};
use crate::audit::{AuditLog, Auditor};
use crate::cache::Cache;
use crate::flow::Flow;
use crate::http::Upgrades;
use crate::http::documents::Documents;
use crate::http::metrics::Requests;
use crate::local::Local;
use crate::registry::allocate::{Allocators, ServiceRange};
use crate::registry::{Registry, commits};
use crate::resources::{ResourceTable, Resources, builtin};
use crate::seams::{Authenticator, Authorizer, NodeDialer, TokenIssuer};

/// What an API server is made of.
pub struct Config {
    pub store: Arc<dyn Store>,
    /// Object timestamps and the lives of events.
    pub clock: Clock,
    /// The tenant's tasks: closing them ends every watch and connection.
    pub tasks: Tasks,
    pub authenticator: Arc<dyn Authenticator>,
    pub authorizer: Arc<dyn Authorizer>,
    pub tokens: Arc<dyn TokenIssuer>,
    pub admission: AdmissionChain,
    /// None: logs, exec and port-forward answer 503.
    pub nodes: Option<Arc<dyn NodeDialer>>,
    pub version: Version,
    /// `127.0.0.1:6443`: what discovery says of where the server is.
    pub address: String,
    /// Where Services' addresses come from.
    pub service_range: ServiceRange,
    /// What extension servers are shown; None for nothing.
    pub front_proxy: Option<FrontProxy>,
    /// Where the audit log goes, once there is a policy. None: nowhere.
    pub audit_log: Option<AuditLog>,
}

/// The Kubernetes version that a cluster has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// 33 to 36.
    pub minor: u32,
    /// `v1.36.2`
    pub git: String,
}

/// A running API server. Clones are the same one.
#[derive(Clone)]
pub struct ApiServer {
    pub(crate) core: Arc<Core>,
}

pub(crate) struct Core {
    pub(crate) registry: Arc<Registry>,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) tokens: Arc<dyn TokenIssuer>,
    pub(crate) auditor: Auditor,
    pub(crate) nodes: Option<Arc<dyn NodeDialer>>,
    pub(crate) upgrades: Upgrades,
    pub(crate) aggregation: Aggregation,
    pub(crate) tasks: Tasks,
    pub(crate) version: Version,
    pub(crate) service_range: ServiceRange,
    /// When the server started, by the wall.
    pub(crate) started: Timestamp,
    pub(crate) address: String,
    pub(crate) documents: Documents,
    pub(crate) requests: Requests,
    pub(crate) ready: watch::Sender<bool>,
    pub(crate) flow: Flow,
    pub(crate) last_modes: LastModes,
}

impl ApiServer {
    /// Reads the store and starts to follow it. The server answers at once, but is not ready before
    /// [`ApiServer::set_ready`].
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn start(config: Config) -> Result<Self, StoreError> {
        let cache = Cache::start(config.store, &config.tasks).await?;
        let flow = Flow::new(&cache);
        let registry = Registry {
            cache,
            clock: config.clock,
            resources: Resources::new(builtin(config.version.minor)),
            admission: config.admission,
            authorizer: config.authorizer.clone(),
            tokens: config.tokens.clone(),
            addresses: Allocators::new(config.service_range),
            minor_version: config.version.minor,
            loopback: OnceLock::new(),
            commits: commits(),
            store_fails: false.into(),
        };
        let auditor = Auditor::new(config.audit_log, registry.clock.clone(), &config.tasks);
        let core = Arc::new(Core {
            registry: Arc::new(registry),
            authenticator: config.authenticator,
            authorizer: config.authorizer,
            tokens: config.tokens,
            auditor,
            nodes: config.nodes,
            upgrades: Upgrades::default(),
            aggregation: Aggregation::new(config.front_proxy),
            tasks: config.tasks,
            version: config.version,
            service_range: config.service_range,
            started: wall::now(),
            address: config.address,
            documents: Documents::default(),
            requests: Requests::default(),
            ready: watch::Sender::new(false),
            flow,
            last_modes: LastModes::default(),
        });
        let server = Self { core };
        // A weak reference: the registry is not kept alive by its own client.
        let loopback = Local::loopback(&server.core, UserInfo::api_server());
        let loopback = Client::new(Arc::new(loopback));
        let _ = server.core.registry.loopback.set(loopback.clone());
        server.core.flow.start(&server.core, loopback);
        let registry = &server.core.registry;
        crate::maintenance::start(&registry.cache, &registry.addresses, &registry.clock, &server.core.tasks);
        crate::definitions::start(&server.core, &server.core.tasks).await;
        crate::policy_status::start(&server.core, &server.core.tasks);
        crate::aggregation::start(&server.core, &server.core.tasks);
        Ok(server)
    }

    /// A client that calls this server in process as `user`.
    pub fn client(&self, user: UserInfo) -> Client {
        Client::new(Arc::new(Local::new(self.core.clone(), user)))
    }

    /// As [`ApiServer::client`], for a user that is one part of `program`: what it writes is managed by the program.
    pub fn client_of_program(&self, user: UserInfo, program: &str) -> Client {
        Client::new(Arc::new(Local::of_program(self.core.clone(), user, program)))
    }

    /// From the next request on this policy says what is written to the audit log; without one nothing is.
    pub fn set_audit_policy(&self, policy: Option<drydock_auth::audit::Policy>) {
        self.core.auditor.set_policy(policy);
    }

    /// The watch cache, for authorizers and others who read without asking for permission.
    pub fn cache(&self) -> &Arc<Cache> {
        &self.core.registry.cache
    }

    /// The resources served now.
    pub fn resources(&self) -> Arc<ResourceTable> {
        self.core.registry.resources.table()
    }

    /// From now on `/readyz` says so. Called once what every cluster has was bootstrapped.
    ///
    /// The history of a new cluster begins here: what was written before had no readers.
    pub fn set_ready(&self) {
        if self.core.ready.send_replace(true) || !self.core.registry.cache.was_empty() {
            return;
        }
        let revision = self.core.registry.cache.forget_history();
        let store = self.core.registry.cache.store().clone();
        self.core.tasks.spawn("compaction", async move {
            if let Err(error) = store.compact(revision).await {
                tracing::warn!(%error, "the store's history could not be compacted");
            }
        });
    }

    pub fn is_ready(&self) -> bool {
        *self.core.ready.borrow()
    }

    /// Returns when the server is ready.
    pub async fn ready(&self) {
        let mut ready = self.core.ready.subscribe();
        let _ = ready.wait_for(|ready| *ready).await;
    }
}

impl std::fmt::Debug for ApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiServer({})", self.core.tasks.tenant())
    }
}
