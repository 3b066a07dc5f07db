//! Bringing a set of endpoint slices to what it should hold, with as few writes as can be.

use std::collections::BTreeMap;
use std::sync::Arc;

use drydock_machinery::{Map, Object, ObjectMeta, Status, Value, value};

use super::tracker::Writer;

/// Endpoints in one slice.
const MAX_ENDPOINTS: usize = 100;

/// What slices should say: per ports, the endpoints by address.
#[derive(Debug, Default)]
pub(super) struct Desired {
    groups: BTreeMap<Vec<u8>, Group>,
}

#[derive(Debug, Default)]
struct Group {
    ports: Vec<Value>,
    endpoints: BTreeMap<String, Value>,
}

/// What all slices of an owner have in common.
pub(super) struct Frame {
    pub(super) namespace: String,
    pub(super) generate_name: String,
    pub(super) address_type: String,
    pub(super) labels: Map,
    pub(super) annotations: Map,
    pub(super) owner: Value,
}

impl Desired {
    pub(super) fn add(&mut self, ports: &Ports, endpoint: Value) {
        let group = self.groups.entry(ports.key.clone()).or_default();
        group.ports.clone_from(&ports.list);
        group.endpoints.insert(endpoint_key(&endpoint), endpoint);
    }

    /// How many endpoints have these ports.
    pub(super) fn len(&self, ports: &Ports) -> usize {
        self.groups.get(&ports.key).map_or(0, |group| group.endpoints.len())
    }

    /// Whether an endpoint with this one's address has these ports.
    pub(super) fn has(&self, ports: &Ports, endpoint: &Value) -> bool {
        let group = self.groups.get(&ports.key);
        group.is_some_and(|group| group.endpoints.contains_key(&endpoint_key(endpoint)))
    }
}

/// Ports in upstream's order, and what tells them from others.
pub(super) struct Ports {
    list: Vec<Value>,
    key: Vec<u8>,
}

impl Ports {
    pub(super) fn new(mut list: Vec<Value>) -> Self {
        super::order::sort_slice_ports(&mut list);
        Self { key: Value::from(list.clone()).to_json(), list }
    }
}

fn endpoint_key(endpoint: &Value) -> String {
    let address = endpoint.array_at(&["addresses"]).first().and_then(Value::as_str).unwrap_or("");
    format!("{address}/{}", endpoint.str_at(&["targetRef", "uid"]))
}

fn ports_key(slice: &Value) -> Vec<u8> {
    Ports::new(slice.array_at(&["ports"]).to_vec()).key
}

/// What is to be written.
#[derive(Default)]
struct Plan {
    create: Vec<Value>,
    update: Vec<Value>,
    delete: Vec<Arc<Object>>,
}

/// Writes what differs between `existing` (all of the frame's address type) and `desired`, so that there is at least
/// one slice, which may say that there is nothing.
pub(super) async fn slices(
    writer: Writer<'_>,
    frame: &Frame,
    existing: &[Arc<Object>],
    desired: Desired,
) -> Result<(), Status> {
    let (mut left, foreign): (Vec<_>, Vec<_>) =
        existing.iter().cloned().partition(|slice| frame.is_owner_of(slice));
    let mut plan = Plan { delete: foreign, ..Plan::default() };
    for (key, group) in desired.groups {
        let own = take_by_ports(&mut left, &key);
        plan.add_group(frame, &own, group);
    }
    plan.delete.extend(left);
    if plan.delete.len() == existing.len() && plan.create.is_empty() {
        match plan.delete.as_slice() {
            [only] if is_placeholder(frame, only) => plan.delete.clear(),
            _ => plan.create.push(new_slice(frame, &[], Vec::new())),
        }
    }
    plan.write(writer, frame).await
}

/// The same for slices that mirror: one for each set of ports, made anew with every change.
pub(super) async fn mirrors(
    writer: Writer<'_>,
    frame: &Frame,
    existing: &[Arc<Object>],
    desired: Desired,
) -> Result<(), Status> {
    let mut left = existing.to_vec();
    let mut plan = Plan::default();
    for (key, group) in desired.groups {
        let own = take_by_ports(&mut left, &key);
        let Some((first, surplus)) = own.split_first() else {
            plan.create.push(new_slice(frame, &group.ports, group.endpoints.into_values().collect()));
            continue;
        };
        plan.delete.extend_from_slice(surplus);
        if !is_mirrored(frame, first, &group) {
            let mut slice = new_slice(frame, &group.ports, group.endpoints.into_values().collect());
            slice.remove(&["metadata", "generateName"]);
            slice.set(&["metadata", "name"], first.name());
            plan.update.push(slice);
        }
    }
    plan.delete.extend(left);
    plan.write(writer, frame).await
}

/// Takes out the slices that have these ports.
fn take_by_ports(slices: &mut Vec<Arc<Object>>, key: &[u8]) -> Vec<Arc<Object>> {
    let (own, others) = std::mem::take(slices).into_iter().partition(|slice| ports_key(slice) == key);
    *slices = others;
    own
}

fn is_placeholder(frame: &Frame, slice: &Object) -> bool {
    let is_empty = |list: &str| slice.array_at(&[list]).is_empty();
    frame.is_owner_of(slice) && *slice.labels() == frame.labels && is_empty("endpoints") && is_empty("ports")
}

fn is_mirrored(frame: &Frame, slice: &Object, group: &Group) -> bool {
    let endpoints = slice.array_at(&["endpoints"]);
    let is_wanted = |endpoint: &Value| group.endpoints.get(&endpoint_key(endpoint)) == Some(endpoint);
    frame.is_owner_of(slice)
        && *slice.labels() == frame.labels
        && *slice.annotations() == frame.annotations
        && endpoints.len() == group.endpoints.len()
        && endpoints.iter().all(is_wanted)
}

impl Frame {
    fn is_owner_of(&self, slice: &Object) -> bool {
        let mut owners = slice.array_at(&["metadata", "ownerReferences"]).iter();
        owners.any(|owner| owner.str_at(&["uid"]) == self.owner.str_at(&["uid"]))
    }
}

/// An existing slice, and what it is to hold.
struct Draft<'a> {
    slice: &'a Arc<Object>,
    endpoints: Vec<Value>,
    is_changed: bool,
}

impl Plan {
    /// Endpoints stay in the slice that has them; new ones come into slices that are written anyway, then into the one
    /// that has just enough room for all, then into new slices.
    fn add_group(&mut self, frame: &Frame, existing: &[Arc<Object>], group: Group) {
        let mut wanted = group.endpoints;
        let mut drafts = Vec::new();
        for slice in existing {
            let had = slice.array_at(&["endpoints"]);
            let endpoints: Vec<Value> =
                had.iter().filter_map(|endpoint| wanted.remove(&endpoint_key(endpoint))).collect();
            let is_other = endpoints != had;
            if is_other && endpoints.is_empty() {
                self.delete.push(slice.clone());
                continue;
            }
            drafts.push(Draft { slice, endpoints, is_changed: is_other || *slice.labels() != frame.labels });
        }
        let mut rest: Vec<Value> = wanted.into_values().collect();
        drafts.sort_by_key(|draft| std::cmp::Reverse(draft.endpoints.len()));
        for draft in drafts.iter_mut().filter(|draft| draft.is_changed) {
            let room = MAX_ENDPOINTS.saturating_sub(draft.endpoints.len()).min(rest.len());
            draft.endpoints.extend(rest.drain(..room));
        }
        while !rest.is_empty() {
            // The fullest ones come first.
            let fits = |draft: &&mut Draft<'_>| {
                !draft.is_changed
                    && rest.len() < MAX_ENDPOINTS
                    && draft.endpoints.len() + rest.len() <= MAX_ENDPOINTS
            };
            match drafts.iter_mut().find(fits) {
                Some(draft) => {
                    draft.endpoints.append(&mut rest);
                    draft.is_changed = true;
                }
                None => {
                    let endpoints = rest.drain(..rest.len().min(MAX_ENDPOINTS)).collect();
                    self.create.push(new_slice(frame, &group.ports, endpoints));
                }
            }
        }
        let changed = drafts.into_iter().filter(|draft| draft.is_changed);
        self.update.extend(changed.map(|draft| updated(frame, draft.slice, draft.endpoints)));
    }

    /// A slice that would go becomes one that would be made.
    fn recycle(&mut self, frame: &Frame) {
        for slice in std::mem::take(&mut self.delete) {
            match self.create.pop_if(|_| frame.is_owner_of(&slice)) {
                Some(mut new) => {
                    new.set(&["metadata", "name"], slice.name());
                    self.update.push(new);
                }
                None => self.delete.push(slice),
            }
        }
    }

    async fn write(mut self, writer: Writer<'_>, frame: &Frame) -> Result<(), Status> {
        self.recycle(frame);
        for slice in self.create {
            writer.create(slice).await?;
        }
        for slice in self.update {
            writer.update(slice).await?;
        }
        for slice in &self.delete {
            writer.delete(slice).await?;
        }
        Ok(())
    }
}

fn new_slice(frame: &Frame, ports: &[Value], endpoints: Vec<Value>) -> Value {
    let mut slice = value!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"generateName": frame.generate_name, "namespace": frame.namespace},
        "addressType": frame.address_type,
    });
    slice.set(&["metadata", "ownerReferences"], vec![frame.owner.clone()]);
    slice.set(&["metadata", "labels"], frame.labels.clone());
    if !frame.annotations.is_empty() {
        slice.set(&["metadata", "annotations"], frame.annotations.clone());
    }
    // Empty lists are null upstream, and left out.
    if !endpoints.is_empty() {
        slice.set(&["endpoints"], endpoints);
    }
    if !ports.is_empty() {
        slice.set(&["ports"], ports.to_vec());
    }
    slice
}

/// A slice with other endpoints, and the frame's labels.
fn updated(frame: &Frame, slice: &Object, endpoints: Vec<Value>) -> Value {
    let mut new = slice.value().clone();
    new.set(&["metadata", "labels"], frame.labels.clone());
    new.remove(&["metadata", "annotations", super::TRIGGER_TIME]);
    for (key, text) in frame.annotations.iter() {
        new.set(&["metadata", "annotations", key], text.clone());
    }
    if endpoints.is_empty() {
        new.remove(&["endpoints"]);
    } else {
        new.set(&["endpoints"], endpoints);
    }
    new
}
