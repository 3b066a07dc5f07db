//! The cluster's keys at the disposal of its controllers: certificates that were approved, tokens of token secrets.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drydock_auth::pki::{ClusterPki, PkiError, kubelet_client_name};
use drydock_auth::tokens::TokenAuthority;
use drydock_controllers::{CertificateSigner, SecretTokens, SigningError, SigningRequest};
use drydock_machinery::{Status, Value};

pub(crate) struct Signer(pub(crate) Arc<ClusterPki>);

#[async_trait]
impl CertificateSigner for Signer {
    async fn sign(&self, request: SigningRequest) -> Result<String, SigningError> {
        let pem = decode(&request).map_err(SigningError::Refused)?;
        let usages: Vec<&str> = request.usages.iter().map(String::as_str).collect();
        match self.0.sign(&request.signer_name, &pem, &usages, request.expiration) {
            Ok(certificate) => Ok(STANDARD.encode(certificate)),
            Err(PkiError::Request(why)) => Err(SigningError::Refused(why)),
            Err(error) => Err(SigningError::Failed(error.to_string())),
        }
    }

    fn kubelet_client(&self, request: &SigningRequest) -> Option<String> {
        let usages: Vec<&str> = request.usages.iter().map(String::as_str).collect();
        kubelet_client_name(&decode(request).ok()?, &usages)
    }
}

/// The request in PEM.
fn decode(request: &SigningRequest) -> Result<String, String> {
    let bytes = STANDARD.decode(&request.request).map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

pub(crate) struct Tokens(pub(crate) Arc<TokenAuthority>);

impl SecretTokens for Tokens {
    fn token(&self, service_account: &Value, secret_name: &str) -> Result<String, Status> {
        self.0.issue_for_secret(service_account, secret_name)
    }
}
