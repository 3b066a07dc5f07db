//! The HTTP call to a webhook. Each has a connection of its own; its time is wall time.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drydock_machinery::{ObjectMeta, Value};
use drydock_runtime::wall;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::super::Reader;

/// Where a webhook is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// As messages show it.
    pub(super) url: String,
    pub(super) authority: String,
    /// The name in its certificate.
    pub(super) host: String,
    /// What to connect to.
    pub(super) address: String,
    pub(super) path: String,
}

/// Answers are not read further than this.
const MAX_ANSWER: usize = 8 << 20;

/// Posts `body` and reads the answer.
///
/// # Errors
/// What went wrong, as upstream's HTTP client says it.
pub(super) async fn call(reader: &dyn Reader, webhook: &Value, body: &Value) -> Result<Value, String> {
    let seconds = webhook.i64_at(&["timeoutSeconds"]).and_then(|s| u64::try_from(s).ok()).unwrap_or(10);
    let target = target(reader, webhook, seconds)?;
    let posted = wall::timeout(Duration::from_secs(seconds), post(&target, webhook, body)).await;
    let why = match posted {
        Some(Ok(answer)) => return Ok(answer),
        Some(Err(why)) => why,
        None => "context deadline exceeded".to_owned(),
    };
    Err(format!("Post \"{}\": {why}", target.url))
}

fn target(reader: &dyn Reader, webhook: &Value, seconds: u64) -> Result<Target, String> {
    let url = webhook.str_at(&["clientConfig", "url"]);
    if !url.is_empty() {
        return url_target(url, seconds);
    }
    let service = webhook.at(&["clientConfig", "service"]).unwrap_or(&Value::Null);
    let (namespace, name) = (service.str_at(&["namespace"]), service.str_at(&["name"]));
    let port = service.i64_at(&["port"]).unwrap_or(443);
    let path = format!("/{}?timeout={seconds}s", service.str_at(&["path"]).trim_start_matches('/'));
    let host = format!("{name}.{namespace}.svc");
    let url = format!("https://{host}:{port}{path}");
    let address =
        service_address(reader, namespace, name, port).map_err(|why| format!("Post \"{url}\": {why}"))?;
    Ok(Target { url, authority: format!("{host}:{port}"), host, address, path })
}

fn url_target(url: &str, seconds: u64) -> Result<Target, String> {
    let malformed = || format!("the webhook's URL {url:?} cannot be used");
    let uri: http::Uri = url.parse().map_err(|_| malformed())?;
    let host = uri.host().filter(|_| uri.scheme_str() == Some("https")).ok_or_else(malformed)?;
    let port = uri.port_u16().unwrap_or(443);
    let query = uri.query().map(|query| format!("{query}&")).unwrap_or_default();
    let path = format!("{}?{query}timeout={seconds}s", uri.path());
    let authority = uri.authority().map_or(host, |authority| authority.as_str()).to_owned();
    Ok(Target {
        url: format!("https://{authority}{path}"),
        authority,
        host: host.trim_matches(['[', ']']).to_owned(),
        address: format!("{host}:{port}"),
        path,
    })
}

/// A ready endpoint of a service; its own address if it has one that needs no endpoints.
fn service_address(reader: &dyn Reader, namespace: &str, name: &str, port: i64) -> Result<String, String> {
    let service = reader.get("", "services", namespace, name);
    let service = service.ok_or_else(|| format!("service {name:?} not found"))?;
    if service.str_at(&["spec", "type"]) == "ExternalName" {
        return Ok(format!("{}:{port}", service.str_at(&["spec", "externalName"])));
    }
    let ports = service.array_at(&["spec", "ports"]);
    let wanted = ports.iter().find(|own| own.i64_at(&["port"]) == Some(port));
    let wanted = wanted.ok_or_else(|| format!("no service port {port} found for service {name:?}"))?;
    let port_name = wanted.str_at(&["name"]);
    for slice in reader.list("discovery.k8s.io", "endpointslices", namespace) {
        if slice.label("kubernetes.io/service-name") != Some(name) {
            continue;
        }
        let port = slice.array_at(&["ports"]).iter().find(|own| own.str_at(&["name"]) == port_name);
        let Some(port) = port.and_then(|port| port.i64_at(&["port"])) else { continue };
        let ready = slice
            .array_at(&["endpoints"])
            .iter()
            .find(|endpoint| endpoint.at(&["conditions", "ready"]).and_then(Value::as_bool) != Some(false));
        if let Some(address) = ready.and_then(|endpoint| endpoint.array_at(&["addresses"]).first()?.as_str())
        {
            return Ok(format!("{address}:{port}"));
        }
    }
    Err(format!("no endpoints available for service {name:?}"))
}

async fn post(target: &Target, webhook: &Value, body: &Value) -> Result<Value, String> {
    let tls = TlsConnector::from(Arc::new(tls_config(webhook)?));
    let stream = TcpStream::connect(&target.address).await.map_err(|error| dial_error(target, &error))?;
    let name = ServerName::try_from(target.host.clone()).map_err(|error| error.to_string())?;
    let stream = tls.connect(name, stream).await.map_err(|error| error.to_string())?;
    exchange(target, stream, body).await
}

/// Webhooks are trusted by their own bundle; there is no other authority to ask.
fn tls_config(webhook: &Value) -> Result<rustls::ClientConfig, String> {
    let bundle = STANDARD.decode(webhook.str_at(&["clientConfig", "caBundle"])).unwrap_or_default();
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bundle) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    Ok(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

fn dial_error(target: &Target, error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => {
            format!("dial tcp {}: connect: connection refused", target.address)
        }
        std::io::ErrorKind::TimedOut => format!("dial tcp {}: i/o timeout", target.address),
        _ => format!("dial tcp {}: {error}", target.address),
    }
}

async fn exchange(
    target: &Target,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    body: &Value,
) -> Result<Value, String> {
    let text = |error: hyper::Error| error.to_string();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(text)?;
    let request = http::Request::post(&target.path)
        .header(http::header::HOST, &target.authority)
        .header(http::header::CONTENT_TYPE, "application/json")
        .header(http::header::ACCEPT, "application/json, */*")
        .body(Full::new(bytes::Bytes::from(body.to_json())))
        .map_err(|error| error.to_string())?;
    let exchange = async {
        let answer = sender.send_request(request).await.map_err(text)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        if !status.is_success() {
            return Err(format!("the server responded with status code {}", status.as_u16()));
        }
        Value::from_json(&body)
            .map_err(|error| format!("couldn't get version/kind; json parse error: {error}"))
    };
    // The connection is driven here rather than by a task of its own: it lives as long as this call.
    let mut connection = std::pin::pin!(connection);
    tokio::pin!(exchange);
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        ended = &mut connection => match ended {
            Ok(()) => exchange.await,
            Err(error) => Err(error.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_to_connect_and_how_to_show_it() {
        let target = url_target("https://hook.example.com:8443/a/b?x=1", 7).unwrap();
        assert_eq!(target.address, "hook.example.com:8443");
        assert_eq!(target.url, "https://hook.example.com:8443/a/b?x=1&timeout=7s");
        assert_eq!(url_target("https://127.0.0.1/", 10).unwrap().address, "127.0.0.1:443");
        assert!(url_target("nonsense", 10).is_err());
    }
}
