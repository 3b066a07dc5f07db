//! NamespaceLifecycle: nothing is made in a namespace that does not exist or is ending, and the system's own
//! namespaces stay.

use async_trait::async_trait;
use drydock_machinery::status::StatusCause;
use drydock_machinery::{ObjectMeta, Status};

use super::{AdmissionContext, AdmissionPlugin, AdmissionRequest, Operation};

pub(super) struct NamespaceLifecycle;

const IMMORTAL: [&str; 3] = ["default", "kube-system", "kube-public"];

#[async_trait]
impl AdmissionPlugin for NamespaceLifecycle {
    fn name(&self) -> &'static str {
        "NamespaceLifecycle"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        match request.operation {
            Operation::Delete => request.is_for("", "namespaces"),
            Operation::Create | Operation::Update => {
                !request.namespace.is_empty()
                    && !request.is_of("", "namespaces")
                    && !request.is_of("authorization.k8s.io", "localsubjectaccessreviews")
            }
            Operation::Connect => false,
        }
    }

    async fn admit(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        if request.operation == Operation::Delete {
            return check_delete(request);
        }
        let namespace = request.namespace;
        let found = context.reader.get("", "namespaces", "", namespace);
        let found = found.ok_or_else(|| Status::not_found("", "namespaces", namespace))?;
        let is_ending = found.str_at(&["status", "phase"]) == "Terminating" || found.is_deleting();
        if request.operation != Operation::Create || !is_ending {
            return Ok(());
        }
        let mut status = request.forbidden(&format!(
            "unable to create new content in namespace {namespace} because it is being terminated"
        ));
        if let Some(details) = &mut status.details {
            details.causes.push(StatusCause {
                reason: "NamespaceTerminating".to_owned(),
                message: format!("namespace {namespace} is being terminated"),
                field: "metadata.namespace".to_owned(),
            });
        }
        Err(status)
    }

    async fn validate(
        &self,
        _context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        if request.operation == Operation::Delete { check_delete(request) } else { Ok(()) }
    }
}

fn check_delete(request: &AdmissionRequest<'_>) -> Result<(), Status> {
    if IMMORTAL.contains(&request.name.as_str()) {
        return Err(request.forbidden("this namespace may not be deleted"));
    }
    Ok(())
}
