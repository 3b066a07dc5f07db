//! What store and cache need now and then: expired events deleted, old history forgotten, IPAddresses repaired.
//!
//! A tenant without events and without writes costs a timer that rings every five minutes.

use std::sync::Arc;
use std::time::Duration;

use drydock_runtime::{Clock, Tasks, wall};

use crate::cache::{Cache, key_prefix};
use crate::registry::allocate::Allocators;

const EXPIRE_EVERY: Duration = Duration::from_secs(60);
/// Upstream's `--etcd-compaction-interval`: for so long at least a watch can resume.
const COMPACT_EVERY: Duration = Duration::from_secs(300);
/// Fewer commits than this are kept however old they are, so that a quiet tenant's disk stays quiet.
const WORTH_COMPACTING: u64 = 1000;

/// Upstream's interval of repairing Services' addresses.
const REPAIR_EVERY: Duration = Duration::from_secs(180);

pub(crate) fn start(cache: &Arc<Cache>, addresses: &Allocators, clock: &Clock, tasks: &Tasks) {
    let (expiring, of_tenant) = (cache.clone(), clock.clone());
    tasks.spawn("expiry", async move { expire(&expiring, &of_tenant).await });
    let compacting = cache.clone();
    tasks.spawn("compaction", async move { compact(&compacting).await });
    let (repairing, addresses, of_tenant) = (cache.clone(), addresses.clone(), clock.clone());
    tasks.spawn("address-repair", async move { repair(&repairing, &addresses, &of_tenant).await });
}

/// Sees to it, some time after they change, that Services and IPAddresses tell the same story.
async fn repair(cache: &Cache, addresses: &Allocators, clock: &Clock) {
    let of = |group, resource| cache.by_prefix(&key_prefix(group, resource)).subscribe();
    let (mut services, mut records) = (of("", "services"), of("networking.k8s.io", "ipaddresses"));
    loop {
        services.borrow_and_update();
        records.borrow_and_update();
        addresses.repair(cache, clock).await;
        let changed = tokio::select! {
            changed = services.changed() => changed,
            changed = records.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
        clock.sleep(REPAIR_EVERY).await;
    }
}

/// Deletes what has expired on the tenant's clock.
async fn expire(cache: &Cache, clock: &Clock) {
    let events = cache.by_prefix(&key_prefix("", "events"));
    let mut changed = events.subscribe();
    loop {
        changed.borrow_and_update();
        if events.is_empty() {
            if changed.changed().await.is_err() {
                return;
            }
            continue;
        }
        clock.sleep(EXPIRE_EVERY).await;
        if let Err(error) = cache.store().expire(clock.now().as_second()).await {
            tracing::warn!(%error, "expired events were not deleted");
        }
    }
}

/// Forgets the history before what was new at the last look.
async fn compact(cache: &Cache) {
    let mut last = cache.revision();
    let mut compacted = cache.store().compacted_revision().await.unwrap_or(0);
    loop {
        // Clients count in their own time for how long they stay away.
        wall::sleep(COMPACT_EVERY).await;
        cache.trim();
        cache.expire_lists(last);
        if last.saturating_sub(compacted) >= WORTH_COMPACTING {
            match cache.store().compact(last).await {
                Ok(()) => compacted = last,
                Err(error) => tracing::warn!(%error, "the store's history could not be compacted"),
            }
        }
        last = cache.revision();
    }
}
