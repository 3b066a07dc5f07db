//! One machine: what is kept of it, and what the cloud says of it at a moment.

use std::collections::BTreeMap;
use std::time::Duration;

use drydock_cloud_api::{Address, AddressKind, Instance, InstanceFailure, InstanceState};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::account::MockConfig;

/// How long a terminated machine can still be asked for, as on EC2.
const REMEMBERED: Duration = Duration::from_secs(3600);

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) id: String,
    pub(crate) node_name: String,
    pub(crate) node_pool: String,
    pub(crate) instance_type: String,
    pub(crate) zone: String,
    pub(crate) region: String,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) client_token: String,
    pub(crate) spot: bool,
    /// Its number in 172.31.0.0/16.
    pub(crate) ip: u16,
    /// Last launched or started.
    pub(crate) started_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stopped_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) terminated_at: Option<Timestamp>,
    /// Why the cloud gave it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<InstanceFailure>,
}

impl Machine {
    pub(crate) fn state(&self, now: Timestamp, config: &MockConfig) -> InstanceState {
        let passed = |since: Timestamp, delay: Duration| now >= after(since, delay);
        match (self.terminated_at, self.stopped_at) {
            (Some(at), _) if passed(at, config.shutdown) => InstanceState::Terminated,
            (Some(_), _) => InstanceState::ShuttingDown,
            _ if self.failure.is_some() => InstanceState::Failed,
            (None, Some(at)) if passed(at, config.stop) => InstanceState::Stopped,
            (None, Some(_)) => InstanceState::Stopping,
            (None, None) if passed(self.started_at, config.boot) => InstanceState::Running,
            (None, None) => InstanceState::Pending,
        }
    }

    /// Whether the cloud no longer knows it.
    pub(crate) fn is_forgotten(&self, now: Timestamp) -> bool {
        self.terminated_at.is_some_and(|at| now >= after(at, REMEMBERED))
    }

    pub(crate) fn describe(&self, now: Timestamp, config: &MockConfig) -> Instance {
        let state = self.state(now, config);
        let ip = format!("172.31.{}.{}", self.ip >> 8, self.ip & 0xff);
        let mut addresses = vec![
            Address { kind: AddressKind::InternalIP, address: ip },
            Address { kind: AddressKind::Hostname, address: self.node_name.clone() },
        ];
        let mut node_name = self.node_name.clone();
        if state == InstanceState::Terminated {
            // As EC2, which forgets both.
            addresses.clear();
            node_name.clear();
        }
        Instance {
            id: self.id.clone(),
            provider_id: format!("mock:///{}/{}", self.zone, self.id),
            node_name,
            node_pool: self.node_pool.clone(),
            state,
            instance_type: self.instance_type.clone(),
            zone: self.zone.clone(),
            region: self.region.clone(),
            addresses,
            tags: self.tags.clone(),
            client_token: self.client_token.clone(),
            failure: self.failure.clone(),
        }
    }
}

pub(crate) fn after(at: Timestamp, delay: Duration) -> Timestamp {
    at.saturating_add(delay).unwrap_or(Timestamp::MAX)
}
