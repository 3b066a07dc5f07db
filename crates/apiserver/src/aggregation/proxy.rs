//! Passing requests on to other servers, in the name of who sent them.

use std::fmt::Write as _;
use std::sync::Arc;

use drydock_auth::UserInfo;
use drydock_machinery::Status;
use http::header::{HeaderMap, HeaderName, HeaderValue, LOCATION};
use hyper::body::Incoming;

use super::Route;
use crate::http::handler::Req;
use crate::http::path::Path;
use crate::http::proxy::{Outgoing, cleaned, forward};
use crate::http::{Answer, plain_text, resource_verb};

/// # Errors
/// 403 when the sender may not do it. What the server or the way to it does wrong is answered in plain text, as
/// upstream does.
pub(crate) async fn serve(
    request: &Req,
    path: &Path,
    route: &Arc<Route>,
    incoming: Incoming,
) -> Result<Answer, Status> {
    let method = request.parts.method.as_str().to_ascii_lowercase();
    let verb = match path {
        Path::Resource(path) => resource_verb(&request.parts.method, path, &request.query),
        Path::Other(_) => &method,
    };
    let attributes = path.attributes(&request.user, verb);
    request.core.authorize(&attributes, request.audit.as_deref()).await?;
    if !route.available {
        return Ok(plain_text(503, "service unavailable\n"));
    }
    let (stream, _) = match route.connect(&request.core).await {
        Ok(connected) => connected,
        Err(why) => {
            tracing::debug!(why, name = route.name, "an extension server was not reached");
            return Ok(plain_text(503, format!("error trying to reach service: {why}\n")));
        }
    };
    let mut headers = cleaned(&request.parts.headers);
    put_user(&mut headers, &request.user);
    let uri = request.parts.uri.path_and_query().map_or("/", |uri| uri.as_str()).to_owned();
    let answer = match forward(request, incoming, Outgoing { stream, uri, headers }).await {
        Ok(answer) => answer,
        Err(why) => return Ok(plain_text(503, format!("error trying to reach service: {why}\n"))),
    };
    if answer.status().is_redirection() && answer.headers().contains_key(LOCATION) {
        let text = "the backend attempted to redirect this request, which is not permitted";
        return Ok(plain_text(502, text));
    }
    Ok(answer)
}

/// Says who the sender is.
pub(super) fn put_user(headers: &mut HeaderMap, user: &UserInfo) {
    let mut put = |name: &str, value: &str| {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
        {
            headers.append(name, value);
        }
    };
    put("x-remote-user", &user.name);
    if !user.uid.is_empty() {
        put("x-remote-uid", &user.uid);
    }
    for group in &user.groups {
        put("x-remote-group", group);
    }
    for (key, values) in &user.extra {
        let name = format!("x-remote-extra-{}", escaped(key));
        for value in values {
            put(&name, value);
        }
    }
}

/// What cannot stand in a header's name is percent-encoded.
fn escaped(key: &str) -> String {
    let mut out = String::new();
    for byte in key.bytes() {
        if byte.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sender_is_named_in_headers() {
        let mut user = UserInfo::new("jane", &["a", "b"]);
        user.uid = "1".to_owned();
        user.extra.insert("example.com/key".to_owned(), vec!["x".to_owned()]);
        let mut headers = HeaderMap::new();
        put_user(&mut headers, &user);
        assert_eq!(headers["x-remote-user"], "jane");
        assert_eq!(headers["x-remote-uid"], "1");
        assert_eq!(headers.get_all("x-remote-group").iter().count(), 2);
        assert_eq!(headers["x-remote-extra-example.com%2fkey"], "x");
    }
}
