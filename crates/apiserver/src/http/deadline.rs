//! How long a request may take: what its client says in `?timeout=`, and a minute at most.

use std::time::Duration;

use drydock_machinery::status::Reason;
use drydock_machinery::{Status, go_duration};

use super::path::Path;
use super::query::Query;

const MAXIMUM: Duration = Duration::from_secs(60);

/// How long it may take until there is an answer. `verb` is what RBAC calls the request.
///
/// # Errors
/// 400 for a `timeout` that is no duration, unless the request is one that lasts.
pub(crate) fn of(path: &Path, verb: &str, query: &Query) -> Result<Duration, Status> {
    let text = query.get("timeout").unwrap_or("");
    if path.is_long_running(verb) || text.is_empty() {
        return Ok(MAXIMUM);
    }
    let nanoseconds = go_duration::parse(text).map_err(|error| {
        let message = format!("invalid timeout specified in the request URL - {error}");
        Status::new(400, Reason::BadRequest, message)
    })?;
    Ok(match u64::try_from(nanoseconds) {
        Ok(nanoseconds) if nanoseconds > 0 => Duration::from_nanos(nanoseconds).min(MAXIMUM),
        _ => MAXIMUM,
    })
}

#[cfg(test)]
mod tests {
    use super::super::path;
    use super::*;

    #[test]
    fn a_client_may_shorten_what_is_no_watch() {
        let check = |url: &str, verb: &str, query: &str| {
            of(&path::parse(url), verb, &Query::parse(Some(query))).map_err(|status| status.message)
        };
        assert_eq!(check("/version", "get", "timeout=5s"), Ok(Duration::from_secs(5)));
        for query in ["", "timeout=0s", "timeout=3m", "timeout=-1s"] {
            assert_eq!(check("/version", "get", query), Ok(MAXIMUM), "{query}");
        }
        let text = "invalid timeout specified in the request URL - time: invalid duration \"soon\"";
        assert_eq!(check("/api/v1/pods", "list", "timeout=soon"), Err(text.to_owned()));
        assert_eq!(check("/api/v1/pods", "watch", "timeout=soon"), Ok(MAXIMUM));
    }
}
