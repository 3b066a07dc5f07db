//! How much of the cluster is out of order, by zone, and how fast its nodes may be tainted for that.
//!
//! When no node at all is ready, it is rather the control plane that hears nothing: then nobody is evicted.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use drydock_machinery::{Object, ObjectMeta};
use jiff::Timestamp;

use crate::util::{between, conditions};

/// `--node-eviction-rate`: one node in ten seconds.
const PAUSE: Duration = Duration::from_secs(10);
/// `--secondary-node-eviction-rate`: one in a hundred, in a large zone of which much is out of order.
const LONG_PAUSE: Duration = Duration::from_secs(100);
/// `--large-cluster-size-threshold`.
const LARGE: usize = 50;
/// `--unhealthy-zone-threshold`, as a ratio.
const MUCH: (usize, usize) = (55, 100);
const EXCLUDED: &str = "node.kubernetes.io/exclude-disruption";
/// How soon a node that may not be tainted now is looked at again.
const AGAIN: Duration = Duration::from_secs(5);

/// A zone, by the labels of its nodes.
pub(super) fn zone_of(node: &Object) -> String {
    let label = |key: &str| node.label(key).unwrap_or("");
    format!("{}/{}", label("topology.kubernetes.io/region"), label("topology.kubernetes.io/zone"))
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Zone {
    ready: usize,
    unready: usize,
}

/// What is known of all zones at one moment.
#[derive(Debug, Default)]
pub(super) struct Zones(HashMap<String, Zone>);

impl Zones {
    pub(super) fn of(nodes: &[Arc<Object>]) -> Self {
        let mut zones: HashMap<String, Zone> = HashMap::new();
        for node in nodes.iter().filter(|node| node.label(EXCLUDED).is_none()) {
            let zone = zones.entry(zone_of(node)).or_default();
            if conditions::is_true(node, "Ready") {
                zone.ready += 1;
            } else {
                zone.unready += 1;
            }
        }
        Self(zones)
    }

    /// No node of any zone is ready.
    pub(super) fn all_down(&self) -> bool {
        self.0.values().all(|zone| zone.ready == 0)
    }

    /// How long there must be between two nodes of a zone; None while none may be tainted.
    fn pause(&self, name: &str) -> Option<Duration> {
        let zone = self.0.get(name).copied().unwrap_or_default();
        let size = zone.ready + zone.unready;
        let partly_down = zone.ready > 0 && zone.unready > 2 && zone.unready * MUCH.1 >= size * MUCH.0;
        match (self.all_down(), partly_down) {
            (true, _) => None,
            (false, false) => Some(PAUSE),
            (false, true) => (size > LARGE).then_some(LONG_PAUSE),
        }
    }
}

/// When the last node of each zone was tainted.
#[derive(Debug, Default)]
pub(super) struct Pace(HashMap<String, Timestamp>);

impl Pace {
    /// Takes the zone's turn.
    ///
    /// # Errors
    /// How long to wait before asking again.
    pub(super) fn take(&mut self, zones: &Zones, zone: &str, now: Timestamp) -> Result<(), Duration> {
        let Some(pause) = zones.pause(zone) else { return Err(AGAIN) };
        if let Some(last) = self.0.get(zone) {
            let passed = between(*last, now);
            if passed < pause {
                return Err((pause - passed).min(AGAIN));
            }
        }
        self.0.insert(zone.to_owned(), now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    fn nodes(ready: usize, unready: usize, zone: &str) -> Vec<Arc<Object>> {
        let node = |i: usize| {
            let status = if i < ready { "True" } else { "False" };
            let tree = value!({"metadata": {"name": format!("{zone}{i}"), "labels": {"topology.kubernetes.io/zone": zone}},
                "status": {"conditions": [{"type": "Ready", "status": status}]}});
            Arc::new(Object::new(tree, 1))
        };
        (0..ready + unready).map(node).collect()
    }

    #[test]
    fn zones_are_slowed_down_by_how_much_of_them_is_down() {
        let all = |parts: &[(usize, usize, &str)]| {
            Zones::of(
                &parts
                    .iter()
                    .flat_map(|(ready, unready, zone)| nodes(*ready, *unready, zone))
                    .collect::<Vec<_>>(),
            )
        };
        assert!(all(&[(0, 1, "a"), (0, 3, "b")]).all_down());
        assert_eq!(all(&[(0, 1, "a")]).pause("/a"), None);
        assert_eq!(all(&[(0, 2, "a"), (1, 0, "b")]).pause("/a"), Some(PAUSE));
        assert_eq!(all(&[(2, 2, "a")]).pause("/a"), Some(PAUSE));
        assert_eq!(all(&[(2, 3, "a")]).pause("/a"), None);
        assert_eq!(all(&[(20, 31, "a")]).pause("/a"), Some(LONG_PAUSE));
    }

    #[test]
    fn nodes_of_a_zone_take_turns() {
        let zones = Zones::of(&nodes(1, 2, "a"));
        let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut pace = Pace::default();
        assert_eq!(pace.take(&zones, "/a", now), Ok(()));
        assert_eq!(pace.take(&zones, "/a", now), Err(AGAIN));
        assert_eq!(
            pace.take(&zones, "/a", now + jiff::SignedDuration::from_secs(8)),
            Err(Duration::from_secs(2))
        );
        assert_eq!(pace.take(&zones, "/a", now + jiff::SignedDuration::from_secs(10)), Ok(()));
    }
}
