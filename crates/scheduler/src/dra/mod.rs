//! DynamicResources: devices for pods' resource claims.
//!
//! * [`Devices`] is what the scheduler knows of slices, classes and claims, and of allocations that are being written.
//! * [`DeviceState`] is what was worked out for one pod: which claims it has, and whether a node has devices for those
//!   that have none yet. Upstream's default gates of 1.36 hold: alternatives, admin access, counters, shared capacity,
//!   taints of devices, binding conditions, extended resources that classes stand for.
//! * [`Reservation`] is what has to be written before the pod is bound; `bind` writes it.
//!
//! Deliberately absent: claims of pod groups, attributes that are lists, taint rules, which are off by default.

mod allocate;
mod allocated;
mod bind;
mod capacity;
mod constraint;
mod counters;
mod extended;
mod pool;
mod request;
mod result;
mod selector;
mod slice;
mod state;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use drydock_machinery::{GroupVersionResource, Key, Object, ObjectMeta, Value};

use crate::plugin::{Plugin, Point};
use crate::profile::Profile;
use crate::queue::Gate;
use allocated::Allocated;
use selector::Selectors;
use slice::Slice;

pub use bind::{ClaimBinding, Reservation};
pub(crate) use bind::{Written, delete};
pub(crate) use state::{DeviceState, Refusal, Release};

pub(crate) const DEVICE_CLASSES: GroupVersionResource =
    GroupVersionResource::new("resource.k8s.io", "v1", "deviceclasses");

/// Which of the kinds an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    Claim,
    Class,
    Slice,
}

/// What the scheduler knows of devices. Written by informers, and by decisions until informers confirm them.
#[derive(Clone, Debug, Default)]
pub struct Devices {
    slices: BTreeMap<Key, Arc<Slice>>,
    classes: HashMap<Key, Arc<Object>>,
    claims: HashMap<Key, Arc<Object>>,
    /// Claims as they will be, by uid, while their allocation is being written.
    pending: HashMap<Key, Value>,
    /// Keys of claims whose devices were not ready in time.
    expired: HashSet<Key>,
    selectors: Arc<Selectors>,
}

impl Devices {
    pub fn set(&mut self, kind: DeviceKind, object: &Arc<Object>) {
        let key = Key::from(object.key());
        match kind {
            DeviceKind::Class => drop(self.classes.insert(key, object.clone())),
            DeviceKind::Slice => drop(self.slices.insert(key, Arc::new(Slice::new(object)))),
            DeviceKind::Claim => self.set_claim(key, object),
        }
    }

    /// The answer to a write may have come before what informers tell of earlier ones.
    fn set_claim(&mut self, key: Key, claim: &Arc<Object>) {
        let version = |claim: &Object| claim.resource_version().parse::<u64>().unwrap_or(0);
        let known = self.claims.get(&key);
        if known.is_some_and(|known| known.uid() == claim.uid() && version(known) > version(claim)) {
            return;
        }
        if !is_allocated(claim) {
            self.expired.remove(&key);
        }
        self.claims.insert(key, claim.clone());
    }

    pub fn remove(&mut self, kind: DeviceKind, key: &str) {
        match kind {
            DeviceKind::Class => drop(self.classes.remove(key)),
            DeviceKind::Slice => drop(self.slices.remove(key)),
            DeviceKind::Claim => {
                self.expired.remove(key);
                self.claims.remove(key);
            }
        }
    }

    /// The claims of a pod, in its order.
    ///
    /// # Errors
    /// Why the pod has to wait for one of them.
    pub(crate) fn claims_of(&self, pod: &Object) -> Result<Vec<Arc<Object>>, String> {
        let mut claims = Vec::new();
        for entry in pod.array_at(&["spec", "resourceClaims"]) {
            if let Some(claim) = self.claim_of(pod, entry)? {
                claims.push(claim);
            }
        }
        Ok(claims)
    }

    /// None for an entry that turned out to need no claim.
    fn claim_of(&self, pod: &Object, entry: &Value) -> Result<Option<Arc<Object>>, String> {
        let (namespace, pod_name) = (pod.namespace(), pod.name());
        let named = entry.str_at(&["resourceClaimName"]);
        let (name, is_made) = if named.is_empty() {
            let mut statuses = pod.array_at(&["status", "resourceClaimStatuses"]).iter();
            let status = statuses.find(|status| status.str_at(&["name"]) == entry.str_at(&["name"]));
            let Some(status) = status else {
                return Err(format!("pod \"{namespace}/{pod_name}\": ResourceClaim not created yet"));
            };
            match status.str_at(&["resourceClaimName"]) {
                "" => return Ok(None),
                name => (name, true),
            }
        } else {
            (named, false)
        };
        let claim = self.claims.get(format!("{namespace}/{name}").as_str());
        let claim = claim.ok_or_else(|| "object not found".to_owned())?;
        if claim.is_deleting() {
            return Err(format!("resourceclaim {name:?} is being deleted"));
        }
        let is_own = claim.controller_ref().is_some_and(|owner| owner.str_at(&["uid"]) == pod.uid());
        if is_made && !is_own {
            return Err(format!(
                "ResourceClaim {namespace}/{name} was not created for Pod {namespace}/{pod_name} (Pod is not owner)"
            ));
        }
        Ok(Some(claim.clone()))
    }

    /// Whether nothing that its profile asks keeps the pod from being tried: its own gates, or claims that are not there.
    pub(crate) fn gate(&self, profile: &Profile, pod: &Object) -> Gate {
        if self.held(profile, pod).is_some() { Gate::Closed } else { Gate::Open }
    }

    /// What keeps the pod from being tried.
    pub(crate) fn held(&self, profile: &Profile, pod: &Object) -> Option<(Plugin, String)> {
        profile.at(Point::PreEnqueue).iter().find_map(|plugin| {
            let why = match plugin {
                Plugin::SchedulingGates => waits_for_gates(pod),
                Plugin::DynamicResources => self.claims_of(pod).err(),
                _ => None,
            };
            why.map(|why| (*plugin, why))
        })
    }

    /// All that claims have or are about to get.
    fn allocated(&self) -> Allocated {
        let mut allocated = Allocated::default();
        let written = self.claims.values().filter(|claim| !self.pending.contains_key(claim.uid()));
        written.for_each(|claim| allocated.add(claim));
        self.pending.values().for_each(|claim| allocated.add(claim));
        allocated
    }

    fn class_selectors(&self, class: &str) -> Vec<String> {
        let class = self.classes.get(class);
        let selectors = class.map_or(&[][..], |class| class.array_at(&["spec", "selectors"]));
        selectors.iter().map(|one| one.str_at(&["cel", "expression"]).to_owned()).collect()
    }

    /// Takes allocations as written, so that the next pod does not get the same devices.
    pub(crate) fn assume(&mut self, reservation: &Reservation) {
        for binding in &reservation.claims {
            if let Some(claim) = binding.as_allocated() {
                self.pending.insert(claim.uid().into(), claim);
            }
        }
    }

    /// What became of [`Devices::assume`] is known.
    pub(crate) fn settle(&mut self, reservation: &Reservation) {
        for binding in &reservation.claims {
            self.pending.remove(binding.claim.uid());
        }
    }

    /// The devices of these claims will not get ready.
    fn expire(&mut self, claims: &[Arc<Object>]) {
        self.expired.extend(claims.iter().map(|claim| Key::from(claim.key())));
    }

    pub(crate) fn claim(&self, key: &str) -> Option<&Arc<Object>> {
        self.claims.get(key)
    }
}

/// As upstream's plugin says it.
fn waits_for_gates(pod: &Object) -> Option<String> {
    let gates = pod.array_at(&["spec", "schedulingGates"]).iter();
    let names: Vec<&str> = gates.map(|gate| gate.str_at(&["name"])).collect();
    (!names.is_empty()).then(|| format!("waiting for scheduling gates: [{}]", names.join(" ")))
}

fn is_allocated(claim: &Value) -> bool {
    claim.at(&["status", "allocation"]).is_some_and(|allocation| !allocation.is_null())
}

fn is_reserved_for(claim: &Value, pod: &Object) -> bool {
    let mut consumers = claim.array_at(&["status", "reservedFor"]).iter();
    consumers.any(|consumer| consumer.str_at(&["uid"]) == pod.uid())
}
