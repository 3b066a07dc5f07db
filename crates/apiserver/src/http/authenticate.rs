//! Who a request comes from.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use drydock_auth::UserInfo;
use drydock_machinery::Status;
use drydock_streams::handshake::{self, Upgrade};
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::connection::Peer;
use crate::seams::Credentials;
use crate::server::Core;

/// The subprotocol that is a token and no protocol.
const WEBSOCKET_BEARER: &str = "base64url.bearer.authorization.k8s.io.";

/// # Errors
/// 401 for credentials that are bad or unknown.
pub(crate) async fn user(core: &Core, peer: &Peer, parts: &Parts) -> Result<Arc<UserInfo>, Status> {
    let of_websocket = websocket_token(parts);
    let bearer_token = bearer(parts).or(of_websocket.as_deref());
    // A connection's certificate stays the same, and so does whom it names.
    if bearer_token.is_none()
        && let Some(known) = peer.user.get()
    {
        return Ok(known.clone());
    }
    let credentials = Credentials { bearer_token, peer_certificates: &peer.certificates };
    let found = core.authenticator.authenticate(&*core.registry.cache, credentials).await;
    let user = match found {
        Ok(Some(user)) => user,
        Ok(None) if bearer_token.is_none() && peer.certificates.is_empty() => UserInfo::anonymous(),
        Ok(None) => return Err(Status::unauthorized()),
        Err(why) => {
            tracing::debug!(%why, "authentication failed");
            return Err(Status::unauthorized());
        }
    };
    let user = Arc::new(user);
    if bearer_token.is_none() {
        let _ = peer.user.set(user.clone());
    }
    Ok(user)
}

/// What a browser's WebSocket has for a token, since it cannot set headers.
fn websocket_token(parts: &Parts) -> Option<String> {
    if handshake::asked(&parts.headers) != Some(Upgrade::WebSocket) {
        return None;
    }
    let protocols = handshake::subprotocols(&parts.headers);
    let encoded = protocols.iter().find_map(|protocol| protocol.strip_prefix(WEBSOCKET_BEARER))?;
    String::from_utf8(URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).ok()?).ok()
}

fn bearer(parts: &Parts) -> Option<&str> {
    let header = parts.headers.get(AUTHORIZATION)?.to_str().ok()?.trim();
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
