//! What Go's `net/url` has against a text.

use crate::go_text::go_quote;

/// The error of `url.Parse`, as Go words it; None for what it takes.
pub(crate) fn problem(text: &str) -> Option<String> {
    let (url, fragment) = text.split_once('#').unwrap_or((text, ""));
    let found = parse(url).map(|why| (url, why));
    let (at, why) = found.or_else(|| escapes(fragment, false).map(|why| (text, why)))?;
    Some(format!("parse {}: {why}", go_quote(at)))
}

fn parse(url: &str) -> Option<String> {
    if url.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return Some("net/url: invalid control character in URL".to_owned());
    }
    if url == "*" {
        return None;
    }
    let (scheme, rest) = match scheme(url) {
        Ok(found) => found,
        Err(why) => return Some(why.to_owned()),
    };
    let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
    if !rest.starts_with('/') {
        let first = rest.split('/').next().unwrap_or("");
        let is_confusing = scheme.is_empty() && first.contains(':');
        if is_confusing {
            return Some("first path segment in URL cannot contain colon".to_owned());
        }
        return if scheme.is_empty() { escapes(rest, false) } else { None };
    }
    let with_authority = rest.strip_prefix("//").filter(|_| !scheme.is_empty() || !rest.starts_with("///"));
    let Some(rest) = with_authority else { return escapes(rest, false) };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    authority_problem(authority).or_else(|| escapes(path, false))
}

fn scheme(url: &str) -> Result<(&str, &str), &'static str> {
    for (i, byte) in url.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if i > 0 => {}
            b':' if i == 0 => return Err("missing protocol scheme"),
            b':' => return Ok((&url[..i], &url[i + 1..])),
            _ => return Ok(("", url)),
        }
    }
    Ok(("", url))
}

fn authority_problem(authority: &str) -> Option<String> {
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (user, host),
        None => ("", authority),
    };
    let after = match host.strip_prefix('[') {
        Some(inner) => match inner.rsplit_once(']') {
            Some((_, after)) => after,
            None => return Some("missing ']' in host".to_owned()),
        },
        None => host.rfind(':').map_or("", |colon| &host[colon..]),
    };
    let is_port = after.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    if !after.is_empty() && !is_port {
        return Some(format!("invalid port {} after host", go_quote(after)));
    }
    let in_user =
        |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte) || byte >= 0x80;
    escapes(host, true)
        .or_else(|| (!user.bytes().all(in_user)).then(|| "net/url: invalid userinfo".to_owned()))
        .or_else(|| escapes(user, false))
}

/// What is wrong with the escapes of a part, and with the letters of a host.
fn escapes(text: &str, is_host: bool) -> Option<String> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if byte == b'%' {
            let digits = bytes.get(at + 1..at + 3).filter(|two| two.iter().all(u8::is_ascii_hexdigit));
            // Of ASCII, a host may only have a percent sign escaped.
            let is_high = |two: &[u8]| two[0] >= b'8' || two == b"25";
            if !digits.is_some_and(|two| !is_host || is_high(two)) {
                let shown = &bytes[at..bytes.len().min(at + 3)];
                return Some(format!("invalid URL escape {}", go_quote(&String::from_utf8_lossy(shown))));
            }
            at += 3;
            continue;
        }
        let in_host = byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"".contains(&byte);
        if is_host && byte < 0x80 && !in_host {
            return Some(format!(
                "invalid character {} in host name",
                go_quote(&char::from(byte).to_string())
            ));
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_gos() {
        for (text, want) in [
            ("101%", "parse \"101%\": invalid URL escape \"%\""),
            ("10.0.0.1:443/x", "parse \"10.0.0.1:443/x\": first path segment in URL cannot contain colon"),
            (":x", "parse \":x\": missing protocol scheme"),
            ("https://a b/", "parse \"https://a b/\": invalid character \" \" in host name"),
            ("https://a:b/#f", "parse \"https://a:b/\": invalid port \":b\" after host"),
            ("https://[::1/", "parse \"https://[::1/\": missing ']' in host"),
            ("https://a/#%z", "parse \"https://a/#%z\": invalid URL escape \"%z\""),
            ("https://a/%zz", "parse \"https://a/%zz\": invalid URL escape \"%zz\""),
            ("https://%41/", "parse \"https://%41/\": invalid URL escape \"%41\""),
            ("a\u{7f}", "parse \"a\\x7f\": net/url: invalid control character in URL"),
        ] {
            assert_eq!(problem(text).as_deref(), Some(want));
        }
        for text in
            ["", "*", "a b", "localhost:80", "https://u:p@[::1]:443/a?b=%#c", "//h", "///x", "mailto:%"]
        {
            assert_eq!(problem(text), None, "{text}");
        }
    }
}
