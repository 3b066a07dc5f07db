//! A `Status` as an answer, in a form that the client reads.

use drydock_machinery::Status;
use http::header::{self, HeaderMap, HeaderValue};

use super::negotiate::{self, Format};
use super::query::Query;
use super::{Answer, body, encode, handler, protobuf};

/// How failures are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Indented,
    Yaml,
    Protobuf,
}

impl Form {
    pub(crate) fn of(headers: &HeaderMap, query: &Query) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
        match negotiate::plain(accept) {
            // What nobody can make is answered as for a person.
            None => Self::Indented,
            Some(Format::Yaml) => Self::Yaml,
            Some(Format::Protobuf) => Self::Protobuf,
            Some(Format::Json) if handler::is_pretty(headers, query) => Self::Indented,
            Some(Format::Json) => Self::Json,
        }
    }
}

pub(crate) fn answer(status: &Status, form: Form) -> Answer {
    let value = status.to_value();
    let encoded = if form == Form::Protobuf { protobuf::object(&value) } else { None };
    let mut answer = match (form, encoded) {
        (_, Some(bytes)) => body::whole(status.code, protobuf::CONTENT_TYPE, bytes),
        (Form::Yaml, _) => {
            body::whole(status.code, "application/yaml", serde_saphyr::to_string(&value).unwrap_or_default())
        }
        (form, _) => body::whole(status.code, body::JSON, encode::json_bytes(&value, form == Form::Indented)),
    };
    let retry = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    if retry > 0 {
        answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry));
    }
    answer
}
