//! Who a request comes from.

use std::sync::Arc;

use drydock_auth::UserInfo;
use drydock_machinery::Status;
use http::header::AUTHORIZATION;
use http::request::Parts;
use rustls::pki_types::CertificateDer;

use super::connection::Peer;
use crate::seams::Credentials;
use crate::server::Core;

/// # Errors
/// 401 for credentials that are bad or unknown.
pub(crate) async fn user(core: &Core, peer: &Peer, parts: &Parts) -> Result<Arc<UserInfo>, Status> {
    let bearer_token = bearer(parts);
    // A connection's certificate stays the same, and so does whom it names.
    if bearer_token.is_none()
        && let Some(known) = peer.user.get()
    {
        return Ok(known.clone());
    }
    let credentials =
        Credentials { bearer_token, peer_certificates: &peer.certificates, headers: Some(&parts.headers) };
    let found = core.authenticator.authenticate(&*core.registry.cache, credentials).await;
    let user = match found {
        Ok(Some(user)) => user,
        Ok(None)
            if bearer_token.is_none()
                && peer.certificates.is_empty()
                && core.authenticator.allows_anonymous(parts.uri.path()) =>
        {
            return Ok(Arc::new(UserInfo::anonymous()));
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
    Ok(user)
}

fn bearer(parts: &Parts) -> Option<&str> {
    let header = parts.headers.get(AUTHORIZATION)?.to_str().ok()?.trim();
    let (scheme, token) = header.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
