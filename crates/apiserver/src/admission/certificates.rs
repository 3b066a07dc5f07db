//! Who may approve and sign certificate requests, and what no request may ask for: CertificateApproval,
//! CertificateSigning, CertificateSubjectRestriction.

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drydock_auth::pki::parse_request;
use drydock_auth::{Ask as _, Attributes};
use drydock_machinery::Status;

use super::{AdmissionContext, AdmissionPlugin, AdmissionRequest, Operation};

const GROUP: &str = "certificates.k8s.io";
const RESOURCE: &str = "certificatesigningrequests";

/// Approving takes the right to `approve` for the signer.
pub(super) struct CertificateApproval;

#[async_trait]
impl AdmissionPlugin for CertificateApproval {
    fn name(&self) -> &'static str {
        "CertificateApproval"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        request.operation == Operation::Update
            && request.is_of(GROUP, RESOURCE)
            && request.subresource == "approval"
    }

    async fn validate(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        let signer = request.old().str_at(&["spec", "signerName"]);
        if may(context, request, "approve", signer).await {
            return Ok(());
        }
        Err(request.forbidden(&format!("user not permitted to approve requests with signerName {signer:?}")))
    }
}

/// Issuing (or failing) takes the right to `sign` for the signer.
pub(super) struct CertificateSigning;

#[async_trait]
impl AdmissionPlugin for CertificateSigning {
    fn name(&self) -> &'static str {
        "CertificateSigning"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        request.operation == Operation::Update
            && request.is_of(GROUP, RESOURCE)
            && request.subresource == "status"
    }

    async fn validate(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        let (new, old) = (request.object(), request.old());
        let same = |field: &str| new.at(&["status", field]) == old.at(&["status", field]);
        if same("certificate") && same("conditions") {
            return Ok(());
        }
        let signer = old.str_at(&["spec", "signerName"]);
        if may(context, request, "sign", signer).await {
            return Ok(());
        }
        Err(request.forbidden(&format!("user not permitted to sign requests with signerName {signer:?}")))
    }
}

/// Asks for a verb on the signer by its full name, then by its domain's wildcard.
async fn may(
    context: &AdmissionContext<'_>,
    request: &AdmissionRequest<'_>,
    verb: &str,
    signer: &str,
) -> bool {
    let domain = signer.split('/').next().unwrap_or(signer);
    for name in [signer, &format!("{domain}/*")] {
        let attributes = Attributes { name, ..Attributes::resource(request.user, verb, GROUP, "signers") };
        if context.ask(&attributes).await.is_allowed() {
            return true;
        }
    }
    false
}

/// Nobody becomes `system:masters` by a certificate request.
pub(super) struct CertificateSubjectRestriction;

#[async_trait]
impl AdmissionPlugin for CertificateSubjectRestriction {
    fn name(&self) -> &'static str {
        "CertificateSubjectRestriction"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        request.is_create_of(GROUP, RESOURCE)
    }

    async fn validate(
        &self,
        _context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        const CLIENT: &str = "kubernetes.io/kube-apiserver-client";
        if request.object().str_at(&["spec", "signerName"]) != CLIENT {
            return Ok(());
        }
        let pem = STANDARD.decode(request.object().str_at(&["spec", "request"])).unwrap_or_default();
        let asked = parse_request(&String::from_utf8_lossy(&pem))
            .map_err(|why| request.forbidden(&format!("failed to parse CSR: {why}")))?;
        if asked.subject.organizations.iter().any(|group| group == "system:masters") {
            return Err(request
                .forbidden(&format!("use of {CLIENT} signer with system:masters group is not allowed")));
        }
        Ok(())
    }
}
