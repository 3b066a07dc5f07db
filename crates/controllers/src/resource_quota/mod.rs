//! Resource quotas: keeps `status.used` equal to what is there.
//!
//! Admission counts up before objects exist; this controller counts everything anew when something changes that a
//! quota of that namespace is about.

mod usage;

use std::sync::Arc;

use drydock_client::resources::{
    CONFIG_MAPS, PERSISTENT_VOLUME_CLAIMS, PODS, REPLICATION_CONTROLLERS, RESOURCE_QUOTAS, SECRETS, SERVICES,
};
use drydock_client::{Change, Controller, Informer, WorkQueue};
use drydock_machinery::{GroupVersionResource, Key, Object, ObjectMeta, Status, Value};
use parking_lot::Mutex;

use crate::Context;
use crate::util::split_key;

struct Quotas {
    ctx: Context,
    queue: Arc<WorkQueue>,
    quotas: Arc<Informer>,
    /// Resources whose changes are followed.
    followed: Mutex<Vec<GroupVersionResource>>,
}

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let quotas = ctx.informers.informer(&RESOURCE_QUOTAS);
    let this =
        Arc::new(Quotas { queue: queue.clone(), quotas: quotas.clone(), followed: Mutex::default(), ctx });
    let to = queue.clone();
    quotas.on_change(move |change| to.add_object(change.object()));
    let tasks = this.ctx.tasks.clone();
    Controller::new("resourcequota", queue).workers(5).needs([quotas]).start(&tasks, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await }
    });
}

impl Quotas {
    async fn sync(self: &Arc<Self>, key: &Key) -> Result<(), Status> {
        let (namespace, name) = split_key(key);
        let Some(quota) = self.quotas.get(namespace, name) else { return Ok(()) };
        let mut used = Value::object();
        for (resource, _) in quota.object_at(&["spec", "hard"]).iter() {
            if let Some(amount) = self.used(&quota, resource).await? {
                used.set(&[resource.as_str()], amount);
            }
        }
        let mut new = quota.value().clone();
        new.set(&["status", "hard"], quota.object_at(&["spec", "hard"]).clone());
        new.set(&["status", "used"], used);
        if new.get("status") == quota.get("status") {
            return Ok(());
        }
        self.ctx.client.update_status(&RESOURCE_QUOTAS, new).await.map(drop)
    }

    /// None for a resource that nobody knows.
    async fn used(self: &Arc<Self>, quota: &Object, resource: &str) -> Result<Option<String>, Status> {
        let namespace = quota.namespace();
        let Some(gvr) = self.counted(resource).await? else { return Ok(None) };
        let informer = self.follow(&gvr);
        informer.synced().await;
        let objects = informer.list_in(namespace);
        Ok(Some(usage::of(quota, resource, &gvr, &objects)))
    }

    /// The resource whose objects a quota's resource is about.
    async fn counted(&self, resource: &str) -> Result<Option<GroupVersionResource>, Status> {
        if let Some(name) = resource.strip_prefix("count/") {
            let (plural, group) = name.split_once('.').unwrap_or((name, ""));
            let served = self.ctx.client.discover().await?;
            let found = served.into_iter().find(|served| {
                served.resource.resource == plural && served.resource.group == group && served.namespaced
            });
            return Ok(found.map(|found| found.resource));
        }
        Ok(Some(match resource {
            "services" | "services.nodeports" | "services.loadbalancers" => SERVICES,
            "secrets" => SECRETS,
            "configmaps" => CONFIG_MAPS,
            "replicationcontrollers" => REPLICATION_CONTROLLERS,
            "resourcequotas" => RESOURCE_QUOTAS,
            "persistentvolumeclaims" | "requests.storage" => PERSISTENT_VOLUME_CLAIMS,
            name if name.contains(".storageclass.storage.k8s.io/") => PERSISTENT_VOLUME_CLAIMS,
            _ => PODS,
        }))
    }

    fn follow(self: &Arc<Self>, resource: &GroupVersionResource) -> Arc<Informer> {
        let informer = self.ctx.informers.informer(resource);
        let mut followed = self.followed.lock();
        if followed.contains(resource) {
            return informer;
        }
        followed.push(resource.clone());
        drop(followed);
        let me = self.clone();
        let is_quota = *resource == RESOURCE_QUOTAS;
        informer.on_change(move |change| {
            let object = change.object();
            let matters = !matches!(change, Change::Updated { old, new } if !usage::matters(old, new));
            if matters && !is_quota {
                for quota in me.quotas.list_in(object.namespace()) {
                    me.queue.add_object(&quota);
                }
            }
        });
        informer
    }
}
