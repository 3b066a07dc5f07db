//! Connections: accepting, TLS, and serving HTTP/1.1 or HTTP/2 on them.

use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use drydock_auth::{UserInfo, certificate_end};
use drydock_runtime::{Tasks, wall};
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use super::handler;
use crate::ApiServer;

/// The other end of a connection.
#[derive(Debug, Default)]
pub(crate) struct Peer {
    /// None when it is no other machine's.
    pub(crate) address: Option<IpAddr>,
    /// Verified; leaf first.
    pub(crate) certificates: Vec<CertificateDer<'static>>,
    /// When the leaf ends, which it may do while the connection lasts.
    pub(crate) certificate_end: Option<Timestamp>,
    /// Whom the certificate names, once known.
    pub(crate) user: OnceLock<Arc<UserInfo>>,
}

impl Peer {
    /// The certificates, as long as they are good.
    pub(crate) fn valid_certificates(&self) -> &[CertificateDer<'static>] {
        let has_ended = self.certificate_end.is_some_and(|end| end < wall::now());
        if has_ended { &[] } else { &self.certificates }
    }
}

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_STREAMS: u32 = 1000;
/// How long a connection may idle, and a request's head may take: upstream's idle timeout.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// Connections of one tenant; further ones are closed at once.
const MOST_CONNECTIONS: usize = 10_000;

impl ApiServer {
    /// Serves connections of `listener` until the tenant closes. With TLS, a client certificate that `tls` verified
    /// is a credential.
    pub async fn serve(&self, listener: TcpListener, tls: Option<Arc<ServerConfig>>) {
        let acceptor = tls.map(TlsAcceptor::from);
        let closed = self.core.tasks.cancelled();
        let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = closed.cancelled() => return,
            };
            match accepted {
                Ok((stream, address)) => {
                    let Ok(place) = places.clone().try_acquire_owned() else {
                        tracing::warn!("too many connections: one is closed");
                        continue;
                    };
                    let address = Some(address.ip());
                    let _ = stream.set_nodelay(true);
                    let server = self.clone();
                    let acceptor = acceptor.clone();
                    self.core.tasks.spawn_to_end("connection", async move {
                        let _place = place;
                        match acceptor {
                            Some(acceptor) => server.serve_tls(acceptor, stream, address).await,
                            None => server.serve_connection(stream, Vec::new(), address).await,
                        }
                    });
                }
                Err(error) => {
                    // Out of file descriptors, most likely: waiting is all that helps.
                    tracing::warn!(%error, "cannot accept connections");
                    wall::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn serve_tls(&self, acceptor: TlsAcceptor, stream: tokio::net::TcpStream, address: Option<IpAddr>) {
        let closed = self.core.tasks.cancelled();
        let handshake = tokio::select! {
            handshake = wall::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)) => handshake,
            () = closed.cancelled() => return,
        };
        let Some(Ok(stream)) = handshake else { return };
        let certificates = stream.get_ref().1.peer_certificates().unwrap_or(&[]).to_vec();
        self.serve_connection(stream, certificates, address).await;
    }

    /// Serves one connection whose TLS handshake is done, until it or the tenant closes.
    pub async fn serve_connection(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        certificates: Vec<CertificateDer<'static>>,
        address: Option<IpAddr>,
    ) {
        let certificate_end = certificates.first().map(|leaf| certificate_end(leaf));
        let peer = Arc::new(Peer { address, certificates, certificate_end, user: OnceLock::new() });
        let core = self.core.clone();
        let service = service_fn(move |request| {
            let (core, peer) = (core.clone(), peer.clone());
            async move { Ok::<_, std::convert::Infallible>(handler::handle(core, peer, request).await) }
        });
        let mut builder = auto::Builder::new(TaskExecutor(self.core.tasks.clone()));
        builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE_TIMEOUT);
        builder.http2().max_concurrent_streams(MAX_STREAMS).adaptive_window(true);
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let closed = self.core.tasks.cancelled();
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = closed.cancelled() => {
                connection.as_mut().graceful_shutdown();
                let grace = wall::timeout(Duration::from_secs(5), connection.as_mut()).await;
                grace.unwrap_or(Ok(()))
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection ended");
        }
    }
}

/// Runs HTTP/2 streams as tasks of the tenant.
#[derive(Clone)]
struct TaskExecutor(Tasks);

impl<F> Executor<F> for TaskExecutor
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, future: F) {
        self.0.spawn_to_end("stream", async move {
            future.await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_end_while_a_connection_lasts() {
        let valid = |end: Timestamp| {
            let certificates = vec![CertificateDer::from(vec![0])];
            let peer = Peer { certificates, certificate_end: Some(end), ..Peer::default() };
            peer.valid_certificates().len()
        };
        assert_eq!(valid(Timestamp::MAX), 1);
        assert_eq!(valid(wall::now() - Duration::from_secs(1)), 0);
    }
}
