//! A request's audit event, at the rim: what its head says, and how its answer ended.

use std::any::Any;
use std::sync::Arc;

use drydock_auth::audit::Stage;
use drydock_machinery::Status;
use http::header::{AUTHORIZATION, HeaderValue, USER_AGENT};
use http::request::Parts;

use super::connection::Peer;
use super::{Answer, failure};
use crate::audit::{Event, Head};

pub(crate) fn head(parts: &Parts, peer: &Peer, audit_id: &HeaderValue, long_running: bool) -> Head {
    let uri = parts.uri.path_and_query().map_or_else(String::new, |uri| uri.as_str().to_owned());
    let user_agent = parts.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    Head {
        audit_id: audit_id.to_str().unwrap_or("").to_owned(),
        uri,
        source_ips: source_ips(parts, peer),
        user_agent: user_agent.unwrap_or("").to_owned(),
        long_running,
    }
}

/// What proxies say of where the request came from, then where it did.
fn source_ips(parts: &Parts, peer: &Peer) -> Vec<String> {
    let texts = |name: &str| {
        let values = parts.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values
            .flat_map(|value| value.split(','))
            .filter_map(|text| text.trim().parse().ok())
            .collect::<Vec<std::net::IpAddr>>()
    };
    let mut all = texts("x-forwarded-for");
    for address in texts("x-real-ip").into_iter().take(1).chain(peer.address) {
        if all.last() != Some(&address) {
            all.push(address);
        }
    }
    all.iter().map(ToString::to_string).collect()
}

/// The event of a request whose credentials were no good says which it tried.
pub(crate) async fn unauthenticated(event: Option<Arc<Event>>, peer: &Peer, parts: &Parts, code: u16) {
    let Some(event) = event else { return };
    let header = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or("");
    let scheme = header.trim().split_once(' ').map_or("", |(scheme, _)| scheme);
    let tried: Vec<&str> = [
        ("basic", scheme.eq_ignore_ascii_case("basic")),
        ("bearer", scheme.eq_ignore_ascii_case("bearer")),
        ("x509", !peer.certificates.is_empty()),
    ]
    .iter()
    .filter_map(|(method, is_tried)| is_tried.then_some(*method))
    .collect();
    event.message(&if tried.is_empty() {
        "Authentication failed, no credentials provided".to_owned()
    } else {
        format!("Authentication failed, attempted: {}", tried.join(", "))
    });
    event.code(code);
    event.stage(Stage::ResponseStarted).await;
}

/// The answer of a failure, which its event notes.
pub(crate) fn failed(event: Option<&Event>, status: &Status, form: failure::Form) -> Answer {
    if let Some(event) = event {
        event.failed(status);
    }
    failure::answer(status, form)
}

/// The answer of a request, once its event is complete, or will be when the answer has been sent.
pub(crate) async fn answered(
    event: Option<Arc<Event>>,
    answered: Result<Result<Answer, Status>, Box<dyn Any + Send>>,
    form: failure::Form,
) -> Answer {
    let answer = match answered {
        Ok(Ok(answer)) => answer,
        Ok(Err(status)) => failed(event.as_deref(), &status, form),
        Err(panic) => {
            let answer = super::handler::panicked();
            if let Some(event) = event {
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
                let status = Status::internal("");
                event.failed(&Status {
                    message: format!("APIServer panic'd: {text}"),
                    details: None,
                    ..status
                });
                event.stage(Stage::Panic).await;
            }
            return answer;
        }
    };
    let Some(event) = event else { return answer };
    event.code(answer.status().as_u16());
    if !event.head.long_running {
        event.stage(Stage::ResponseComplete).await;
        return answer;
    }
    event.stage(Stage::ResponseStarted).await;
    answer.map(|body| event.until_sent(body))
}
