//! The string formats that custom resources' schemas can ask for.
//!
//! What each accepts is what kube-openapi's `strfmt` accepts, which is at times more, at times less than its name says.

mod network;
mod numbers;
mod time;

/// A format by its test. Names are without dashes: `date-time` is `datetime`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    accepts: fn(&str) -> bool,
}

impl Format {
    /// None for formats that are not known: they are no constraint.
    pub(super) fn find(name: &str) -> Option<Self> {
        let name = name.replace('-', "");
        let (_, accepts) = FORMATS.iter().find(|(known, _)| *known == name)?;
        Some(Self { accepts: *accepts })
    }

    pub(super) fn accepts(self, text: &str) -> bool {
        (self.accepts)(text)
    }
}

pub(super) use time::parse_duration;

/// Whether a text fits the named format; true where there is no such format.
pub(crate) fn accepts_format(name: &str, text: &str) -> bool {
    Format::find(name).is_none_or(|format| format.accepts(text))
}

type Test = fn(&str) -> bool;

const FORMATS: [(&str, Test); 26] = [
    ("bsonobjectid", |text| text.len() == 24 && is_hex(text)),
    ("byte", is_base64),
    ("cidr", network::is_cidr),
    ("creditcard", numbers::is_credit_card),
    ("date", time::is_date),
    ("datetime", time::is_date_time),
    ("duration", time::is_duration),
    ("email", network::is_email),
    ("hexcolor", |text| {
        let digits = text.strip_prefix('#').unwrap_or(text);
        matches!(digits.len(), 3 | 6) && is_hex(digits)
    }),
    ("hostname", network::is_hostname),
    ("ipv4", network::is_ipv4),
    ("ipv6", network::is_ipv6),
    ("isbn", |text| numbers::is_isbn10(text) || numbers::is_isbn13(text)),
    ("isbn10", numbers::is_isbn10),
    ("isbn13", numbers::is_isbn13),
    ("k8slongname", |text| crate::names_validation::is_dns1123_subdomain(text).is_empty()),
    ("k8sshortname", |text| crate::names_validation::is_dns1123_label(text).is_empty()),
    ("mac", network::is_mac),
    ("password", |_| true),
    ("rgbcolor", numbers::is_rgb_color),
    ("ssn", numbers::is_ssn),
    ("uri", network::is_request_uri),
    ("uuid", |text| is_uuid(text, None)),
    ("uuid3", |text| is_uuid(text, Some('3'))),
    ("uuid4", |text| is_uuid(text, Some('4'))),
    ("uuid5", |text| is_uuid(text, Some('5'))),
];

fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Padded standard base64, not empty.
fn is_base64(text: &str) -> bool {
    let digits = text.trim_end_matches('=');
    !text.is_empty()
        && text.len().is_multiple_of(4)
        && text.len() - digits.len() <= 2
        && digits.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
}

/// Dashes may be left out.
fn is_uuid(text: &str, version: Option<char>) -> bool {
    let mut rest = text;
    let mut groups = Vec::new();
    for (i, length) in [8, 4, 4, 4, 12].into_iter().enumerate() {
        if i > 0 {
            rest = rest.strip_prefix('-').unwrap_or(rest);
        }
        let Some((group, after)) = rest.split_at_checked(length).filter(|(group, _)| is_hex(group)) else {
            return false;
        };
        groups.push(group);
        rest = after;
    }
    let variant_matters = matches!(version, Some('4' | '5'));
    rest.is_empty()
        && version.is_none_or(|version| groups[2].starts_with(version))
        && (!variant_matters || groups[3].starts_with(['8', '9', 'a', 'b', 'A', 'B']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_accept_what_upstream_accepts() {
        for (name, good, bad) in [
            (
                "date-time",
                &["2024-01-02T03:04:05Z", "2024-01-02t03:04:05.5+01:00"][..],
                &["yesterday", "2024-01-02"][..],
            ),
            ("date", &["2024-02-29"], &["2024-13-01x", "2023-02-29", "24-1-1"]),
            ("duration", &["1h30m", "22 ns", "3 days", "1.5s", "-2m", "0"], &["forever", "", "5"]),
            ("email", &["a@b.c", "A B <a@b>"], &["nobody", "a@", "@b", "a b@c"]),
            ("ipv4", &["1.2.3.4", "01.2.3.4"], &["1.2.3", "::1", "1.2.3.256"]),
            ("ipv6", &["::1", "fe80::1"], &["1.2.3.4", "::g"]),
            ("cidr", &["10.0.0.0/8", "::/0"], &["10.0.0.0", "10.0.0.0/33"]),
            (
                "uuid",
                &["11111111-2222-3333-4444-555555555555", "1111111122223333444455555555ABCD"],
                &["not-a-uuid"],
            ),
            ("uuid4", &["11111111-2222-4333-8444-555555555555"], &["11111111-2222-3333-8444-555555555555"]),
            (
                "uri",
                &["https://a.b/c?d#e", "/path", "mailto:x@y"],
                &["::", "", "no scheme", "a/b", "http://a:b/"],
            ),
            ("byte", &["aGVsbG8=", "QUJD"], &["***", "", "abc"]),
            ("hostname", &["a.example.com", "localhost"], &["-a", "a..b", "a_b"]),
            ("mac", &["01:23:45:67:89:ab", "0123.4567.89ab"], &["01:23", "01:23:45:67:89:zz"]),
            ("isbn", &["0321751043", "978-0321751041"], &["0321751044"]),
            ("creditcard", &["4111 1111 1111 1111"], &["4111111111111112"]),
            ("ssn", &["111-22-3333"], &["111-2-3333", "111223333"]),
            ("hexcolor", &["#fff", "FFFFFF"], &["#ffff"]),
            ("rgbcolor", &["rgb(255, 0,1)"], &["rgb(256,0,0)", "rgb(1,2)"]),
            ("k8s-short-name", &["ab-c"], &["Bad_Label"]),
            ("k8s-long-name", &["ab.c"], &["a..b"]),
            ("bsonobjectid", &["0123456789abcdef01234567"], &["0123"]),
            ("password", &["x"], &[]),
        ] {
            let format = Format::find(name).unwrap();
            for text in good {
                assert!(format.accepts(text), "{name}: {text}");
            }
            for text in bad {
                assert!(!format.accepts(text), "{name}: {text}");
            }
        }
        assert!(Format::find("unheard-of").is_none());
    }
}
