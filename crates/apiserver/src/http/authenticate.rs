//! Who a request comes from.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use drydock_auth::UserInfo;
use drydock_auth::tokens::{LAST_USED, Notes};
use drydock_client::{PatchType, resources};
use drydock_machinery::{Status, Value};
use drydock_streams::handshake;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use http::request::Parts;
use rustls::pki_types::CertificateDer;

use super::connection::Peer;
use crate::seams::{Authenticated, Credentials};
use crate::server::Core;

/// What a subprotocol that is a token starts with.
const TOKEN_PROTOCOL: &str = "base64url.bearer.authorization.k8s.io.";

/// # Errors
/// 401 for credentials that are bad or unknown.
pub(crate) async fn user(core: &Core, peer: &Peer, parts: &Parts) -> Result<(Arc<UserInfo>, Notes), Status> {
    let of_socket = if parts.headers.contains_key(AUTHORIZATION) { None } else { socket_bearer(parts) };
    let bearer_token = of_socket.as_deref().or_else(|| bearer(parts));
    let certificates = peer.valid_certificates();
    // A connection's certificate stays the same until it ends, and so does whom it names.
    if bearer_token.is_none()
        && !certificates.is_empty()
        && let Some(known) = peer.user.get()
    {
        return Ok((known.clone(), Notes::default()));
    }
    let credentials =
        Credentials { bearer_token, peer_certificates: certificates, headers: Some(&parts.headers) };
    let found = core.authenticator.authenticate(&*core.registry.cache, credentials).await;
    let Authenticated { user, notes } = match found {
        Ok(Some(found)) => found,
        Ok(None)
            if bearer_token.is_none()
                && peer.certificates.is_empty()
                && core.authenticator.allows_anonymous(parts.uri.path()) =>
        {
            return Ok((Arc::new(UserInfo::anonymous()), Notes::default()));
        }
        Ok(None) => return Err(Status::unauthorized()),
        Err(why) => {
            tracing::debug!(%why, "authentication failed");
            return Err(Status::unauthorized());
        }
    };
    let user = Arc::new(user);
    let is_enough = |leaf: &CertificateDer<'_>| core.authenticator.is_certificate_enough(leaf);
    if bearer_token.is_none() && certificates.first().is_some_and(is_enough) {
        let _ = peer.user.set(user.clone());
    }
    Ok((user, notes))
}

/// Labels a secret whose token was used today, beside the request that used it.
pub(crate) fn label_secret(core: &Core, namespace: String, name: String) {
    let Some(client) = core.registry.loopback.get().cloned() else { return };
    let mut patch = Value::object();
    let today = core.registry.clock.now().strftime("%Y-%m-%d").to_string();
    patch.set(&["metadata", "labels", LAST_USED], today);
    core.tasks.spawn("legacy-token-tracking", async move {
        let patched = client.patch(&resources::SECRETS, &namespace, &name, PatchType::Merge, patch).await;
        if let Err(why) = patched {
            tracing::warn!(%why, namespace, name, "a secret whose token is in use could not be labelled");
        }
    });
}

/// The token among the subprotocols of a WebSocket: browsers cannot set headers on those. Only beside another subprotocol,
/// which is what the server then answers with. What is no good token is "", which nobody has.
fn socket_bearer(parts: &Parts) -> Option<String> {
    if handshake::asked(&parts.headers) != Some(handshake::Upgrade::WebSocket) {
        return None;
    }
    let (tokens, others): (Vec<&str>, Vec<&str>) =
        handshake::subprotocols(&parts.headers).into_iter().partition(|protocol| is_token(protocol));
    let token = match tokens.as_slice() {
        [] => return None,
        [token] => token.strip_prefix(TOKEN_PROTOCOL)?,
        _ => return Some(String::new()),
    };
    let token = URL_SAFE_NO_PAD.decode(token).ok().and_then(|token| String::from_utf8(token).ok());
    Some(token.filter(|_| !others.is_empty()).unwrap_or_default())
}

fn is_token(protocol: &str) -> bool {
    protocol.starts_with(TOKEN_PROTOCOL)
}

/// Takes the token from the subprotocols once it has been looked at: whom the request is passed on to must not see it.
pub(crate) fn forget_socket_bearer(headers: &mut HeaderMap) {
    let protocols = handshake::subprotocols(headers);
    if !protocols.iter().any(|protocol| is_token(protocol)) {
        return;
    }
    let others: Vec<&str> = protocols.into_iter().filter(|protocol| !is_token(protocol)).collect();
    match HeaderValue::from_str(&others.join(",")) {
        Ok(value) if !others.is_empty() => drop(headers.insert(SEC_WEBSOCKET_PROTOCOL, value)),
        _ => drop(headers.remove(SEC_WEBSOCKET_PROTOCOL)),
    }
}

fn bearer(parts: &Parts) -> Option<&str> {
    let header = parts.headers.get(AUTHORIZATION)?.to_str().ok()?.trim();
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(protocols: &'static str) -> Parts {
        let request = http::Request::get("/")
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header(SEC_WEBSOCKET_PROTOCOL, protocols);
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_sockets_token_is_read_and_not_passed_on() {
        const BOTH: &str = "v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.dG9rZW4";
        let mut parts = request(BOTH);
        assert_eq!(socket_bearer(&parts).as_deref(), Some("token"));
        forget_socket_bearer(&mut parts.headers);
        assert_eq!(parts.headers[SEC_WEBSOCKET_PROTOCOL], "v5.channel.k8s.io");
        assert_eq!(socket_bearer(&parts), None);
        let mut parts = request("base64url.bearer.authorization.k8s.io.dG9rZW4");
        assert_eq!(socket_bearer(&parts).as_deref(), Some(""));
        forget_socket_bearer(&mut parts.headers);
        assert!(!parts.headers.contains_key(SEC_WEBSOCKET_PROTOCOL));
    }
}
