//! Continue tokens. Their form is upstream's: base64url of `{"v": "meta.k8s.io/v1", "rv": …, "start": …}`, where
//! `start` is the first key not yet listed, relative to the resource.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use drydock_client::Options;
use drydock_machinery::{Status, Value, value};

/// As lenient as Go's.
const URL_SAFE_NO_PAD: GeneralPurpose =
    GeneralPurpose::new(&URL_SAFE, NO_PAD.with_decode_allow_trailing_bits(true));

/// Where a list goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Position {
    /// The revision of the first page; None for a first page, or to go on with what is there now.
    pub(crate) revision: Option<u64>,
    /// The last key listed, relative to the resource; "" at the beginning.
    last: String,
}

impl Position {
    /// The last key listed; "" at the beginning.
    pub(crate) fn after(&self, prefix: &str) -> String {
        if self.last.is_empty() { String::new() } else { format!("{prefix}{}", self.last) }
    }
}

pub(crate) fn token(prefix: &str, last: &str, revision: u64) -> String {
    let relative = last.strip_prefix(prefix).unwrap_or(last);
    let token = value!({"v": "meta.k8s.io/v1", "rv": revision, "start": format!("{relative}\u{0}")});
    URL_SAFE_NO_PAD.encode(token.to_json())
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
    let token = Value::from_json(&bytes).map_err(|_| syntax_error(&bytes))?;
    let version = token.str_at(&["v"]);
    if version != "meta.k8s.io/v1" {
        return Err(format!("server does not recognize this encoded version {version:?}"));
    }
    let start = token.str_at(&["start"]);
    if start.is_empty() {
        return Err("encoded start key empty (version meta.k8s.io/v1)".to_owned());
    }
    if start.split('/').any(|part| part == "..") {
        return Err(format!("illegal character in key {start:?}"));
    }
    let revision = match token.i64_at(&["rv"]) {
        Some(0) | None => {
            return Err("incorrect encoded start resourceVersion (version meta.k8s.io/v1)".to_owned());
        }
        Some(given) => u64::try_from(given).ok(),
    };
    Ok(Position { revision, last: start.trim_end_matches('\0').to_owned() })
}

/// What Go says of bytes that are no JSON: it reads the first byte as a Latin-1 character.
fn syntax_error(bytes: &[u8]) -> String {
    match bytes.first() {
        None => "unexpected end of JSON input".to_owned(),
        Some(&first) if first.is_ascii_graphic() => {
            format!("invalid character '{}' looking for beginning of value", char::from(first))
        }
        Some(&first) => format!("invalid character '\\u{first:04x}' looking for beginning of value"),
    }
}
