//! The components of a cluster, each with an identity of its own and a client that holds it.

use std::sync::Arc;

use drydock_apiserver::ApiServer;
use drydock_auth::UserInfo;
use drydock_auth::pki::ClusterPki;
use drydock_auth::tokens::TokenAuthority;
use drydock_client::{Client, SharedInformers};
use drydock_cloud::{
    CcmConfig, CloudControllerManager, NodePools, NodePoolsConfig, PoolRecords, PoolSpec, StorageConfig,
};
use drydock_cloud_api::{CloudProvider, ClusterRef};
use drydock_controllers::{ControllerManager, MANAGER, ManagerConfig};
use drydock_runtime::Tasks;
use drydock_scheduler::{Configuration, Scheduler, SchedulerConfig};

use crate::agents::Agents;
use crate::certificates::{Signer, Tokens};

/// What signs in a cluster.
#[derive(Clone)]
pub(crate) struct Keys {
    pub(crate) pki: Arc<ClusterPki>,
    pub(crate) tokens: Arc<TokenAuthority>,
}

/// What node pools, the cloud controllers and the scheduler work with.
pub(crate) struct Wanted {
    pub(crate) cluster: ClusterRef,
    pub(crate) provider: Arc<dyn CloudProvider>,
    pub(crate) records: Arc<dyn PoolRecords>,
    pub(crate) pools: Vec<PoolSpec>,
    /// The pods' network; each node gets a /24 of it.
    pub(crate) pod_cidr: String,
    pub(crate) scheduler: Configuration,
}

/// Somebody who may do everything: for what belongs to the service rather than to the cluster.
pub(crate) fn masters(name: &str) -> UserInfo {
    UserInfo::new(name, &["system:masters", "system:authenticated"])
}

/// A controller's service account, as with `--use-service-account-credentials` upstream.
fn service_account(name: &str) -> UserInfo {
    UserInfo::new(
        format!("system:serviceaccount:kube-system:{name}"),
        &["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
    )
}

pub(crate) fn start(
    server: &ApiServer,
    agents: &Arc<Agents>,
    keys: Keys,
    tasks: &Tasks,
    mut wanted: Wanted,
) -> (NodePools, Arc<Scheduler>) {
    // One set of informers for everything in the cluster: in process they hold the server's own objects.
    let manager = server
        .client(UserInfo::new("system:kube-controller-manager", &["system:masters", "system:authenticated"]));
    let informers = SharedInformers::new(manager, tasks.clone());
    start_controllers(server, &informers, keys, &wanted.pod_cidr, tasks);
    let client = server.client(UserInfo::new("system:kube-scheduler", &["system:authenticated"]));
    let scheduler = Scheduler::start(SchedulerConfig {
        configuration: std::mem::take(&mut wanted.scheduler),
        ..SchedulerConfig::new(client, informers.clone(), tasks.clone())
    });
    agents.start(server, informers.clone());
    (start_cloud(server, agents, informers, tasks, wanted), scheduler)
}

fn start_controllers(
    server: &ApiServer,
    informers: &SharedInformers,
    keys: Keys,
    pod_cidr: &str,
    tasks: &Tasks,
) {
    let of = server.clone();
    let client_for = Arc::new(move |name: &str| -> Client {
        match name {
            MANAGER => of.client(UserInfo::new("system:kube-controller-manager", &["system:authenticated"])),
            _ => of.client_of_program(service_account(name), MANAGER),
        }
    });
    let root_ca = keys.pki.cluster.certificate_pem();
    let mut config = ManagerConfig::new(client_for, informers.clone(), tasks.clone(), root_ca);
    config.cluster_cidr = Some(pod_cidr.to_owned());
    config.signer = Some(Arc::new(Signer(keys.pki)));
    config.secret_tokens = Some(Arc::new(Tokens(keys.tokens)));
    ControllerManager::start(&config);
}

fn start_cloud(
    server: &ApiServer,
    agents: &Arc<Agents>,
    informers: SharedInformers,
    tasks: &Tasks,
    wanted: Wanted,
) -> NodePools {
    let ccm = CcmConfig {
        cluster: wanted.cluster.clone(),
        provider: wanted.provider.clone(),
        client: server.client(masters("system:cloud-controller-manager")),
        informers: informers.clone(),
    };
    CloudControllerManager::start(ccm, tasks);
    let storage = StorageConfig {
        provider: wanted.provider.clone(),
        client: server.client(masters("system:drydock:storage")),
        informers: informers.clone(),
    };
    drydock_cloud::start_storage(storage, tasks);
    let pools = NodePoolsConfig {
        cluster: wanted.cluster,
        provider: wanted.provider,
        records: wanted.records,
        agents: agents.clone(),
        client: server.client(masters("system:drydock:node-pools")),
        informers,
    };
    NodePools::start(pools, tasks, wanted.pools)
}
