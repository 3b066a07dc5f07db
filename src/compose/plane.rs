//! One control plane of `drydock-tenant`, behind the service's seam.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use drydock_auth::UserInfo;
use drydock_client::{Options, Request, Verb, WatchEvent, resources};
use drydock_cloud::{NodePoolsStatus, PoolSpec, PoolState, Reservation};
use drydock_cloud_api::CloudErrorKind;
use drydock_machinery::ObjectMeta as _;
use drydock_scheduler::NotExplained;
use drydock_tenant::Tenant;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::boot::Boot;
use super::planes::{git_version, tenant_error, tenant_settings};
use super::scheduling::scheduling;
use crate::database::cluster::{ClusterRecord, ClusterSettings, Reason};
use crate::database::node_pool::{NodePoolRecord, NodePoolState, Observed};
use crate::service::control_plane::{
    ClockChange, ClockState, ControlPlane, ControlPlaneError, ControlPlaneStatus, Credential, PoolStatus,
    Trouble,
};
use crate::service::scheduling::Scheduling;
use crate::service::settings;

pub(super) struct Plane {
    tenant: Tenant,
    boot: Boot,
    /// The default service account exists.
    ready: watch::Receiver<bool>,
    pools: watch::Receiver<NodePoolsStatus>,
    /// As last configured.
    settings: Mutex<ClusterSettings>,
    /// As last wanted, by name.
    wanted: Mutex<BTreeMap<String, NodePoolRecord>>,
    /// Why a release did not go on, as last answered.
    told: Mutex<Option<Reason>>,
}

impl Plane {
    pub(super) fn new(tenant: Tenant, cluster: &ClusterRecord) -> Self {
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
        let boot = Boot::new(cluster, tenant.endpoint(), &tenant.ca_pem());
        let settings = Mutex::new(cluster.settings.clone());
        Self {
            tenant,
            boot,
            ready: when_ready,
            pools,
            settings,
            wanted: Mutex::default(),
            told: Mutex::default(),
        }
    }

    fn spec(&self, pool: &NodePoolRecord) -> PoolSpec {
        PoolSpec { user_data: self.boot.user_data(pool), ..pool_spec(pool) }
    }

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
            if wanted.get(name).is_some_and(|before| is_same(before, pool)) {
                continue;
            }
            if pool.state == NodePoolState::Deleting {
                self.tenant.pools().delete(self.spec(pool));
            } else {
                self.tenant.pools().set(self.spec(pool));
            }
        }
        *wanted = pools;
    }

    fn configure(&self, version: &str, settings: &ClusterSettings) {
        let mut known = self.settings.lock();
        if *known == *settings {
            return;
        }
        match settings::parse(settings, version) {
            Ok(parsed) => {
                self.tenant.configure(tenant_settings(parsed));
                known.clone_from(settings);
            }
            Err(wrong) => tracing::error!(?wrong, "a cluster's recorded settings cannot be used"),
        }
    }

    fn audit_log(&self, follow: bool) -> BoxStream<'static, Bytes> {
        self.tenant.audit_log(follow)
    }

    async fn explain_scheduling(
        &self,
        namespace: &str,
        pod: &str,
    ) -> Result<Option<Scheduling>, ControlPlaneError> {
        match self.tenant.explain_scheduling(namespace, pod).await {
            Ok(explained) => Ok(Some(scheduling(namespace, pod, explained))),
            Err(NotExplained::NoPod) => Ok(None),
            Err(why @ NotExplained::NoProfile { .. }) => {
                let message =
                    format!("the pod {:?} is not scheduled here: {why}", format!("{namespace}/{pod}"));
                Err(ControlPlaneError::new("noProfile", message))
            }
            Err(why @ NotExplained::Failed) => Err(ControlPlaneError::new("notExplained", why.to_string())),
        }
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
        if self.tenant.clock().rate() == 0.0 {
            // A cloud on the cluster's clock would never get to an end.
            self.tenant.set_clock_speed(1.0).await.map_err(|error| tenant_error(&error))?;
        }
        self.tenant.pools().release();
        // What was answered before is known: it is waited on, so that the end is noticed at once.
        let told = self.told.lock().clone();
        let standing = |status: &NodePoolsStatus| {
            status.release_reason.as_ref().map(|why| Reason::new(why.code.clone(), why.message.clone()))
        };
        let mut pools = self.pools.clone();
        let news = |status: &NodePoolsStatus| {
            let reason = standing(status);
            status.released || (reason.is_some() && reason != told)
        };
        let Ok(status) = pools.wait_for(news).await else {
            return Err(ControlPlaneError::new("Closed", "the control plane was closed"));
        };
        let reason = if status.released { None } else { standing(&status) };
        self.told.lock().clone_from(&reason);
        reason.map_or(Ok(()), |reason| Err(ControlPlaneError { reason }))
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

/// Whether nothing about it is news for its node pool. One that was deleted and made again is another.
fn is_same(before: &NodePoolRecord, pool: &NodePoolRecord) -> bool {
    let deleting = |pool: &NodePoolRecord| pool.state == NodePoolState::Deleting;
    before.uid == pool.uid && deleting(before) == deleting(pool) && pool_spec(before) == pool_spec(pool)
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
        reservation: Reservation::of_type(&pool.instance_type),
        ..PoolSpec::new(&pool.name, pool.nodes, &pool.instance_type, &git_version(&pool.version))
    }
}

/// What no later attempt changes, though the attempts go on.
const PERMANENT: [CloudErrorKind; 2] = [CloudErrorKind::InvalidRequest, CloudErrorKind::Unsupported];
