//! Resource quotas: keeps `status.used` equal to what is there.
//!
//! Admission counts up before objects exist. This controller counts everything anew for a quota that is new or changed,
//! and when something goes or gets smaller that a quota of its namespace is about. Not when something comes: admission
//! has charged it, and a count that misses others on their way would give back what they were charged. What was charged
//! to writes that failed afterwards is given back every five minutes, as upstream.

mod usage;

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use drydock_client::resources::{
    CONFIG_MAPS, PERSISTENT_VOLUME_CLAIMS, PODS, REPLICATION_CONTROLLERS, RESOURCE_CLAIMS, RESOURCE_QUOTAS,
    SECRETS, SERVICES,
};
use drydock_client::{Change, Controller, Informer, WorkQueue};
use drydock_machinery::{GroupVersionResource, Key, Object, ObjectMeta, Status, Value};
use parking_lot::Mutex;

use crate::Context;
use crate::util::split_key;

/// Upstream's `--resource-quota-sync-period`.
const RESYNC: Duration = Duration::from_secs(300);

struct Quotas {
    ctx: Context,
    queue: Arc<WorkQueue>,
    quotas: Arc<Informer>,
    /// The informers whose changes are followed. A resource that is no longer served, and then again, has another one.
    followed: Mutex<HashMap<GroupVersionResource, Weak<Informer>>>,
}

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let quotas = ctx.informers.informer(&RESOURCE_QUOTAS);
    let this =
        Arc::new(Quotas { queue: queue.clone(), quotas: quotas.clone(), followed: Mutex::default(), ctx });
    let to = queue.clone();
    quotas.on_change(move |change| {
        if is_news(change) {
            to.add_object(change.object());
        }
    });
    let tasks = this.ctx.tasks.clone();
    Controller::new("resourcequota", queue).workers(5).needs([quotas]).start(&tasks, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await }
    });
}

/// Whether a quota needs a first or a new count. A charge of admission's changes its `status.used` alone, and what users
/// write of a status stays until the next count.
fn is_news(change: Change<'_>) -> bool {
    let Change::Updated { old, new } = change else { return true };
    old.at(&["spec", "hard"]) != new.at(&["spec", "hard"])
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
        if new.get("status") != quota.get("status") {
            self.ctx.client.update_status(&RESOURCE_QUOTAS, new).await?;
        }
        self.queue.add_after(key.clone(), RESYNC);
        Ok(())
    }

    /// None for a resource that nobody knows.
    async fn used(self: &Arc<Self>, quota: &Object, resource: &str) -> Result<Option<String>, Status> {
        let namespace = quota.namespace();
        let Some(gvr) = self.counted(resource).await? else { return Ok(None) };
        let informer = self.follow(&gvr);
        informer.synced().await;
        let objects = informer.list_in(namespace);
        Ok(Some(usage::of(quota, resource, &gvr, &objects, self.ctx.clock.now())))
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
            name if name.ends_with(usage::PER_DEVICE_CLASS) => RESOURCE_CLAIMS,
            _ => PODS,
        }))
    }

    fn follow(self: &Arc<Self>, resource: &GroupVersionResource) -> Arc<Informer> {
        let informer = self.ctx.informers.informer(resource);
        let mut followed = self.followed.lock();
        if followed.get(resource).is_some_and(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(&informer))) {
            return informer;
        }
        followed.insert(resource.clone(), Arc::downgrade(&informer));
        drop(followed);
        let me = self.clone();
        let is_quota = *resource == RESOURCE_QUOTAS;
        informer.on_change(move |change| {
            let object = change.object();
            let matters = match change {
                Change::Added(_) => false,
                Change::Updated { old, new } => usage::matters(old, new, me.ctx.clock.now()),
                Change::Deleted(_) => true,
            };
            if matters && !is_quota {
                for quota in me.quotas.list_in(object.namespace()) {
                    me.queue.add_object(&quota);
                }
            }
        });
        informer
    }
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    fn quota(spec: &str, counted: &str, used: &str) -> Arc<Object> {
        let tree = value!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"},
            "spec": {"hard": {"pods": spec}}, "status": {"hard": {"pods": counted}, "used": {"pods": used}}});
        Arc::new(Object::new(tree, 1))
    }

    #[test]
    fn a_charge_of_admission_is_not_counted_again_and_a_changed_limit_is() {
        let updated = |old: &Arc<Object>, new: &Arc<Object>| is_news(Change::Updated { old, new });
        let before = quota("2", "2", "0");
        assert!(is_news(Change::Added(&before)));
        assert!(!updated(&before, &quota("2", "2", "1")));
        assert!(updated(&before, &quota("3", "2", "0")));
        assert!(!updated(&quota("3", "2", "0"), &quota("3", "3", "0")));
    }
}
