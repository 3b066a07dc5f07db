//! Who may call: on loopback anybody of this machine, elsewhere who has the API token.
//!
//! Without a token, the `Host` must be a name of loopback: a web page that lets its own name resolve to 127.0.0.1 could
//! otherwise use the API through a visitor's browser.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use sha2::{Digest, Sha256};

use super::App;
use super::problem::Problem;

/// Who may call.
#[derive(Clone)]
pub struct Access {
    /// Digest of the token: comparing digests takes the same time wherever they differ.
    token: Option<[u8; 32]>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("token", &self.token.is_some()).finish()
    }
}

impl Access {
    /// Anybody who can connect; only for loopback.
    pub fn local() -> Self {
        Self { token: None }
    }

    pub fn with_token(token: &str) -> Self {
        Self { token: Some(Sha256::digest(token.as_bytes()).into()) }
    }
}

pub(super) async fn demand_token(State(app): State<App>, request: Request, next: Next) -> Response {
    let Some(wanted) = app.access.token else { return next.run(request).await };
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| <[u8; 32]>::from(Sha256::digest(token.trim().as_bytes())));
    if given == Some(wanted) {
        return next.run(request).await;
    }
    let detail =
        if given.is_some() { "the API token is not the right one" } else { "an API token is required" };
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).into_response()
}

pub(super) async fn demand_own_host(State(app): State<App>, request: Request, next: Next) -> Response {
    let host = request.uri().host().map(str::to_owned).or_else(|| {
        let value = request.headers().get(header::HOST)?.to_str().ok()?;
        Some(host_of(value).to_owned())
    });
    if app.access.token.is_some() || host.is_none_or(|host| is_loopback(&host)) {
        return next.run(request).await;
    }
    let detail = "the Host header must name loopback, unless the service has an API token";
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "foreignHost", detail).into_response()
}

/// Without the port.
fn host_of(value: &str) -> &str {
    let end = value.rfind(':').filter(|at| !value[*at..].contains(']')).unwrap_or(value.len());
    &value[..end]
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let name = bare.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost"
        || name.ends_with(".localhost")
        || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_loopback_are_loopback() {
        for good in
            ["localhost", "localhost:8080", "127.0.0.1:1", "127.9.9.9", "[::1]:80", "[::1]", "a.localhost."]
        {
            assert!(is_loopback(host_of(good)), "{good}");
        }
        for bad in [
            "evil.example",
            "localhost.evil.example:80",
            "10.0.0.1",
            "[2001:db8::1]:80",
            "",
            "127.0.0.1.nip.io",
        ] {
            assert!(!is_loopback(host_of(bad)), "{bad}");
        }
    }
}
