//! ServiceCIDRs: each is ready once it is there, and is not gone before the addresses that only it holds.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use drydock_client::resources::{IP_ADDRESSES, SERVICE_CIDRS, SERVICES};
use drydock_client::{Change, Controller, Informer, Options, PatchType, Request, Verb, WorkQueue};
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value, value};

use crate::Context;
use crate::util::{between, conditions, time_at};

const FINALIZER: &str = "networking.k8s.io/service-cidr-finalizer";
const FIELD_MANAGER: &str = "service-cidr-controller";
/// So long allocators may still take a range that is being deleted for a good one.
const GRACE: Duration = Duration::from_secs(10);

struct Cidrs {
    ctx: Context,
    queue: Arc<WorkQueue>,
    cidrs: Arc<Informer>,
    services: Arc<Informer>,
}

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let this = Arc::new(Cidrs {
        cidrs: ctx.informers.informer(&SERVICE_CIDRS),
        services: ctx.informers.informer(&SERVICES),
        queue: queue.clone(),
        ctx,
    });
    let me = this.clone();
    // One range more or less may let another go.
    this.cidrs.on_change(move |change| match change {
        Change::Updated { new, .. } => me.queue.add_object(new),
        _ => me.add_all(),
    });
    let me = this.clone();
    this.services.on_change(move |change| {
        let addresses = |service: &Object| service.at(&["spec", "clusterIPs"]).cloned();
        let deleted = matches!(change, Change::Deleted(_));
        if deleted || change.old().is_none_or(|old| addresses(old) != addresses(change.object())) {
            me.add_all();
        }
    });
    let ips = this.ctx.informers.informer(&IP_ADDRESSES);
    let me = this.clone();
    ips.on_change(move |change| {
        if !matches!(change, Change::Updated { .. }) {
            me.add_all();
        }
    });
    let needs = [this.cidrs.clone(), this.services.clone(), ips];
    let tasks = this.ctx.tasks.clone();
    Controller::new("service-cidr", queue).needs(needs).start(&tasks, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await }
    });
}

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    address: IpAddr,
    bits: u8,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        Some(Self { address: address.parse().ok()?, bits: bits.parse().ok()? })
    }

    fn contains(self, ip: IpAddr) -> bool {
        let same = |a: u128, b: u128, width: u32| {
            let shift = width.saturating_sub(u32::from(self.bits));
            a.checked_shr(shift).unwrap_or(0) == b.checked_shr(shift).unwrap_or(0)
        };
        match (self.address, ip) {
            (IpAddr::V4(a), IpAddr::V4(b)) => same(u128::from(u32::from(a)), u128::from(u32::from(b)), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => same(u128::from(a), u128::from(b), 128),
            _ => false,
        }
    }

    fn holds(self, other: Self) -> bool {
        self.bits <= other.bits && self.contains(other.address)
    }
}

fn ranges(cidr: &Value) -> Vec<Range> {
    let texts = cidr.array_at(&["spec", "cidrs"]).iter().filter_map(Value::as_str);
    texts.filter_map(Range::parse).collect()
}

impl Cidrs {
    fn add_all(&self) {
        self.cidrs.list().iter().for_each(|cidr| self.queue.add_object(cidr));
    }

    async fn sync(&self, name: &Key) -> Result<(), Status> {
        let Some(cidr) = self.cidrs.get_key(name) else { return Ok(()) };
        if !cidr.is_deleting() {
            self.add_finalizer(&cidr).await?;
            return self.set_ready(&cidr, "True", "", "Kubernetes Service CIDR is ready").await;
        }
        if !self.may_go(&cidr) {
            let message = "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new \
                           ServiceCIDR";
            return self.set_ready(&cidr, "False", "Terminating", message).await;
        }
        let deleted = time_at(&cidr, &["metadata", "deletionTimestamp"]);
        let passed = deleted.map_or(GRACE, |deleted| between(deleted, self.ctx.clock.now()));
        if passed < GRACE {
            self.queue.add_after(name.clone(), GRACE - passed);
            return Ok(());
        }
        self.remove_finalizer(&cidr).await
    }

    /// Another range has it all, or no address is in it alone.
    fn may_go(&self, cidr: &Object) -> bool {
        let others: Vec<Range> = self
            .cidrs
            .list()
            .iter()
            .filter(|other| other.name() != cidr.name())
            .flat_map(|other| ranges(other))
            .collect();
        let own = ranges(cidr);
        if own.iter().all(|range| others.iter().any(|other| other.holds(*range))) {
            return true;
        }
        let services = self.services.list();
        let mut held = services
            .iter()
            .flat_map(|service| service.array_at(&["spec", "clusterIPs"]))
            .filter_map(|ip| ip.as_str()?.parse::<IpAddr>().ok());
        !held.any(|ip| {
            own.iter().any(|range| range.contains(ip)) && !others.iter().any(|other| other.contains(ip))
        })
    }

    async fn add_finalizer(&self, cidr: &Object) -> Result<(), Status> {
        if cidr.finalizers().any(|finalizer| finalizer == FINALIZER) {
            return Ok(());
        }
        let all: Vec<&str> = cidr.finalizers().chain([FINALIZER]).collect();
        let mut patch = value!({"metadata": {}});
        patch.set(&["metadata", "finalizers"], all);
        self.ctx.client.patch(&SERVICE_CIDRS, "", cidr.name(), PatchType::Merge, patch).await.map(drop)
    }

    async fn remove_finalizer(&self, cidr: &Object) -> Result<(), Status> {
        let kept: Vec<Value> = cidr.finalizers().filter(|f| *f != FINALIZER).map(Value::from).collect();
        let mut patch = value!({"metadata": {"resourceVersion": cidr.resource_version()}});
        patch.set(&["metadata", "finalizers"], if kept.is_empty() { Value::Null } else { Value::from(kept) });
        match self.ctx.client.patch(&SERVICE_CIDRS, "", cidr.name(), PatchType::Merge, patch).await {
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(()),
        }
    }

    async fn set_ready(
        &self,
        cidr: &Object,
        status: &str,
        reason: &str,
        message: &str,
    ) -> Result<(), Status> {
        let old = conditions::condition(cidr, "Ready");
        let text = |field: &str| old.map_or("", |old| old.str_at(&[field]));
        if text("status") == status && text("reason") == reason && text("message") == message {
            return Ok(());
        }
        let now = self.ctx.clock.now_rfc3339();
        let applied = value!({
            "apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": cidr.name()},
            "status": {"conditions": [{
                "type": "Ready", "status": status, "reason": reason, "message": message, "lastTransitionTime": now,
            }]},
        });
        let options =
            Options { field_manager: FIELD_MANAGER.to_owned(), force: Some(true), ..Options::default() };
        let request = Request::new(Verb::Patch(PatchType::Apply), &SERVICE_CIDRS, "", cidr.name());
        self.ctx.client.object(request.subresource("status").options(options).body(applied)).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_addresses_and_smaller_ranges() {
        let range = |text: &str| Range::parse(text).unwrap();
        assert!(range("10.1.0.0/16").contains("10.1.2.3".parse().unwrap()));
        assert!(!range("10.1.0.0/16").contains("10.2.2.3".parse().unwrap()));
        assert!(range("10.1.0.0/16").holds(range("10.1.4.0/24")));
        assert!(!range("10.1.4.0/24").holds(range("10.1.0.0/16")));
        assert!(range("fd00::/8").contains("fd00::1".parse().unwrap()));
        assert!(!range("0.0.0.0/0").contains("fd00::1".parse().unwrap()));
    }
}
