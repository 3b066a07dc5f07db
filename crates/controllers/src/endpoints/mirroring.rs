//! Slices that mirror hand-made `Endpoints` of services without a selector.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use drydock_client::resources::{ENDPOINT_SLICES, ENDPOINTS, SERVICES};
use drydock_client::{Controller, Informer, WorkQueue};
use drydock_machinery::{Key, Map, Object, ObjectMeta, Status, Value, value};

use super::reconcile::{self, Desired, Frame, Ports};
use super::slices::{BY_SERVICE, index_by_service, index_value};
use super::tracker::{self, Tracker, Writer};
use super::{MANAGED_BY_SLICE, SERVICE_NAME, TRIGGER_TIME, service};
use crate::Context;
use crate::util::owner::controller_ref;
use crate::util::pod_control::is_namespace_terminating;
use crate::util::split_key;

/// How soon and how late failures are retried, as with upstream.
const RETRIES: Range<Duration> = Duration::from_secs(1)..Duration::from_secs(100);
const MANAGED_BY: &str = "endpointslicemirroring-controller.k8s.io";
const SKIP_MIRROR: &str = "endpointslice.kubernetes.io/skip-mirror";
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// How many addresses with the same ports are mirrored.
const MOST_ADDRESSES: usize = 1000;

const FAMILIES: [&str; 2] = ["IPv4", "IPv6"];

struct Mirroring {
    ctx: Context,
    services: Arc<Informer>,
    endpoints: Arc<Informer>,
    slices: Arc<Informer>,
    tracker: Tracker,
}

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::with_retries(ctx.clock.clone(), RETRIES));
    let this = Arc::new(Mirroring {
        services: ctx.informers.informer(&SERVICES),
        endpoints: ctx.informers.informer(&ENDPOINTS),
        slices: ctx.informers.informer(&ENDPOINT_SLICES),
        tracker: Tracker::default(),
        ctx,
    });
    index_by_service(&this.slices);
    for informer in [&this.services, &this.endpoints] {
        let to = queue.clone();
        informer.on_change(move |change| to.add_object(change.object()));
    }
    let (to, me) = (queue.clone(), this.clone());
    this.slices.on_change(move |change| {
        for service in me.tracker.concerned(MANAGED_BY, change) {
            to.add(service);
        }
    });
    let needs = [this.services.clone(), this.endpoints.clone(), this.slices.clone()];
    let tasks = this.ctx.tasks.clone();
    Controller::new("endpointslice-mirroring", queue).workers(5).needs(needs).start(&tasks, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await }
    });
}

impl Mirroring {
    async fn sync(&self, key: &Key) -> Result<(), Status> {
        let (namespace, name) = split_key(key);
        let endpoints = self.endpoints.get(namespace, name).filter(|endpoints| is_mirrored(endpoints));
        let service = self.services.get(namespace, name);
        let service = service.filter(|service| service.object_at(&["spec", "selector"]).is_empty());
        let existing = self.slices.by_index(BY_SERVICE, &index_value(MANAGED_BY, namespace, name));
        let outcome = match (endpoints, service) {
            (Some(_), Some(_)) if self.tracker.is_stale(key, &existing) => Err(tracker::stale()),
            (Some(endpoints), Some(_)) => self.mirror(&endpoints, &existing).await,
            _ => self.remove(key, &existing).await,
        };
        match outcome {
            Err(status) if is_namespace_terminating(&status) => Ok(()),
            outcome => outcome,
        }
    }

    async fn mirror(&self, endpoints: &Arc<Object>, existing: &[Arc<Object>]) -> Result<(), Status> {
        let (families, skipped) = desired(endpoints);
        if skipped > 0 {
            let message = format!(
                "A max of {MOST_ADDRESSES} addresses can be mirrored to EndpointSlices per Endpoints subset. \
                 {skipped} addresses were skipped"
            );
            self.ctx.events.warning(endpoints, "TooManyAddressesToMirror", message);
        }
        for (family, desired) in FAMILIES.into_iter().zip(families) {
            let own: Vec<_> =
                existing.iter().filter(|slice| slice.str_at(&["addressType"]) == family).cloned().collect();
            reconcile::mirrors(self.writer(), &frame(endpoints, family), &own, desired).await?;
        }
        Ok(())
    }

    async fn remove(&self, key: &Key, existing: &[Arc<Object>]) -> Result<(), Status> {
        for slice in existing {
            self.writer().delete(slice).await?;
        }
        self.tracker.forget(key);
        Ok(())
    }

    fn writer(&self) -> Writer<'_> {
        Writer { client: &self.ctx.client, tracker: &self.tracker }
    }
}

fn is_mirrored(endpoints: &Object) -> bool {
    endpoints.label(SKIP_MIRROR) != Some("true") && endpoints.annotation(LEADER).is_none()
}

fn frame(endpoints: &Object, family: &str) -> Frame {
    let mut labels = endpoints.labels().clone();
    labels.insert(SERVICE_NAME, endpoints.name());
    labels.insert(MANAGED_BY_SLICE, MANAGED_BY);
    let annotations: Map = endpoints
        .annotations()
        .iter()
        .filter(|(key, _)| !matches!(key.as_str(), LAST_APPLIED | TRIGGER_TIME))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    Frame {
        namespace: endpoints.namespace().to_owned(),
        generate_name: format!("{}-", endpoints.name()),
        address_type: family.to_owned(),
        labels,
        annotations,
        owner: controller_ref(endpoints),
    }
}

/// What is to be mirrored of either family, and how many addresses are too many.
fn desired(endpoints: &Object) -> ([Desired; 2], usize) {
    let mut families = FAMILIES.map(|_| Desired::default());
    let mut skipped = 0;
    // An address that one subset says is not ready is not.
    for (list, ready) in [("addresses", true), ("notReadyAddresses", false)] {
        for subset in endpoints.array_at(&["subsets"]) {
            let ports = Ports::new(subset.array_at(&["ports"]).iter().map(mirrored_port).collect());
            let has_room = |families: &[Desired; 2]| {
                families.iter().map(|family| family.len(&ports)).sum::<usize>() < MOST_ADDRESSES
            };
            for address in subset.array_at(&[list]) {
                let family = usize::from(address.str_at(&["ip"]).contains(':'));
                let endpoint = mirrored_endpoint(address, ready);
                if families[family].has(&ports, &endpoint) || has_room(&families) {
                    families[family].add(&ports, endpoint);
                } else {
                    skipped += 1;
                }
            }
        }
    }
    (families, skipped)
}

fn mirrored_port(port: &Value) -> Value {
    let mut out = port.clone();
    out.set(&["name"], port.str_at(&["name"]));
    out.set(&["protocol"], service::protocol(port));
    out
}

fn mirrored_endpoint(address: &Value, ready: bool) -> Value {
    let mut endpoint = value!({"addresses": [address.str_at(&["ip"])], "conditions": {"ready": ready}});
    for field in ["hostname", "nodeName", "targetRef"] {
        if let Some(value) = address.get(field) {
            endpoint.set(&[field], value.clone());
        }
    }
    endpoint
}
