//! Fields of pods behind feature gates that are off by default: a new pod does not get them, an old one keeps them.

use drydock_machinery::Value;

use crate::shape::{each_mut, has, is_zero};

/// `DropDisabledPodFields`, of the pod spec at a path.
pub(crate) fn drop_disabled(object: &mut Value, old: Option<&Value>, at: &[&str]) {
    if !has(object, at) {
        return;
    }
    let nothing = Value::Null;
    let old = old.and_then(|old| old.at(at)).unwrap_or(&nothing);
    let spec = object.at_mut(at);
    for source in ["clusterTrustBundle", "podCertificate"] {
        if !projects(old, source) {
            each_mut(spec, &["volumes"], |volume| {
                each_mut(volume, &["projected", "sources"], |part| {
                    part.remove(&[source]);
                });
            });
        }
    }
    if !has(old, &["schedulingGroup"]) {
        spec.remove(&["schedulingGroup"]);
    }
    let signals = |spec: &Value| {
        LISTS.iter().flat_map(|list| spec.array_at(&[list])).any(|c| has(c, &["lifecycle", "stopSignal"]))
    };
    if signals(spec) && !signals(old) {
        for list in LISTS {
            each_mut(spec, &[list], drop_stop_signal);
        }
    }
}

const LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

fn projects(spec: &Value, source: &str) -> bool {
    let volumes = spec.array_at(&["volumes"]).iter();
    volumes.flat_map(|volume| volume.array_at(&["projected", "sources"])).any(|part| has(part, &[source]))
}

fn drop_stop_signal(container: &mut Value) {
    if container.remove(&["lifecycle", "stopSignal"]).is_some() && is_zero(container.get("lifecycle")) {
        container.remove(&["lifecycle"]);
    }
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::drop_disabled;

    #[test]
    fn what_an_old_pod_has_stays() {
        let with = value!({"spec": {"schedulingGroup": {"podGroupName": "g"},
            "containers": [{"name": "c", "lifecycle": {"stopSignal": "SIGHUP"}}],
            "volumes": [{"name": "v", "projected": {"sources": [{"podCertificate": {"keyType": "RSA3072"}}]}}]}});
        let mut kept = with.clone();
        drop_disabled(&mut kept, Some(&with), &["spec"]);
        assert_eq!(kept, with);
        let mut dropped = with;
        drop_disabled(&mut dropped, None, &["spec"]);
        let expected = value!({"spec": {"containers": [{"name": "c"}],
            "volumes": [{"name": "v", "projected": {"sources": [{}]}}]}});
        assert_eq!(dropped, expected);
    }
}
