//! Who a request comes from.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use drydock_auth::UserInfo;
use drydock_auth::tokens::{LAST_USED, Notes};
use drydock_client::{PatchType, resources};
use drydock_machinery::{Status, Value};
use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use http::request::Parts;
use rustls::pki_types::CertificateDer;

use super::connection::Peer;
use crate::seams::{Authenticated, Credentials};
use crate::server::Core;

/// # Errors
/// 401 for credentials that are bad or unknown.
pub(crate) async fn user(core: &Core, peer: &Peer, parts: &Parts) -> Result<(Arc<UserInfo>, Notes), Status> {
    let of_socket = if parts.headers.contains_key(AUTHORIZATION) { None } else { socket_bearer(parts) };
    let bearer_token = of_socket.as_deref().or_else(|| bearer(parts));
    // A connection's certificate stays the same, and so does whom it names.
    if bearer_token.is_none()
        && let Some(known) = peer.user.get()
    {
        return Ok((known.clone(), Notes::default()));
    }
    let credentials =
        Credentials { bearer_token, peer_certificates: &peer.certificates, headers: Some(&parts.headers) };
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
    if bearer_token.is_none() && peer.certificates.first().is_some_and(is_enough) {
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
/// which is what the server then answers with.
fn socket_bearer(parts: &Parts) -> Option<String> {
    const PREFIX: &str = "base64url.bearer.authorization.k8s.io.";
    let protocols = parts.headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    let protocols = protocols.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let (tokens, others): (Vec<&str>, Vec<&str>) =
        protocols.map(str::trim).partition(|protocol| protocol.starts_with(PREFIX));
    let [token] = tokens.as_slice() else { return None };
    let token = URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX)?).ok()?;
    (!others.is_empty()).then(|| String::from_utf8(token).ok())?
}

fn bearer(parts: &Parts) -> Option<&str> {
    let header = parts.headers.get(AUTHORIZATION)?.to_str().ok()?.trim();
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
