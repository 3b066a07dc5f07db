//! Claims, volumes and storage classes, and what a pod's claims mean for where it may run.
//!
//! Claims that are bound tie the pod to nodes that reach their volumes. Claims that wait for their first consumer get a
//! volume for the node that is chosen: one that exists, else one that a provisioner makes there.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use drydock_client::scheduling::claims_of;
use drydock_machinery::quantity::Quantity;
use drydock_machinery::selector::Selector;
use drydock_machinery::{Key, Object, ObjectMeta, Value, value};

use crate::affinity::RequiredNodeAffinity;

const BIND_COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const BOUND_BY_CONTROLLER: &str = "pv.kubernetes.io/bound-by-controller";
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";
const NO_PROVISIONER: &str = "kubernetes.io/no-provisioner";
const NO_SPACE: &str = "node(s) did not have enough free storage";
const NO_VOLUME: &str = "node(s) didn't find available persistent volumes to bind";
const WRONG_NODE: &str = "node(s) didn't match PersistentVolume's node affinity";
const VOLUME_GONE: &str = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)";
/// Labels of volumes that name where they are.
const ZONES: [&str; 4] = [
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
];

/// What the scheduler knows of storage. Written by informers, and by decisions until informers confirm them.
#[derive(Clone, Debug, Default)]
pub struct Volumes {
    claims: HashMap<Key, Arc<Object>>,
    volumes: HashMap<Key, Arc<Object>>,
    classes: HashMap<Key, Arc<Object>>,
    /// Where volumes are, parsed once.
    places: HashMap<Key, BoundVolume>,
    /// What drivers tell of nodes, by the nodes' names.
    nodes: HashMap<Key, Arc<Object>>,
    attachments: HashMap<Key, Arc<Object>>,
    drivers: HashMap<Key, Arc<Object>>,
    /// What drivers tell of how much they could still make where.
    capacities: HashMap<Key, Arc<Object>>,
}

/// Which of the kinds an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    Claim,
    Volume,
    Class,
    /// A `CSINode`.
    Node,
    Attachment,
    /// A `CSIDriver`.
    Driver,
    /// A `CSIStorageCapacity`.
    Capacity,
}

/// What is to be written before a pod is bound to its node.
#[derive(Clone, Debug, PartialEq)]
pub enum Binding {
    /// The volume, reserved for its claim.
    Volume(Value),
    /// The claim, with the node on which it wants a volume to be made.
    Claim(Value),
}

/// A pod's claims, looked up once.
#[derive(Clone, Debug, Default)]
pub(crate) struct VolumeState {
    /// Why no node will do.
    pub(crate) refusal: Option<String>,
    bound: Vec<BoundVolume>,
    /// A claim is bound to a volume that is gone.
    volume_gone: bool,
    /// Claims that wait for their first consumer, the smallest first.
    waiting: Vec<Arc<Object>>,
    /// Names of claims that only one pod at a time may use.
    exclusive: Vec<String>,
    /// Volumes of drivers, by driver and handle.
    of_drivers: HashSet<DriverVolume>,
}

/// A driver, and its name for a volume.
type DriverVolume = (String, String);

#[derive(Clone, Debug)]
struct BoundVolume {
    affinity: RequiredNodeAffinity,
    zones: Vec<(String, HashSet<String>)>,
}

impl Volumes {
    pub fn set(&mut self, kind: Storage, object: &Arc<Object>) {
        let key = Key::from(object.key());
        if kind == Storage::Volume {
            self.places.insert(key.clone(), BoundVolume::new(object));
        }
        self.of(kind).insert(key, object.clone());
    }

    pub fn remove(&mut self, kind: Storage, key: &str) {
        if kind == Storage::Volume {
            self.places.remove(key);
        }
        self.of(kind).remove(key);
    }

    fn of(&mut self, kind: Storage) -> &mut HashMap<Key, Arc<Object>> {
        match kind {
            Storage::Claim => &mut self.claims,
            Storage::Volume => &mut self.volumes,
            Storage::Class => &mut self.classes,
            Storage::Node => &mut self.nodes,
            Storage::Attachment => &mut self.attachments,
            Storage::Driver => &mut self.drivers,
            Storage::Capacity => &mut self.capacities,
        }
    }

    pub(crate) fn state(&self, pod: &Object) -> VolumeState {
        let mut state = VolumeState::default();
        if let Err(refusal) = self.sort_claims(pod, &mut state) {
            state.refusal = Some(refusal);
        }
        state.waiting.sort_by_key(|claim| requested(claim));
        state.of_drivers = self.driver_volumes(pod);
        state
    }

    /// The volumes of drivers that the pod's claims are bound to; one that is still to be made counts, too.
    fn driver_volumes(&self, pod: &Object) -> HashSet<DriverVolume> {
        let claim = |name: &str| self.claims.get(format!("{}/{name}", pod.namespace()).as_str());
        let volume = |claim: &Arc<Object>| match claim.str_at(&["spec", "volumeName"]) {
            "" => {
                let driver = self.classes.get(class_of(claim))?.str_at(&["provisioner"]).to_owned();
                (!driver.starts_with("kubernetes.io/")).then(|| (driver, format!("new/{}", claim.key())))
            }
            name => driver_volume(self.volumes.get(name)?),
        };
        claims_of(pod).filter_map(|(name, _)| volume(claim(&name)?)).collect()
    }

    fn sort_claims(&self, pod: &Object, state: &mut VolumeState) -> Result<(), String> {
        let claims = claims_of(pod).map(|claim| self.claim(pod, claim)).collect::<Result<Vec<_>, _>>()?;
        let mut unbound = false;
        for claim in claims {
            let modes = claim.array_at(&["spec", "accessModes"]);
            if modes.iter().any(|mode| mode.as_str() == Some("ReadWriteOncePod")) {
                state.exclusive.push(claim.name().to_owned());
            }
            if is_bound(&claim) {
                match self.places.get(claim.str_at(&["spec", "volumeName"])) {
                    Some(place) => state.bound.push(place.clone()),
                    None => state.volume_gone = true,
                }
            } else if self.waits_for_consumer(&claim) && claim.str_at(&["spec", "volumeName"]).is_empty() {
                state.waiting.push(claim);
            } else {
                unbound = true;
            }
        }
        if unbound { Err("pod has unbound immediate PersistentVolumeClaims".to_owned()) } else { Ok(()) }
    }

    fn claim(&self, pod: &Object, (name, ephemeral): (String, bool)) -> Result<Arc<Object>, String> {
        let Some(claim) = self.claims.get(format!("{}/{name}", pod.namespace()).as_str()) else {
            return Err(if ephemeral {
                format!(
                    "waiting for ephemeral volume controller to create the persistentvolumeclaim {name:?}"
                )
            } else {
                format!("persistentvolumeclaim {name:?} not found")
            });
        };
        if claim.str_at(&["status", "phase"]) == "Lost" {
            let volume = claim.str_at(&["spec", "volumeName"]);
            return Err(format!(
                "persistentvolumeclaim {name:?} bound to non-existent persistentvolume {volume:?}"
            ));
        }
        if claim.is_deleting() {
            return Err(format!("persistentvolumeclaim {name:?} is being deleted"));
        }
        let owned = claim.controller_ref().is_some_and(|owner| owner.str_at(&["uid"]) == pod.uid());
        if ephemeral && !owned {
            let (claim, pod) = (claim.key(), pod.key());
            return Err(format!("PVC {claim} was not created for pod {pod} (pod is not owner)"));
        }
        Ok(claim.clone())
    }

    fn waits_for_consumer(&self, claim: &Object) -> bool {
        let class = self.classes.get(class_of(claim));
        class.is_some_and(|class| class.str_at(&["volumeBindingMode"]) == "WaitForFirstConsumer")
    }

    /// What has to be bound for a pod with `state` on `node`.
    ///
    /// # Errors
    /// What the node lacks.
    pub(crate) fn bindings(&self, state: &VolumeState, node: &Object) -> Result<Vec<Binding>, &'static str> {
        let mut taken = HashSet::new();
        let mut bindings = Vec::new();
        let selected = |claim: &Object| claim.annotation(SELECTED_NODE).map(str::to_owned);
        if state.waiting.iter().any(|claim| selected(claim).is_some_and(|on| on != node.name())) {
            return Err(NO_VOLUME);
        }
        for claim in &state.waiting {
            let volume = if selected(claim).is_none() { self.find(claim, node, &taken) } else { None };
            match volume {
                Some(volume) => {
                    taken.insert(volume.name().to_owned());
                    bindings.push(Binding::Volume(reserved(volume, claim)));
                }
                None => {
                    self.may_provision(claim, node)?;
                    bindings.push(Binding::Claim(placed(claim, node)));
                }
            }
        }
        Ok(bindings)
    }

    /// The volume reserved for the claim, else the smallest that fits and is reached from the node.
    fn find(&self, claim: &Object, node: &Object, taken: &HashSet<String>) -> Option<&Arc<Object>> {
        let asked = requested(claim);
        let selector = claim.at(&["spec", "selector"]).filter(|selector| !selector.is_null());
        let selector = selector.map(|selector| {
            Selector::from_label_selector(Some(selector)).unwrap_or_else(|_| Selector::nothing())
        });
        // Most volumes are other claims' own: that is the first thing to see.
        let candidates = self.volumes.values().filter(|volume| {
            (!is_reserved(volume) || is_reserved_for(volume, claim))
                && class_of(volume) == class_of(claim)
                && mode_of(volume) == mode_of(claim)
                && !taken.contains(volume.name())
                && !volume.is_deleting()
                && capacity(volume) >= asked
                && self.places.get(volume.name()).is_some_and(|place| place.affinity.matches(node))
        });
        let (own, free): (Vec<_>, Vec<_>) = candidates.partition(|volume| is_reserved(volume));
        if let Some(own) = own.into_iter().next() {
            return Some(own);
        }
        let has_modes = |volume: &Object| {
            let modes = volume.array_at(&["spec", "accessModes"]);
            claim.array_at(&["spec", "accessModes"]).iter().all(|mode| modes.contains(mode))
        };
        let fits = |volume: &&Arc<Object>| {
            volume.str_at(&["status", "phase"]) == "Available"
                && selector.as_ref().is_none_or(|selector| selector.matches(volume.labels()))
                && has_modes(volume)
        };
        let free = free.into_iter().filter(fits);
        free.min_by(|a, b| capacity(a).cmp(&capacity(b)).then_with(|| a.name().cmp(b.name())))
    }

    /// Lets a provisioner make a volume for the claim that the node reaches.
    ///
    /// # Errors
    /// When none may, or its driver says that it has no room for it.
    fn may_provision(&self, claim: &Object, node: &Object) -> Result<(), &'static str> {
        let class = self.classes.get(class_of(claim)).ok_or(NO_VOLUME)?;
        let terms = class.array_at(&["allowedTopologies"]);
        let matches = |term: &Value| {
            term.array_at(&["matchLabelExpressions"]).iter().all(|expression| {
                let label = node.label(expression.str_at(&["key"]));
                let values = expression.array_at(&["values"]);
                label.is_some_and(|label| values.iter().any(|value| value.as_str() == Some(label)))
            })
        };
        let provisioner = class.str_at(&["provisioner"]);
        if matches!(provisioner, "" | NO_PROVISIONER) || !(terms.is_empty() || terms.iter().any(matches)) {
            return Err(NO_VOLUME);
        }
        let tells =
            self.drivers.get(provisioner).is_some_and(|driver| driver.bool_at(&["spec", "storageCapacity"]));
        if tells && !self.has_room(class.name(), requested(claim).value(), node) {
            Err(NO_SPACE)
        } else {
            Ok(())
        }
    }

    /// Whether a volume of the class of so many bytes can still be made where the node reaches it.
    fn has_room(&self, class: &str, bytes: i64, node: &Object) -> bool {
        let is_enough = |capacity: &Object| {
            let most = ["maximumVolumeSize", "capacity"].into_iter().find_map(|field| capacity.get(field));
            most.is_some_and(|most| Quantity::of(Some(most)).value() >= bytes)
        };
        let is_reached = |capacity: &Object| {
            let topology = capacity.get("nodeTopology").filter(|topology| !topology.is_null());
            let selector = topology.map(|topology| Selector::from_label_selector(Some(topology)));
            selector.is_some_and(|selector| selector.is_ok_and(|selector| selector.matches(node.labels())))
        };
        self.capacities.values().any(|capacity| {
            capacity.str_at(&["storageClassName"]) == class && is_enough(capacity) && is_reached(capacity)
        })
    }

    /// Takes `bindings` as written, so that the next pod does not get the same volumes.
    pub(crate) fn assume(&mut self, bindings: &[Binding]) {
        for binding in bindings {
            let (kind, value) = match binding {
                Binding::Volume(value) => (Storage::Volume, value),
                Binding::Claim(value) => (Storage::Claim, value),
            };
            self.set(kind, &Arc::new(Object::new(value.clone(), 0)));
        }
    }

    /// Whether all claims of the pod have their volumes.
    pub(crate) fn all_bound(&self, pod: &Object) -> bool {
        let key = |name: &str| format!("{}/{name}", pod.namespace());
        claims_of(pod)
            .all(|(name, _)| self.claims.get(key(&name).as_str()).is_some_and(|claim| is_bound(claim)))
    }
}

impl VolumeState {
    /// How many other pods of the namespace among `pods` use what only one may.
    pub(crate) fn users<'a>(&self, pod: &Object, pods: impl IntoIterator<Item = &'a Object>) -> usize {
        if self.exclusive.is_empty() {
            return 0;
        }
        let uses = |other: &&Object| claims_of(other).any(|(name, _)| self.exclusive.contains(&name));
        let others =
            pods.into_iter().filter(|other| other.namespace() == pod.namespace() && other.uid() != pod.uid());
        others.filter(uses).count()
    }

    /// Whether a driver would have more volumes on the node than it can; `others` are the pods that are there.
    pub(crate) fn exceeds_limits<'a, I: Iterator<Item = &'a Object>>(
        &self,
        volumes: &Volumes,
        node: &Object,
        others: impl Fn() -> I,
    ) -> bool {
        let Some(told) = volumes.nodes.get(node.name()).filter(|_| !self.of_drivers.is_empty()) else {
            return false;
        };
        let drivers = told.array_at(&["spec", "drivers"]).iter();
        let limits = drivers
            .filter_map(|driver| Some((driver.str_at(&["name"]), driver.i64_at(&["allocatable", "count"])?)));
        let limits: HashMap<&str, i64> = limits.collect();
        if limits.is_empty() {
            return false;
        }
        let mut attached: HashSet<DriverVolume> =
            others().flat_map(|pod| volumes.driver_volumes(pod)).collect();
        let here = volumes
            .attachments
            .values()
            .filter(|attachment| attachment.str_at(&["spec", "nodeName"]) == node.name());
        attached.extend(here.filter_map(|attachment| {
            let name = attachment.str_at(&["spec", "source", "persistentVolumeName"]);
            driver_volume(volumes.volumes.get(name)?)
        }));
        let new: Vec<_> = self.of_drivers.iter().filter(|volume| !attached.contains(volume)).collect();
        let count =
            |driver: &str| attached.iter().chain(new.iter().copied()).filter(|(of, _)| of == driver).count();
        let mut drivers = new.iter().map(|(driver, _)| driver.as_str());
        drivers.any(|driver| limits.get(driver).is_some_and(|limit| count(driver) as i64 > *limit))
    }

    /// What VolumeBinding has against the node.
    pub(crate) fn unbindable(&self, volumes: &Volumes, node: &Object) -> Vec<String> {
        let mut reasons = Vec::new();
        if !self.bound.iter().all(|volume| volume.affinity.matches(node)) {
            reasons.push(WRONG_NODE.to_owned());
        }
        if !self.waiting.is_empty()
            && let Err(reason) = volumes.bindings(self, node)
        {
            reasons.push(reason.to_owned());
        }
        if self.volume_gone {
            reasons.push(VOLUME_GONE.to_owned());
        }
        reasons
    }

    /// Whether the node is where the labels of all bound volumes say that they are.
    pub(crate) fn reaches_zones(&self, node: &Object) -> bool {
        if !ZONES.iter().any(|zone| node.label(zone).is_some()) {
            return true;
        }
        let mut zones = self.bound.iter().flat_map(|volume| &volume.zones);
        zones.all(|(key, values)| node.label(key).is_some_and(|label| values.contains(label)))
    }
}

impl BoundVolume {
    fn new(volume: &Object) -> Self {
        // A volume's node affinity is written as a pod's required one.
        let mut pod = value!({});
        if let Some(required) =
            volume.at(&["spec", "nodeAffinity", "required"]).filter(|terms| !terms.is_null())
        {
            let path = ["spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution"];
            pod.set(&path, required.clone());
        }
        let zone = |key: &&str| {
            let values = volume.label(key)?.split("__").map(str::to_owned).collect();
            Some(((*key).to_owned(), values))
        };
        Self { affinity: RequiredNodeAffinity::of(&pod), zones: ZONES.iter().filter_map(zone).collect() }
    }
}

fn driver_volume(volume: &Object) -> Option<DriverVolume> {
    let (driver, handle) =
        (volume.str_at(&["spec", "csi", "driver"]), volume.str_at(&["spec", "csi", "volumeHandle"]));
    (!driver.is_empty()).then(|| (driver.to_owned(), handle.to_owned()))
}

fn is_bound(claim: &Object) -> bool {
    !claim.str_at(&["spec", "volumeName"]).is_empty() && claim.annotation(BIND_COMPLETED).is_some()
}

fn class_of(object: &Object) -> &str {
    object.str_at(&["spec", "storageClassName"])
}

fn mode_of(object: &Object) -> &str {
    match object.str_at(&["spec", "volumeMode"]) {
        "" => "Filesystem",
        mode => mode,
    }
}

fn requested(claim: &Object) -> Quantity {
    Quantity::of(claim.at(&["spec", "resources", "requests", "storage"]))
}

fn capacity(volume: &Object) -> Quantity {
    Quantity::of(volume.at(&["spec", "capacity", "storage"]))
}

fn is_reserved(volume: &Object) -> bool {
    volume.at(&["spec", "claimRef"]).is_some_and(|reference| !reference.is_null())
}

fn is_reserved_for(volume: &Object, claim: &Object) -> bool {
    let reference = |field: &str| volume.str_at(&["spec", "claimRef", field]);
    reference("namespace") == claim.namespace()
        && reference("name") == claim.name()
        && (reference("uid").is_empty() || reference("uid") == claim.uid())
}

/// The volume with a reference to the claim.
fn reserved(volume: &Object, claim: &Object) -> Value {
    let mut new = volume.value().clone();
    if !is_reserved(volume) {
        new.set(&["metadata", "annotations", BOUND_BY_CONTROLLER], "yes");
    }
    let reference = value!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": claim.namespace(),
        "name": claim.name(), "uid": claim.uid(), "resourceVersion": claim.resource_version(),
    });
    new.set(&["spec", "claimRef"], reference);
    new
}

/// The claim with the node that was chosen for its pod.
fn placed(claim: &Object, node: &Object) -> Value {
    let mut new = claim.value().clone();
    new.set(&["metadata", "annotations", SELECTED_NODE], node.name());
    new
}
