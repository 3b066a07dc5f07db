//! Where a new machine goes, and what it is called.

use std::collections::BTreeMap;

use drydock_cloud_api::{CloudError, CloudErrorKind, LaunchRequest};
use jiff::Timestamp;
use rand::Rng;

use crate::MockProvider;
use crate::account::{Account, Holdings};
use crate::machine::Machine;
use crate::places;
use crate::provider::invalid;

impl MockProvider {
    /// The zone asked for, or the emptiest that has room.
    pub(crate) fn choose_zone(
        &self,
        account: &Account,
        request: &LaunchRequest,
        now: Timestamp,
    ) -> Result<String, CloudError> {
        const OP: &str = "RunInstances";
        let region = &request.cluster.region;
        let mut zones = places::zones(region);
        if let Some(zone) = &request.zone {
            if !zones.contains(zone) {
                return Err(invalid(OP, format!("InvalidZone: {zone:?} is not a zone of {region}")));
            }
            zones = vec![zone.clone()];
        }
        let limited = account.quota.is_some() || !account.capacity.is_empty();
        let counted: Vec<&Holdings> = if limited {
            account.clusters.values().collect()
        } else {
            account.holdings(&request.cluster.uid).into_iter().collect()
        };
        let mut used: BTreeMap<&str, u32> = BTreeMap::new();
        for machine in
            counted.iter().flat_map(|h| h.machines.values()).filter(|m| !self.is_terminated(m, now))
        {
            *used.entry(&machine.zone).or_default() += 1;
        }
        if let Some(quota) = account.quota.filter(|quota| used.values().sum::<u32>() >= *quota) {
            let message =
                format!("InstanceLimitExceeded: the account may have no more than {quota} instances");
            return Err(CloudError::new(CloudErrorKind::QuotaExceeded, OP, message));
        }
        let taken = |zone: &str| used.get(zone).copied().unwrap_or(0);
        let room = |zone: &String| account.capacity.get(zone).is_none_or(|limit| taken(zone) < *limit);
        zones.into_iter().filter(room).min_by_key(|zone| taken(zone)).ok_or_else(|| {
            let place = request.zone.as_deref().unwrap_or(region);
            let message = format!(
                "InsufficientInstanceCapacity: there is not enough {} capacity in {place} now",
                request.instance_type
            );
            CloudError::new(CloudErrorKind::InsufficientCapacity, OP, message)
        })
    }
}

pub(crate) fn new_machine(
    holdings: &Holdings,
    request: &LaunchRequest,
    zone: String,
    now: Timestamp,
) -> Result<Machine, CloudError> {
    let ip = holdings.free_ip().ok_or_else(|| {
        let message = "InsufficientFreeAddresses: the subnet has no free address".to_owned();
        CloudError::new(CloudErrorKind::QuotaExceeded, "RunInstances", message)
    })?;
    let mut random = rand::rng();
    let id = format!("i-{:017x}", random.random::<u128>() >> 60);
    Ok(Machine {
        node_name: node_name(holdings, request),
        id,
        node_pool: request.node_pool.clone(),
        instance_type: request.instance_type.clone(),
        zone,
        region: request.cluster.region.clone(),
        tags: request.tags.clone(),
        client_token: request.client_token.clone(),
        spot: request.spot,
        ip,
        started_at: now,
        stopped_at: None,
        terminated_at: None,
        failure: None,
    })
}

/// `CLUSTER-POOL-xxxxx`, a DNS label that no other machine of the cluster has.
fn node_name(holdings: &Holdings, request: &LaunchRequest) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let clean = |text: &str| -> String {
        let lower = text.to_ascii_lowercase();
        lower.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
    };
    let mut base = format!("{}-{}", clean(&request.cluster.name), clean(&request.node_pool));
    base.truncate(57);
    let base = base.trim_matches('-');
    let mut random = rand::rng();
    loop {
        let suffix: String =
            (0..5).map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())])).collect();
        let name = format!("{base}-{suffix}");
        if holdings.machines.values().all(|machine| machine.node_name != name) {
            return name;
        }
    }
}
