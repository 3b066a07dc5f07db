//! Resource slices and their devices, parsed once.

use std::fmt;

use drydock_machinery::quantity::Quantity;
use drydock_machinery::{Key, Map, Object, ObjectMeta, Value};

use super::capacity::Capacity;
use crate::affinity::NodeTerm;

/// A device, by what is unique about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct DeviceId {
    pub(super) driver: Key,
    pub(super) pool: Key,
    pub(super) device: Key,
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.driver, self.pool, self.device)
    }
}

/// From where devices can be reached.
#[derive(Debug)]
pub(super) enum Reach {
    Node(Key),
    Everywhere,
    Nodes(NodeSelector),
    /// Each device tells for itself.
    PerDevice,
    /// Nothing that this version knows.
    Unknown,
}

/// A `NodeSelector`, as it was written and compiled.
#[derive(Clone, Debug)]
pub(super) struct NodeSelector {
    pub(super) value: Value,
    terms: Vec<NodeTerm>,
}

impl NodeSelector {
    pub(super) fn new(value: &Value) -> Self {
        let terms = value.array_at(&["nodeSelectorTerms"]).iter().map(NodeTerm::parse).collect();
        Self { value: value.clone(), terms }
    }

    pub(super) fn matches(&self, node: &Object) -> bool {
        self.terms.iter().any(|term| term.matches(node))
    }
}

impl Reach {
    fn new(value: &Value) -> Self {
        let selector = value.get("nodeSelector").filter(|selector| !selector.is_null());
        match (value.str_at(&["nodeName"]), selector) {
            ("", _) if value.bool_at(&["allNodes"]) => Self::Everywhere,
            ("", Some(selector)) => Self::Nodes(NodeSelector::new(selector)),
            ("", None) if value.bool_at(&["perDeviceNodeSelection"]) => Self::PerDevice,
            ("", None) => Self::Unknown,
            (node, _) => Self::Node(node.into()),
        }
    }

    pub(super) fn includes(&self, node: &Object) -> bool {
        match self {
            Self::Node(name) => name == node.name(),
            Self::Everywhere => true,
            Self::Nodes(selector) => selector.matches(node),
            Self::PerDevice | Self::Unknown => false,
        }
    }
}

/// Amounts by name, of a set of counters.
#[derive(Clone, Debug)]
pub(super) struct CounterSet {
    pub(super) name: Key,
    pub(super) counters: Vec<(Key, Quantity)>,
}

impl CounterSet {
    fn new(value: &Value, name: &str) -> Self {
        let counters = value.object_at(&["counters"]).iter();
        let counters = counters.map(|(name, counter)| (name.clone(), Quantity::of(counter.get("value"))));
        Self { name: value.str_at(&[name]).into(), counters: counters.collect() }
    }
}

/// A `Device`.
#[derive(Debug)]
pub(super) struct Device {
    pub(super) id: DeviceId,
    pub(super) attributes: Map,
    pub(super) capacity: Vec<(Key, Capacity)>,
    pub(super) consumes: Vec<CounterSet>,
    pub(super) reach: Reach,
    pub(super) taints: Vec<Value>,
    /// Several claims may have it at a time, each a part of its capacity.
    pub(super) is_shared: bool,
    pub(super) binds_to_node: bool,
    /// `bindingConditions` and `bindingFailureConditions`, where there are any.
    pub(super) conditions: Option<Value>,
    pub(super) failure_conditions: Option<Value>,
}

impl Device {
    fn new(slice: &Object, value: &Value) -> Self {
        let id = DeviceId {
            driver: slice.str_at(&["spec", "driver"]).into(),
            pool: slice.str_at(&["spec", "pool", "name"]).into(),
            device: value.str_at(&["name"]).into(),
        };
        let capacity = value.object_at(&["capacity"]).iter();
        let consumes = value.array_at(&["consumesCounters"]).iter();
        let list = |name: &str| value.get(name).filter(|list| !list.is_null()).cloned();
        Self {
            id,
            attributes: value.object_at(&["attributes"]).clone(),
            capacity: capacity.map(|(name, value)| (name.clone(), Capacity::new(value))).collect(),
            consumes: consumes.map(|set| CounterSet::new(set, "counterSet")).collect(),
            reach: Reach::new(value),
            taints: value.array_at(&["taints"]).to_vec(),
            is_shared: value.bool_at(&["allowMultipleAllocations"]),
            binds_to_node: value.bool_at(&["bindsToNode"]),
            conditions: list("bindingConditions"),
            failure_conditions: list("bindingFailureConditions"),
        }
    }

    /// By its whole name, or without the domain when that is the driver's own.
    pub(super) fn attribute(&self, name: &str) -> Option<&Value> {
        self.attributes.get(name).or_else(|| {
            let (domain, id) = name.split_once('/')?;
            if domain == self.id.driver { self.attributes.get(id) } else { None }
        })
    }
}

/// A `ResourceSlice`.
#[derive(Debug)]
pub(super) struct Slice {
    pub(super) name: Key,
    pub(super) driver: Key,
    pub(super) pool: Key,
    pub(super) generation: i64,
    /// How many slices the pool has in this generation.
    pub(super) count: i64,
    pub(super) reach: Reach,
    pub(super) devices: Vec<Device>,
    pub(super) counters: Vec<CounterSet>,
}

impl Slice {
    pub(super) fn new(slice: &Object) -> Self {
        let spec = slice.get("spec").cloned().unwrap_or_default();
        let counters = spec.array_at(&["sharedCounters"]).iter();
        Self {
            name: slice.name().into(),
            driver: spec.str_at(&["driver"]).into(),
            pool: spec.str_at(&["pool", "name"]).into(),
            generation: spec.i64_at(&["pool", "generation"]).unwrap_or(0),
            count: spec.i64_at(&["pool", "resourceSliceCount"]).unwrap_or(0),
            reach: Reach::new(&spec),
            devices: spec.array_at(&["devices"]).iter().map(|device| Device::new(slice, device)).collect(),
            counters: counters.map(|set| CounterSet::new(set, "name")).collect(),
        }
    }

    /// Whether anything in it can be of use on the node: devices there, or what devices anywhere draw on.
    pub(super) fn concerns(&self, node: &Object) -> bool {
        match &self.reach {
            _ if !self.counters.is_empty() => true,
            Reach::PerDevice => self.devices.iter().any(|device| device.reach.includes(node)),
            reach => reach.includes(node),
        }
    }
}
