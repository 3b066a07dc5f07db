//! PodTopologyLabels: a pod carries the zone and the region of the node that it is bound to.

use async_trait::async_trait;
use drydock_machinery::{ObjectMeta as _, Status};

use super::{AdmissionContext, AdmissionPlugin, AdmissionRequest, Operation};

const LABELS: [&str; 2] = ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];

pub(super) struct PodTopologyLabels;

#[async_trait]
impl AdmissionPlugin for PodTopologyLabels {
    fn name(&self) -> &'static str {
        "PodTopologyLabels"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        request.operation == Operation::Create
            && request.is_of("", "pods")
            && matches!(request.subresource, "" | "binding")
    }

    /// What a binding is labelled with, its pod will be.
    async fn admit(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        let Some(object) = &mut request.object else { return Ok(()) };
        let node = match request.subresource {
            "" => object.str_at(&["spec", "nodeName"]),
            _ if object.str_at(&["target", "kind"]) == "Node" => object.str_at(&["target", "name"]),
            _ => return Ok(()),
        };
        if node.is_empty() {
            return Ok(());
        }
        let Some(node) = context.reader.get("", "nodes", "", node) else { return Ok(()) };
        for key in LABELS {
            if let Some(text) = node.label(key) {
                object.set(&["metadata", "labels", key], text);
            }
        }
        Ok(())
    }
}
