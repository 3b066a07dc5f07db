//! `Impersonate-User` and its like: acting as somebody else, for those who may.

use std::sync::Arc;

use drydock_auth::impersonation::{impersonate, wanted_user};
use drydock_auth::{Attributes, UserInfo};
use drydock_machinery::Status;
use http::HeaderMap;

use crate::server::Core;

/// Who the request goes on as; `attributes` is the request as its sender makes it.
///
/// # Errors
/// 403 when the sender may not act as that user; 400 for headers that make no sense.
pub(crate) fn user(
    core: &Core,
    sender: &Arc<UserInfo>,
    headers: &HeaderMap,
    attributes: &Attributes<'_>,
) -> Result<Arc<UserInfo>, Status> {
    if !headers.keys().any(|name| name.as_str().starts_with("impersonate-")) {
        return Ok(sender.clone());
    }
    let named = headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let Some(wanted) = wanted_user(named)? else { return Ok(sender.clone()) };
    let authorize = |asked: &Attributes<'_>| core.authorizer.authorize(&*core.registry.cache, asked);
    impersonate(&authorize, &wanted, attributes).map(Arc::new)
}
