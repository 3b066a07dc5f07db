//! Control planes that do at once what they are told, or what a test says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use drydock::database::cluster::{ClusterRecord, ClusterSettings, Reason};
use drydock::database::node_pool::{NodePoolRecord, NodePoolState, Observed};
use drydock::service::control_plane::{
    ClockChange, ClockState, ControlPlane, ControlPlaneError, ControlPlaneStatus, ControlPlanes, Credential,
    PoolStatus, Trouble,
};
use drydock::service::scheduling::{NodeScheduling, Scheduling};
use drydock_runtime::Clock;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::sync::watch;

/// All clusters. Outlives a restart of the service, as a data folder would.
#[derive(Default)]
pub(crate) struct Fakes {
    pub(crate) state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    /// Clusters by name that do not open, and why.
    pub(crate) broken: BTreeMap<String, Reason>,
    /// Clusters by name that cannot be released, and why.
    pub(crate) stuck: BTreeMap<String, Reason>,
    /// Pools by name that something is wrong with.
    pub(crate) troubled: BTreeMap<String, Trouble>,
    /// Pools by name that stay as they are.
    pub(crate) held: BTreeSet<String>,
    pub(crate) open: BTreeMap<String, Arc<Fake>>,
    pub(crate) destroyed: Vec<String>,
}

pub(crate) struct Fake {
    fakes: Arc<Fakes>,
    cluster: ClusterRecord,
    pools: Mutex<Vec<NodePoolRecord>>,
    pub(crate) settings: Mutex<ClusterSettings>,
    status: watch::Sender<ControlPlaneStatus>,
    clock: Clock,
}

impl Fakes {
    /// Changes what a test says, and lets every open cluster look again.
    pub(crate) fn change(&self, f: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap();
        f(&mut state);
        let open: Vec<_> = state.open.values().cloned().collect();
        drop(state);
        for fake in open {
            fake.look();
        }
    }
}

/// What the composition root would hand over.
pub(crate) struct FakePlanes(pub(crate) Arc<Fakes>);

#[async_trait]
impl ControlPlanes for FakePlanes {
    async fn open(&self, cluster: &ClusterRecord) -> Result<Arc<dyn ControlPlane>, ControlPlaneError> {
        let mut state = self.0.state.lock().unwrap();
        if let Some(reason) = state.broken.get(&cluster.name) {
            return Err(ControlPlaneError { reason: reason.clone() });
        }
        let fake = Arc::new(Fake {
            fakes: self.0.clone(),
            cluster: cluster.clone(),
            pools: Mutex::default(),
            settings: Mutex::new(cluster.settings.clone()),
            clock: Clock::manual("2026-01-01T00:00:00Z".parse().unwrap()),
            status: watch::Sender::new(ControlPlaneStatus { ready: true, ..ControlPlaneStatus::default() }),
        });
        let before = state.open.insert(cluster.uid.clone(), fake.clone());
        assert!(before.is_none(), "{} is open already", cluster.name);
        Ok(fake)
    }

    async fn destroy(&self, cluster: &ClusterRecord) -> Result<(), ControlPlaneError> {
        let mut state = self.0.state.lock().unwrap();
        assert!(!state.open.contains_key(&cluster.uid), "{} is still open", cluster.name);
        state.destroyed.push(cluster.name.clone());
        Ok(())
    }
}

impl Fake {
    fn look(&self) {
        let state = self.fakes.state.lock().unwrap();
        let before = self.status.borrow().pools.clone();
        let pools = self.pools.lock().unwrap().clone();
        let pools = pools.iter().map(|pool| {
            let old = before.iter().find(|status| status.name == pool.name);
            let had = old.map(|status| status.observed).unwrap_or_default();
            let deleting = pool.state == NodePoolState::Deleting;
            let stays = state.held.contains(&pool.name) || state.troubled.contains_key(&pool.name);
            let wanted = if deleting { 0 } else { pool.nodes };
            PoolStatus {
                name: pool.name.clone(),
                wanted,
                observed: if stays { had } else { Observed { machines: wanted, ready: wanted } },
                trouble: state.troubled.get(&pool.name).cloned(),
                note: None,
                gone: deleting && !stays,
            }
        });
        let pools = pools.collect();
        self.status.send_if_modified(|status| {
            let changed = status.pools != pools;
            status.pools = pools;
            changed
        });
    }
}

#[async_trait]
impl ControlPlane for Fake {
    fn endpoint(&self) -> String {
        format!("https://127.0.0.1:{}", self.cluster.port)
    }

    fn ca_pem(&self) -> String {
        "-----BEGIN CERTIFICATE-----\n".to_owned()
    }

    async fn kubeconfig(&self, credential: Credential) -> Result<String, ControlPlaneError> {
        let name = &self.cluster.name;
        let endpoint = self.endpoint();
        Ok(format!(
            "apiVersion: v1\nkind: Config\nclusters: [{{name: {name}, cluster: {{server: '{endpoint}'}}}}]\n\
             users: [{{name: {name}, user: {{note: {credential:?}}}}}]\n\
             contexts: [{{name: {name}, context: {{cluster: {name}, user: {name}}}}}]\ncurrent-context: {name}\n"
        ))
    }

    fn set_pools(&self, pools: Vec<NodePoolRecord>) {
        *self.pools.lock().unwrap() = pools;
        self.look();
    }

    fn configure(&self, _: &str, settings: &ClusterSettings) {
        *self.settings.lock().unwrap() = settings.clone();
    }

    fn audit_log(&self, follow: bool) -> BoxStream<'static, Bytes> {
        let text = if follow { "{\"followed\":true}\n" } else { "{}\n" };
        futures::stream::iter([Bytes::from(text)]).boxed()
    }

    async fn explain_scheduling(
        &self,
        namespace: &str,
        pod: &str,
    ) -> Result<Option<Scheduling>, ControlPlaneError> {
        match pod {
            "foreign" => Err(ControlPlaneError::new("noProfile", "it is somebody else's")),
            "none" => Ok(None),
            _ => Ok(Some(Scheduling {
                namespace: namespace.to_owned(),
                pod: pod.to_owned(),
                profile: "default-scheduler".to_owned(),
                node: None,
                held: None,
                refused: None,
                message: None,
                best: vec!["a".to_owned()],
                nodes: vec![NodeScheduling {
                    name: "a".to_owned(),
                    feasible: true,
                    filters: Vec::new(),
                    scores: Vec::new(),
                    total: Some(7),
                }],
            })),
        }
    }

    fn status(&self) -> ControlPlaneStatus {
        self.status.borrow().clone()
    }

    async fn changed(&self, seen: &ControlPlaneStatus) {
        let _ = self.status.subscribe().wait_for(|status| status != seen).await;
    }

    async fn release(&self) -> Result<(), ControlPlaneError> {
        match self.fakes.state.lock().unwrap().stuck.get(&self.cluster.name) {
            Some(reason) => Err(ControlPlaneError { reason: reason.clone() }),
            None => Ok(()),
        }
    }

    fn clock(&self) -> ClockState {
        ClockState { now: self.clock.now(), speed: self.clock.rate(), target: None }
    }

    async fn change_clock(&self, change: ClockChange) -> Result<(), ControlPlaneError> {
        change.speed.into_iter().for_each(|speed| self.clock.set_rate(speed));
        change.advance.into_iter().for_each(|by| self.clock.advance(by));
        Ok(())
    }

    async fn clock_arrived(&self) {}

    async fn close(&self) {
        self.fakes.state.lock().unwrap().open.remove(&self.cluster.uid);
    }
}
