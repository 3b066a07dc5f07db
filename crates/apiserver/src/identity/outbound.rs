//! HTTPS to servers that a cluster's settings name. Each call has a connection of its own and a deadline of wall time.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use drydock_auth::config::{ClientCredential, WebhookServer};
use drydock_runtime::wall;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Method, Request, Uri};
use http_body_util::Full;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::exchange::exchange;

/// Answers are not read further than this.
const MAX_ANSWER: usize = 1 << 20;

/// Where systems keep the authorities that they trust.
const SYSTEM_BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A way to servers of one kind.
pub(super) struct Outbound {
    tls: TlsConnector,
    /// The name in the server's certificate, unless that is the host's.
    server_name: Option<String>,
    authorization: Option<String>,
}

/// What a server answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) body: Bytes,
}

impl Outbound {
    /// Trusts the authorities of a PEM bundle, or the system's.
    ///
    /// # Errors
    /// When they cannot be used.
    pub(super) fn trusting(authority: Option<&str>) -> Result<Self, String> {
        let config =
            rustls::ClientConfig::builder().with_root_certificates(roots(authority)?).with_no_client_auth();
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), server_name: None, authorization: None })
    }

    /// # Errors
    /// When its authorities or credentials cannot be used.
    pub(super) fn to(server: &WebhookServer) -> Result<Self, String> {
        let roots = roots(server.certificate_authority.as_deref())?;
        let builder = rustls::ClientConfig::builder().with_root_certificates(roots);
        let mut authorization = None;
        let config = match &server.credential {
            ClientCredential::Certificate { certificate, key } => {
                let chain = CertificateDer::pem_slice_iter(certificate.as_bytes())
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|error| error.to_string())?;
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| error.to_string())?;
                builder.with_client_auth_cert(chain, key).map_err(|error| error.to_string())?
            }
            ClientCredential::Header(value) => {
                authorization = Some(value.clone());
                builder.with_no_client_auth()
            }
            ClientCredential::None => builder.with_no_client_auth(),
        };
        let tls = TlsConnector::from(Arc::new(config));
        Ok(Self { tls, server_name: server.server_name.clone(), authorization })
    }

    /// # Errors
    /// What went wrong, as upstream's HTTP client says it.
    pub(super) async fn get(&self, url: &str, timeout: Duration) -> Result<Answer, String> {
        self.send(Method::GET, url, Bytes::new(), self.authorization.as_deref(), timeout).await
    }

    /// With a token of the caller's, "" for none.
    ///
    /// # Errors
    /// What went wrong, as upstream's HTTP client says it.
    pub(super) async fn get_as(&self, url: &str, token: &str, timeout: Duration) -> Result<Answer, String> {
        let bearer = (!token.is_empty()).then(|| format!("Bearer {token}"));
        self.send(Method::GET, url, Bytes::new(), bearer.as_deref(), timeout).await
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// What went wrong, as upstream's HTTP client says it.
    pub(super) async fn post(&self, url: &str, body: Vec<u8>, timeout: Duration) -> Result<Answer, String> {
        self.send(Method::POST, url, body.into(), self.authorization.as_deref(), timeout).await
    }

    async fn send(
        &self,
        method: Method,
        url: &str,
        body: Bytes,
        authorization: Option<&str>,
        timeout: Duration,
    ) -> Result<Answer, String> {
        let name = if method == Method::GET { "Get" } else { "Post" };
        // On the heap, as it is large and every request may come to it.
        let exchange = Box::pin(self.exchange(method, url, body, authorization));
        let sent = wall::timeout(timeout, exchange).await;
        let late = || Err("context deadline exceeded".to_owned());
        sent.unwrap_or_else(late).map_err(|why| format!("{name} {url:?}: {why}"))
    }

    async fn exchange(
        &self,
        method: Method,
        url: &str,
        body: Bytes,
        authorization: Option<&str>,
    ) -> Result<Answer, String> {
        let uri: Uri = url.parse().map_err(|_| "it is no URL".to_owned())?;
        let host = uri.host().ok_or("it has no host")?.trim_matches(['[', ']']);
        let port = uri.port_u16().unwrap_or(443);
        let stream = TcpStream::connect((host, port)).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::ConnectionRefused => {
                format!("dial tcp {host}:{port}: connect: connection refused")
            }
            _ => format!("dial tcp {host}:{port}: {error}"),
        })?;
        let name = self.server_name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name).map_err(|error| error.to_string())?;
        let stream = self.tls.connect(name, stream).await.map_err(|error| error.to_string())?;
        let request = request(method, &uri, body, authorization)?;
        let answer = exchange(stream, request, MAX_ANSWER).await?;
        Ok(Answer { code: answer.status().as_u16(), body: answer.into_body() })
    }
}

fn request(
    method: Method,
    uri: &Uri,
    body: Bytes,
    authorization: Option<&str>,
) -> Result<Request<Full<Bytes>>, String> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, authority)
        .header(ACCEPT, "application/json, */*");
    if !body.is_empty() {
        request = request.header(CONTENT_TYPE, "application/json");
    }
    if let Some(value) = authorization {
        request = request.header(AUTHORIZATION, value);
    }
    request.body(Full::new(body)).map_err(|error| error.to_string())
}

fn roots(authority: Option<&str>) -> Result<rustls::RootCertStore, String> {
    let mut roots = rustls::RootCertStore::empty();
    match authority {
        Some(bundle) => {
            for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
                let certificate = certificate.map_err(|error| error.to_string())?;
                roots.add(certificate).map_err(|error| error.to_string())?;
            }
        }
        None => {
            let given = std::env::var_os("SSL_CERT_FILE").map(std::path::PathBuf::from);
            let known = SYSTEM_BUNDLES.iter().map(std::path::PathBuf::from);
            let bundle = given.into_iter().chain(known).find_map(|path| std::fs::read(path).ok());
            // One that is odd does not make the others useless.
            let bundle = bundle.unwrap_or_default();
            roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&bundle).filter_map(Result::ok));
        }
    }
    Ok(roots)
}
