//! From a call to what admission sees of it, and back.

use std::sync::Arc;

use drydock_client::Verb;
use drydock_machinery::{Object, ObjectMeta, Status, Value};

use super::{Call, Registry};
use crate::admission::{AdmissionRequest, Operation};

impl Registry {
    /// Runs the mutating plugins; answers the object as they leave it.
    ///
    /// # Errors
    /// A plugin's refusal.
    pub(crate) async fn admit(
        &self,
        call: &mut Call,
        operation: Operation,
        object: Value,
        old: Option<&Arc<Object>>,
    ) -> Result<Value, Status> {
        // What one connects with, or asks of an object, need have no name; it is the object's.
        let is_asked_of = operation == Operation::Connect || !call.request.subresource.is_empty();
        let named = if is_asked_of { &call.request.name } else { object.name() };
        let mut request = request(call, operation, named.to_owned(), old);
        request.object = Some(object);
        let admitted = self.admission.admit(&self.admission_context(), &mut request).await;
        let AdmissionRequest { object, warnings, audit, webhooks, .. } = request;
        call.elsewhere.add(webhooks);
        call.warnings.extend(warnings);
        annotate(call, audit);
        admitted?;
        object.ok_or_else(|| Status::internal("an admission plugin removed the object"))
    }

    /// Runs the validating plugins. Of deletes, `object` does not count.
    ///
    /// # Errors
    /// A plugin's refusal.
    pub(crate) async fn admission_validate(
        &self,
        call: &mut Call,
        operation: Operation,
        object: &Value,
        old: Option<&Arc<Object>>,
    ) -> Result<(), Status> {
        let name = match object.name() {
            // Whoever deletes a collection names none of its objects.
            _ if call.request.verb == Verb::DeleteCollection => String::new(),
            "" => call.request.name.clone(),
            name => name.to_owned(),
        };
        let mut request = request(call, operation, name, old);
        request.object = (operation != Operation::Delete).then(|| object.clone());
        let validated = self.admission.validate(&self.admission_context(), &mut request).await;
        let AdmissionRequest { warnings, audit, webhooks, .. } = request;
        call.elsewhere.add(webhooks);
        call.warnings.extend(warnings);
        annotate(call, audit);
        validated
    }
}

/// What admission sees of a call, but the object.
fn request<'a>(
    call: &'a Call,
    operation: Operation,
    name: String,
    old: Option<&Arc<Object>>,
) -> AdmissionRequest<'a> {
    let subresource = call.request.subresource.as_str();
    AdmissionRequest {
        operation,
        user: &call.user,
        kind: call.resource.subresource(subresource).map_or(&call.resource.gvk, |sub| &sub.kind),
        resource: &call.resource.gvr,
        subresource,
        name,
        namespace: &call.request.namespace,
        object: None,
        old_object: old.cloned(),
        options: &call.request.options,
        dry_run: call.is_dry_run(),
        warnings: Vec::new(),
        audit: Vec::new(),
        webhooks: Default::default(),
        reinvocation: Default::default(),
    }
}

/// What admission plugins had to say to the audit event, whether or not they let the request pass.
fn annotate(call: &Call, annotations: Vec<(String, String)>) {
    if let Some(event) = &call.audit {
        for (key, text) in annotations {
            event.annotate(key, text);
        }
    }
}
