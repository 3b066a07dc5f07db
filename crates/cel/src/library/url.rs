//! URLs: Kubernetes' `library/urls.go`. Texts are read as Go's `net/url` reads them.

use std::any::Any;
use std::collections::BTreeMap;

use super::{Implementation, no_overload};
use crate::error::EvalError;
use crate::value::{BuiltMap, Opaque, Value};

/// A URL taken apart. Two are equal when they are written the same.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Url {
    scheme: String,
    opaque: String,
    user: Option<String>,
    host: String,
    escaped_path: String,
    query: Option<String>,
    fragment: String,
}

impl Opaque for Url {
    fn type_name(&self) -> &str {
        "kubernetes.URL"
    }

    fn equals(&self, other: &dyn Opaque) -> Result<bool, EvalError> {
        let other: Option<&Self> = other.as_any().downcast_ref();
        other.map(|other| self == other).ok_or_else(EvalError::no_such_overload)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

pub(super) const FUNCTIONS: &[(&str, Implementation)] = &[
    ("url", |_, args| match args {
        [Value::String(text)] => {
            parse_request_uri(text).and_then(|()| parse(text)).map(Value::opaque).map_err(|error| {
                EvalError::new(format!("URL parse error during conversion from string: {error}"))
            })
        }
        _ => Err(no_overload("url", args)),
    }),
    ("isURL", |_, args| match args {
        [Value::String(text)] => Ok(Value::Bool(parse_request_uri(text).is_ok())),
        _ => Err(no_overload("isURL", args)),
    }),
    ("getScheme", |_, args| part("getScheme", args, |url| url.scheme.clone())),
    ("getHost", |_, args| part("getHost", args, |url| url.host.clone())),
    ("getHostname", |_, args| part("getHostname", args, |url| host_and_port(&url.host).0.to_owned())),
    ("getPort", |_, args| part("getPort", args, |url| host_and_port(&url.host).1.to_owned())),
    ("getEscapedPath", |_, args| part("getEscapedPath", args, |url| url.escaped_path.clone())),
    ("getQuery", |_, args| query(args)),
];

fn of<'a>(function: &str, args: &'a [Value]) -> Result<&'a Url, EvalError> {
    match args {
        [value] => value.downcast().ok_or_else(|| no_overload(function, args)),
        _ => Err(no_overload(function, args)),
    }
}

fn part(function: &str, args: &[Value], part: fn(&Url) -> String) -> Result<Value, EvalError> {
    of(function, args).map(|url| Value::from(part(url)))
}

fn host_and_port(host: &str) -> (&str, &str) {
    let (name, port) = match host.rfind(':') {
        Some(colon) if is_port(&host[colon..]) => (&host[..colon], &host[colon + 1..]),
        _ => (host, ""),
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    (bare.unwrap_or(name), port)
}

/// Every parameter with its values, malformed ones left out.
fn query(args: &[Value]) -> Result<Value, EvalError> {
    let url = of("getQuery", args)?;
    let mut parameters: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for part in url.query.iter().flat_map(|query| query.split('&')) {
        if part.is_empty() || part.contains(';') {
            continue;
        }
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        if let (Ok(key), Ok(value)) = (unescape(key, Part::Query), unescape(value, Part::Query)) {
            parameters.entry(key).or_default().push(value);
        }
    }
    let mut map = BuiltMap::new();
    for (key, values) in parameters {
        map.insert(Value::from(key), Value::strings(values))?;
    }
    Ok(map.into())
}

/// `url.ParseRequestURI`.
///
/// # Errors
/// In Go's words.
pub fn parse_request_uri(text: &str) -> Result<(), String> {
    take_apart(text, true).map(drop).map_err(|error| format!("parse {text:?}: {error}"))
}

/// `url.Parse`.
fn parse(text: &str) -> Result<Url, String> {
    let (before, fragment) = text.split_once('#').unwrap_or((text, ""));
    let mut url = take_apart(before, false).map_err(|error| format!("parse {before:?}: {error}"))?;
    url.fragment = unescape(fragment, Part::Fragment).map_err(|error| format!("parse {text:?}: {error}"))?;
    Ok(url)
}

fn take_apart(text: &str, request: bool) -> Result<Url, String> {
    if text.bytes().any(|b| b < b' ' || b == 0x7f) {
        return Err("net/url: invalid control character in URL".to_owned());
    }
    if text.is_empty() && request {
        return Err("empty url".to_owned());
    }
    let mut url = Url {
        scheme: String::new(),
        opaque: String::new(),
        user: None,
        host: String::new(),
        escaped_path: String::new(),
        query: None,
        fragment: String::new(),
    };
    if text == "*" {
        url.escaped_path = text.to_owned();
        return Ok(url);
    }
    let (scheme, rest) = split_scheme(text)?;
    url.scheme = scheme.to_lowercase();
    let (mut rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    url.query = query.map(str::to_owned);
    if !rest.starts_with('/') {
        if !url.scheme.is_empty() {
            url.opaque = rest.to_owned();
            return Ok(url);
        }
        if request {
            return Err("invalid URI for request".to_owned());
        }
        if rest.split('/').next().is_some_and(|segment| segment.contains(':')) {
            return Err("first path segment in URL cannot contain colon".to_owned());
        }
    }
    let may_have_authority = !url.scheme.is_empty() || !request && !rest.starts_with("///");
    if let Some(after) = rest.strip_prefix("//")
        && may_have_authority
    {
        let end = after.find('/').unwrap_or(after.len());
        let authority;
        (authority, rest) = after.split_at(end);
        (url.user, url.host) = split_authority(authority)?;
    }
    url.escaped_path = escaped_path(rest)?;
    Ok(url)
}

fn split_scheme(text: &str) -> Result<(&str, &str), String> {
    for (index, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if index > 0 => {}
            ':' if index == 0 => return Err("missing protocol scheme".to_owned()),
            ':' => return Ok((&text[..index], &text[index + 1..])),
            _ => break,
        }
    }
    Ok(("", text))
}

fn split_authority(authority: &str) -> Result<(Option<String>, String), String> {
    let Some((user, host)) = authority.rsplit_once('@') else { return Ok((None, parse_host(authority)?)) };
    let host = parse_host(host)?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&b);
    if !user.bytes().all(fits) {
        return Err("net/url: invalid userinfo".to_owned());
    }
    for part in user.splitn(2, ':') {
        unescape(part, Part::User)?;
    }
    Ok((Some(user.to_owned()), host))
}

fn parse_host(host: &str) -> Result<String, String> {
    let port = if host.starts_with('[') {
        let end = host.rfind(']').ok_or("missing ']' in host")?;
        &host[end + 1..]
    } else {
        host.rfind(':').map_or("", |colon| &host[colon..])
    };
    if !is_port(port) {
        return Err(format!("invalid port {port:?} after host"));
    }
    unescape(host, Part::Host)
}

/// Nothing, or a colon and digits.
fn is_port(text: &str) -> bool {
    text.is_empty() || text.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Path,
    Host,
    User,
    Query,
    Fragment,
}

fn unescape(text: &str, part: Part) -> Result<String, String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let byte = bytes[index];
        match byte {
            b'%' => {
                let invalid = || {
                    let shown = &bytes[index..bytes.len().min(index + 3)];
                    format!("invalid URL escape {:?}", String::from_utf8_lossy(shown))
                };
                let digits =
                    text.get(index + 1..index + 3).filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
                let value = digits.and_then(|d| u8::from_str_radix(d, 16).ok()).ok_or_else(invalid)?;
                // Hosts may escape what is not ASCII, and the percent sign of a zone.
                if part == Part::Host && value < 0x80 && digits != Some("25") {
                    return Err(invalid());
                }
                out.push(value);
                index += 3;
                continue;
            }
            b'+' if part == Part::Query => out.push(b' '),
            _ if part == Part::Host && byte < 0x80 && !in_host(byte) => {
                return Err(format!("invalid character {:?} in host name", char::from(byte).to_string()));
            }
            _ => out.push(byte),
        }
        index += 1;
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn in_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"".contains(&byte)
}

/// The path as it is written, if that is a way to write it; else escaped anew.
fn escaped_path(path: &str) -> Result<String, String> {
    let plain = unescape(path, Part::Path)?;
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:@[]%/".contains(&b);
    if path.bytes().all(fits) {
        return Ok(path.to_owned());
    }
    let keep = |b: u8| b.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&b);
    let escaped = |b: u8| if keep(b) { char::from(b).to_string() } else { format!("%{b:02X}") };
    Ok(plain.bytes().map(escaped).collect())
}
