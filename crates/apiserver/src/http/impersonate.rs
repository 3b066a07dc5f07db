//! `Impersonate-User` and its like: acting as somebody else, for those who may.

use std::sync::Arc;

use drydock_auth::impersonation::{impersonate, wanted_user};
use drydock_auth::{Attributes, UserInfo};
use drydock_machinery::Status;
use http::request::Parts;

use crate::audit::Event;
use crate::server::Core;

/// Who the request goes on as. What may be done in another's name depends on what is asked.
///
/// # Errors
/// 403 when the sender may not act as that user; 400 for headers that make no sense.
pub(crate) async fn user(
    core: &Core,
    sender: Arc<UserInfo>,
    parts: &Parts,
    attributes: &Attributes<'_>,
    event: Option<&Event>,
) -> Result<Arc<UserInfo>, Status> {
    let headers = parts.headers.iter().filter(|(name, _)| name.as_str().starts_with("impersonate-"));
    let headers = headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
    let Some(wanted) = wanted_user(headers)? else { return Ok(sender) };
    let impersonated = impersonate(core, &core.last_modes, &wanted, attributes).await?;
    if let Some(event) = event {
        event.impersonated(&impersonated.user, &impersonated.constraint);
    }
    Ok(Arc::new(impersonated.user))
}
