//! Reaching kubelets and containers: logs, exec, port-forward, and plain connections.
//!
//! Node agents implement [`NodeDialer`], the API server asks it. It lives here because this is the crate that both see.

use async_trait::async_trait;
use drydock_machinery::{Object, Status};
use futures::stream::BoxStream;
use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream to a container.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

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

/// `v1.PodExecOptions` or `v1.PodAttachOptions`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOptions {
    pub container: String,
    /// None to attach to the container's own process.
    pub command: Option<Vec<String>>,
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
    pub tty: bool,
}

/// A process in a container, and the ends of its streams that are not its own.
pub struct ExecStreams {
    pub stdin: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    pub stdout: Option<Box<dyn AsyncRead + Send + Unpin>>,
    pub stderr: Option<Box<dyn AsyncRead + Send + Unpin>>,
    /// The terminal's width and height go here.
    pub resize: Option<tokio::sync::mpsc::Sender<(u16, u16)>>,
    /// Is the process: it runs while this is polled, and dropping it kills it.
    pub exit: futures::future::BoxFuture<'static, Exit>,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With this exit code.
    Code(u8),
    /// It was not started, or its end is not known: the runtime's text.
    Failed(String),
}

/// Why a kubelet gives no stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DialError {
    /// It is not reached: what Go's dialer says.
    Unreachable(String),
    /// Its own answer, in plain text.
    Refused { code: u16, text: String },
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
    /// When the kubelet is not reached, or does not have such a container running.
    async fn exec(&self, pod: &Object, options: ExecOptions) -> Result<ExecStreams, DialError>;

    /// Whether ports of the pod can be connected to.
    ///
    /// # Errors
    /// When the kubelet is not reached, or does not have the pod running.
    async fn forwardable(&self, pod: &Object) -> Result<(), DialError>;

    /// A connection to a port of the pod, from inside it.
    ///
    /// # Errors
    /// The runtime's text, when nothing listens there.
    async fn port_forward(&self, pod: &Object, port: u16) -> Result<Box<dyn Stream>, String>;

    /// A connection to whoever has a pod's address, over the cluster's network. None when the address is not one of
    /// its pods'.
    ///
    /// # Errors
    /// What Go's dialer says.
    async fn pod_network(
        &self,
        address: std::net::IpAddr,
        port: u16,
    ) -> Option<Result<Box<dyn Stream>, String>>;

    /// A connection to the HTTP server of a node's kubelet, whose TLS is done.
    ///
    /// # Errors
    /// When it is not reached.
    async fn kubelet(&self, node: &str) -> Result<Box<dyn Stream>, DialError>;
}
