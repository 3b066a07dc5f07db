//! Request bodies read whole, response bodies whole or streamed.

use std::convert::Infallible;

use bytes::Bytes;
use futures::Stream;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody};
use hyper::body::{Frame, Incoming};

use drydock_machinery::Status;
use drydock_machinery::status::Reason;

/// What a response's body is.
pub(crate) type AnswerBody = UnsyncBoxBody<Bytes, Infallible>;
pub(crate) type Answer = Response<AnswerBody>;

/// What upstream takes of a request's body.
const MAX_BODY: usize = 3 * 1024 * 1024;

/// # Errors
/// 413 when the body is too large, 400 when it ended early.
pub(crate) async fn read(body: Incoming) -> Result<Bytes, Status> {
    if hyper::body::Body::is_end_stream(&body) {
        return Ok(Bytes::new());
    }
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            let text = format!("Request entity too large: limit is {MAX_BODY}");
            Err(Status::new(413, Reason::RequestEntityTooLarge, text))
        }
        Err(error) => Err(Status::bad_request(error.to_string())),
    }
}

pub(crate) fn whole(code: u16, content_type: &'static str, bytes: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(bytes.into()).boxed_unsync());
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

pub(crate) fn streamed(
    content_type: &'static str,
    chunks: impl Stream<Item = Bytes> + Send + 'static,
) -> Answer {
    let frames = futures::StreamExt::map(chunks, |chunk| Ok(Frame::data(chunk)));
    let mut answer = Response::new(StreamBody::new(frames).boxed_unsync());
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

pub(crate) const JSON: &str = "application/json";
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

pub(crate) fn text(code: u16, text: impl Into<String>) -> Answer {
    let mut answer = whole(code, TEXT, text.into());
    answer.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// Adds a `Warning` header, as often as it is said only once.
pub(crate) fn warn(answer: &mut Answer, text: &str) {
    let Ok(value) = HeaderValue::from_str(&format!("299 - {text:?}")) else { return };
    if !answer.headers().get_all(header::WARNING).iter().any(|said| *said == value) {
        answer.headers_mut().append(header::WARNING, value);
    }
}

/// A code alone.
pub(crate) fn nothing(code: u16) -> Answer {
    let mut answer = whole(code, TEXT, Bytes::new());
    answer.headers_mut().remove(header::CONTENT_TYPE);
    answer
}

/// What Go's mux says of a path that nobody has.
pub(crate) fn page_not_found() -> Answer {
    text(404, "404 page not found\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_said_once() {
        let mut answer = nothing(200);
        for warning in ["a", "b", "a"] {
            warn(&mut answer, warning);
        }
        let said: Vec<&HeaderValue> = answer.headers().get_all(header::WARNING).iter().collect();
        assert_eq!(said, ["299 - \"a\"", "299 - \"b\""]);
    }
}
