//! Capacity and allocatable of a node, from its instance type and what a managed cluster's nodes keep for the system.
//!
//! Sources: EKS nodeadm (max pods, kube-reserved), GKE and AKS documents on node sizing.

use std::collections::BTreeMap;

use drydock_cloud_api::{InstanceType, catalog};
use serde::{Deserialize, Serialize};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The root disk of every node, as a 20 GB volume shows it.
const DISK_BYTES: u64 = 20_959_212 * 1024;

/// Whose rule says how much the system keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reservation {
    #[default]
    Eks,
    Aks,
    Gke,
    /// Everything is allocatable.
    None,
}

impl Reservation {
    /// That of the cloud which has types of this name; EKS's, whose types are too many for a catalog, for unknown ones.
    pub fn of_type(instance_type: &str) -> Self {
        if catalog::azure(instance_type).is_some() {
            Self::Aks
        } else if catalog::gcp(instance_type).or_else(|| catalog::generic(instance_type)).is_some() {
            Self::Gke
        } else {
            Self::Eks
        }
    }
}

/// `status.capacity` and `status.allocatable`: resource name to quantity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeResources {
    pub capacity: BTreeMap<String, String>,
    pub allocatable: BTreeMap<String, String>,
}

/// What a node of this type has and offers.
pub fn node_resources(kind: &InstanceType, max_pods: u32, reservation: Reservation) -> NodeResources {
    let reserved_cpu = reserved_cpu_millis(kind.cpu_millis, reservation);
    let reserved_memory = reserved_memory_bytes(kind.memory_bytes, max_pods, reservation);
    let reserved_disk = if reservation == Reservation::None { 0 } else { GIB + DISK_BYTES / 10 };
    NodeResources {
        capacity: quantities(
            kind,
            kind.cpu_millis,
            kind.memory_bytes,
            format!("{}Ki", DISK_BYTES / 1024),
            max_pods,
        ),
        allocatable: quantities(
            kind,
            kind.cpu_millis.saturating_sub(reserved_cpu),
            kind.memory_bytes.saturating_sub(reserved_memory),
            (DISK_BYTES - reserved_disk).to_string(),
            max_pods,
        ),
    }
}

fn quantities(
    kind: &InstanceType,
    cpu_millis: u64,
    memory: u64,
    disk: String,
    max_pods: u32,
) -> BTreeMap<String, String> {
    let cpu = if cpu_millis.is_multiple_of(1000) {
        (cpu_millis / 1000).to_string()
    } else {
        format!("{cpu_millis}m")
    };
    let mut out = BTreeMap::from([
        ("cpu".to_owned(), cpu),
        ("memory".to_owned(), format!("{}Ki", memory / 1024)),
        ("ephemeral-storage".to_owned(), disk),
        ("hugepages-1Gi".to_owned(), "0".to_owned()),
        ("hugepages-2Mi".to_owned(), "0".to_owned()),
        ("pods".to_owned(), max_pods.to_string()),
    ]);
    out.extend(kind.extended.iter().map(|(name, count)| (name.clone(), count.to_string())));
    out
}

fn reserved_cpu_millis(cpu_millis: u64, reservation: Reservation) -> u64 {
    match reservation {
        Reservation::None => 0,
        Reservation::Eks | Reservation::Gke => {
            // Hundredths of a percent of the first core, the second, the next two, and all others.
            let tiers = [(1000, 600), (1000, 100), (2000, 50), (u64::MAX, 25)];
            tiered(cpu_millis, &tiers, 10_000)
        }
        Reservation::Aks => match cpu_millis / 1000 {
            0..=1 => 60,
            2 => 100,
            3..=4 => 140,
            5..=8 => 180,
            9..=16 => 260,
            17..=32 => 420,
            _ => 740,
        },
    }
}

fn reserved_memory_bytes(memory: u64, max_pods: u32, reservation: Reservation) -> u64 {
    const EVICTION: u64 = 100 * MIB;
    let pods = u64::from(max_pods);
    match reservation {
        Reservation::None => 0,
        Reservation::Eks => 11 * MIB * pods + 255 * MIB + EVICTION,
        Reservation::Aks => (20_000_000 * pods + 50_000_000).min(memory / 4) + EVICTION,
        Reservation::Gke => {
            let tiers = [(4 * GIB, 25), (4 * GIB, 20), (8 * GIB, 10), (112 * GIB, 6), (u64::MAX, 2)];
            tiered(memory, &tiers, 100) + EVICTION
        }
    }
}

/// The sum of a share of each tier; shares are in parts of `whole`.
fn tiered(total: u64, tiers: &[(u64, u64)], whole: u64) -> u64 {
    let mut left = total;
    let mut sum = 0;
    for (size, share) in tiers {
        let here = left.min(*size);
        sum += here * share / whole;
        left -= here;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_leaves_something_for_pods() {
        for name in ["t3.nano", "m5.large", "x9.metal", "small", "e2-micro", "Standard_B2s"] {
            let reservation = Reservation::of_type(name);
            let expected = match name {
                "small" | "e2-micro" => Reservation::Gke,
                "Standard_B2s" => Reservation::Aks,
                _ => Reservation::Eks,
            };
            assert_eq!(reservation, expected, "{name}");
            let Some(kind) = catalog::any(name) else { continue };
            let resources = node_resources(&kind, kind.max_pods, reservation);
            let memory: u64 = resources.allocatable["memory"].trim_end_matches("Ki").parse().unwrap();
            assert!(memory > 64 * 1024, "{name}: {memory}");
        }
    }

    #[test]
    fn nodes_offer_what_the_clouds_nodes_offer() {
        let offer = |name: &str, pods, reservation| {
            let resources = node_resources(&catalog::any(name).unwrap(), pods, reservation);
            let get = |name: &str| resources.allocatable[name].clone();
            (get("cpu"), get("memory"), get("pods"))
        };
        let text =
            |cpu: &str, mib: u64, pods: &str| (cpu.to_owned(), format!("{}Ki", mib * 1024), pods.to_owned());
        assert_eq!(offer("t3.medium", 17, Reservation::Eks), text("1930m", 4096 - 187 - 255 - 100, "17"));
        assert_eq!(offer("m5.xlarge", 58, Reservation::Eks), text("3920m", 16384 - 638 - 355, "58"));
        assert_eq!(offer("Standard_D4s_v5", 250, Reservation::Aks), text("3860m", 16384 - 4096 - 100, "250"));
        let gke = offer("e2-standard-2", 110, Reservation::Gke);
        assert_eq!((gke.0.as_str(), gke.2.as_str()), ("1930m", "110"));
        assert_eq!(offer("medium", 110, Reservation::None), text("2", 4096, "110"));
        let disk = node_resources(&catalog::any("medium").unwrap(), 110, Reservation::Eks);
        assert_eq!(disk.capacity["ephemeral-storage"], "20959212Ki");
        assert_eq!(disk.allocatable["ephemeral-storage"], "18242267956");
    }
}
