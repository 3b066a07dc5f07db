//! Which pods belong together although they do not say so: those that services or controllers select.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use drydock_machinery::selector::Selector;
use drydock_machinery::{Key, Map, Object, ObjectMeta, Value};

use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

/// Services, and the controllers whose selectors count. Written by informers.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// By namespace and name.
    services: HashMap<Key, HashMap<Key, Map>>,
    /// ReplicaSets, StatefulSets and ReplicationControllers by uid.
    controllers: HashSet<Key>,
}

/// The pods with which a pod belongs together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Group {
    None,
    /// Those of the same controller.
    Controller(Key),
    Selected(Selector),
}

impl Groups {
    pub fn set_service(&mut self, service: &Object) {
        let selector = service.object_at(&["spec", "selector"]).clone();
        let of_namespace = self.services.entry(service.namespace().into()).or_default();
        of_namespace.insert(service.name().into(), selector);
    }

    pub fn remove_service(&mut self, service: &Object) {
        if let Some(services) = self.services.get_mut(service.namespace()) {
            services.remove(service.name());
            if services.is_empty() {
                self.services.remove(service.namespace());
            }
        }
    }

    pub fn set_controller(&mut self, controller: &Object) {
        self.controllers.insert(controller.uid().into());
    }

    pub fn remove_controller(&mut self, uid: &str) {
        self.controllers.remove(uid);
    }

    /// A controller's pods have its template's labels: services that select one of them select all.
    pub(crate) fn of(&self, pod: &PodInfo) -> Group {
        let controller = pod.controller.as_ref().filter(|uid| self.controllers.contains(uid.as_str()));
        if let Some(uid) = controller {
            return Group::Controller(uid.clone());
        }
        let mut labels = Map::new();
        let services = self.services.get(pod.object.namespace());
        for selector in services.into_iter().flat_map(HashMap::values) {
            let matches = |(key, value): (&Key, &Value)| pod.object.label(key) == value.as_str();
            if !selector.is_empty() && selector.iter().all(matches) {
                selector.iter().for_each(|(key, value)| drop(labels.insert(key.clone(), value.clone())));
            }
        }
        if labels.is_empty() { Group::None } else { Group::Selected(Selector::from_set(&labels)) }
    }
}

impl Group {
    /// How many of them the node has; those that are leaving do not count.
    pub(crate) fn count(&self, pod: &PodInfo, node: &NodeInfo) -> i64 {
        match self {
            Self::None => 0,
            Self::Controller(uid) => i64::from(node.by_controller.get(uid).copied().unwrap_or(0)),
            Self::Selected(selector) => {
                let counts = |other: &&Arc<PodInfo>| {
                    other.object.namespace() == pod.object.namespace()
                        && !other.object.is_deleting()
                        && selector.matches(other.object.labels())
                };
                node.pods.values().filter(counts).count() as i64
            }
        }
    }
}
