//! Go's regular expressions in the regex crate's notation. Both are RE2's family; they differ in a few corners.

use ::regex::Regex;

/// Compiles a pattern as Go's `regexp` understands it: `\d`, `\w`, `\s` and `\b` are ASCII, and `[`, `&` and `~` are
/// ordinary inside a class.
///
/// # Errors
/// When the pattern is malformed; the text is like Go's, near enough.
pub fn go_regex(pattern: &str) -> Result<Regex, String> {
    Regex::new(&translate(pattern)).map_err(|error| match error {
        ::regex::Error::CompiledTooBig(_) => {
            format!("error parsing regexp: expression too large: `{pattern}`")
        }
        other => {
            let text = other.to_string();
            let reason = text.lines().last().unwrap_or("").trim_start_matches("error: ");
            format!("error parsing regexp: {}: `{pattern}`", go_reason(reason))
        }
    })
}

/// What Go calls a mistake, for those that are common.
fn go_reason(reason: &str) -> &str {
    match reason {
        "unclosed group" => "missing closing )",
        "unopened group" => "unexpected )",
        "unclosed character class" => "missing closing ]",
        "repetition operator missing expression" => "missing argument to repetition operator",
        "unrecognized escape sequence" => "invalid escape sequence",
        "invalid character class range, the start must be <= the end" => "invalid character class range",
        other => other,
    }
}

fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    // How many characters of a class have been read; None outside of one.
    let mut class: Option<usize> = None;
    while let Some(c) = chars.next() {
        match (c, class) {
            ('\\', _) => match chars.next() {
                Some(escaped) => out.push_str(&escape(escaped, class.is_some())),
                None => out.push('\\'),
            },
            ('[', None) => {
                class = Some(0);
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
                continue;
            }
            ('[', Some(_)) if chars.peek() == Some(&':') => {
                out.push('[');
                for c in chars.by_ref() {
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            (']', Some(0)) => out.push_str("\\]"),
            (']', Some(_)) => {
                class = None;
                out.push(']');
                continue;
            }
            ('[' | '&' | '~', Some(_)) => {
                out.push('\\');
                out.push(c);
            }
            (c, _) => out.push(c),
        }
        class = class.map(|read| read + 1);
    }
    out
}

fn escape(c: char, in_class: bool) -> String {
    let (set, negated) = match c {
        'd' => ("0-9", false),
        'D' => ("0-9", true),
        'w' => ("0-9A-Za-z_", false),
        'W' => ("0-9A-Za-z_", true),
        's' => (r"\t\n\x0C\r ", false),
        'S' => (r"\t\n\x0C\r ", true),
        'b' if !in_class => return r"(?-u:\b)".to_owned(),
        other => return format!("\\{other}"),
    };
    match (in_class, negated) {
        (true, false) => set.to_owned(),
        (_, false) => format!("[{set}]"),
        (_, true) => format!("[^{set}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_in_go() {
        for (pattern, text, expect) in [
            (r"^\d+$", "12", true),
            (r"^\d+$", "\u{0663}", false),
            (r"^[\w.]+$", "a_b.c", true),
            (r"^[^\s]+$", "a b", false),
            (r"^[[]$", "[", true),
            (r"^[]a]+$", "]a", true),
            (r"^[a&&b]+$", "a&b", true),
            (r"^[[:alpha:]]+$", "abc", true),
            (r"^[\D]+$", "ab", true),
            (r"\bfoo\b", "a foo", true),
            (r"^a/b\/c$", "a/b/c", true),
            (r"^\p{Greek}$", "\u{03b1}", true),
        ] {
            assert_eq!(go_regex(pattern).unwrap().is_match(text), expect, "{pattern} on {text}");
        }
        assert!(go_regex("(").unwrap_err().starts_with("error parsing regexp: "));
    }
}
