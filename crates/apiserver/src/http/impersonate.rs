//! `Impersonate-User` and its like: acting as somebody else, for those who may.

use std::sync::Arc;

use drydock_auth::impersonation::{impersonate, wanted_user};
use drydock_auth::{Attributes, UserInfo};
use drydock_machinery::Status;
use http::request::Parts;
use http::{HeaderName, HeaderValue};

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
    let headers = headers.map(|(name, value)| Ok((name.as_str(), text(name, value)?)));
    let headers = headers.collect::<Result<Vec<_>, Status>>()?;
    let Some(wanted) = wanted_user(headers)? else { return Ok(sender) };
    let impersonated = impersonate(core, &core.last_modes, &wanted, attributes).await?;
    if let Some(event) = event {
        event.impersonated(&impersonated.user, &impersonated.constraint);
    }
    Ok(Arc::new(impersonated.user))
}

/// Names are in UTF-8. What is not must not be passed over: the request would go on as its sender.
fn text<'a>(name: &HeaderName, value: &'a HeaderValue) -> Result<&'a str, Status> {
    std::str::from_utf8(value.as_bytes())
        .map_err(|_| Status::bad_request(format!("the header {name} is not valid UTF-8")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_utf8() {
        let read = |bytes: &[u8]| {
            let value = HeaderValue::from_bytes(bytes).unwrap();
            text(&HeaderName::from_static("impersonate-user"), &value).map(str::to_owned)
        };
        assert_eq!(read("zoë".as_bytes()).unwrap(), "zoë");
        assert_eq!(read(b"zo\xeb").unwrap_err().code, 400);
    }
}
