//! VolumeRestrictions, NodeVolumeLimits, VolumeBinding and VolumeZone.

use drydock_machinery::{Object, Value};

use super::{CycleState, Rejection};
use crate::node_info::NodeInfo;
use crate::plugin::Plugin;
use crate::pod_info::PodInfo;

const DISK_TAKEN: &str = "node(s) had no available disk";
const CLAIM_TAKEN: &str = "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod";
const TOO_MANY: &str = "node(s) exceed max volume count";
const NO_ZONE: &str = "node(s) had no available volume zone";

/// Whether nobody else uses what only one pod at a time may.
pub(super) fn restrictions(state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
    let own = exclusive_disks(&pod.object);
    let taken =
        |other: &Object| exclusive_disks(other).iter().any(|disk| own.iter().any(|own| conflict(own, disk)));
    if !own.is_empty() && node.pods.values().any(|other| taken(&other.object)) {
        return Err(Rejection::new(Plugin::VolumeRestrictions, DISK_TAKEN));
    }
    if state.claim_taken {
        return Err(Rejection::new(Plugin::VolumeRestrictions, CLAIM_TAKEN));
    }
    Ok(())
}

/// Whether drivers can attach the pod's volumes to the node beside those that are there.
pub(super) fn limits(state: &CycleState, node: &NodeInfo) -> Result<(), Rejection> {
    let others = || node.pods.values().map(|other| &*other.object);
    if state.pod_volumes.exceeds_limits(&state.volumes, &node.node, others) {
        return Err(Rejection::new(Plugin::NodeVolumeLimits, TOO_MANY));
    }
    Ok(())
}

/// Whether the pod's claims have, or can get, volumes that the node reaches.
pub(super) fn binding(state: &CycleState, node: &NodeInfo) -> Result<(), Rejection> {
    let reasons = state.pod_volumes.unbindable(&state.volumes, &node.node);
    if reasons.is_empty() {
        return Ok(());
    }
    Err(Rejection { plugin: Plugin::VolumeBinding, reasons, unresolvable: true, is_error: false })
}

/// Whether the node is where the labels of the pod's volumes say that they are.
pub(super) fn zone(state: &CycleState, node: &NodeInfo) -> Result<(), Rejection> {
    if !state.pod_volumes.reaches_zones(&node.node) {
        return Err(Rejection::unresolvable(Plugin::VolumeZone, NO_ZONE));
    }
    Ok(())
}

/// A disk that one pod at a time may write.
#[derive(Debug, PartialEq, Eq)]
struct Disk<'a> {
    kind: &'static str,
    name: String,
    /// Of these any may be the same; empty where there are none.
    monitors: Vec<&'a str>,
    read_only: bool,
}

fn exclusive_disks(pod: &Object) -> Vec<Disk<'_>> {
    pod.array_at(&["spec", "volumes"]).iter().filter_map(disk).collect()
}

fn disk(volume: &Value) -> Option<Disk<'_>> {
    const KINDS: [(&str, &str); 4] = [
        ("gcePersistentDisk", "pdName"),
        ("awsElasticBlockStore", "volumeID"),
        ("iscsi", "iqn"),
        ("rbd", "image"),
    ];
    let (kind, field) =
        KINDS.into_iter().find(|(kind, _)| volume.get(kind).is_some_and(|disk| !disk.is_null()))?;
    let source = volume.get(kind)?;
    let (mut name, mut monitors) = (source.str_at(&[field]).to_owned(), Vec::new());
    if kind == "rbd" {
        name = format!("{}/{name}", source.str_at(&["pool"]));
        monitors = source.array_at(&["monitors"]).iter().filter_map(Value::as_str).collect();
    }
    // Not even readers share the volumes of AWS.
    let read_only = kind != "awsElasticBlockStore" && source.bool_at(&["readOnly"]);
    Some(Disk { kind, name, monitors, read_only })
}

fn conflict(a: &Disk<'_>, b: &Disk<'_>) -> bool {
    let same_cluster = a.kind != "rbd" || a.monitors.iter().any(|monitor| b.monitors.contains(monitor));
    a.kind == b.kind && a.name == b.name && same_cluster && !(a.read_only && b.read_only)
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    #[test]
    fn disks_are_shared_by_readers_only() {
        let conflicts = |a: Value, b: Value| conflict(&disk(&a).unwrap(), &disk(&b).unwrap());
        let gce = |read_only: bool| value!({"gcePersistentDisk": {"pdName": "x", "readOnly": read_only}});
        assert!(conflicts(gce(true), gce(false)));
        assert!(!conflicts(gce(true), gce(true)));
        let aws = value!({"awsElasticBlockStore": {"volumeID": "x", "readOnly": true}});
        assert!(conflicts(aws.clone(), aws));
        let rbd = |monitor: &str| value!({"rbd": {"monitors": [monitor], "pool": "p", "image": "i"}});
        assert!(conflicts(rbd("a"), rbd("a")));
        assert!(!conflicts(rbd("a"), rbd("b")));
    }
}
