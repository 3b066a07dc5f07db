//! A node, the pods on it, and their sums.

use std::collections::HashMap;
use std::sync::Arc;

use drydock_machinery::quantity::Quantity;
use drydock_machinery::{Key, Object, ObjectMeta};

use crate::pod_info::{HostPort, PodInfo, Taint};
use crate::resources::Resources;

/// A node as the scheduler counts it.
#[derive(Clone, Debug)]
pub struct NodeInfo {
    pub node: Arc<Object>,
    pub taints: Vec<Taint>,
    pub unschedulable: bool,
    pub allocatable: Resources,
    pub allowed_pods: i64,
    /// Bytes by image name.
    pub images: HashMap<Key, i64>,
    pub pods: Pods,
    pub requested: Resources,
    pub scoring_requested: Resources,
    /// How many pods each controller has here, without those that are leaving.
    pub by_controller: HashMap<Key, u32>,
    pub used_ports: Vec<HostPort>,
    /// How many pods here have affinity terms, and required anti-affinity.
    pub with_affinity: usize,
    pub with_anti_affinity: usize,
}

/// The pods on a node in the order in which they came, which preemption goes by where nothing else tells them apart.
/// One that leaves is replaced by the last, as upstream's list does it.
#[derive(Clone, Debug, Default)]
pub struct Pods {
    /// With their uids, of which looking up takes longer than comparing.
    list: Vec<(Key, Arc<PodInfo>)>,
}

impl Pods {
    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn values(&self) -> impl Iterator<Item = &Arc<PodInfo>> {
        self.list.iter().map(|(_, pod)| pod)
    }

    pub(crate) fn push(&mut self, uid: Key, pod: Arc<PodInfo>) {
        self.list.push((uid, pod));
    }

    pub(crate) fn remove(&mut self, uid: &str) -> Option<Arc<PodInfo>> {
        let at = self.list.iter().position(|(own, _)| own == uid)?;
        Some(self.list.swap_remove(at).1)
    }
}

impl NodeInfo {
    pub fn new(node: Arc<Object>) -> Self {
        let mut info = Self {
            taints: Vec::new(),
            unschedulable: false,
            allocatable: Resources::default(),
            allowed_pods: 0,
            images: HashMap::new(),
            pods: Pods::default(),
            requested: Resources::default(),
            scoring_requested: Resources::default(),
            by_controller: HashMap::new(),
            used_ports: Vec::new(),
            with_affinity: 0,
            with_anti_affinity: 0,
            node: node.clone(),
        };
        info.set_node(node);
        info
    }

    pub fn name(&self) -> &str {
        self.node.name()
    }

    /// Takes over a new version of the node; its pods stay.
    pub fn set_node(&mut self, node: Arc<Object>) {
        self.taints = node.array_at(&["spec", "taints"]).iter().map(Taint::new).collect();
        self.unschedulable = node.bool_at(&["spec", "unschedulable"]);
        let allocatable = node.object_at(&["status", "allocatable"]);
        self.allocatable = Resources::from_list(allocatable);
        self.allowed_pods = Quantity::of(allocatable.get("pods")).value();
        self.images.clear();
        for image in node.array_at(&["status", "images"]) {
            let size = image.i64_at(&["sizeBytes"]).unwrap_or(0);
            for name in image.array_at(&["names"]).iter().filter_map(|name| name.as_str()) {
                self.images.insert(name.into(), size);
            }
        }
        self.node = node;
    }

    pub fn add_pod(&mut self, pod: Arc<PodInfo>) {
        let uid = Key::from(pod.object.uid());
        self.remove_pod(&uid);
        self.requested.add(&pod.requests);
        self.scoring_requested.add(&pod.scoring_requests);
        self.used_ports.extend(pod.host_ports.iter().cloned());
        if let Some(controller) = pod.controller.as_ref().filter(|_| !pod.object.is_deleting()) {
            *self.by_controller.entry(controller.clone()).or_default() += 1;
        }
        self.with_affinity += usize::from(pod.has_affinity());
        self.with_anti_affinity += usize::from(!pod.required_anti_affinity.is_empty());
        self.pods.push(uid, pod);
    }

    pub fn remove_pod(&mut self, uid: &str) -> Option<Arc<PodInfo>> {
        let pod = self.pods.remove(uid)?;
        self.requested.subtract(&pod.requests);
        self.scoring_requested.subtract(&pod.scoring_requests);
        for port in &pod.host_ports {
            if let Some(i) = self.used_ports.iter().position(|used| used == port) {
                self.used_ports.swap_remove(i);
            }
        }
        if let Some(controller) = pod.controller.as_ref().filter(|_| !pod.object.is_deleting())
            && let Some(count) = self.by_controller.get_mut(controller)
        {
            *count -= 1;
            if *count == 0 {
                self.by_controller.remove(controller);
            }
        }
        self.with_affinity -= usize::from(pod.has_affinity());
        self.with_anti_affinity -= usize::from(!pod.required_anti_affinity.is_empty());
        Some(pod)
    }
}
