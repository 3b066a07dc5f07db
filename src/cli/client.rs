//! A client of the service's REST API.

use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use drydock_runtime::{tasks::chain, wall};
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::error::{CliError, Problem};

/// Where `drydock serve` listens unless told otherwise.
pub(super) const DEFAULT_SERVER: &str = "http://127.0.0.1:8080";

/// Which service to talk to.
#[derive(Args, Debug)]
pub(super) struct ConnectionArgs {
    /// URL of the service
    #[arg(
        long,
        env = "DRYDOCK_SERVER",
        value_name = "URL",
        default_value = DEFAULT_SERVER,
        global = true
    )]
    server: String,

    /// API token, where the service demands one
    #[arg(long, env = "DRYDOCK_API_TOKEN", value_name = "TOKEN", hide_env_values = true, global = true)]
    api_token: Option<String>,
}

impl ConnectionArgs {
    pub(super) fn client(&self) -> Result<Client, CliError> {
        Client::new(&self.server, self.api_token.clone())
    }
}

pub(super) struct Client {
    base: String,
    api_token: Option<String>,
    http: Http<HttpConnector, Full<Bytes>>,
}

/// A good answer.
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) bytes: Bytes,
}

/// Longer than any answer that the service lets wait.
const PATIENCE: Duration = Duration::from_secs(120);

impl Client {
    pub(super) fn new(server: &str, api_token: Option<String>) -> Result<Self, CliError> {
        let base = server.trim_end_matches('/');
        let uri: Option<Uri> = base.parse().ok();
        let plain = uri.is_some_and(|uri| uri.scheme_str() == Some("http") && uri.host().is_some());
        if !plain {
            let message = format!("--server: {server:?} must be of the form http://HOST:PORT");
            return Err(CliError::Usage(message));
        }
        let http = Http::builder(TokioExecutor::new()).build_http();
        Ok(Self { base: base.to_owned(), api_token, http })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, CliError> {
        self.send(Method::GET, path, HeaderMap::new(), None).await?.json()
    }

    /// Every item of a list, page by page.
    pub(super) async fn list(&self, path: &str) -> Result<Vec<Value>, CliError> {
        let mut items = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let page = match &token {
                Some(token) => format!("{path}{separator}pageToken={token}"),
                None => path.to_owned(),
            };
            let mut reply = self.get(&page).await?;
            if let Some(Value::Array(more)) = reply.get_mut("items").map(Value::take) {
                items.extend(more);
            }
            token = reply["nextPageToken"].as_str().map(str::to_owned);
            if token.is_none() {
                return Ok(items);
            }
        }
    }

    /// Asks for something to be made, once even if it has to be asked for twice.
    pub(super) async fn create(
        &self,
        path: &str,
        media: &'static str,
        body: Bytes,
    ) -> Result<Value, CliError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static(media));
        if let Ok(key) = uuid::Uuid::new_v4().to_string().parse() {
            headers.insert("idempotency-key", key);
        }
        let first = self.send(Method::POST, path, headers.clone(), Some(body.clone())).await;
        match first {
            Err(CliError::Unreachable { .. }) => {
                self.send(Method::POST, path, headers, Some(body)).await?.json()
            }
            other => other?.json(),
        }
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        self.send(Method::POST, path, headers, Some(body.to_string().into())).await?.json()
    }

    pub(super) async fn patch(&self, path: &str, body: &Value) -> Result<Value, CliError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/merge-patch+json"));
        self.send(Method::PATCH, path, headers, Some(body.to_string().into())).await?.json()
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Value, CliError> {
        self.send(Method::DELETE, path, HeaderMap::new(), None).await?.json()
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Option<Bytes>,
    ) -> Result<Reply, CliError> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(token) = &self.api_token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let mut request = request
            .body(Full::new(body.unwrap_or_default()))
            .map_err(|error| CliError::Usage(format!("{path}: {error}")))?;
        request.headers_mut().extend(headers);
        let exchange = async {
            let response = self.http.request(request).await.map_err(|error| self.unreachable(&error))?;
            let (parts, body) = response.into_parts();
            let bytes = body.collect().await.map_err(|error| self.unreachable(&error))?.to_bytes();
            Ok(Reply { status: parts.status, headers: parts.headers, bytes })
        };
        let late = || {
            let reason = format!("no answer in {} s", PATIENCE.as_secs());
            Err(CliError::Unreachable { url: self.base.clone(), reason })
        };
        let reply: Reply = wall::timeout(PATIENCE, exchange).await.unwrap_or_else(late)?;
        if reply.status.is_client_error() || reply.status.is_server_error() {
            return Err(CliError::Problem(problem(&reply)));
        }
        Ok(reply)
    }

    /// Hands what is answered to `take` as it comes, until the answer ends.
    pub(super) async fn stream(
        &self,
        path: &str,
        mut take: impl FnMut(&[u8]) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let mut request = Request::builder().uri(format!("{}{path}", self.base));
        if let Some(token) = &self.api_token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request =
            request.body(Full::default()).map_err(|error| CliError::Usage(format!("{path}: {error}")))?;
        let response = self.http.request(request).await.map_err(|error| self.unreachable(&error))?;
        let (parts, mut body) = response.into_parts();
        if parts.status.is_client_error() || parts.status.is_server_error() {
            let bytes = body.collect().await.map_err(|error| self.unreachable(&error))?.to_bytes();
            let reply = Reply { status: parts.status, headers: parts.headers, bytes };
            return Err(CliError::Problem(problem(&reply)));
        }
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| self.unreachable(&error))?;
            if let Some(bytes) = frame.data_ref() {
                take(bytes)?;
            }
        }
        Ok(())
    }

    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> CliError {
        CliError::Unreachable { url: self.base.clone(), reason: chain(error) }
    }
}

impl Reply {
    pub(super) fn json(&self) -> Result<Value, CliError> {
        let parsed = serde_json::from_slice(&self.bytes);
        parsed.map_err(|error| anyhow::anyhow!("the service's answer is not JSON: {error}").into())
    }
}

fn problem(reply: &Reply) -> Problem {
    let parsed =
        serde_json::from_slice::<Problem>(&reply.bytes).ok().filter(|problem| !problem.detail.is_empty());
    parsed.unwrap_or_else(|| Problem {
        status: reply.status.as_u16(),
        detail: format!("the service answered {}", reply.status),
        ..Problem::default()
    })
}

/// A segment of a path, with everything escaped that is not plainly a name.
pub(super) fn segment(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A query string of what is given.
pub(super) fn query(pairs: &[(&str, Option<&str>)]) -> String {
    let given: Vec<_> =
        pairs.iter().filter_map(|(name, value)| Some(format!("{name}={}", segment((*value)?)))).collect();
    if given.is_empty() { String::new() } else { format!("?{}", given.join("&")) }
}
