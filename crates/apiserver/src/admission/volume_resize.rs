//! PersistentVolumeClaimResize: a claim grows only if it is bound and its storage class lets it.

use async_trait::async_trait;
use drydock_machinery::quantity::Quantity;
use drydock_machinery::{Status, Value};

use super::{AdmissionContext, AdmissionPlugin, AdmissionRequest, Operation};

pub(super) struct PersistentVolumeClaimResize;

fn size(claim: &Value) -> Quantity {
    Quantity::of(claim.at(&["spec", "resources", "requests", "storage"]))
}

#[async_trait]
impl AdmissionPlugin for PersistentVolumeClaimResize {
    fn name(&self) -> &'static str {
        "PersistentVolumeClaimResize"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        request.operation == Operation::Update && request.is_for("", "persistentvolumeclaims")
    }

    async fn validate(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        let (new, old) = (request.object(), request.old());
        if size(new) <= size(old) {
            return Ok(());
        }
        if old.str_at(&["status", "phase"]) != "Bound" {
            return Err(request.forbidden("Only bound persistent volume claims can be expanded"));
        }
        let class = |claim: &Value| claim.str_at(&["spec", "storageClassName"]).to_owned();
        let expands = class(new) == class(old)
            && context
                .reader
                .get("storage.k8s.io", "storageclasses", "", &class(new))
                .is_some_and(|class| class.bool_at(&["allowVolumeExpansion"]));
        if expands {
            return Ok(());
        }
        Err(request.forbidden(
            "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support \
             resize",
        ))
    }
}
