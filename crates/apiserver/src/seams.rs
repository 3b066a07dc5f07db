//! What the API server needs from others, as traits.
//!
//! The composition root joins them: `drydock-auth` says who a caller is and what the caller may do, `drydock-node`
//! reaches kubelets.

use async_trait::async_trait;
use drydock_auth::tokens::Notes;
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
    /// What a front proxy says of whom it asks for is in them.
    pub headers: Option<&'a http::HeaderMap>,
}

/// Who a caller is, and what is to be said of the credential.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Authenticated {
    pub user: UserInfo,
    pub notes: Notes,
}

impl From<UserInfo> for Authenticated {
    fn from(user: UserInfo) -> Self {
        Self { user, notes: Notes::default() }
    }
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
    ) -> Result<Option<Authenticated>, Status>;

    /// Whether a client certificate, in DER, says all about a request's user, so that who it names may be kept for as
    /// long as the connection lasts.
    fn is_certificate_enough(&self, _certificate: &[u8]) -> bool {
        true
    }

    /// Whether a request to this path needs no credentials.
    fn allows_anonymous(&self, _path: &str) -> bool {
        true
    }
}

/// Says what a caller may do.
#[async_trait]
pub trait Authorizer: Send + Sync + 'static {
    /// What can be said at once: without those authorizers that are on other machines.
    fn authorize(&self, reader: &dyn Reader, attributes: &Attributes<'_>) -> Decision;

    /// What the whole chain says.
    async fn decide(&self, reader: &dyn Reader, attributes: &Attributes<'_>) -> Decision {
        self.authorize(reader, attributes)
    }

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
