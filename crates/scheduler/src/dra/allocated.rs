//! Which devices claims have.

use std::collections::{HashMap, HashSet};

use drydock_machinery::Value;
use drydock_machinery::quantity::Quantity;

use super::capacity::Amounts;
use super::slice::DeviceId;

/// Devices that are in use. Those seen with admin access are not.
#[derive(Clone, Debug, Default)]
pub(super) struct Allocated {
    /// Each by one claim alone.
    pub(super) devices: HashSet<DeviceId>,
    shared: HashSet<DeviceId>,
    /// What is used up of those that several may use.
    pub(super) capacity: HashMap<DeviceId, Amounts>,
}

impl Allocated {
    /// Counts what a claim has.
    pub(super) fn add(&mut self, claim: &Value) {
        for result in claim.array_at(&["status", "allocation", "devices", "results"]) {
            if result.bool_at(&["adminAccess"]) {
                continue;
            }
            let text = |name: &str| result.str_at(&[name]).into();
            let id = DeviceId { driver: text("driver"), pool: text("pool"), device: text("device") };
            if result.str_at(&["shareID"]).is_empty() {
                self.devices.insert(id);
                continue;
            }
            if let Some(consumed) = result.get("consumedCapacity").and_then(Value::as_object) {
                let amounts = self.capacity.entry(id.clone()).or_default();
                for (name, amount) in consumed.iter() {
                    *amounts.entry(name.clone()).or_insert(Quantity::ZERO) += &Quantity::of(Some(amount));
                }
            }
            self.shared.insert(id);
        }
    }

    /// Whether anybody has it.
    pub(super) fn has(&self, device: &DeviceId) -> bool {
        self.devices.contains(device) || self.shared.contains(device) || self.capacity.contains_key(device)
    }
}
