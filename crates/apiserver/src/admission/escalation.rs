//! Writes of roles and bindings give away only what the writer holds. Upstream checks this in the storage of RBAC
//! objects; here it is a plugin that runs last among those that change objects, which is the same moment.

use std::sync::Arc;

use async_trait::async_trait;
use drydock_auth::Authorizer;
use drydock_auth::rbac::Escalation;
use drydock_machinery::Status;

use super::{AdmissionContext, AdmissionPlugin, AdmissionRequest, Operation};

pub(super) struct RbacEscalation {
    authorizer: Arc<Authorizer>,
}

impl RbacEscalation {
    pub(super) fn new(authorizer: Arc<Authorizer>) -> Self {
        Self { authorizer }
    }
}

#[async_trait]
impl AdmissionPlugin for RbacEscalation {
    fn name(&self) -> &'static str {
        "RBACEscalation"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        request.resource.group == "rbac.authorization.k8s.io"
            && request.subresource.is_empty()
            && matches!(request.operation, Operation::Create | Operation::Update)
    }

    async fn admit(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        let escalation = Escalation {
            rbac: self.authorizer.rbac(),
            reader: context.reader,
            authorize: context,
            user: request.user,
            resource: &request.resource.resource,
            namespace: request.namespace,
        };
        let old = request.old_object.as_ref().map(|old| old.value());
        match &*request.resource.resource {
            "roles" | "clusterroles" => escalation.check_role(request.object(), old).await,
            "rolebindings" | "clusterrolebindings" => escalation.check_binding(request.object(), old).await,
            _ => Ok(()),
        }
    }
}
