//! Which other API objects a pod refers to.

use drydock_machinery::Value;

pub(super) const CONTAINERS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Volumes that need nothing of the API server. Some of them may name a secret, which [`secrets`] finds.
const WITHOUT: [&str; 22] = [
    "awsElasticBlockStore",
    "azureDisk",
    "cephfs",
    "cinder",
    "downwardAPI",
    "emptyDir",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "gitRepo",
    "hostPath",
    "image",
    "iscsi",
    "nfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
];

/// The names of the secrets that a pod refers to.
pub(super) fn secrets(pod: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = of_containers(pod, "secretKeyRef", "secretRef");
    for volume in pod.array_at(&["spec", "volumes"]) {
        let sources = volume.as_object().into_iter().flat_map(|sources| sources.values());
        for source in sources {
            names.push(source.str_at(&["secretName"]));
            names.push(source.str_at(&["secretRef", "name"]));
        }
        names.push(volume.str_at(&["csi", "nodePublishSecretRef", "name"]));
        names.extend(projected(volume).iter().map(|source| source.str_at(&["secret", "name"])));
    }
    let pulls = pod.array_at(&["spec", "imagePullSecrets"]);
    names.extend(pulls.iter().map(|secret| secret.str_at(&["name"])));
    names.retain(|name| !name.is_empty());
    names
}

/// The names of the config maps that a pod refers to.
fn config_maps(pod: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = of_containers(pod, "configMapKeyRef", "configMapRef");
    for volume in pod.array_at(&["spec", "volumes"]) {
        names.push(volume.str_at(&["configMap", "name"]));
        names.extend(projected(volume).iter().map(|source| source.str_at(&["configMap", "name"])));
    }
    names.retain(|name| !name.is_empty());
    names
}

fn projected(volume: &Value) -> &[Value] {
    volume.array_at(&["projected", "sources"])
}

fn of_containers<'a>(pod: &'a Value, key: &str, whole: &str) -> Vec<&'a str> {
    let mut names = Vec::new();
    for container in CONTAINERS.iter().flat_map(|list| pod.array_at(&["spec", list])) {
        let env = container.array_at(&["env"]).iter();
        names.extend(env.map(|env| env.str_at(&["valueFrom", key, "name"])));
        let sources = container.array_at(&["envFrom"]).iter();
        names.extend(sources.map(|source| source.str_at(&[whole, "name"])));
    }
    names
}

/// The first kind of object that a pod refers to, as upstream words it.
///
/// # Errors
/// When a volume is of an unknown kind.
pub(super) fn first_reference(pod: &Value) -> Result<Option<&'static str>, String> {
    if !pod.str_at(&["spec", "serviceAccountName"]).is_empty() {
        return Ok(Some("serviceaccounts"));
    }
    if !secrets(pod).is_empty() {
        return Ok(Some("secrets"));
    }
    if !config_maps(pod).is_empty() {
        return Ok(Some("configmaps"));
    }
    if !pod.array_at(&["spec", "resourceClaims"]).is_empty() {
        return Ok(Some("resourceclaims"));
    }
    for volume in pod.array_at(&["spec", "volumes"]) {
        if let Some(found) = of_volume(volume)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn of_volume(volume: &Value) -> Result<Option<&'static str>, String> {
    const REFERRING: [(&str, &str); 7] = [
        ("configMap", "configmaps (via configmap volumes)"),
        ("secret", "secrets (via secret volumes)"),
        ("csi", "csidrivers (via CSI volumes)"),
        ("glusterfs", "endpoints (via glusterFS volumes)"),
        ("persistentVolumeClaim", "persistentvolumeclaims"),
        ("ephemeral", "persistentvolumeclaims (via ephemeral volumes)"),
        ("azureFile", "secrets (via azureFile volumes)"),
    ];
    if let Some((_, what)) = REFERRING.iter().find(|(source, _)| has(volume, source)) {
        return Ok(Some(what));
    }
    if has(volume, "projected") {
        let name = volume.str_at(&["name"]);
        for source in projected(volume) {
            if let Some(found) = of_projection(name, source)? {
                return Ok(Some(found));
            }
        }
        return Ok(None);
    }
    if WITHOUT.iter().any(|source| has(volume, source)) {
        return Ok(None);
    }
    Err(format!("unknown volume type for volume  {:?}", volume.str_at(&["name"])))
}

fn of_projection(volume: &str, source: &Value) -> Result<Option<&'static str>, String> {
    const REFERRING: [(&str, &str); 5] = [
        ("configMap", "configmaps (via projected volumes)"),
        ("secret", "secrets (via projected volumes)"),
        ("serviceAccountToken", "serviceaccounts (via projected volumes)"),
        ("clusterTrustBundle", "clustertrustbundles"),
        ("podCertificate", "podcertificates"),
    ];
    match REFERRING.iter().find(|(kind, _)| has(source, kind)) {
        Some((_, what)) => Ok(Some(what)),
        None if has(source, "downwardAPI") => Ok(None),
        None => Err(format!("unknown source for projected volume {volume:?}")),
    }
}

fn has(holder: &Value, field: &str) -> bool {
    holder.get(field).is_some_and(|value| !value.is_null())
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    #[test]
    fn every_way_of_referring_to_an_object_is_found() {
        let check = |spec: Value, expected: Result<Option<&str>, &str>| {
            let pod = value!({"spec": spec});
            assert_eq!(first_reference(&pod), expected.map_err(str::to_owned), "{pod:?}");
        };
        let volume = |source: Value| {
            let mut volume = source;
            volume.set(&["name"], "v");
            value!({"volumes": [volume]})
        };
        check(value!({"serviceAccountName": "sa"}), Ok(Some("serviceaccounts")));
        check(value!({"imagePullSecrets": [{"name": "s"}]}), Ok(Some("secrets")));
        check(
            value!({"ephemeralContainers": [{"envFrom": [{"configMapRef": {"name": "c"}}]}]}),
            Ok(Some("configmaps")),
        );
        check(value!({"resourceClaims": [{"name": "r"}]}), Ok(Some("resourceclaims")));
        check(volume(value!({"azureFile": {"secretName": "s"}})), Ok(Some("secrets")));
        check(volume(value!({"cephfs": {"secretRef": {"name": "s"}}})), Ok(Some("secrets")));
        check(
            volume(value!({"csi": {"driver": "d", "nodePublishSecretRef": {"name": "s"}}})),
            Ok(Some("secrets")),
        );
        check(volume(value!({"csi": {"driver": "d"}})), Ok(Some("csidrivers (via CSI volumes)")));
        check(volume(value!({"configMap": {}})), Ok(Some("configmaps (via configmap volumes)")));
        check(
            volume(value!({"persistentVolumeClaim": {"claimName": "c"}})),
            Ok(Some("persistentvolumeclaims")),
        );
        check(
            volume(value!({"projected": {"sources": [{"downwardAPI": {}}, {"serviceAccountToken": {}}]}})),
            Ok(Some("serviceaccounts (via projected volumes)")),
        );
        check(volume(value!({"projected": {"sources": [{"downwardAPI": {}}]}})), Ok(None));
        check(volume(value!({"hostPath": {"path": "/"}})), Ok(None));
        check(volume(value!({"new": {}})), Err("unknown volume type for volume  \"v\""));
    }
}
