//! The HTTP call to a webhook: of admission, and of conversion between a custom resource's versions.
//!
//! Each call has a connection of its own; its time is wall time. What a webhook answers is bounded, and so is how long
//! it may take.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use drydock_machinery::{ObjectMeta, Value};
use drydock_runtime::wall;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http_body_util::Full;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::admission::Reader;
use crate::exchange::exchange;

/// Where a webhook is.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    /// As messages show it.
    url: String,
    authority: String,
    /// The name in its certificate.
    host: String,
    /// What to connect to.
    address: String,
    path: String,
}

/// Answers are not read further than this.
const MAX_ANSWER: usize = 8 << 20;

/// Posts `body` to where a `clientConfig` points and reads the answer, for `seconds` at most.
///
/// # Errors
/// What went wrong, as upstream's HTTP client says it.
pub(crate) async fn call(
    reader: &dyn Reader,
    client_config: &Value,
    seconds: u64,
    body: &Value,
) -> Result<Value, String> {
    let target = target(reader, client_config, seconds)?;
    // On the heap: what a connection needs would make every future large that may ask a webhook, and hardly any does.
    let posting = Box::pin(post(&target, client_config, body));
    let posted = wall::timeout(Duration::from_secs(seconds), posting).await;
    let why = match posted {
        Some(Ok(answer)) => return read(&answer),
        Some(Err(why)) => why,
        None => "context deadline exceeded".to_owned(),
    };
    Err(format!("Post \"{}\": {why}", target.url))
}

fn target(reader: &dyn Reader, client_config: &Value, seconds: u64) -> Result<Target, String> {
    let url = client_config.str_at(&["url"]);
    if !url.is_empty() {
        return url_target(url, seconds);
    }
    let service = client_config.get("service").unwrap_or(&Value::Null);
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

/// What a webhook answered, as yet unread.
struct Posted {
    status: u16,
    /// Whether the body is for people.
    is_text: bool,
    body: Bytes,
}

fn read(answer: &Posted) -> Result<Value, String> {
    if !(200..=206).contains(&answer.status) {
        return Err(server_error(answer));
    }
    Value::from_json(&answer.body)
        .map_err(|error| format!("couldn't get version/kind; json parse error: {error}"))
}

/// What upstream's client makes of a status code: `NewGenericServerResponse`.
fn server_error(answer: &Posted) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let text = if answer.is_text { text.trim() } else { "unknown" };
    match answer.status {
        400 => "the server rejected our request for an unknown reason".to_owned(),
        401 => "the server has asked for the client to provide credentials".to_owned(),
        403 => text.to_owned(),
        404 => "the server could not find the requested resource".to_owned(),
        405 => "the server does not allow this method on the requested resource".to_owned(),
        409 => "the server reported a conflict".to_owned(),
        422 => "the server rejected our request due to an error in our request".to_owned(),
        429 => "the server has received too many requests and has asked us to try again later".to_owned(),
        503 => "the server is currently unable to handle the request".to_owned(),
        504 => "the server was unable to return a response in the time allotted, but may still be processing the \
                request"
            .to_owned(),
        500.. => {
            format!("an error on the server ({text:?}) has prevented the request from succeeding")
        }
        code => format!("the server responded with the status code {code} but did not return more information"),
    }
}

async fn post(target: &Target, client_config: &Value, body: &Value) -> Result<Posted, String> {
    let tls = TlsConnector::from(Arc::new(tls_config(client_config)?));
    let stream = TcpStream::connect(&target.address).await.map_err(|error| dial_error(target, &error))?;
    let name = ServerName::try_from(target.host.clone()).map_err(|error| error.to_string())?;
    let stream = tls.connect(name, stream).await.map_err(|error| tls_error(&error))?;
    let request = http::Request::post(&target.path)
        .header(HOST, &target.authority)
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json, */*")
        .body(Full::new(Bytes::from(body.to_json())))
        .map_err(|error| error.to_string())?;
    let answer = exchange(stream, request, MAX_ANSWER).await?;
    let content_type = answer.headers().get(CONTENT_TYPE);
    let is_text = content_type.is_none_or(|content_type| content_type.as_bytes().starts_with(b"text/"));
    Ok(Posted { status: answer.status().as_u16(), is_text, body: answer.into_body() })
}

/// Webhooks are trusted by their own bundle; there is no other authority to ask.
fn tls_config(client_config: &Value) -> Result<rustls::ClientConfig, String> {
    let bundle = STANDARD.decode(client_config.str_at(&["caBundle"])).unwrap_or_default();
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bundle) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    Ok(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

/// A handshake that failed, for the commonest reason in Go's words.
fn tls_error(error: &std::io::Error) -> String {
    use rustls::{CertificateError, Error};
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "tls: failed to verify certificate: x509: certificate signed by unknown authority".to_owned()
        }
        _ => error.to_string(),
    }
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

    #[test]
    fn what_is_no_success_reads_as_upstreams_client_has_it() {
        let answer = |status, body: &'static str| {
            read(&Posted { status, is_text: true, body: body.into() }).unwrap_err()
        };
        assert_eq!(
            answer(500, "boom\n"),
            "an error on the server (\"boom\") has prevented the request from succeeding"
        );
        assert_eq!(answer(404, "404 page not found"), "the server could not find the requested resource");
    }
}
