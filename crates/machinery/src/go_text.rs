//! Text as Go's standard library writes it, for messages that clients see.

/// `text` as Go's `strconv.Quote` writes it.
pub fn go_quote(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => {
                let _ = write!(out, "\\x{:02x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Undoes %-escapes as Go's `url.PathUnescape` does; None where a `%` begins none. What is not UTF-8 is replaced.
pub fn path_unescape(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let (hex, rest) = part.split_at_checked(2)?;
        // Unlike a number's, an escape's digits have no sign.
        let is_hex = hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        out.push(u8::from_str_radix(hex, 16).ok().filter(|_| is_hex)?);
        out.extend_from_slice(rest.as_bytes());
    }
    Some(String::from_utf8_lossy(&out).into_owned())
}

/// As [`path_unescape`], and `+` is a space: Go's `url.QueryUnescape`.
pub fn query_unescape(text: &str) -> Option<String> {
    path_unescape(&text.replace('+', " "))
}

#[cfg(test)]
mod tests {
    use super::{go_quote, path_unescape, query_unescape};

    #[test]
    fn escapes_are_undone_as_go_does() {
        assert_eq!(path_unescape("a%2Fb+c%e4%C3%A4").as_deref(), Some("a/b+c\u{fffd}ä"));
        assert_eq!(query_unescape("a+%2B").as_deref(), Some("a +"));
        for bad in ["%", "%a", "%zz", "%+1", "%ä"] {
            assert_eq!(path_unescape(bad), None, "{bad}");
        }
    }

    #[test]
    fn control_characters_are_escaped_as_go_does() {
        assert_eq!(go_quote("a\0b\n\"é"), r#""a\x00b\n\"é""#);
    }
}
