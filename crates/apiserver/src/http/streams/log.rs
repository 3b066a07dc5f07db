//! Containers' logs, which are plain answers.

use drydock_machinery::decode::parse_time;
use drydock_machinery::{FieldErrors, FieldPath, Status};
use futures::StreamExt;
use http::header::ACCEPT;

use super::{container, nodes, pod};
use crate::http::handler::Req;
use crate::http::{Answer, body, negotiate};
use crate::registry::Call;
use crate::seams::LogOptions;

/// `GET pods/NAME/log`.
pub(crate) async fn log(request: &Req, call: &Call) -> Result<Answer, Status> {
    negotiate::accept_log(request.header(ACCEPT))?;
    let query = &request.query;
    let since_seconds = query.integer("sinceSeconds")?;
    let tail_lines = query.integer("tailLines")?;
    let limit_bytes = query.integer("limitBytes")?;
    let since_time = query.get("sinceTime").filter(|text| !matches!(*text, "" | "null"));
    since_time.map(parse_time).transpose().map_err(Status::bad_request)?;
    let limits = Limits { since_seconds, since_time: since_time.is_some(), tail_lines, limit_bytes };
    check(&limits, query.get("stream").is_some(), &call.request.name)?;
    let pod = pod(request, call).await?;
    let container = container(&pod, query.get("container").unwrap_or(""))?;
    if pod.str_at(&["spec", "nodeName"]).is_empty() {
        // Nobody has anything to say yet.
        return Ok(body::nothing(204));
    }
    super::check_host(request, &pod)?;
    let nodes = nodes(request)?;
    let options = LogOptions {
        container,
        follow: query.flag("follow").unwrap_or(false),
        previous: query.flag("previous").unwrap_or(false),
        timestamps: query.flag("timestamps").unwrap_or(false),
        since_seconds,
        since_time: since_time.map(str::to_owned),
        tail_lines,
        limit_bytes,
    };
    let lines = nodes.logs(&pod, options).await?;
    // A kubelet that fails halfway ends the stream, as upstream's proxy does.
    let lines = lines
        .take_while(|line| std::future::ready(line.is_ok()))
        .filter_map(|line| std::future::ready(line.ok()));
    Ok(body::streamed("text/plain", lines))
}

/// Which part of the log is asked for.
#[derive(Clone, Copy, Default)]
struct Limits {
    since_seconds: Option<i64>,
    since_time: bool,
    tail_lines: Option<i64>,
    limit_bytes: Option<i64>,
}

/// `ValidatePodLogOptions`. `stream` is an option that is not served yet.
fn check(limits: &Limits, stream: bool, name: &str) -> Result<(), Status> {
    let mut errors = FieldErrors::new();
    if let Some(lines) = limits.tail_lines.filter(|lines| *lines < 0) {
        errors.invalid(&FieldPath::new("tailLines"), lines, "must be greater than or equal to 0");
    }
    if let Some(bytes) = limits.limit_bytes.filter(|bytes| *bytes < 1) {
        errors.invalid(&FieldPath::new("limitBytes"), bytes, "must be greater than 0");
    }
    match limits.since_seconds {
        Some(_) if limits.since_time => {
            let detail = "at most one of `sinceTime` or `sinceSeconds` may be specified";
            errors.forbidden(&FieldPath::new("[]"), detail);
        }
        Some(seconds) if seconds < 1 => {
            errors.invalid(&FieldPath::new("sinceSeconds"), seconds, "must be greater than 0");
        }
        _ => {}
    }
    if stream {
        errors.forbidden(&FieldPath::new("stream"), "may not be specified");
    }
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid("", "PodLogOptions", name, &errors)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_make_no_sense_are_refused() {
        let check = |limits| check(&limits, false, "p").map_err(|status| status.message);
        assert_eq!(check(Limits { tail_lines: Some(0), ..Limits::default() }), Ok(()));
        let both = Limits { since_seconds: Some(1), since_time: true, ..Limits::default() };
        let text = "PodLogOptions \"p\" is invalid: []: Forbidden: at most one of `sinceTime` or `sinceSeconds` may be \
                    specified";
        assert_eq!(check(both), Err(text.to_owned()));
        let text = "PodLogOptions \"p\" is invalid: limitBytes: Invalid value: 0: must be greater than 0";
        assert_eq!(check(Limits { limit_bytes: Some(0), ..Limits::default() }), Err(text.to_owned()));
    }
}
