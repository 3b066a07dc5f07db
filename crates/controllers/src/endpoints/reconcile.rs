//! Bringing a set of endpoint slices to what it should hold, with as few writes as can be.

use std::collections::BTreeMap;
use std::sync::Arc;

use drydock_client::resources::ENDPOINT_SLICES;
use drydock_client::{Client, DeleteOptions};
use drydock_machinery::{Map, Object, ObjectMeta, Status, Value, value};

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
    pub(super) fn add(&mut self, mut ports: Vec<Value>, endpoint: Value) {
        super::order::sort_slice_ports(&mut ports);
        let group = self.groups.entry(Value::from(ports.clone()).to_json()).or_default();
        group.ports = ports;
        group.endpoints.insert(endpoint_key(&endpoint), endpoint);
    }
}

fn endpoint_key(endpoint: &Value) -> String {
    let address = endpoint.array_at(&["addresses"]).first().and_then(Value::as_str).unwrap_or("");
    format!("{address}/{}", endpoint.str_at(&["targetRef", "uid"]))
}

fn ports_key(slice: &Value) -> Vec<u8> {
    let mut ports = slice.array_at(&["ports"]).to_vec();
    super::order::sort_slice_ports(&mut ports);
    Value::from(ports).to_json()
}

/// Writes what differs between `existing` (all of the frame's address type) and `desired`.
pub(super) async fn slices(
    client: &Client,
    frame: &Frame,
    existing: &[Arc<Object>],
    mut desired: Desired,
    placeholder: bool,
) -> Result<(), Status> {
    if desired.groups.is_empty() && placeholder {
        desired.groups.insert(b"[]".to_vec(), Group::default());
    }
    let mut left: Vec<Arc<Object>> = existing.to_vec();
    for (key, group) in desired.groups {
        let (own, others) = left.into_iter().partition(|slice| ports_key(slice) == key);
        left = others;
        let own: Vec<Arc<Object>> = own;
        reconcile_group(client, frame, &own, group).await?;
    }
    for slice in left {
        delete(client, &slice).await?;
    }
    Ok(())
}

async fn reconcile_group(
    client: &Client,
    frame: &Frame,
    existing: &[Arc<Object>],
    mut group: Group,
) -> Result<(), Status> {
    // Endpoints stay in the slice that has them.
    let mut plans: Vec<(&Arc<Object>, Vec<Value>)> = Vec::new();
    for slice in existing {
        let kept = slice.array_at(&["endpoints"]).iter();
        let kept = kept.filter_map(|endpoint| group.endpoints.remove(&endpoint_key(endpoint))).collect();
        plans.push((slice, kept));
    }
    let mut rest = group.endpoints.into_values().peekable();
    for (_, endpoints) in &mut plans {
        while endpoints.len() < MAX_ENDPOINTS && rest.peek().is_some() {
            endpoints.extend(rest.next());
        }
    }
    let nothing_kept = plans.iter().all(|(_, endpoints)| endpoints.is_empty()) && rest.peek().is_none();
    for (i, (slice, endpoints)) in plans.iter().enumerate() {
        // An empty slice goes, unless it is the last that says that there is nothing.
        if endpoints.is_empty() && !(nothing_kept && i == 0) {
            delete(client, slice).await?;
        } else {
            update(client, frame, slice, endpoints).await?;
        }
    }
    while rest.peek().is_some() {
        let endpoints: Vec<_> = rest.by_ref().take(MAX_ENDPOINTS).collect();
        client.create(&ENDPOINT_SLICES, new_slice(frame, &group.ports, endpoints)).await?;
    }
    if nothing_kept && plans.is_empty() {
        client.create(&ENDPOINT_SLICES, new_slice(frame, &group.ports, Vec::new())).await?;
    }
    Ok(())
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

async fn update(client: &Client, frame: &Frame, slice: &Object, endpoints: &[Value]) -> Result<(), Status> {
    let same = *slice.labels() == frame.labels && slice.array_at(&["endpoints"]) == endpoints;
    if same {
        return Ok(());
    }
    let mut new = slice.value().clone();
    new.set(&["metadata", "labels"], frame.labels.clone());
    new.remove(&["metadata", "annotations", super::TRIGGER_TIME]);
    for (key, text) in frame.annotations.iter() {
        new.set(&["metadata", "annotations", key], text.clone());
    }
    if endpoints.is_empty() {
        new.remove(&["endpoints"]);
    } else {
        new.set(&["endpoints"], endpoints.to_vec());
    }
    client.update(&ENDPOINT_SLICES, new).await.map(drop)
}

async fn delete(client: &Client, slice: &Object) -> Result<(), Status> {
    match client.delete(&ENDPOINT_SLICES, slice.namespace(), slice.name(), DeleteOptions::default()).await {
        Err(status) if !status.is_not_found() => Err(status),
        _ => Ok(()),
    }
}
