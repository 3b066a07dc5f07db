//! The device taint eviction controller: pods that were given a device whose driver taints it with NoExecute are
//! deleted, those that tolerate it for a time when that is over.
//!
//! Deliberately absent: DeviceTaintRules, whose API is off by default.

use std::collections::HashSet;
use std::sync::Arc;

use drydock_client::resources::{PODS, RESOURCE_CLAIMS, RESOURCE_SLICES};
use drydock_client::{Change, Controller, Informer, WorkQueue};
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value, value};
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::Context;
use crate::resource_claim::{claim_of, entries, template_of};
use crate::util::owner::is_controlled_by;
use crate::util::{between, pod, pod_control, split_key};

/// Claims by the pools of the devices that they were given.
const BY_POOL: &str = "device-pool";

struct Eviction {
    ctx: Context,
    queue: Arc<WorkQueue>,
    pods: Arc<Informer>,
    claims: Arc<Informer>,
    slices: Arc<Informer>,
    /// The uids of pods that will have to go.
    waiting: Mutex<HashSet<Key>>,
}

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let this = Arc::new(Eviction {
        queue: queue.clone(),
        pods: ctx.informers.informer(&PODS),
        claims: ctx.informers.informer(&RESOURCE_CLAIMS),
        slices: ctx.informers.informer(&RESOURCE_SLICES),
        waiting: Mutex::default(),
        ctx,
    });
    this.claims.add_index(BY_POOL, |claim| {
        let pools: HashSet<Key> = devices(claim).iter().map(pool_of_device).collect();
        pools.into_iter().collect()
    });
    this.slices.add_index(BY_POOL, |slice| vec![pool_of_slice(slice)]);
    let me = this.clone();
    this.slices.on_change(move |change| {
        for slice in [Some(change.object()), change.old()].into_iter().flatten() {
            for claim in me.claims.by_index(BY_POOL, &pool_of_slice(slice)) {
                me.queue_consumers(&claim);
            }
        }
    });
    let me = this.clone();
    this.claims.on_change(move |change| {
        for claim in [Some(change.object()), change.old()].into_iter().flatten() {
            me.queue_consumers(claim);
        }
    });
    let me = this.clone();
    this.pods.on_change(move |change| {
        let pod = change.object();
        if matches!(change, Change::Deleted(_)) {
            me.waiting.lock().remove(pod.uid());
        } else if !entries(pod).is_empty() && !pod::node_name(pod).is_empty() {
            me.queue.add_object(pod);
        }
    });
    let needs = [this.pods.clone(), this.claims.clone(), this.slices.clone()];
    let tasks = this.ctx.tasks.clone();
    Controller::new("device-taint-eviction", queue).workers(8).needs(needs).start(&tasks, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await }
    });
}

/// What a claim was given.
fn devices(claim: &Value) -> &[Value] {
    claim.array_at(&["status", "allocation", "devices", "results"])
}

/// What tells a pool from others.
fn pool_key(driver: &str, pool: &str) -> Key {
    format!("{driver}/{pool}").into()
}

/// The pool of a device that was given.
fn pool_of_device(given: &Value) -> Key {
    pool_key(given.str_at(&["driver"]), given.str_at(&["pool"]))
}

/// The pool that a slice is of.
fn pool_of_slice(slice: &Value) -> Key {
    pool_key(slice.str_at(&["spec", "driver"]), slice.str_at(&["spec", "pool", "name"]))
}

impl Eviction {
    fn queue_consumers(&self, claim: &Object) {
        for consumer in claim.array_at(&["status", "reservedFor"]) {
            if consumer.str_at(&["apiGroup"]).is_empty() && consumer.str_at(&["resource"]) == "pods" {
                self.queue.add(format!("{}/{}", claim.namespace(), consumer.str_at(&["name"])));
            }
        }
    }

    async fn sync(&self, key: &Key) -> Result<(), Status> {
        let (namespace, name) = split_key(key);
        let Some(pod) = self.pods.get(namespace, name).filter(|pod| !pod.is_deleting()) else {
            return Ok(());
        };
        let now = self.ctx.clock.now();
        let Some(when) = self.time_to_go(&pod, now) else {
            if self.waiting.lock().remove(pod.uid()) {
                self.ctx.events.normal(&pod, EVENT, "Cancelling deletion");
            }
            return Ok(());
        };
        self.waiting.lock().insert(pod.uid().into());
        let left = between(now, when);
        if !left.is_zero() {
            self.queue.add_after(key.clone(), left);
            return Ok(());
        }
        self.ctx.events.normal(&pod, EVENT, "Marking for deletion");
        let condition = value!({
            "reason": "DeletionByDeviceTaintManager",
            "message": "Device Taint manager: deleting due to NoExecute taint",
        });
        pod_control::disrupt(&self.ctx, &pod, condition).await?;
        self.waiting.lock().remove(pod.uid());
        Ok(())
    }

    /// The first time at which a taint of one of the pod's devices is tolerated no more.
    fn time_to_go(&self, pod: &Object, now: Timestamp) -> Option<Timestamp> {
        if pod::node_name(pod).is_empty() {
            return None;
        }
        let claims = entries(pod).iter().filter_map(|entry| {
            let claim = self.claims.get(pod.namespace(), claim_of(pod, entry)?)?;
            let is_own = template_of(entry).is_none() || is_controlled_by(&claim, pod);
            let mut consumers = claim.array_at(&["status", "reservedFor"]).iter();
            let is_reserved = consumers.any(|consumer| consumer.str_at(&["uid"]) == pod.uid());
            (is_own && is_reserved).then_some(claim)
        });
        claims
            .filter_map(|claim| devices(&claim).iter().filter_map(|given| self.end_of(given, now)).min())
            .min()
    }

    /// When a device that was given has to be given back, as the newest slices of its pool say.
    fn end_of(&self, given: &Value, now: Timestamp) -> Option<Timestamp> {
        let generation = |slice: &Object| slice.i64_at(&["spec", "pool", "generation"]).unwrap_or(0);
        let slices = self.slices.by_index(BY_POOL, &pool_of_device(given));
        let newest = slices.iter().map(|slice| generation(slice)).max()?;
        let current = slices.iter().filter(|slice| generation(slice) == newest);
        let mut devices = current.flat_map(|slice| slice.array_at(&["spec", "devices"]));
        let device = devices.find(|device| device.str_at(&["name"]) == given.str_at(&["device"]))?;
        let taints = device.array_at(&["taints"]).iter();
        taints.filter_map(|taint| end_of_toleration(given.array_at(&["tolerations"]), taint, now)).min()
    }
}

const EVENT: &str = "DeviceTaintManagerEviction";

/// When a taint is tolerated no more; None if it does not evict, or is tolerated for ever.
fn end_of_toleration(tolerations: &[Value], taint: &Value, now: Timestamp) -> Option<Timestamp> {
    const EFFECT: &str = "NoExecute";
    if taint.str_at(&["effect"]) != EFFECT {
        return None;
    }
    let since = taint.str_at(&["timeAdded"]).parse().unwrap_or(now);
    let mut seconds: Option<i64> = None;
    for toleration in tolerations {
        if toleration.str_at(&["effect"]) != EFFECT
            || !drydock_client::scheduling::tolerates(toleration, taint)
        {
            continue;
        }
        let tolerated = toleration.i64_at(&["tolerationSeconds"])?.max(0);
        seconds = Some(seconds.map_or(tolerated, |least| least.min(tolerated)));
    }
    let tolerated = jiff::SignedDuration::from_secs(seconds.unwrap_or(0));
    Some(since.saturating_add(tolerated).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taint_evicts_when_no_toleration_is_left() {
        let added: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let now: Timestamp = "2026-01-02T00:00:00Z".parse().unwrap();
        let taint = value!({"key": "broken", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"});
        let end = |tolerations: Value| end_of_toleration(tolerations.as_array().unwrap(), &taint, now);
        assert_eq!(end(value!([])), Some(added));
        let all = |seconds: i64| value!({"operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds});
        let forever = value!({"key": "broken", "operator": "Exists", "effect": "NoExecute"});
        let after = |seconds: i64| Some(added + jiff::SignedDuration::from_secs(seconds));
        assert_eq!(end(Value::from(vec![all(60), all(30)])), after(30));
        assert_eq!(end(Value::from(vec![all(-5)])), after(0));
        assert_eq!(end(Value::from(vec![all(60), forever])), None);
        // Only tolerations of the very effect count.
        assert_eq!(end(value!([{"key": "broken", "operator": "Exists"}])), Some(added));
        assert_eq!(end_of_toleration(&[], &value!({"key": "k", "effect": "NoSchedule"}), now), None);
    }
}
