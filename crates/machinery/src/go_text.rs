//! Text as Go's standard library writes it, for messages that clients see.

use crate::value::Value;

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
            c if is_print(c) => out.push(c),
            c if (c as u32) < 0x1_0000 => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => {
                let _ = write!(out, "\\U{:08x}", c as u32);
            }
        }
    }
    out.push('"');
    out
}

/// Go's `strconv.IsPrint`, of what is not among ASCII's controls: Rust escapes the same characters, but marks that begin
/// a text.
fn is_print(c: char) -> bool {
    if c.is_ascii() {
        return true;
    }
    let mut text = [b'a'; 5];
    let length = 1 + c.encode_utf8(&mut text[1..]).len();
    str::from_utf8(&text[..length]).is_ok_and(|text| text.escape_debug().nth(1) == Some(c))
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

/// A label selector as the `String` method of Go's `metav1.LabelSelector` writes it.
pub fn label_selector(selector: &Value) -> String {
    let labels: String = selector
        .object_at(&["matchLabels"])
        .iter()
        .map(|(key, value)| format!("{key}: {},", value.as_str().unwrap_or("")))
        .collect();
    let expressions: String = selector
        .array_at(&["matchExpressions"])
        .iter()
        .map(|one| {
            let values: Vec<&str> = one.array_at(&["values"]).iter().filter_map(Value::as_str).collect();
            let (key, operator) = (one.str_at(&["key"]), one.str_at(&["operator"]));
            format!(
                "LabelSelectorRequirement{{Key:{key},Operator:{operator},Values:[{}],}},",
                values.join(" ")
            )
        })
        .collect();
    let requirements = "MatchExpressions:[]LabelSelectorRequirement";
    format!("&LabelSelector{{MatchLabels:map[string]string{{{labels}}},{requirements}{{{expressions}}},}}")
}

#[cfg(test)]
mod tests {
    use super::{go_quote, path_unescape, query_unescape};

    /// As Go 1.26 quotes them.
    #[test]
    fn what_cannot_be_printed_is_escaped() {
        for (text, quoted) in [
            ("it's ÿ", "it's ÿ"),
            ("\u{89}\u{a0}\u{ad}", "\\u0089\\u00a0\\u00ad"),
            ("e\u{301}日\u{fffd}😀", "e\u{301}日\u{fffd}😀"),
            ("\u{200b}\u{feff}\u{e000}\u{f0000}", "\\u200b\\ufeff\\ue000\\U000f0000"),
            ("\u{1}\u{7f}", "\\x01\\x7f"),
        ] {
            assert_eq!(go_quote(text), format!("\"{quoted}\""));
        }
    }

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
