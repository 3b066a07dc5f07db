//! StorageObjectInUseProtection: finalizers that keep volumes, claims and volume attribute classes while they are used.

use async_trait::async_trait;
use drydock_machinery::{ObjectMeta, Status, Value};

use super::{AdmissionContext, AdmissionPlugin, AdmissionRequest};

pub(super) struct StorageObjectInUseProtection;

fn finalizer(request: &AdmissionRequest<'_>) -> Option<&'static str> {
    let kinds = [
        ("", "persistentvolumeclaims", "kubernetes.io/pvc-protection"),
        ("", "persistentvolumes", "kubernetes.io/pv-protection"),
        ("storage.k8s.io", "volumeattributesclasses", "kubernetes.io/vac-protection"),
    ];
    kinds.into_iter().find(|(group, resource, _)| request.is_create_of(group, resource)).map(|kind| kind.2)
}

#[async_trait]
impl AdmissionPlugin for StorageObjectInUseProtection {
    fn name(&self) -> &'static str {
        "StorageObjectInUseProtection"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        finalizer(request).is_some()
    }

    async fn admit(
        &self,
        _context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        let Some(finalizer) = finalizer(request) else { return Ok(()) };
        let Some(object) = &mut request.object else { return Ok(()) };
        let mut finalizers: Vec<Value> = object.finalizers().map(Value::from).collect();
        if !object.finalizers().any(|own| own == finalizer) {
            finalizers.push(finalizer.into());
            object.set(&["metadata", "finalizers"], finalizers);
        }
        Ok(())
    }
}
