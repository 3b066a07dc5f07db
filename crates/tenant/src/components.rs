//! The components of a cluster, each with an identity of its own and a client that holds it.

use std::sync::Arc;

use drydock_apiserver::ApiServer;
use drydock_auth::UserInfo;
use drydock_auth::pki::ClusterPki;
use drydock_client::{Client, SharedInformers};
use drydock_cloud::{CcmConfig, CloudControllerManager, NodePools, NodePoolsConfig, PoolRecords, PoolSpec};
use drydock_cloud_api::{CloudProvider, ClusterRef};
use drydock_controllers::{ControllerManager, ManagerConfig};
use drydock_runtime::Tasks;
use drydock_scheduler::{Scheduler, SchedulerConfig};

use crate::agents::Agents;

/// The pods' network; each node gets a /24 of it.
const POD_CIDR: &str = "10.244.0.0/16";

/// What node pools and the cloud controllers work with.
pub(crate) struct Wanted {
    pub(crate) cluster: ClusterRef,
    pub(crate) provider: Arc<dyn CloudProvider>,
    pub(crate) records: Arc<dyn PoolRecords>,
    pub(crate) pools: Vec<PoolSpec>,
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
    pki: &ClusterPki,
    tasks: &Tasks,
    wanted: Wanted,
) -> NodePools {
    // One set of informers for everything in the cluster: in process they hold the server's own objects.
    let manager = server
        .client(UserInfo::new("system:kube-controller-manager", &["system:masters", "system:authenticated"]));
    let informers = SharedInformers::new(manager, tasks.clone());
    start_controllers(server, &informers, pki, tasks);
    let scheduler = server.client(UserInfo::new("system:kube-scheduler", &["system:authenticated"]));
    Scheduler::start(SchedulerConfig::new(scheduler, informers.clone(), tasks.clone()));
    agents.start(server, informers.clone());
    start_cloud(server, agents, informers, tasks, wanted)
}

fn start_controllers(server: &ApiServer, informers: &SharedInformers, pki: &ClusterPki, tasks: &Tasks) {
    let of = server.clone();
    let client_for = Arc::new(move |name: &str| -> Client { of.client(service_account(name)) });
    let root_ca = pki.cluster.certificate_pem();
    let mut config = ManagerConfig::new(client_for, informers.clone(), tasks.clone(), root_ca);
    config.cluster_cidr = Some(POD_CIDR.to_owned());
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
