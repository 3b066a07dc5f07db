//! Admission of connections: to pods' containers and ports, and through proxies.

use drydock_machinery::{Status, Value};

use super::{Call, Registry};
use crate::admission::{AdmissionRequest, Operation};

impl Registry {
    /// Asks admission whether the call may connect; `options` is what it connects with (a PodExecOptions and such).
    ///
    /// # Errors
    /// The refusal, as the client sees it.
    pub(crate) async fn admit_connection(&self, call: &mut Call, options: Value) -> Result<(), Status> {
        let resource = call.resource.clone();
        let kind = resource.subresource(&call.request.subresource).map_or(&resource.gvk, |sub| &sub.kind);
        let no_options = Value::object();
        let mut request = AdmissionRequest {
            operation: Operation::Connect,
            user: &call.user,
            kind,
            resource: &resource.gvr,
            subresource: &call.request.subresource,
            name: call.request.name.clone(),
            namespace: &call.request.namespace,
            object: Some(options),
            old_object: None,
            options: &no_options,
            dry_run: false,
            warnings: Vec::new(),
        };
        let context = self.admission_context();
        self.admission.admit(&context, &mut request).await?;
        self.admission.validate(&context, &mut request).await?;
        let AdmissionRequest { warnings, .. } = request;
        call.warnings.extend(warnings);
        Ok(())
    }
}
