//! Gives each node a range of the cluster's pod network.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use drydock_client::resources::NODES;
use drydock_client::{Change, Controller, Informer, PatchType, WorkQueue};
use drydock_machinery::{Key, Object, ObjectMeta, Status, value};
use parking_lot::Mutex;

use crate::Context;

/// The size of a node's range.
const NODE_BITS: u32 = 24;

struct Ipam {
    ctx: Context,
    nodes: Arc<Informer>,
    ranges: Mutex<Ranges>,
}

/// The /24s of the cluster's network, and who has them.
#[derive(Debug)]
struct Ranges {
    base: u32,
    count: u32,
    owners: HashMap<u32, Key>,
    next: u32,
}

impl Ranges {
    /// Of an IPv4 CIDR that holds at least one node's range.
    fn parse(cidr: &str) -> Option<Self> {
        let (address, bits) = cidr.split(',').next()?.split_once('/')?;
        let (address, bits): (Ipv4Addr, u32) = (address.parse().ok()?, bits.parse().ok()?);
        let count = 1u32.checked_shl(NODE_BITS.checked_sub(bits)?)?;
        Some(Self { base: u32::from(address), count, owners: HashMap::new(), next: 0 })
    }

    fn keep(&mut self, cidr: &str, node: &str) {
        let address = cidr.split('/').next().and_then(|address| address.parse::<Ipv4Addr>().ok());
        let number =
            address.and_then(|address| u32::from(address).checked_sub(self.base)).map(|offset| offset >> 8);
        if let Some(number) = number.filter(|number| *number < self.count) {
            self.owners.insert(number, node.into());
        }
    }

    fn take(&mut self, node: &str) -> Option<String> {
        if let Some((number, _)) = self.owners.iter().find(|(_, owner)| *owner == node) {
            return Some(self.text(*number));
        }
        for _ in 0..self.count {
            let number = self.next;
            self.next = (self.next + 1) % self.count;
            if let std::collections::hash_map::Entry::Vacant(free) = self.owners.entry(number) {
                free.insert(node.into());
                return Some(self.text(number));
            }
        }
        None
    }

    fn release(&mut self, node: &str) {
        self.owners.retain(|_, owner| owner != node);
    }

    fn text(&self, number: u32) -> String {
        format!("{}/{NODE_BITS}", Ipv4Addr::from(self.base + (number << (32 - NODE_BITS))))
    }
}

/// Without a cluster network in the shape of an IPv4 CIDR nothing is started: the cloud routes pods by itself.
pub(crate) fn start(ctx: Context, cluster_cidr: &str) {
    let Some(ranges) = Ranges::parse(cluster_cidr) else { return };
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let nodes = ctx.informers.informer(&NODES);
    let this = Arc::new(Ipam { nodes: nodes.clone(), ranges: Mutex::new(ranges), ctx });
    let (me, to) = (this.clone(), queue.clone());
    nodes.on_change(move |change| {
        let node = change.object();
        match (change, node.str_at(&["spec", "podCIDR"])) {
            (Change::Deleted(_), _) => me.ranges.lock().release(node.name()),
            (Change::Added(_), cidr) if !cidr.is_empty() => me.ranges.lock().keep(cidr, node.name()),
            (_, "") => to.add_object(node),
            _ => {}
        }
    });
    let tasks = this.ctx.tasks.clone();
    Controller::new("node-ipam", queue).workers(4).needs([nodes]).start(&tasks, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await }
    });
}

impl Ipam {
    async fn sync(&self, name: &Key) -> Result<(), Status> {
        let needs = |node: &Arc<Object>| node.str_at(&["spec", "podCIDR"]).is_empty();
        let Some(node) = self.nodes.get_key(name).filter(needs) else { return Ok(()) };
        let Some(cidr) = self.ranges.lock().take(name) else {
            let message = format!("Node {name} status is now: CIDRNotAvailable");
            self.ctx.events.normal(&node, "CIDRNotAvailable", message);
            return Err(Status::internal("failed to allocate cidr from cluster cidr"));
        };
        let patch = value!({"metadata": {"uid": node.uid()}, "spec": {"podCIDR": cidr, "podCIDRs": [cidr]}});
        match self.ctx.client.patch(&NODES, "", name, PatchType::Strategic, patch).await {
            Err(status) if status.is_not_found() => {
                self.ranges.lock().release(name);
                Ok(())
            }
            outcome => outcome.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_handed_out_once_until_released() {
        let mut ranges = Ranges::parse("10.244.0.0/22").unwrap();
        ranges.keep("10.244.1.0/24", "old");
        assert_eq!(ranges.take("a").as_deref(), Some("10.244.0.0/24"));
        assert_eq!(ranges.take("b").as_deref(), Some("10.244.2.0/24"));
        assert_eq!(ranges.take("a").as_deref(), Some("10.244.0.0/24"));
        assert_eq!(ranges.take("c").as_deref(), Some("10.244.3.0/24"));
        assert_eq!(ranges.take("d"), None);
        ranges.release("old");
        assert_eq!(ranges.take("d").as_deref(), Some("10.244.1.0/24"));
    }
}
