//! Which streams a request asks for, and how its upgrade is answered or refused.

use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use http::{Method, Response, StatusCode};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The headers in which SPDY's clients and servers agree on a protocol.
const PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");
const ACCEPTED: HeaderName = HeaderName::from_static("x-accepted-stream-protocol-versions");
const WEBSOCKET_KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const WEBSOCKET_ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");
const WEBSOCKET_VERSION: HeaderName = HeaderName::from_static("sec-websocket-version");
/// In which WebSockets' clients name the subprotocols that they speak.
pub const WEBSOCKET_PROTOCOL: HeaderName = HeaderName::from_static("sec-websocket-protocol");
/// What the subprotocol of a WebSocket that carries SPDY begins with.
pub const TUNNEL_PREFIX: &str = "SPDY/3.1+";
const SUFFIX: &str = ".k8s.io";

/// What a connection is to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    WebSocket,
    /// SPDY, or anything else, which is refused when it is answered.
    Other,
}

/// A refusal: status code, text, and a header.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    pub code: u16,
    pub text: String,
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// None when no upgrade is asked for.
pub fn asked(headers: &HeaderMap) -> Option<Upgrade> {
    let mut connections = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    if !connections.any(|value| value.to_ascii_lowercase().contains("upgrade")) {
        return None;
    }
    let websocket = first(headers, &UPGRADE).eq_ignore_ascii_case("websocket");
    Some(if websocket { Upgrade::WebSocket } else { Upgrade::Other })
}

/// The subprotocols that a WebSocket's client speaks, best first.
pub fn subprotocols(headers: &HeaderMap) -> Vec<&str> {
    separated(headers, &WEBSOCKET_PROTOCOL)
}

/// SPDY protocols that are to go through a WebSocket, of the form `SPDY/3.1+NAME.k8s.io`.
pub fn tunnelled(headers: &HeaderMap) -> Vec<&str> {
    let tunnel = |protocol: &&str| protocol.ends_with(SUFFIX);
    let protocols = subprotocols(headers).into_iter().filter(tunnel);
    protocols.filter_map(|protocol| protocol.strip_prefix(TUNNEL_PREFIX)).collect()
}

/// The first of the client's protocols that is among `supported`. A WebSocket's client that names none speaks "".
///
/// # Errors
/// When there is none.
pub fn agree<'a>(asked: &[&str], supported: &[&'a str]) -> Result<&'a str, Refused> {
    let asked = if asked.is_empty() { &[""] } else { asked };
    let found = asked.iter().find_map(|name| supported.iter().find(|known| *known == name));
    found.copied().ok_or_else(|| {
        let (asked, supported) = (asked.join(" "), supported.join(" "));
        refused(403, format!("requested protocol(s) are not supported: [{asked}]; supports [{supported}]"))
    })
}

/// The answer that makes a connection a WebSocket of `protocol`.
///
/// # Errors
/// When the request is no handshake of WebSocket's version 13.
pub fn websocket(method: &Method, headers: &HeaderMap, protocol: &str) -> Result<Response<()>, Refused> {
    if method != Method::GET {
        return Err(refused(405, "bad method".to_owned()));
    }
    if first(headers, &WEBSOCKET_VERSION) != "13" {
        let headers = vec![(WEBSOCKET_VERSION, HeaderValue::from_static("13"))];
        return Err(Refused { headers, ..refused(400, "missing or bad WebSocket Version".to_owned()) });
    }
    let key = first(headers, &WEBSOCKET_KEY);
    if key.is_empty() {
        return Err(refused(400, "mismatch challenge/response".to_owned()));
    }
    let mut answer = switching("websocket");
    for (name, text) in
        [(WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes())), (WEBSOCKET_PROTOCOL, protocol.to_owned())]
    {
        if let Ok(value) = HeaderValue::from_str(&text)
            && !value.is_empty()
        {
            answer.headers_mut().insert(name, value);
        }
    }
    Ok(answer)
}

/// The protocol that a client of SPDY and this server have in common, and the answer that makes the connection SPDY.
///
/// # Errors
/// When they have none, or it is not SPDY that is asked for.
pub fn spdy<'a>(headers: &HeaderMap, supported: &[&'a str]) -> Result<(&'a str, Response<()>), Refused> {
    let asked = separated(headers, &PROTOCOL);
    if !headers.contains_key(&PROTOCOL) {
        let count = headers.len();
        let text = format!("header X-Stream-Protocol-Version does not exist in request with {count} headers");
        return Err(refused(400, format!("unable to upgrade: {text}")));
    }
    let protocol = asked.iter().find_map(|name| supported.iter().find(|known| *known == name));
    let Some(protocol) = protocol else {
        let (asked, accepted) = (asked.join(" "), supported.join(" "));
        let text = format!("client supports [{asked}], server accepts [{accepted}]");
        let names = supported.iter().filter_map(|name| HeaderValue::from_str(name).ok());
        return Err(Refused {
            headers: names.map(|name| (ACCEPTED, name)).collect(),
            ..refused(403, format!("unable to upgrade: unable to negotiate protocol: {text}"))
        });
    };
    if !first(headers, &UPGRADE).to_ascii_lowercase().contains("spdy/3.1") {
        let text = "unable to upgrade: missing upgrade headers in request";
        return Err(refused(400, text.to_owned()));
    }
    let mut answer = switching("SPDY/3.1");
    if let Ok(value) = HeaderValue::from_str(protocol) {
        answer.headers_mut().insert(PROTOCOL, value);
    }
    Ok((protocol, answer))
}

/// The subprotocol of a tunnel for the best of the protocols that a client has for it.
///
/// # Errors
/// When none of them is `supported`.
pub fn tunnel(headers: &HeaderMap, supported: &[&str]) -> Result<String, Refused> {
    let asked = tunnelled(headers);
    if let Some(found) = asked.iter().find(|name| supported.contains(name)) {
        return Ok(format!("{TUNNEL_PREFIX}{found}"));
    }
    let (asked, accepted) = (asked.join(" "), supported.join(" "));
    let text = format!("client supports [{asked}], server accepts [{accepted}]");
    Err(refused(403, format!("unable to upgrade: unable to negotiate protocol: {text}")))
}

fn switching(to: &'static str) -> Response<()> {
    let mut answer = Response::new(());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.headers_mut().insert(UPGRADE, HeaderValue::from_static(to));
    answer
}

fn refused(code: u16, text: String) -> Refused {
    Refused { code, text, headers: Vec::new() }
}

fn first<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("").trim()
}

fn separated<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        pairs.collect()
    }

    #[test]
    fn spdy_takes_the_clients_best_protocol() {
        let known = ["v4.channel.k8s.io", "v3.channel.k8s.io"];
        let asked = headers(&[
            ("connection", "Upgrade"),
            ("upgrade", "SPDY/3.1"),
            ("x-stream-protocol-version", "v9.channel.k8s.io, v3.channel.k8s.io"),
        ]);
        let (protocol, answer) = spdy(&asked, &known).unwrap();
        assert_eq!((protocol, answer.status().as_u16()), ("v3.channel.k8s.io", 101));
        let refused = spdy(&headers(&[("x-stream-protocol-version", "v9")]), &known).unwrap_err();
        assert_eq!((refused.code, refused.headers.len()), (403, 2));
        assert_eq!(spdy(&headers(&[]), &known).unwrap_err().code, 400);
    }

    #[test]
    fn a_websocket_needs_a_key_and_a_protocol_that_is_known() {
        let asked = headers(&[
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-protocol", "SPDY/3.1+portforward.k8s.io, v4.channel.k8s.io"),
        ]);
        assert_eq!(super::asked(&asked), Some(Upgrade::WebSocket));
        assert_eq!(tunnel(&asked, &["portforward.k8s.io"]).unwrap(), "SPDY/3.1+portforward.k8s.io");
        assert_eq!(agree(&subprotocols(&asked), &["", "v4.channel.k8s.io"]), Ok("v4.channel.k8s.io"));
        assert_eq!(agree(&[], &["", "v4.channel.k8s.io"]), Ok(""));
        assert_eq!(agree(&["x"], &["y"]).unwrap_err().code, 403);
        let answer = websocket(&Method::GET, &asked, "v4.channel.k8s.io").unwrap();
        assert_eq!(answer.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(websocket(&Method::POST, &asked, "").unwrap_err().code, 405);
        assert_eq!(websocket(&Method::GET, &headers(&[]), "").unwrap_err().code, 400);
    }
}
