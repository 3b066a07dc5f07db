//! Extended resources for which a device class stands: a claim is made for them when the pod gets its node.

use std::collections::HashSet;
use std::sync::Arc;

use drydock_machinery::{Key, Map, Object, ObjectMeta, Value, value};

use super::Devices;
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

const OF_CLASS: &str = "deviceclass.resource.kubernetes.io/";
pub(super) const IS_EXTENDED: &str = "resource.kubernetes.io/extended-resource-claim";

/// That a pod asks for resources of classes.
#[derive(Clone, Debug)]
pub(super) struct Extended {
    /// A claim that an earlier attempt to bind the pod has left.
    pub(super) leftover: Option<Arc<Object>>,
}

/// What a node's claim for the pod asks for.
#[derive(Clone, Debug)]
pub(super) struct NodeRequests {
    /// Not created yet.
    pub(super) claim: Arc<Object>,
    /// Which containers get what of it: `extendedResourceClaimStatus.requestMappings`.
    pub(super) mappings: Vec<Value>,
}

impl Extended {
    pub(super) fn new(devices: &Devices, pod: &PodInfo) -> Option<Self> {
        let asked = pod.requests.scalars.iter().filter(|(_, amount)| *amount != 0);
        let mut of_classes = asked.filter(|(name, _)| devices.class_for(name).is_some());
        of_classes.next()?;
        let is_leftover = |claim: &&Arc<Object>| {
            claim.annotation(IS_EXTENDED) == Some("true")
                && claim.controller_ref().is_some_and(|owner| owner.str_at(&["uid"]) == pod.object.uid())
        };
        Some(Self { leftover: devices.claims.values().find(is_leftover).cloned() })
    }

    /// None where the node has all of the resources itself.
    ///
    /// # Errors
    /// Why the node will not do.
    pub(super) fn on(
        &self,
        devices: &Devices,
        pod: &PodInfo,
        node: &NodeInfo,
    ) -> Result<Option<NodeRequests>, String> {
        if self.leftover.is_some() {
            return Err("cannot schedule extended resource claim".to_owned());
        }
        let mut names = Vec::new();
        for (name, amount) in &pod.requests.scalars {
            if *amount == 0 || !is_extended(name) {
                continue;
            }
            let offered = node.allocatable.scalars.iter().find(|(offered, _)| offered == name);
            match (devices.class_for(name), offered) {
                (Some(class), None | Some((_, 0))) => names.push((name.clone(), class.name().to_owned())),
                (_, None) => return Err("cannot fit resource".to_owned()),
                _ => {}
            }
        }
        if names.is_empty() {
            return Ok(None);
        }
        let (requests, mappings) = requests(&pod.object, &names);
        Ok(Some(NodeRequests { claim: Arc::new(claim(&pod.object, requests)), mappings }))
    }
}

fn is_extended(name: &str) -> bool {
    name.starts_with(OF_CLASS)
        || (name.contains('/') && !name.contains("kubernetes.io/") && !name.starts_with("requests."))
}

impl Devices {
    /// The class that stands for the resource: the newest that says so, or the one that the resource names.
    pub(super) fn class_for(&self, resource: &str) -> Option<&Arc<Object>> {
        if let Some(class) = resource.strip_prefix(OF_CLASS) {
            return self.classes.get(class);
        }
        let of_resource =
            self.classes.values().filter(|class| class.str_at(&["spec", "extendedResourceName"]) == resource);
        of_resource.max_by(|a, b| {
            let since = |class: &Object| class.str_at(&["metadata", "creationTimestamp"]).to_owned();
            since(a).cmp(&since(b)).then_with(|| b.name().cmp(a.name()))
        })
    }
}

fn claim(pod: &Object, requests: Vec<Value>) -> Object {
    let mut claim = value!({
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim",
        "metadata": {
            "generateName": format!("{}-extended-resources-", pod.name()), "namespace": pod.namespace(),
            // Until it is created its pod tells it from others.
            "uid": format!("extended/{}", pod.uid()),
            "ownerReferences": [{
                "apiVersion": "v1", "kind": "Pod", "name": pod.name(), "uid": pod.uid(), "controller": true,
            }],
        },
    });
    claim.set(&["metadata", "annotations", IS_EXTENDED], "true");
    claim.set(&["spec", "devices", "requests"], requests);
    Object::new(claim, 0)
}

/// A container's request, before it is written.
#[derive(Clone, Debug)]
struct Wish {
    name: String,
    class: String,
    count: i64,
}

struct Container<'a> {
    value: &'a Value,
    ends_early: bool,
}

/// The requests of all containers by name, and who gets what. Init containers use what others get later, and one
/// after the other the same devices.
fn requests(pod: &Object, names: &[(Key, String)]) -> (Vec<Value>, Vec<Value>) {
    let init = pod.array_at(&["spec", "initContainers"]).iter();
    let init =
        init.map(|value| Container { value, ends_early: value.str_at(&["restartPolicy"]) != "Always" });
    let main = pod.array_at(&["spec", "containers"]).iter();
    let containers: Vec<Container<'_>> =
        init.chain(main.map(|value| Container { value, ends_early: false })).collect();
    let (mut wishes, mut mappings) = (Vec::new(), Vec::new());
    for (resource, class) in names {
        let (wishes_for_it, mappings_for_it) = of_resource(&containers, resource, class);
        wishes.extend(wishes_for_it);
        mappings.extend(mappings_for_it);
    }
    wishes.sort_by(|a: &Wish, b| a.name.cmp(&b.name));
    (wishes.iter().map(Wish::to_request).collect(), mappings)
}

fn of_resource(containers: &[Container<'_>], resource: &str, class: &str) -> (Vec<Wish>, Vec<Value>) {
    let mut lasting: Vec<Option<Wish>> = vec![None; containers.len()];
    let mut mappings = Vec::new();
    for (i, container) in containers.iter().enumerate().filter(|(_, container)| !container.ends_early) {
        let (wish, mapped) = wish(i, container.value, resource, class, &[]);
        lasting[i] = wish;
        mappings.extend(mapped);
    }
    let mut largest: Option<Wish> = None;
    let mut early_names = HashSet::new();
    let mut early_mappings = Vec::new();
    for (i, container) in containers.iter().enumerate().filter(|(_, container)| container.ends_early) {
        let (wish, mapped) = wish(i, container.value, resource, class, &lasting[i..]);
        early_mappings.extend(mapped);
        if let Some(wish) = wish {
            early_names.insert(wish.name.clone());
            if largest.as_ref().is_none_or(|largest| largest.count < wish.count) {
                largest = Some(wish);
            }
        }
    }
    if let Some(largest) = &largest {
        for mapping in &mut early_mappings {
            if early_names.contains(mapping.str_at(&["requestName"])) {
                mapping.set(&["requestName"], largest.name.as_str());
            }
        }
    }
    mappings.extend(early_mappings);
    (largest.into_iter().chain(lasting.into_iter().flatten()).collect(), mappings)
}

/// What one container needs beyond the devices that it may use before others do.
fn wish(
    index: usize,
    container: &Value,
    resource: &str,
    class: &str,
    reusable: &[Option<Wish>],
) -> (Option<Wish>, Vec<Value>) {
    let requests = container.object_at(&["resources", "requests"]);
    let asked = requests.get(resource).map(|amount| drydock_machinery::quantity::Quantity::of(Some(amount)));
    let Some(asked) = asked.and_then(|asked| asked.as_i64()).filter(|asked| *asked != 0) else {
        return (None, Vec::new());
    };
    let mapping = |request: &str| {
        value!({
            "containerName": container.str_at(&["name"]), "resourceName": resource, "requestName": request,
        })
    };
    let (mut sum, mut mappings) = (0, Vec::new());
    for other in reusable.iter().flatten() {
        sum += other.count;
        mappings.push(mapping(&other.name));
        if sum >= asked {
            return (None, mappings);
        }
    }
    let name = format!("container-{index}-request-{}", place(requests, resource));
    mappings.push(mapping(&name));
    (Some(Wish { name, class: class.to_owned(), count: asked - sum }), mappings)
}

/// The resource's place among the container's, sorted by name.
fn place(requests: &Map, resource: &str) -> usize {
    requests.keys().filter(|name| name.as_str() < resource).count()
}

impl Wish {
    fn to_request(&self) -> Value {
        value!({"name": self.name.as_str(), "exactly": {
            "deviceClassName": self.class.as_str(), "allocationMode": "ExactCount", "count": self.count,
        }})
    }
}
