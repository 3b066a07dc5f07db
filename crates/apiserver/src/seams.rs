//! What the API server needs from others, as traits.
//!
//! The composition root joins them: `drydock-auth` says who a caller is and what the caller may do, `drydock-node`
//! reaches kubelets.

use std::sync::Arc;

use async_trait::async_trait;
use drydock_auth::{Attributes, Decision, UserInfo};
use drydock_machinery::{Object, Status, Value};
use futures::stream::BoxStream;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};

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
    /// Answers `request` (a TokenRequest) with its status filled in. `bound` is the object of `spec.boundObjectRef`.
    ///
    /// # Errors
    /// As the client sees it.
    async fn issue(
        &self,
        service_account: &Object,
        bound: Option<Arc<Object>>,
        request: Value,
    ) -> Result<Value, Status>;

    /// The `status` of a TokenReview for `token` and `audiences`.
    async fn review(&self, reader: &dyn Reader, token: &str, audiences: &[String]) -> Value;

    /// The documents of `/.well-known/openid-configuration` and `/openid/v1/jwks`.
    fn discovery(&self) -> (Value, Value);
}

/// A byte stream to a container.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// `v1.PodLogOptions`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    pub container: String,
    pub follow: bool,
    pub previous: bool,
    pub timestamps: bool,
    pub since_seconds: Option<i64>,
    /// RFC 3339.
    pub since_time: Option<String>,
    pub tail_lines: Option<i64>,
    pub limit_bytes: Option<i64>,
}

/// `v1.PodExecOptions`; without a command it is an attach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOptions {
    pub container: String,
    pub command: Vec<String>,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
}

/// The streams of a running exec or attach.
pub struct ExecStreams {
    pub stdin: Option<Box<dyn tokio::io::AsyncWrite + Send + Unpin>>,
    pub stdout: Option<Box<dyn AsyncRead + Send + Unpin>>,
    pub stderr: Option<Box<dyn AsyncRead + Send + Unpin>>,
    /// The terminal's width and height go here.
    pub resize: Option<tokio::sync::mpsc::Sender<(u16, u16)>>,
    /// Resolves when the command ends: success, or the Status that upstream's error channel carries.
    pub exit: futures::future::BoxFuture<'static, Result<(), Status>>,
}

/// Reaches the kubelet of a pod's node.
#[async_trait]
pub trait NodeDialer: Send + Sync + 'static {
    /// # Errors
    /// As the client sees it.
    async fn logs(
        &self,
        pod: &Object,
        options: LogOptions,
    ) -> Result<BoxStream<'static, std::io::Result<bytes::Bytes>>, Status>;

    /// # Errors
    /// As the client sees it.
    async fn exec(&self, pod: &Object, options: ExecOptions) -> Result<ExecStreams, Status>;

    /// # Errors
    /// As the client sees it.
    async fn port_forward(&self, pod: &Object, port: u16) -> Result<Box<dyn Stream>, Status>;
}
