//! NodeRestriction: kubelets write their own node, and the pods on it, and no more.
//!
//! Absent: pod certificate requests, and the audiences of tokens that kubelets ask for.

use async_trait::async_trait;
use drydock_machinery::{ObjectMeta, Status, Value};

use super::{AdmissionContext, AdmissionPlugin, AdmissionRequest, Operation};

pub(super) struct NodeRestriction;

const MIRROR: &str = "kubernetes.io/config.mirror";

#[async_trait]
impl AdmissionPlugin for NodeRestriction {
    fn name(&self) -> &'static str {
        "NodeRestriction"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        request.user.as_node().is_some() && request.operation != Operation::Connect
    }

    async fn admit(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        if request.operation == Operation::Delete { Ok(()) } else { check(context, request) }
    }

    /// Deletes are only validated.
    async fn validate(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        if request.operation == Operation::Delete { check(context, request) } else { Ok(()) }
    }
}

fn check(context: &AdmissionContext<'_>, request: &AdmissionRequest<'_>) -> Result<(), Status> {
    let Some(node) = request.user.as_node() else { return Ok(()) };
    let refusal = match (&*request.resource.group, &*request.resource.resource, request.subresource) {
        ("", "pods", "") => pod(context, request, node)?,
        ("", "pods", "status") => pod_status(request, node),
        ("", "pods", "eviction") => eviction(context, request, node)?,
        ("", "pods", other) => {
            Some(format!("unexpected pod subresource {other:?}, only 'status' and 'eviction' are allowed"))
        }
        ("", "nodes", _) => own_node(request, node),
        ("", "persistentvolumeclaims", "status") => None,
        ("", "persistentvolumeclaims", _) => Some("may only update PVC status".to_owned()),
        ("", "serviceaccounts", "token") => token(context, request, node)?,
        ("coordination.k8s.io", "leases", _) => lease(request, node),
        ("storage.k8s.io", "csinodes", _) => csi_node(request, node),
        _ => None,
    };
    refusal.map_or(Ok(()), |why| Err(request.forbidden(&why)))
}

type Refusal = Option<String>;

fn pod(
    context: &AdmissionContext<'_>,
    request: &AdmissionRequest<'_>,
    node: &str,
) -> Result<Refusal, Status> {
    let pod = request.object();
    match request.operation {
        Operation::Delete if request.old().str_at(&["spec", "nodeName"]) != node => {
            return Ok(Some(format!("node {node:?} can only delete pods with spec.nodeName set to itself")));
        }
        Operation::Delete => return Ok(None),
        Operation::Create => {}
        _ => {
            return Ok(Some(format!(
                "unexpected operation \"UPDATE\", node {node:?} can only create and delete mirror pods"
            )));
        }
    }
    if pod.annotation(MIRROR).is_none() {
        return Ok(Some(format!(
            "pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"
        )));
    }
    if pod.str_at(&["spec", "nodeName"]) != node {
        return Ok(Some(format!("node {node:?} can only create pods with spec.nodeName set to itself")));
    }
    let owner = match pod.owner_references() {
        [owner] => owner,
        [] => {
            return Ok(Some(format!(
                "node {node:?} can only create pods with an owner reference set to itself"
            )));
        }
        _ => {
            return Ok(Some(format!(
                "node {node:?} can only create pods with a single owner reference set to itself"
            )));
        }
    };
    let text = |field: &str| owner.str_at(&[field]);
    if owner.api_version() != "v1" || owner.kind() != "Node" || text("name") != node {
        return Ok(Some(format!("node {node:?} can only create pods with an owner reference set to itself")));
    }
    if !owner.bool_at(&["controller"]) {
        return Ok(Some(format!(
            "node {node:?} can only create pods with a controller owner reference set to itself"
        )));
    }
    if owner.bool_at(&["blockOwnerDeletion"]) {
        return Ok(Some(format!("node {node:?} must not set blockOwnerDeletion on an owner reference")));
    }
    let known =
        context.reader.get("", "nodes", "", node).ok_or_else(|| Status::not_found("", "nodes", node))?;
    let mismatch = known.uid() != text("uid");
    Ok(mismatch.then(|| format!("node {node} UID mismatch: expected {} got {}", text("uid"), known.uid())))
}

fn pod_status(request: &AdmissionRequest<'_>, node: &str) -> Refusal {
    let (new, old) = (request.object(), request.old());
    if old.str_at(&["spec", "nodeName"]) != node {
        return Some(format!(
            "node {node:?} can only update pod status for pods with spec.nodeName set to itself"
        ));
    }
    if new.labels() != old.labels() {
        return Some(format!("node {node:?} cannot update labels through pod status"));
    }
    let claims = |pod: &Value| pod.array_at(&["status", "resourceClaimStatuses"]).to_vec();
    (claims(new) != claims(old)).then(|| format!("node {node:?} cannot update resource claim statues"))
}

fn eviction(
    context: &AdmissionContext<'_>,
    request: &AdmissionRequest<'_>,
    node: &str,
) -> Result<Refusal, Status> {
    let name = if request.name.is_empty() { request.object().name() } else { &request.name };
    let pod = context.reader.get("", "pods", request.namespace, name);
    let pod = pod.ok_or_else(|| Status::not_found("", "pods", name))?;
    let other = pod.str_at(&["spec", "nodeName"]) != node;
    Ok(other.then(|| format!("node {node} can only evict pods with spec.nodeName set to itself")))
}

fn own_node(request: &AdmissionRequest<'_>, node: &str) -> Refusal {
    if request.name != node {
        return Some(format!("node {node:?} is not allowed to modify node {:?}", request.name));
    }
    let (new, old) = (request.object(), request.old());
    match request.operation {
        Operation::Create => {
            let forbidden = forbidden_labels(new, &Value::Null);
            (!forbidden.is_empty()).then(|| {
                format!("node {node:?} is not allowed to set the following labels: {}", forbidden.join(", "))
            })
        }
        Operation::Update => {
            let taints = |node: &Value| node.array_at(&["spec", "taints"]).to_vec();
            if taints(new) != taints(old) {
                return Some(format!("node {node:?} is not allowed to modify taints"));
            }
            let forbidden = forbidden_labels(new, old);
            (!forbidden.is_empty())
                .then(|| format!("is not allowed to modify labels: {}", forbidden.join(", ")))
        }
        _ => None,
    }
}

/// Labels that were set, changed or removed, and that are not a kubelet's.
fn forbidden_labels(new: &Value, old: &Value) -> Vec<String> {
    let changed = |key: &str| new.labels().get(key) != old.labels().get(key);
    let mut keys: Vec<&str> =
        new.labels().keys().chain(old.labels().keys()).map(|key| key.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter().filter(|key| changed(key) && is_forbidden_label(key)).map(str::to_owned).collect()
}

fn is_forbidden_label(key: &str) -> bool {
    const OWN: [&str; 12] = [
        "kubernetes.io/hostname",
        "kubernetes.io/arch",
        "kubernetes.io/os",
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/instance-type",
        "beta.kubernetes.io/os",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "failure-domain.kubernetes.io/region",
        "failure-domain.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    ];
    let Some((domain, _)) = key.split_once('/') else { return false };
    let under = |parent: &str| domain == parent || domain.ends_with(&format!(".{parent}"));
    if under("node-restriction.kubernetes.io") {
        return true;
    }
    let is_kubernetes = under("kubernetes.io") || under("k8s.io");
    let is_kubelets = OWN.contains(&key) || under("kubelet.kubernetes.io") || under("node.kubernetes.io");
    is_kubernetes && !is_kubelets
}

/// Tokens that a kubelet asks for are for pods on its node.
fn token(
    context: &AdmissionContext<'_>,
    request: &AdmissionRequest<'_>,
    node: &str,
) -> Result<Refusal, Status> {
    if request.operation != Operation::Create {
        return Ok(None);
    }
    let text = |field: &str| request.object().str_at(&["spec", "boundObjectRef", field]);
    if text("apiVersion") != "v1" || text("kind") != "Pod" || text("name").is_empty() {
        return Ok(Some("node requested token not bound to a pod".to_owned()));
    }
    if text("uid").is_empty() {
        return Ok(Some("node requested token with a pod binding without a uid".to_owned()));
    }
    let name = text("name");
    let pod = context.reader.get("", "pods", request.namespace, name);
    let pod = pod.ok_or_else(|| Status::not_found("", "pods", name))?;
    if pod.uid() != text("uid") {
        return Ok(Some(format!(
            "the UID in the bound object reference ({}) does not match the UID in record. The object might have been \
             deleted and then recreated",
            text("uid")
        )));
    }
    let elsewhere = pod.str_at(&["spec", "nodeName"]) != node;
    Ok(elsewhere.then(|| "node requested token bound to a pod scheduled on a different node".to_owned()))
}

fn lease(request: &AdmissionRequest<'_>, node: &str) -> Refusal {
    if request.namespace != "kube-node-lease" {
        return Some("can only access leases in the \"kube-node-lease\" system namespace".to_owned());
    }
    let name = if request.name.is_empty() { request.object().name() } else { &request.name };
    (name != node).then(|| "can only access node lease with the same name as the requesting node".to_owned())
}

fn csi_node(request: &AdmissionRequest<'_>, node: &str) -> Refusal {
    let name = if request.name.is_empty() { request.object().name() } else { &request.name };
    (name != node).then(|| "can only access CSINode with the same name as the requesting node".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubelets_set_their_own_labels_only() {
        for (key, forbidden) in [
            ("kubernetes.io/hostname", false),
            ("node.kubernetes.io/instance-type", false),
            ("eks.amazonaws.com/nodegroup", false),
            ("team", false),
            ("node-role.kubernetes.io/control-plane", true),
            ("x.node-restriction.kubernetes.io/a", true),
            ("foo.k8s.io/bar", true),
        ] {
            assert_eq!(is_forbidden_label(key), forbidden, "{key}");
        }
    }
}
