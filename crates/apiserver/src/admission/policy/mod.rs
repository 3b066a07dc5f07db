//! ValidatingAdmissionPolicy and MutatingAdmissionPolicy: rules in expressions, bound to resources and parameters.
//!
//! Policies are compiled once per change and shared by all requests ([`snapshot`]); without bindings a request costs two
//! look-ups. Which policies a request is asked of, and with which parameters, is the same for both kinds ([`hooks`],
//! [`params`]); [`validating`] decides, [`mutating`] changes the object.
//!
//! What a policy has to say to an audit log goes to [`AdmissionRequest::audit`].

mod hooks;
mod mutating;
mod params;
mod patch;
mod snapshot;
mod validating;

use drydock_machinery::{Object, Status};

pub(super) use mutating::MutatingAdmissionPolicy;
pub(super) use validating::ValidatingAdmissionPolicy;

use super::{AdmissionContext, AdmissionRequest};

const GROUP: &str = "admissionregistration.k8s.io";

/// Policies cannot guard what would be needed to get rid of them, nor reviews.
fn may_be_guarded(request: &AdmissionRequest<'_>) -> bool {
    match &*request.resource.group {
        GROUP => !matches!(
            &*request.resource.resource,
            "validatingadmissionpolicies"
                | "validatingadmissionpolicybindings"
                | "mutatingadmissionpolicies"
                | "mutatingadmissionpolicybindings"
        ),
        "authorization.k8s.io" | "authentication.k8s.io" => false,
        _ => true,
    }
}

/// The namespace of the request's object; none for a namespace itself.
///
/// # Errors
/// 404 when it does not exist.
fn namespace(
    context: &AdmissionContext<'_>,
    request: &AdmissionRequest<'_>,
) -> Result<Option<std::sync::Arc<Object>>, Status> {
    let name = request.namespace;
    if name.is_empty() || request.is_of("", "namespaces") {
        return Ok(None);
    }
    let found = context.reader.get("", "namespaces", "", name);
    found.map(Some).ok_or_else(|| Status::not_found("", "namespaces", name))
}
