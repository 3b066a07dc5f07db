//! Continue tokens. Their form is upstream's: base64url of `{"v": "meta.k8s.io/v1", "rv": …, "start": …}`, where
//! `start` is the first key not yet listed, relative to the resource or, in a namespace's list, to that.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use drydock_client::Options;
use drydock_machinery::decode::check_syntax;
use drydock_machinery::patch::json::json_kind;
use drydock_machinery::value::write_json_string;
use drydock_machinery::{Status, Value};

/// As lenient as Go's.
const URL_SAFE_NO_PAD: GeneralPurpose =
    GeneralPurpose::new(&URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// Where a list goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// The revision of the first page; None for a first page, or to go on with what is there now.
    pub(crate) revision: Option<u64>,
    /// Where the next page starts, relative to what is listed; "" at the beginning.
    start: String,
}

/// The revision of tokens that go on with what is there now.
const NOW: i64 = -1;

impl Position {
    /// The last key listed; "" at the beginning.
    pub(crate) fn after(&self, prefix: &str) -> String {
        match self.start.trim_end_matches('\0').trim_start_matches('/') {
            "" => String::new(),
            last => format!("{prefix}{last}"),
        }
    }

    /// A token for the same place that needs no history.
    pub(crate) fn inconsistent(&self) -> String {
        encode(NOW, &self.start)
    }
}

pub(crate) fn token(prefix: &str, last: &str, revision: u64) -> String {
    let relative = last.strip_prefix(prefix).unwrap_or(last);
    encode(i64::try_from(revision).unwrap_or(NOW), &format!("{relative}\0"))
}

fn encode(revision: i64, start: &str) -> String {
    // In the order of Go's struct.
    let mut json = format!("{{\"v\":\"meta.k8s.io/v1\",\"rv\":{revision},\"start\":").into_bytes();
    write_json_string(start, &mut json);
    json.push(b'}');
    URL_SAFE_NO_PAD.encode(json)
}

/// # Errors
/// 400 for a token that is not one.
pub(crate) fn position(options: &Options) -> Result<Position, Status> {
    if options.continue_token.is_empty() {
        return Ok(Position::default());
    }
    let position = parse(&options.continue_token).map_err(|why| {
        Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
    })?;
    if !options.resource_version.is_empty() && options.resource_version != "0" {
        return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
    }
    Ok(position)
}

fn parse(token: &str) -> Result<Position, String> {
    let bytes = URL_SAFE_NO_PAD.decode(token.trim_end_matches('=')).map_err(|error| match error {
        base64::DecodeError::InvalidByte(at, _) => format!("illegal base64 data at input byte {at}"),
        _ => format!("illegal base64 data at input byte {}", token.len() / 4 * 4),
    })?;
    check_syntax(&bytes)?;
    // What is JSON to Go and not to us is no token either.
    let token = Value::from_json(&bytes).unwrap_or_default();
    if !matches!(token, Value::Object(_) | Value::Null) {
        let kind = json_kind(&token);
        return Err(format!("json: cannot unmarshal {kind} into Go value of type storage.continueToken"));
    }
    let version = token.str_at(&["v"]);
    if version != "meta.k8s.io/v1" {
        return Err(format!("server does not recognize this encoded version {version}"));
    }
    if let Some(other) = token.get("rv").filter(|rv| !matches!(rv, Value::Int(_) | Value::Null)) {
        let kind = json_kind(other);
        return Err(format!(
            "json: cannot unmarshal {kind} into Go struct field continueToken.rv of type int64"
        ));
    }
    let revision = match token.i64_at(&["rv"]) {
        Some(0) | None => {
            return Err("incorrect encoded start resourceVersion (version meta.k8s.io/v1)".to_owned());
        }
        Some(given) => u64::try_from(given).ok(),
    };
    let start = token.str_at(&["start"]);
    if start.is_empty() {
        return Err("encoded start key empty (version meta.k8s.io/v1)".to_owned());
    }
    // No way to keys of other resources.
    let mut parts = start.strip_prefix('/').unwrap_or(start).split('/');
    if parts.any(|part| matches!(part, "" | "." | "..")) {
        return Err(start.to_owned());
    }
    Ok(Position { revision, start: start.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(token: &str) -> Result<Position, Status> {
        position(&Options { continue_token: token.to_owned(), ..Options::default() })
    }

    #[test]
    fn a_token_leads_back_to_its_place_and_on_without_history() {
        let first = read(&token("/core/pods/", "/core/pods/ns/a", 7)).unwrap();
        assert_eq!((first.revision, first.after("/core/pods/")), (Some(7), "/core/pods/ns/a".to_owned()));
        let later = read(&first.inconsistent()).unwrap();
        assert_eq!((later.revision, later.after("/core/pods/")), (None, "/core/pods/ns/a".to_owned()));
    }

    #[test]
    fn what_is_no_token_is_told_as_go_does() {
        for (token, why) in [
            ("None", "invalid character '\\u0089' after top-level value"),
            ("e30", "server does not recognize this encoded version "),
            ("_w", "invalid character 'ÿ' looking for beginning of value"),
            ("Mg", "json: cannot unmarshal number into Go value of type storage.continueToken"),
            ("Int", "unexpected end of JSON input"),
        ] {
            let message = read(token).unwrap_err().message;
            assert_eq!(message, format!("invalid continue token: continue key is not valid: {why}"));
        }
    }

    #[test]
    fn tokens_lead_to_no_other_resource() {
        for start in ["../secrets/a", "ns//a", "./a", "ns/../../b", "/"] {
            let why = read(&encode(1, start)).unwrap_err().message;
            assert_eq!(why, format!("invalid continue token: continue key is not valid: {start}"));
        }
    }
}
