//! What the API server needs from others, as traits.
//!
//! The composition root joins them: `drydock-auth` says who a caller is and what the caller may do, `drydock-node`
//! reaches kubelets.

use async_trait::async_trait;
use drydock_auth::{Attributes, Decision, UserInfo};
pub use drydock_client::dialer::{DialError, ExecOptions, ExecStreams, Exit, LogOptions, NodeDialer, Stream};
use drydock_machinery::{Object, Status, Value};
use rustls::pki_types::CertificateDer;

use crate::admission::Reader;

/// What a caller shows of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Credentials<'a> {
    /// From `Authorization: Bearer`, or a websocket's subprotocol.
    pub bearer_token: Option<&'a str>,
    /// The verified client certificate and its intermediates, leaf first; empty when there is none.
    pub peer_certificates: &'a [CertificateDer<'static>],
}

/// Says who a caller is.
#[async_trait]
pub trait Authenticator: Send + Sync + 'static {
    /// Ok(None) says that the credentials hold nothing this authenticator knows: the caller is anonymous when there
    /// are none, and is refused with 401 otherwise.
    ///
    /// # Errors
    /// Credentials that are known to be bad: the answer is 401 whatever the status says, which is logged.
    async fn authenticate(
        &self,
        reader: &dyn Reader,
        credentials: Credentials<'_>,
    ) -> Result<Option<UserInfo>, Status>;
}

/// Says what a caller may do.
pub trait Authorizer: Send + Sync + 'static {
    fn authorize(&self, reader: &dyn Reader, attributes: &Attributes<'_>) -> Decision;

    /// The `status` of a SelfSubjectRulesReview.
    fn rules(&self, reader: &dyn Reader, user: &UserInfo, namespace: &str) -> Value;
}

/// Makes service account tokens.
#[async_trait]
pub trait TokenIssuer: Send + Sync + 'static {
    /// Answers `request` (a TokenRequest) with its spec completed and its status filled in. What the token is to be
    /// bound to is looked up and checked here.
    ///
    /// # Errors
    /// As the client sees it.
    async fn issue(
        &self,
        reader: &dyn Reader,
        service_account: &Object,
        request: Value,
    ) -> Result<Value, Status>;

    /// The `status` of a TokenReview for `token` and `audiences`.
    async fn review(&self, reader: &dyn Reader, token: &str, audiences: &[String]) -> Value;

    /// The documents of `/.well-known/openid-configuration` and `/openid/v1/jwks`.
    fn discovery(&self) -> (Value, Value);
}
