//! IPAddresses: the objects that say which Service has an address, and that another one cannot have it.
//!
//! A Service's are written and deleted in the Service's own commit, so that neither is there without the other. What
//! users delete nevertheless, and what older versions never wrote, comes by [`Allocators::repair`].

use std::net::Ipv4Addr;
use std::sync::Arc;

use drydock_machinery::{GroupVersionKind, Object, ObjectMeta as _, Value, value};
use drydock_runtime::Clock;
use drydock_runtime::clock::rfc3339;
use drydock_store::{Check, Payload, Txn, Write};
use jiff::Timestamp;

use super::{Allocators, service};
use crate::admission::Reader as _;
use crate::cache::{Cache, Stored, key_prefix, object_key};
use crate::registry::{managed, meta};
use crate::resources::Resource;

const KIND: GroupVersionKind = GroupVersionKind::new("networking.k8s.io", "v1", "IPAddress");
const RESOURCE: &str = "ipaddresses";
const MANAGED_BY: &str = "ipaddress.kubernetes.io/managed-by";
/// Upstream's allocator, which manages the records of Services.
const ALLOCATOR: &str = "ipallocator.k8s.io";

pub(super) fn is_record(resource: &Resource) -> bool {
    resource.gvr.resource == RESOURCE && resource.gvr.group == KIND.group
}

/// Whether the record is one of a Service's, and not a user's own.
pub(super) fn is_managed(record: &Value) -> bool {
    record.str_at(&["metadata", "labels", MANAGED_BY]) == ALLOCATOR
}

pub(super) fn key(ip: Ipv4Addr) -> Arc<str> {
    object_key(&key_prefix(&KIND.group, RESOURCE), "", &ip.to_string()).into()
}

fn is_of(record: &Object, service: &Value) -> bool {
    let parent = |field| record.str_at(&["spec", "parentRef", field]);
    parent("resource") == "services"
        && parent("namespace") == service.namespace()
        && parent("name") == service.name()
}

/// What of the records changes along with a Service: nothing unless its addresses do.
pub(crate) fn changes(cache: &Cache, old: Option<&Value>, new: Option<&Value>, now: Timestamp) -> Vec<Write> {
    let held = |service: Option<&Value>| service.map(service::addresses_of).unwrap_or_default();
    let (before, after) = (held(old), held(new));
    let gone = before.iter().filter(|ip| !after.contains(ip)).filter(|ip| {
        let record = cache.get(&KIND.group, RESOURCE, "", &ip.to_string());
        record.is_some_and(|record| old.is_some_and(|old| is_of(&record, old)))
    });
    let gone = gone.map(|ip| Write::Delete { key: key(*ip) });
    let made = after.iter().filter(|ip| !before.contains(ip));
    let made = made.filter_map(|ip| Some(record(*ip, new?, now)));
    gone.chain(made).collect()
}

fn record(ip: Ipv4Addr, service: &Value, now: Timestamp) -> Write {
    let mut record = value!({
        "apiVersion": KIND.api_version(), "kind": "IPAddress",
        "metadata": {"name": ip.to_string(), "labels": {"ipaddress.kubernetes.io/ip-family": "IPv4"}},
        "spec": {"parentRef": {
            "resource": "services", "namespace": service.namespace(), "name": service.name(),
        }},
    });
    record.set(&["metadata", "labels", MANAGED_BY], ALLOCATOR);
    managed::on_own(&KIND, &mut record, now);
    meta::fill_for_create(&mut record, &rfc3339(now));
    Write::Put { key: key(ip), value: Payload::of(Stored::new(record)), expires_at: None }
}

impl Allocators {
    /// Writes the records that Services lack, and deletes those of Services that are gone.
    pub(crate) async fn repair(&self, cache: &Cache, clock: &Clock) {
        let services = cache.list("", "services", "");
        for service in &services {
            for ip in service::addresses_of(service) {
                if cache.get(&KIND.group, RESOURCE, "", &ip.to_string()).is_none() {
                    let write = record(ip, service, clock.now());
                    commit(cache, Check { key: key(ip), mod_revision: 0 }, write).await;
                }
            }
        }
        for record in cache.list(&KIND.group, RESOURCE, "").iter().filter(|record| is_managed(record)) {
            let Ok(ip) = record.name().parse::<Ipv4Addr>() else { continue };
            let mut holders = services.iter().filter(|service| service::addresses_of(service).contains(&ip));
            if !holders.any(|service| is_of(record, service)) {
                let check = Check { key: key(ip), mod_revision: record.revision() };
                commit(cache, check, Write::Delete { key: key(ip) }).await;
                self.release(ip);
            }
        }
    }
}

/// Somebody may have been faster, which is as good.
async fn commit(cache: &Cache, check: Check, write: Write) {
    let txn = Txn { checks: vec![check], writes: vec![write], ..Txn::default() };
    match cache.store().commit(txn).await {
        Ok(revision) => cache.wait_applied(revision).await,
        Err(error) => tracing::debug!(%error, "a Service's IPAddress was not repaired"),
    }
}
