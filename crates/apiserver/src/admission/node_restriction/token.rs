//! The tokens that a kubelet may ask for: of pods on its node, for who the pods' volumes are for.

use drydock_auth::{Ask as _, Attributes, Reader};
use drydock_machinery::{Object, ObjectMeta, Status, Value};

use super::super::{AdmissionContext, AdmissionRequest, Operation};
use super::Refusal;

pub(super) async fn check(
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
    if pod.str_at(&["spec", "nodeName"]) != node {
        return Ok(Some("node requested token bound to a pod scheduled on a different node".to_owned()));
    }
    Ok(audience(context, request, &pod).await)
}

/// The one audience must be one that the pod mentions, or one that the node was given the right to ask for.
async fn audience(context: &AdmissionContext<'_>, request: &AdmissionRequest<'_>, pod: &Object) -> Refusal {
    let asked = match request.object().array_at(&["spec", "audiences"]) {
        [] => "",
        [one] => one.as_str().unwrap_or_default(),
        _ => return Some("node may only request 0 or 1 audiences".to_owned()),
    };
    match mentions(context.reader, pod, asked) {
        Ok(true) => return None,
        Ok(false) => {}
        Err(why) => return Some(format!("error validating audience {asked:?}: {why}")),
    }
    let attributes = Attributes {
        version: "v1",
        namespace: request.namespace,
        name: &request.name,
        ..Attributes::resource(request.user, "request-serviceaccounts-token-audience", "", asked)
    };
    if context.ask(&attributes).await.is_allowed() {
        return None;
    }
    Some(format!(
        "audience {asked:?} not found in pod spec volume, {} is not authorized to request tokens for this audience",
        request.user.name
    ))
}

/// Whether a volume of the pod is for the audience: one with the account's token, or one whose driver wants tokens.
///
/// # Errors
/// What could not be looked up, when no volume is.
fn mentions(reader: &dyn Reader, pod: &Object, audience: &str) -> Result<bool, String> {
    let mut errors = Vec::new();
    for volume in pod.array_at(&["spec", "volumes"]) {
        let mut tokens = volume.array_at(&["projected", "sources"]).iter();
        if tokens.any(|source| {
            let token = source.get("serviceAccountToken").filter(|token| !token.is_null());
            token.is_some_and(|token| token.str_at(&["audience"]) == audience)
        }) {
            return Ok(true);
        }
        let wants = driver_of(reader, pod, volume).and_then(|driver| match driver {
            Some(driver) => driver_wants(reader, &driver, audience),
            None => Ok(false),
        });
        match wants {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(why) => errors.push(why),
        }
    }
    match errors.as_slice() {
        [] => Ok(false),
        [one] => Err(one.clone()),
        several => Err(format!("[{}]", several.join(", "))),
    }
}

fn driver_of(reader: &dyn Reader, pod: &Object, volume: &Value) -> Result<Option<String>, String> {
    let claim = if volume.at(&["ephemeral", "volumeClaimTemplate"]).is_some() {
        format!("{}-{}", pod.name(), volume.str_at(&["name"]))
    } else {
        volume.str_at(&["persistentVolumeClaim", "claimName"]).to_owned()
    };
    if claim.is_empty() {
        return Ok(driver(volume));
    }
    let not_found = |what: &str, name: &str| format!("{what} {name:?} not found");
    let found = reader.get("", "persistentvolumeclaims", pod.namespace(), &claim);
    let found = found.ok_or_else(|| not_found("persistentvolumeclaim", &claim))?;
    let name = found.str_at(&["spec", "volumeName"]);
    let volume = reader.get("", "persistentvolumes", "", name);
    let volume = volume.ok_or_else(|| not_found("persistentvolume", name))?;
    Ok(volume.get("spec").and_then(driver))
}

/// The CSI driver of a volume; of volumes that kubelets once knew themselves, the one that took them over.
fn driver(source: &Value) -> Option<String> {
    const MIGRATED: [(&str, &str); 7] = [
        ("awsElasticBlockStore", "ebs.csi.aws.com"),
        ("azureDisk", "disk.csi.azure.com"),
        ("azureFile", "file.csi.azure.com"),
        ("cinder", "cinder.csi.openstack.org"),
        ("gcePersistentDisk", "pd.csi.storage.gke.io"),
        ("portworxVolume", "pxd.portworx.com"),
        ("vsphereVolume", "csi.vsphere.vmware.com"),
    ];
    let own = source.str_at(&["csi", "driver"]);
    if !own.is_empty() {
        return Some(own.to_owned());
    }
    let migrated = MIGRATED.iter().find(|(field, _)| source.get(field).is_some_and(|value| !value.is_null()));
    migrated.map(|(_, driver)| (*driver).to_owned())
}

fn driver_wants(reader: &dyn Reader, driver: &str, audience: &str) -> Result<bool, String> {
    let found = reader.get("storage.k8s.io", "csidrivers", "", driver);
    let found = found.ok_or_else(|| format!("csidriver.storage.k8s.io {driver:?} not found"))?;
    let requests = found.array_at(&["spec", "tokenRequests"]);
    Ok(requests.iter().any(|request| request.str_at(&["audience"]) == audience))
}
