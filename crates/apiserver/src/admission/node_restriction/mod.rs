//! NodeRestriction: kubelets write their own node, and the pods on it, and no more.
//!
//! Absent: pod certificate requests.

mod labels;
mod token;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drydock_auth::pki::parse_request;
use drydock_machinery::{ObjectMeta, Status, Value};

use super::references::first_reference;
use super::{AdmissionContext, AdmissionPlugin, AdmissionRequest, Operation};
use labels::forbidden_labels;

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
        if request.operation == Operation::Delete { Ok(()) } else { check(context, request).await }
    }

    /// Deletes are only validated.
    async fn validate(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        if request.operation == Operation::Delete { check(context, request).await } else { Ok(()) }
    }
}

async fn check(context: &AdmissionContext<'_>, request: &AdmissionRequest<'_>) -> Result<(), Status> {
    let Some(node) = request.user.as_node() else { return Ok(()) };
    let refusal = match (&*request.resource.group, &*request.resource.resource, request.subresource) {
        ("", "pods", "") => pod(context, request, node)?,
        ("", "pods", "status") => pod_status(request, node),
        ("", "pods", "eviction") => eviction(context, request, node)?,
        ("", "pods", other) => {
            Some(format!("unexpected pod subresource {other:?}, only 'status' and 'eviction' are allowed"))
        }
        ("", "nodes", _) => own_node(request, node),
        ("", "persistentvolumeclaims", "status") => claim_status(request, node),
        ("", "persistentvolumeclaims", _) => Some("may only update PVC status".to_owned()),
        ("", "serviceaccounts", "token") => token::check(context, request, node).await?,
        ("coordination.k8s.io", "leases", _) => lease(request, node),
        ("storage.k8s.io", "csinodes", _) => csi_node(request, node),
        ("resource.k8s.io", "resourceslices", _) => resource_slice(request, node),
        ("certificates.k8s.io", "certificatesigningrequests", _) => certificate_request(request, node),
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
    if known.uid() != text("uid") {
        return Ok(Some(format!("node {node} UID mismatch: expected {} got {}", text("uid"), known.uid())));
    }
    // What its pods refer to a node may read.
    Ok(match first_reference(pod) {
        Ok(None) => None,
        Ok(Some(what)) => Some(format!("node {node:?} can not create pods that reference {what}")),
        Err(why) => Some(format!("error checking mirror pod for API references: {why}")),
    })
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
    if claims(new) != claims(old) {
        return Some(format!("node {node:?} cannot update resource claim statues"));
    }
    let extended = |pod: &Value| pod.at(&["status", "extendedResourceClaimStatus"]).cloned();
    (extended(new) != extended(old))
        .then(|| format!("node {node:?} cannot update extended resource claim status"))
}

fn eviction(
    context: &AdmissionContext<'_>,
    request: &AdmissionRequest<'_>,
    node: &str,
) -> Result<Refusal, Status> {
    let name = if request.name.is_empty() { request.object().name() } else { &request.name };
    let pod = context.reader.get("", "pods", request.namespace, name);
    let pod = pod.ok_or_else(|| Status::not_found("", "pod", name))?;
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
            if new.at(&["spec", "configSource"]).is_some() {
                return Some(format!(
                    "node {node:?} is not allowed to create pods with a non-nil configSource"
                ));
            }
            let forbidden = forbidden_labels(new, &Value::Null);
            (!forbidden.is_empty()).then(|| {
                format!("node {node:?} is not allowed to set the following labels: {}", forbidden.join(", "))
            })
        }
        Operation::Update => {
            let source = new.at(&["spec", "configSource"]);
            if source.is_some() && source != old.at(&["spec", "configSource"]) {
                return Some(format!(
                    "node {node:?} is not allowed to update configSource to a new non-nil configSource"
                ));
            }
            let taints = |node: &Value| node.array_at(&["spec", "taints"]).to_vec();
            if taints(new) != taints(old) {
                return Some(format!("node {node:?} is not allowed to modify taints"));
            }
            if new.owner_references() != old.owner_references() {
                return Some(format!("node {node:?} is not allowed to modify ownerReferences"));
            }
            let forbidden = forbidden_labels(new, old);
            (!forbidden.is_empty())
                .then(|| format!("is not allowed to modify labels: {}", forbidden.join(", ")))
        }
        _ => None,
    }
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

/// A kubelet says how a claim's resizing goes, and nothing else.
fn claim_status(request: &AdmissionRequest<'_>, node: &str) -> Refusal {
    const OWN: [&[&str]; 6] = [
        &["metadata", "resourceVersion"],
        &["metadata", "managedFields"],
        &["status", "capacity"],
        &["status", "conditions"],
        &["status", "allocatedResourceStatuses"],
        &["status", "allocatedResources"],
    ];
    if request.operation != Operation::Update {
        return Some(format!("unexpected operation {:?}", request.operation.as_str()));
    }
    let rest = |claim: &Value| {
        let mut rest = claim.clone();
        OWN.iter().for_each(|path| drop(rest.remove(path)));
        if rest.get("status").and_then(Value::as_object).is_some_and(drydock_machinery::Map::is_empty) {
            rest.remove(&["status"]);
        }
        rest
    };
    (rest(request.object()) != rest(request.old())).then(|| {
        format!(
            "node {node:?} is not allowed to update fields other than status.quantity and status.conditions"
        )
    })
}

/// Updates, and which slices a node may delete by name, are the node authorizer's to judge. That does not see what is
/// created, nor each object of a collection.
fn resource_slice(request: &AdmissionRequest<'_>, node: &str) -> Refusal {
    let (slice, what) = match request.operation {
        Operation::Create => (request.object(), "create"),
        Operation::Delete => (request.old(), "delete"),
        _ => return None,
    };
    (slice.str_at(&["spec", "nodeName"]) != node)
        .then(|| format!("can only {what} ResourceSlice with the same NodeName as the requesting node"))
}

/// A kubelet asks for certificates in its node's name only.
fn certificate_request(request: &AdmissionRequest<'_>, node: &str) -> Refusal {
    const SIGNERS: [&str; 2] =
        ["kubernetes.io/kubelet-serving", "kubernetes.io/kube-apiserver-client-kubelet"];
    let spec = |field: &str| request.object().str_at(&["spec", field]);
    if request.operation != Operation::Create || !SIGNERS.contains(&spec("signerName")) {
        return None;
    }
    let pem = STANDARD.decode(spec("request")).unwrap_or_default();
    match parse_request(&String::from_utf8_lossy(&pem)) {
        Err(why) => Some(format!("unable to parse csr: {why}")),
        Ok(asked) => (asked.subject.common_name != format!("system:node:{node}"))
            .then(|| format!("can only create a node CSR with CN=system:node:{node}")),
    }
}

#[cfg(test)]
mod tests;
