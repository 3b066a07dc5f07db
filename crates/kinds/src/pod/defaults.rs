//! Defaults of pod specs, wherever they stand: upstream's `pkg/apis/core/v1/defaults.go` and its conversions.
//!
//! What only a pod itself gets is in [`pod`]; templates of controllers stop at [`pod_template`].

use drydock_machinery::quantity::Quantity;
use drydock_machinery::{Map, Value};

use crate::check::is_huge_page;
use crate::pod::image::Reference;
use crate::pod::resources::aggregate;
use crate::shape::{default, default_nil, each_mut, has, is_nil, with_mut};

/// A `PodTemplateSpec` at `path`.
pub(crate) fn pod_template(object: &mut Value, path: &[&str]) {
    with_mut(object, path, |template| {
        default_nil(template, &["metadata"], Value::object());
        if !template.object_at(&["metadata", "annotations"]).is_empty() {
            drop_annotations(template);
        }
        pod_spec(template.at_mut(&["spec"]));
    });
}

/// Takes away the annotations that init containers once were, of pods and templates.
fn drop_annotations(object: &mut Value) {
    for release in ["alpha", "beta"] {
        for what in ["containers", "container-statuses"] {
            let name = format!("pod.{release}.kubernetes.io/init-{what}");
            object.remove(&["metadata", "annotations", &name]);
        }
    }
    if object.at(&["metadata", "annotations"]).is_some_and(|left| left.as_object().is_some_and(Map::is_empty))
    {
        object.remove(&["metadata", "annotations"]);
    }
}

/// A pod.
pub(crate) fn pod(object: &mut Value) {
    if !object.object_at(&["metadata", "annotations"]).is_empty() {
        drop_annotations(object);
    }
    let spec = object.at_mut(&["spec"]);
    default_nil(spec, &["enableServiceLinks"], true);
    pod_spec(spec);
    for containers in ["containers", "initContainers"] {
        each_mut(spec, &[containers], requests_from_limits);
    }
    pod_level_requests(spec);
    if spec.bool_at(&["hostNetwork"]) {
        for containers in ["containers", "initContainers", "ephemeralContainers"] {
            each_mut(spec, &[containers], host_ports);
        }
    }
    first_address(object);
    round_status(object);
}

fn round_status(object: &mut Value) {
    with_mut(object, &["status"], resources_in_use);
    for statuses in ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"] {
        each_mut(object, &["status", statuses], resources_in_use);
    }
}

/// Of a pod's status, or of a container's.
fn resources_in_use(status: &mut Value) {
    with_mut(status, &["resources"], resources);
    round_lists(status, &[&["allocatedResources"]]);
}

/// `podIP` is the first of `podIPs`; where they differ the single one holds.
fn first_address(object: &mut Value) {
    let all = &["status", "podIPs"];
    let single = object.str_at(&["status", "podIP"]).to_owned();
    let first = object.array_at(all).first().map_or("", |entry| entry.str_at(&["ip"])).to_owned();
    if single.is_empty() && !first.is_empty() {
        object.set(&["status", "podIP"], first);
    } else if !single.is_empty() && single != first {
        let mut entry = Value::object();
        entry.set(&["ip"], single);
        object.set(all, vec![entry]);
    }
}

/// Requests that are not given are the limits.
fn requests_from_limits(container: &mut Value) {
    let limits = container.object_at(&["resources", "limits"]).clone();
    for (name, limit) in limits.iter() {
        default_nil(container, &["resources", "requests", name], limit.clone());
    }
}

/// Pod level requests are the containers' together, or the pod's limits: when the pod has limits. Huge pages that only
/// containers ask for are the pod's limits too.
fn pod_level_requests(spec: &mut Value) {
    let given = |spec: &Value, list: &str| !spec.object_at(&["resources", list]).is_empty();
    if given(spec, "limits") || given(spec, "requests") {
        for (name, limit) in aggregate(spec, "limits").iter().filter(|(name, _)| is_huge_page(name)) {
            if !has(spec, &["resources", "requests", name]) {
                default_nil(spec, &["resources", "limits", name], Value::from(limit));
            }
        }
    }
    let limits = spec.object_at(&["resources", "limits"]).clone();
    if limits.is_empty() {
        return;
    }
    for (name, request) in aggregate(spec, "requests").iter().filter(|(name, _)| is_pod_level(name)) {
        if !is_huge_page(name) {
            default_nil(spec, &["resources", "requests", name], Value::from(request));
        }
    }
    for (name, limit) in limits.iter().filter(|(name, _)| is_pod_level(name)) {
        default_nil(spec, &["resources", "requests", name], limit.clone());
    }
}

/// Whether an amount can be given for a pod as a whole.
pub fn is_pod_level(name: &str) -> bool {
    matches!(name, "cpu" | "memory") || name.starts_with("hugepages-")
}

fn host_ports(container: &mut Value) {
    each_mut(container, &["ports"], |port| {
        let number = port.i64_at(&["containerPort"]).unwrap_or(0);
        if number != 0 {
            default(port, &["hostPort"], number);
        }
    });
}

/// A `PodSpec`.
pub(crate) fn pod_spec(spec: &mut Value) {
    service_account(spec);
    default(spec, &["dnsPolicy"], "ClusterFirst");
    default(spec, &["restartPolicy"], "Always");
    default(spec, &["schedulerName"], "default-scheduler");
    default_nil(spec, &["securityContext"], Value::object());
    default_nil(spec, &["terminationGracePeriodSeconds"], 30);
    for containers in ["initContainers", "containers", "ephemeralContainers"] {
        each_mut(spec, &[containers], container);
    }
    each_mut(spec, &["volumes"], volume);
    with_mut(spec, &["resources"], resources);
    with_mut(spec, &["overhead"], round_resources);
}

/// `serviceAccount` is the old name of `serviceAccountName`.
fn service_account(spec: &mut Value) {
    let name = match spec.str_at(&["serviceAccountName"]) {
        "" => spec.str_at(&["serviceAccount"]),
        name => name,
    };
    if name.is_empty() {
        return;
    }
    let name = Value::from(name);
    for field in ["serviceAccountName", "serviceAccount"] {
        if spec.get(field) != Some(&name) {
            spec.set(&[field], name.clone());
        }
    }
}

fn container(container: &mut Value) {
    default(container, &["terminationMessagePath"], "/dev/termination-log");
    default(container, &["terminationMessagePolicy"], "File");
    if container.str_at(&["imagePullPolicy"]).is_empty() {
        let policy = pull_policy(container.str_at(&["image"]));
        container.set(&["imagePullPolicy"], policy);
    }
    default_nil(container, &["resources"], Value::object());
    resources(container.at_mut(&["resources"]));
    each_mut(container, &["ports"], |port| default(port, &["protocol"], "TCP"));
    each_mut(container, &["env"], |env| {
        with_mut(env, &["valueFrom", "fieldRef"], field_ref);
        with_mut(env, &["valueFrom", "resourceFieldRef"], resource_field_ref);
        with_mut(env, &["valueFrom", "fileKeyRef"], |key| default_nil(key, &["optional"], false));
    });
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        with_mut(container, &[name], probe);
    }
    for name in ["postStart", "preStop"] {
        with_mut(container, &["lifecycle", name, "httpGet"], http_get);
    }
}

/// `Always` for images whose tag is latest or absent; of what is no reference nothing is known.
fn pull_policy(image: &str) -> &'static str {
    match super::image::parse(image) {
        Some(Reference { tag: Some("latest"), .. } | Reference { tag: None, digest: None }) => "Always",
        _ => "IfNotPresent",
    }
}

fn probe(probe: &mut Value) {
    default(probe, &["timeoutSeconds"], 1);
    default(probe, &["periodSeconds"], 10);
    default(probe, &["successThreshold"], 1);
    default(probe, &["failureThreshold"], 3);
    with_mut(probe, &["httpGet"], http_get);
    with_mut(probe, &["grpc"], |grpc| default_nil(grpc, &["service"], ""));
}

fn http_get(action: &mut Value) {
    default(action, &["path"], "/");
    default(action, &["scheme"], "HTTP");
}

fn field_ref(field: &mut Value) {
    default(field, &["apiVersion"], "v1");
}

fn resource_field_ref(field: &mut Value) {
    default(field, &["divisor"], "0");
}

fn volume(volume: &mut Value) {
    let has_source = volume
        .as_object()
        .is_some_and(|volume| volume.iter().any(|(key, value)| key != "name" && !is_nil(Some(value))));
    if !has_source {
        volume.set(&["emptyDir"], Value::object());
        return;
    }
    for source in ["secret", "configMap", "downwardAPI", "projected"] {
        with_mut(volume, &[source], |source| default_nil(source, &["defaultMode"], 0o644));
    }
    each_mut(volume, &["downwardAPI", "items"], downward_file);
    each_mut(volume, &["projected", "sources"], |source| {
        with_mut(source, &["serviceAccountToken"], |token| default_nil(token, &["expirationSeconds"], 3600));
        each_mut(source, &["downwardAPI", "items"], downward_file);
    });
    with_mut(volume, &["hostPath"], |path| default_nil(path, &["type"], ""));
    with_mut(volume, &["iscsi"], |iscsi| default(iscsi, &["iscsiInterface"], "default"));
    with_mut(volume, &["image"], |image| {
        let policy = pull_policy(image.str_at(&["reference"]));
        default(image, &["pullPolicy"], policy);
    });
    with_mut(volume, &["ephemeral", "volumeClaimTemplate"], |claim| {
        default_nil(claim, &["metadata"], Value::object());
        claim_spec(claim.at_mut(&["spec"]));
    });
    volume_source(volume);
}

/// Defaults of volume sources that persistent volumes have too.
pub(crate) fn volume_source(volume: &mut Value) {
    with_mut(volume, &["rbd"], |rbd| {
        default(rbd, &["pool"], "rbd");
        default(rbd, &["user"], "admin");
        default(rbd, &["keyring"], "/etc/ceph/keyring");
    });
    with_mut(volume, &["azureDisk"], |disk| {
        default_nil(disk, &["cachingMode"], "ReadWrite");
        default_nil(disk, &["kind"], "Shared");
        default_nil(disk, &["fsType"], "ext4");
        default_nil(disk, &["readOnly"], false);
    });
    with_mut(volume, &["scaleIO"], |scale_io| {
        default(scale_io, &["storageMode"], "ThinProvisioned");
        default(scale_io, &["fsType"], "xfs");
    });
}

fn downward_file(file: &mut Value) {
    with_mut(file, &["fieldRef"], field_ref);
    with_mut(file, &["resourceFieldRef"], resource_field_ref);
}

/// A `PersistentVolumeClaimSpec`, in a claim or a template of one.
pub(crate) fn claim_spec(spec: &mut Value) {
    default_nil(spec, &["volumeMode"], "Filesystem");
    default_nil(spec, &["resources"], Value::object());
    resources(spec.at_mut(&["resources"]));
}

/// A `ResourceRequirements`: amounts are rounded up to thousandths.
pub(crate) fn resources(resources: &mut Value) {
    for list in ["limits", "requests"] {
        with_mut(resources, &[list], round_resources);
    }
}

/// The `ResourceList`s at `paths`.
pub(crate) fn round_lists(object: &mut Value, paths: &[&[&str]]) {
    for path in paths {
        with_mut(object, path, round_resources);
    }
}

/// A `ResourceList`.
fn round_resources(list: &mut Value) {
    let amounts = list.as_object().cloned().unwrap_or_default();
    let rounded: Vec<(String, String)> = amounts
        .iter()
        .filter_map(|(name, amount)| {
            let text = amount.as_str()?;
            let small = text.ends_with(['u', 'n']);
            small.then(|| {
                (name.to_string(), Quantity::from_milli(Quantity::of(Some(amount)).milli_value()).to_string())
            })
        })
        .collect();
    for (name, amount) in rounded {
        list.set(&[&name], amount);
    }
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    #[test]
    fn images_without_a_fixed_tag_are_always_pulled() {
        for (image, policy) in [
            ("nginx", "Always"),
            ("nginx:latest", "Always"),
            ("nginx:1.27", "IfNotPresent"),
            ("host:5000/nginx", "Always"),
            ("host:5000/nginx:1", "IfNotPresent"),
            ("nginx@sha256:00", "IfNotPresent"),
        ] {
            assert_eq!(pull_policy(image), policy, "{image}");
        }
    }

    #[test]
    fn defaulting_twice_changes_nothing() {
        let mut once = value!({"spec": {
            "serviceAccount": "sa",
            "hostNetwork": true,
            "containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}],
                "resources": {"limits": {"cpu": "1", "memory": "100u"}},
                "livenessProbe": {"httpGet": {"port": 80}}}],
            "volumes": [{"name": "v"}, {"name": "w", "hostPath": {"path": "/x"}}],
        }});
        pod(&mut once);
        let mut twice = once.clone();
        pod(&mut twice);
        assert_eq!(once, twice);
        assert_eq!(once.str_at(&["spec", "serviceAccountName"]), "sa");
        let container = &once.array_at(&["spec", "containers"])[0];
        assert_eq!(container.at(&["resources", "requests"]), Some(&value!({"cpu": "1", "memory": "1m"})));
        assert_eq!(container.array_at(&["ports"])[0].i64_at(&["hostPort"]), Some(80));
    }
}
