//! A request passed on over a connection of its own, and its answer passed back.

use std::sync::Arc;

use drydock_streams::handshake;
use futures::StreamExt as _;
use http::header::{AUTHORIZATION, CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, TE, UPGRADE};
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, BodyStream};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;

use crate::http::Answer;
use crate::http::connection::Peer;
use crate::http::handler::Req;
use crate::http::streams::take_upgrade;
use crate::seams::Stream;

/// Headers of a connection rather than of a request.
const OF_A_CONNECTION: [&str; 8] = [
    "connection",
    "proxy-connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// What is sent, and over what.
pub(crate) struct Outgoing {
    pub(crate) stream: Box<dyn Stream>,
    /// Path and query.
    pub(crate) uri: String,
    pub(crate) headers: HeaderMap,
}

/// The client's headers, without what is the API server's alone.
pub(crate) fn cleaned(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    headers.remove(AUTHORIZATION);
    let own = |name: &HeaderName| {
        name.as_str().starts_with("impersonate-") || name.as_str().starts_with("x-remote-")
    };
    let names: Vec<HeaderName> = headers.keys().filter(|name| own(name)).cloned().collect();
    names.iter().for_each(|name| drop(headers.remove(name)));
    headers
}

/// Sends the request and answers with what comes back. An upgrade that is granted becomes a task.
///
/// # Errors
/// What went wrong on the way.
pub(crate) async fn forward(request: &Req, incoming: Incoming, outgoing: Outgoing) -> Result<Answer, String> {
    let upgrades = handshake::asked(&request.parts.headers).is_some();
    let text = |error: hyper::Error| error.to_string();
    let connection = hyper::client::conn::http1::handshake(TokioIo::new(outgoing.stream)).await;
    let (mut sender, connection) = connection.map_err(text)?;
    request.core.tasks.spawn("proxied-connection", async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "a proxied connection ended");
        }
    });
    let mut headers = outgoing.headers;
    strip(&mut headers, upgrades);
    add_sender(request, &mut headers);
    let mut built = http::Request::new(incoming);
    *built.method_mut() = request.parts.method.clone();
    *built.uri_mut() = outgoing.uri.parse().map_err(|_| "invalid URI".to_owned())?;
    // A request of HTTP/2 names its host elsewhere.
    if let Some(authority) = request.parts.uri.authority().filter(|_| !headers.contains_key(HOST))
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        headers.insert(HOST, host);
    }
    *built.headers_mut() = headers;
    let answer = sender.send_request(built).await.map_err(text)?;
    if upgrades && answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        return upgraded(request, answer);
    }
    if upgrades && answer.status().as_u16() < 400 {
        return Err(format!("invalid upgrade response: status code {}", answer.status().as_u16()));
    }
    Ok(passed(answer))
}

/// Appends the client's address to those of the proxies before.
fn add_sender(request: &Req, headers: &mut HeaderMap) {
    let peer = request.parts.extensions.get::<Arc<Peer>>();
    let Some(address) = peer.and_then(|peer| peer.address) else { return };
    let before = headers.get_all(&FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
    let all: Vec<String> = before.map(str::to_owned).chain([address.to_string()]).collect();
    if let Ok(value) = HeaderValue::from_str(&all.join(", ")) {
        headers.insert(FORWARDED_FOR, value);
    }
}

fn strip(headers: &mut HeaderMap, upgrades: bool) {
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let upgrade = headers.get(UPGRADE).cloned();
    for name in named.iter().map(String::as_str).chain(OF_A_CONNECTION) {
        headers.remove(name);
    }
    if headers.get(TE).is_some_and(|value| value != "trailers") {
        headers.remove(TE);
    }
    if let Some(upgrade) = upgrade.filter(|_| upgrades) {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, upgrade);
    }
}

/// The answer, as it comes. One that breaks off ends early, which its client sees by its length.
fn passed(answer: Response<Incoming>) -> Answer {
    let (mut parts, incoming) = answer.into_parts();
    strip(&mut parts.headers, false);
    parts.version = http::Version::default();
    let frames = BodyStream::new(incoming)
        .take_while(|frame| std::future::ready(frame.is_ok()))
        .filter_map(|frame| std::future::ready(frame.ok()))
        .filter_map(|frame| std::future::ready(frame.into_data().ok()))
        .map(|data| Ok(Frame::data(data)));
    Answer::from_parts(parts, http_body_util::StreamBody::new(frames).boxed_unsync())
}

fn upgraded(request: &Req, answer: Response<Incoming>) -> Result<Answer, String> {
    let taken = take_upgrade(request).map_err(|status| status.message)?;
    let mut switching = Response::new(());
    *switching.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *switching.headers_mut() = answer.headers().clone();
    let backend = hyper::upgrade::on(answer);
    Ok(taken.switch(request, switching, move |client| async move {
        let Ok(backend) = backend.await else { return };
        let (client, backend) = (tokio::io::split(client), tokio::io::split(TokioIo::new(backend)));
        let ((mut client_read, mut client_write), (mut read, mut write)) = (client, backend);
        // Once one side is done, so is the connection.
        tokio::select! {
            _ = tokio::io::copy(&mut client_read, &mut write) => {}
            _ = tokio::io::copy(&mut read, &mut client_write) => {}
        }
        let _ = tokio::io::AsyncWriteExt::shutdown(&mut client_write).await;
    }))
}

/// Host and the rest of an absolute URL.
pub(super) fn url_authority(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
    let end = rest.find('/').unwrap_or(rest.len());
    Some(rest.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_a_connection_does_not_go_through() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Mine"),
            ("x-mine", "1"),
            ("x-yours", "2"),
            ("te", "gzip"),
            ("authorization", "Bearer x"),
            ("x-remote-user", "root"),
            ("impersonate-user", "root"),
            ("upgrade", "websocket"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let mut cleaned = cleaned(&headers);
        strip(&mut cleaned, false);
        assert_eq!(cleaned.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-yours"]);
        let mut upgrading = headers;
        strip(&mut upgrading, true);
        assert_eq!(upgrading["connection"], "Upgrade");
        assert_eq!(upgrading["upgrade"], "websocket");
        assert_eq!(url_authority("http://a:1/b"), Some(("a:1", "/b")));
        assert_eq!(url_authority("/b"), None);
    }
}
