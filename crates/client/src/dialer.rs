//! Reaching containers: logs, exec, port-forward.
//!
//! Node agents implement [`NodeDialer`], the API server asks it. It lives here because this is the crate that both see.

use async_trait::async_trait;
use drydock_machinery::{Object, Status};
use futures::stream::BoxStream;
use tokio::io::{AsyncRead, AsyncWrite};

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
