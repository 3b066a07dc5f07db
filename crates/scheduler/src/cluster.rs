//! What the decision sees of the cluster.

use std::collections::HashMap;
use std::sync::Arc;

use drydock_machinery::selector::Selector;
use drydock_machinery::{Key, Map, Object, ObjectMeta};

use crate::dra::Devices;
use crate::groups::Groups;
use crate::node_info::{NodeInfo, Pods};
use crate::pod_info::PodInfo;
use crate::volumes::Volumes;

/// Nodes and the pods on them, assumed ones included. Written by the scheduler's informers and by its own decisions.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    /// In the order in which nodes came; removal swaps the last one in.
    nodes: Vec<NodeInfo>,
    index: HashMap<Key, usize>,
    /// Which node each pod counts on, by the pod's uid.
    placed: HashMap<Key, Key>,
    /// Pods that are on a node which is not known (yet), by node.
    homeless: HashMap<Key, Pods>,
    /// Labels of namespaces, for affinity terms that select by them.
    namespaces: HashMap<Key, Arc<Object>>,
    /// Pods that wait for their victims to go, by the node that was made free for them.
    nominated: HashMap<Key, Vec<Arc<PodInfo>>>,
    with_affinity: usize,
    with_anti_affinity: usize,
    /// Shared with decisions.
    volumes: Arc<Volumes>,
    devices: Arc<Devices>,
    groups: Groups,
    /// Disruption budgets by their keys.
    budgets: HashMap<Key, Budget>,
}

#[derive(Clone, Debug)]
struct Budget {
    object: Arc<Object>,
    selector: Selector,
}

impl Cluster {
    /// Keeps room on `node` for a pod that has made some there.
    pub(crate) fn nominate(&mut self, node: &str, pod: Arc<PodInfo>) {
        self.forget_nomination(pod.object.uid());
        self.nominated.entry(node.into()).or_default().push(pod);
    }

    pub(crate) fn forget_nomination(&mut self, uid: &str) {
        self.nominated.retain(|_, pods| {
            pods.retain(|pod| pod.object.uid() != uid);
            !pods.is_empty()
        });
    }

    /// The pods for which room is kept on the node and that matter as much as `pod` or more.
    pub(crate) fn nominated_on(&self, node: &NodeInfo, pod: &PodInfo) -> Vec<Arc<PodInfo>> {
        let uid = pod.object.uid();
        let matters = |other: &&Arc<PodInfo>| other.priority >= pod.priority && other.object.uid() != uid;
        self.nominated.get(node.name()).into_iter().flatten().filter(matters).cloned().collect()
    }

    pub fn volumes(&self) -> &Arc<Volumes> {
        &self.volumes
    }

    pub fn volumes_mut(&mut self) -> &mut Volumes {
        Arc::make_mut(&mut self.volumes)
    }

    pub fn groups(&self) -> &Groups {
        &self.groups
    }

    pub fn groups_mut(&mut self) -> &mut Groups {
        &mut self.groups
    }

    pub fn devices(&self) -> &Arc<Devices> {
        &self.devices
    }

    pub fn devices_mut(&mut self) -> &mut Devices {
        Arc::make_mut(&mut self.devices)
    }

    pub fn set_budget(&mut self, budget: &Arc<Object>) {
        let selector = Selector::from_label_selector(budget.at(&["spec", "selector"]));
        let selector = selector.unwrap_or_else(|_| Selector::nothing());
        self.budgets.insert(budget.key().into(), Budget { object: budget.clone(), selector });
    }

    pub fn remove_budget(&mut self, key: &str) {
        self.budgets.remove(key);
    }

    /// Parts pods, in their order, into those whose going would violate a disruption budget and the others.
    pub(crate) fn kept_by_budgets(&self, pods: Vec<Arc<PodInfo>>) -> (Vec<Arc<PodInfo>>, Vec<Arc<PodInfo>>) {
        let left = |budget: &Budget| budget.object.i64_at(&["status", "disruptionsAllowed"]).unwrap_or(0);
        let mut budgets: Vec<_> = self.budgets.values().map(|budget| (budget, left(budget))).collect();
        pods.into_iter().partition(|pod| {
            let mut violates = false;
            for (budget, left) in &mut budgets {
                if budget.covers(&pod.object) {
                    *left -= 1;
                    violates |= *left < 0;
                }
            }
            violates
        })
    }

    pub fn nodes(&self) -> &[NodeInfo] {
        &self.nodes
    }

    pub fn node(&self, name: &str) -> Option<&NodeInfo> {
        self.index.get(name).map(|i| &self.nodes[*i])
    }

    pub fn namespace_labels(&self, namespace: &str) -> Option<&Map> {
        self.namespaces.get(namespace).map(|namespace| namespace.labels())
    }

    /// Whether any pod has affinity terms, or required anti-affinity: mostly none has, and then nobody need look.
    pub fn has_affinity(&self) -> bool {
        self.with_affinity > 0
    }

    pub fn has_anti_affinity(&self) -> bool {
        self.with_anti_affinity > 0
    }

    pub fn set_namespace(&mut self, namespace: &Arc<Object>) {
        self.namespaces.insert(namespace.name().into(), namespace.clone());
    }

    pub fn remove_namespace(&mut self, name: &str) {
        self.namespaces.remove(name);
    }

    pub fn set_node(&mut self, node: &Arc<Object>) {
        let name = Key::from(node.name());
        if let Some(i) = self.index.get(&name) {
            self.nodes[*i].set_node(node.clone());
            return;
        }
        self.index.insert(name.clone(), self.nodes.len());
        self.nodes.push(NodeInfo::new(node.clone()));
        for pod in self.homeless.remove(&name).unwrap_or_default().values() {
            self.place(&name, pod.clone());
        }
    }

    /// The pods on it are kept until they are removed themselves.
    pub fn remove_node(&mut self, name: &str) {
        let Some(i) = self.index.remove(name) else { return };
        let gone = self.nodes.swap_remove(i);
        if let Some(moved) = self.nodes.get(i) {
            self.index.insert(moved.name().into(), i);
        }
        self.with_affinity -= gone.with_affinity;
        self.with_anti_affinity -= gone.with_anti_affinity;
        if !gone.pods.is_empty() {
            self.homeless.insert(name.into(), gone.pods);
        }
    }

    /// Counts the pod on `node`, instead of wherever it was counted before.
    pub fn add_pod(&mut self, node: &str, pod: Arc<PodInfo>) {
        self.remove_pod(pod.object.uid());
        self.placed.insert(pod.object.uid().into(), node.into());
        self.place(node, pod);
    }

    fn place(&mut self, node: &str, pod: Arc<PodInfo>) {
        match self.index.get(node) {
            Some(i) => {
                self.with_affinity += usize::from(pod.has_affinity());
                self.with_anti_affinity += usize::from(!pod.required_anti_affinity.is_empty());
                self.nodes[*i].add_pod(pod);
            }
            None => {
                let uid = pod.object.uid().into();
                self.homeless.entry(node.into()).or_default().push(uid, pod);
            }
        }
    }

    /// True when it was counted somewhere.
    pub fn remove_pod(&mut self, uid: &str) -> bool {
        let Some(node) = self.placed.remove(uid) else { return false };
        match self.index.get(&node) {
            Some(i) => {
                if let Some(pod) = self.nodes[*i].remove_pod(uid) {
                    self.with_affinity -= usize::from(pod.has_affinity());
                    self.with_anti_affinity -= usize::from(!pod.required_anti_affinity.is_empty());
                }
            }
            None => {
                if let Some(pods) = self.homeless.get_mut(&node) {
                    pods.remove(uid);
                    if pods.is_empty() {
                        self.homeless.remove(&node);
                    }
                }
            }
        }
        true
    }

    /// The node that the pod counts on.
    pub fn node_of(&self, uid: &str) -> Option<&Key> {
        self.placed.get(uid)
    }
}

impl Budget {
    /// Whether the pod's going has to be counted; one that was let go already is.
    fn covers(&self, pod: &Object) -> bool {
        pod.namespace() == self.object.namespace()
            && !pod.labels().is_empty()
            && !self.selector.is_everything()
            && self.selector.matches(pod.labels())
            && self.object.at(&["status", "disruptedPods", pod.name()]).is_none()
    }
}
