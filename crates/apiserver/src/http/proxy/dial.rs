//! Connections to servers of the cluster: the pods' network first, then the machine's.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use drydock_runtime::wall;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::seams::Stream;
use crate::server::Core;

const DIAL_TIMEOUT: Duration = Duration::from_secs(30);

/// To whom TLS is spoken.
pub(crate) struct TlsTarget {
    pub(crate) config: Arc<ClientConfig>,
    /// The name in the certificate.
    pub(crate) name: String,
}

impl TlsTarget {
    /// Somebody who needs not prove who it is.
    pub(crate) fn unverified(authority: &str) -> Self {
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let config = ClientConfig::builder().dangerous().with_custom_certificate_verifier(Unverified::new());
        Self {
            config: Arc::new(config.with_no_client_auth()),
            name: host.trim_matches(['[', ']']).to_owned(),
        }
    }
}

/// Whether an address can be another machine's, however it is written.
pub(super) fn is_global_unicast(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    let link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    !ip.is_unspecified() && !ip.is_loopback() && !ip.is_multicast() && !link_local
}

/// Addresses of this machine's own are none of the cluster's.
///
/// # Errors
/// What Go's dialer says.
pub(crate) async fn cluster_network(core: &Core, ip: IpAddr, port: u16) -> Result<Box<dyn Stream>, String> {
    if !is_global_unicast(ip) {
        return Err(format!("dial tcp {}: address not allowed", std::net::SocketAddr::new(ip, port)));
    }
    if let Some(nodes) = &core.nodes
        && let Some(connected) = nodes.pod_network(ip, port).await
    {
        return connected;
    }
    tcp(&std::net::SocketAddr::new(ip, port).to_string()).await
}

/// # Errors
/// What Go's dialer says.
pub(crate) async fn tcp(address: &str) -> Result<Box<dyn Stream>, String> {
    match wall::timeout(DIAL_TIMEOUT, TcpStream::connect(address)).await {
        Some(Ok(stream)) => {
            let _ = stream.set_nodelay(true);
            Ok(Box::new(stream))
        }
        Some(Err(error)) => Err(match error.kind() {
            std::io::ErrorKind::ConnectionRefused => {
                format!("dial tcp {address}: connect: connection refused")
            }
            std::io::ErrorKind::HostUnreachable => format!("dial tcp {address}: connect: no route to host"),
            _ => format!("dial tcp {address}: {error}"),
        }),
        None => Err(format!("dial tcp {address}: i/o timeout")),
    }
}

/// # Errors
/// What Go's TLS says.
pub(crate) async fn tls(stream: Box<dyn Stream>, target: TlsTarget) -> Result<Box<dyn Stream>, String> {
    let name = ServerName::try_from(target.name).map_err(|error| error.to_string())?;
    let connecting = TlsConnector::from(target.config).connect(name, stream);
    match wall::timeout(DIAL_TIMEOUT, connecting).await {
        Some(Ok(stream)) => Ok(Box::new(stream)),
        Some(Err(error)) => Err(tls_error(&error)),
        None => Err("net/http: TLS handshake timeout".to_owned()),
    }
}

fn tls_error(error: &std::io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "tls: failed to verify certificate: x509: certificate signed by unknown authority".to_owned()
        }
        Some(rustls::Error::InvalidCertificate(why)) => {
            format!("tls: failed to verify certificate: x509: {why}")
        }
        Some(rustls::Error::InvalidMessage(_)) => {
            "http: server gave HTTP response to HTTPS client".to_owned()
        }
        _ if error.kind() == std::io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
        _ => error.to_string(),
    }
}

/// Takes any certificate, but checks that the other side has its key.
#[derive(Debug)]
pub(crate) struct Unverified(Arc<CryptoProvider>);

impl Unverified {
    pub(crate) fn new() -> Arc<Self> {
        let provider = CryptoProvider::get_default().cloned();
        Arc::new(Self(provider.unwrap_or_else(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()))))
    }
}

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
