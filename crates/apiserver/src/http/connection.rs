//! Connections: accepting, TLS, and serving HTTP/1.1 or HTTP/2 on them.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use drydock_auth::{UserInfo, certificate_end};
use drydock_machinery::go_text::path_unescape;
use drydock_runtime::{Tasks, wall};
use http::header::{CONNECTION, HeaderValue};
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

use super::lenient::Lenient;
use super::{Answer, body, handler};
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
/// How often a client that speaks HTTP/2 is asked whether it is still there, and how long its answer may take:
/// upstream's.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of a request's header fields: upstream's.
const MOST_HEADERS: u32 = 1024 * 1024;
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
        let life = Arc::new(Life::default());
        let noted = life.clone();
        let service = service_fn(move |request: http::Request<_>| {
            let (core, peer) = (core.clone(), peer.clone());
            noted.note(request.version());
            async move {
                if path_unescape(request.uri().path()).is_none() {
                    return malformed(request.version());
                }
                Ok(handler::handle(core, peer, request).await)
            }
        });
        let executor = TaskExecutor { tasks: self.core.tasks.clone(), life: life.clone() };
        let mut builder = auto::Builder::new(executor);
        builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE_TIMEOUT);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .max_header_list_size(MOST_HEADERS)
            .max_concurrent_streams(MAX_STREAMS)
            .adaptive_window(true);
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(Lenient::new(stream)), service);
        tokio::pin!(connection);
        let closed = self.core.tasks.cancelled();
        let no_longer_needed = async {
            tokio::select! {
                () = closed.cancelled() => {}
                () = life.ceased() => {}
            }
        };
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = no_longer_needed => {
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

/// What Go's server makes of a path with an escape that is none, before anything else sees it: over HTTP/2 the end of
/// the stream.
fn malformed(version: http::Version) -> Result<Answer, h2::Error> {
    if version >= http::Version::HTTP_2 {
        return Err(h2::Reason::PROTOCOL_ERROR.into());
    }
    let mut answer = body::whole(400, body::TEXT, "400 Bad Request");
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(answer)
}

/// What happens on a connection whose client speaks HTTP/2, or has not said yet what it speaks. HTTP/1.1 has a time limit
/// of its own.
#[derive(Default)]
struct Life {
    /// A request came as HTTP/1.1.
    speaks_one: AtomicBool,
    /// Streams so far.
    opened: AtomicUsize,
    /// Streams now, their answers' bodies included.
    open: AtomicUsize,
}

impl Life {
    fn note(&self, version: http::Version) {
        if version < http::Version::HTTP_2 {
            self.speaks_one.store(true, Ordering::Relaxed);
        }
    }

    /// Returns once nothing was asked for [`IDLE_TIMEOUT`], or for at most twice as long.
    async fn ceased(&self) {
        let mut before = 0;
        loop {
            wall::sleep(IDLE_TIMEOUT).await;
            if self.speaks_one.load(Ordering::Relaxed) {
                return std::future::pending().await;
            }
            let opened = self.opened.load(Ordering::Relaxed);
            if opened == before && self.open.load(Ordering::Relaxed) == 0 {
                return;
            }
            before = opened;
        }
    }
}

/// Runs HTTP/2 streams as tasks of the tenant.
#[derive(Clone)]
struct TaskExecutor {
    tasks: Tasks,
    life: Arc<Life>,
}

/// A stream that is open.
struct OpenStream(Arc<Life>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<F> Executor<F> for TaskExecutor
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, future: F) {
        self.life.opened.fetch_add(1, Ordering::Relaxed);
        self.life.open.fetch_add(1, Ordering::Relaxed);
        let open = OpenStream(self.life.clone());
        self.tasks.spawn_to_end("stream", async move {
            let _open = open;
            future.await;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_lasts_while_something_is_asked() {
        let life = Arc::new(Life::default());
        let ceased = || wall::timeout(3 * IDLE_TIMEOUT, life.ceased());
        assert!(ceased().await.is_some(), "nothing was ever asked");
        life.open.fetch_add(1, Ordering::Relaxed);
        assert!(ceased().await.is_none(), "a watch goes on");
        drop(OpenStream(life.clone()));
        assert!(ceased().await.is_some(), "the watch is over");
        life.note(http::Version::HTTP_11);
        assert!(ceased().await.is_none(), "HTTP/1.1 sees to it itself");
    }

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
