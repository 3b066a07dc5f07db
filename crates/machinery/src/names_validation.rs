//! Which names, labels and keys are well formed, in upstream's words.
//!
//! Each `is_*` function answers what is wrong with a value, empty when nothing is. The rules and texts are those of
//! apimachinery's `pkg/util/validation` and `pkg/api/validate/content` at 1.36; regular expressions appear in the
//! texts only and are matched by hand. The functions with a [`FieldPath`] turn the same into field errors.

use crate::status::{FieldErrors, FieldPath};
use crate::value::{Map, Value};

pub const DNS1123_LABEL_MAX_LENGTH: usize = 63;
pub const DNS1123_SUBDOMAIN_MAX_LENGTH: usize = 253;
pub const LABEL_VALUE_MAX_LENGTH: usize = 63;

/// The bytes that all annotations of one object may have, keys and values together.
pub const TOTAL_ANNOTATION_SIZE_LIMIT: usize = 256 * 1024;

const DNS1123_LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const DNS1123_SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const LABEL_KEY: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const LABEL_KEY_MESSAGE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

/// Whether a name is complete, or `generateName`'s beginning of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamePart {
    Whole,
    Prefix,
}

/// `NameIsDNSSubdomain`: what most kinds ask of their names.
pub fn name_is_dns_subdomain(name: &str, part: NamePart) -> Vec<String> {
    is_dns1123_subdomain(&unmasked(name, part))
}

/// `NameIsDNSLabel`: namespaces and services' names since 1.36.
pub fn name_is_dns_label(name: &str, part: NamePart) -> Vec<String> {
    is_dns1123_label(&unmasked(name, part))
}

/// `NameIsDNS1035Label`.
pub fn name_is_dns1035_label(name: &str, part: NamePart) -> Vec<String> {
    is_dns1035_label(&unmasked(name, part))
}

/// `ValidatePathSegmentName`: names of RBAC objects and others that need only be safe in a URL.
pub fn name_is_path_segment(name: &str, part: NamePart) -> Vec<String> {
    if part == NamePart::Whole
        && let Some(bad) = [".", ".."].into_iter().find(|bad| *bad == name)
    {
        return vec![format!("may not be '{bad}'")];
    }
    let bad = ["/", "%"].into_iter().filter(|bad| name.contains(bad));
    bad.map(|bad| format!("may not contain '{bad}'")).collect()
}

/// A prefix may end in a dash, since letters follow. Upstream cuts two bytes and adds one; so does this.
fn unmasked(name: &str, part: NamePart) -> String {
    if part == NamePart::Prefix && name.len() > 1 && name.ends_with('-') {
        let kept = name.char_indices().rev().nth(1).map_or(0, |(i, _)| i);
        return format!("{}a", &name[..kept]);
    }
    name.to_owned()
}

/// A lowercase RFC 1123 label.
pub fn is_dns1123_label(value: &str) -> Vec<String> {
    let mut errors = longer_than(value, DNS1123_LABEL_MAX_LENGTH);
    if !matches_dns1123_label(value) {
        if matches_dns1123_subdomain(value) {
            errors.push("must not contain dots".to_owned());
        } else {
            errors.push(regex_error(
                "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
                DNS1123_LABEL,
                &["my-name", "123-abc"],
            ));
        }
    }
    errors
}

/// A lowercase RFC 1123 subdomain.
pub fn is_dns1123_subdomain(value: &str) -> Vec<String> {
    let mut errors = longer_than(value, DNS1123_SUBDOMAIN_MAX_LENGTH);
    if !matches_dns1123_subdomain(value) {
        errors.push(regex_error(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
            DNS1123_SUBDOMAIN,
            &["example.com"],
        ));
    }
    errors
}

/// A subdomain whose labels may have underscores: a pod's hostname with search domains.
pub fn is_dns1123_subdomain_with_underscore(value: &str) -> Vec<String> {
    let label = |label: &str| {
        let label = label.strip_prefix('_').unwrap_or(label);
        word(label, lower_or_digit, |b| lower_or_digit(b) || b == b'-' || b == b'_')
    };
    let mut errors = longer_than(value, DNS1123_SUBDOMAIN_MAX_LENGTH);
    if !value.split('.').all(label) {
        errors.push(regex_error(
            "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character",
            r"_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*",
            &["example.com"],
        ));
    }
    errors
}

/// `*.` and a subdomain.
pub fn is_wildcard_dns1123_subdomain(value: &str) -> Vec<String> {
    let mut errors = longer_than(value, DNS1123_SUBDOMAIN_MAX_LENGTH);
    if !value.strip_prefix("*.").is_some_and(matches_dns1123_subdomain) {
        errors.push(regex_error(
            "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
            &format!(r"\*\.{DNS1123_SUBDOMAIN}"),
            &["*.example.com"],
        ));
    }
    errors
}

/// A lowercase RFC 1035 label: as RFC 1123's, but it starts with a letter.
pub fn is_dns1035_label(value: &str) -> Vec<String> {
    let mut errors = longer_than(value, DNS1123_LABEL_MAX_LENGTH);
    if !(matches_dns1123_label(value) && value.starts_with(|c: char| c.is_ascii_lowercase())) {
        errors.push(regex_error(
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
            "[a-z]([-a-z0-9]*[a-z0-9])?",
            &["my-name", "abc-123"],
        ));
    }
    errors
}

/// `IsQualifiedName`, which is the same as a label key: an optional subdomain and `/`, and a name.
pub fn is_qualified_name(value: &str) -> Vec<String> {
    const EXAMPLES: [&str; 3] = ["MyName", "my.name", "123-abc"];
    let mut errors = Vec::new();
    let mut parts = value.split('/');
    let name = match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, _) => name,
        (Some(prefix), Some(name), None) => {
            if prefix.is_empty() {
                errors.push(format!("prefix part {}", empty_error()));
            }
            if prefix.len() > DNS1123_SUBDOMAIN_MAX_LENGTH {
                errors.push(format!("prefix part must be no more than {DNS1123_SUBDOMAIN_MAX_LENGTH} bytes"));
            }
            if !prefix.is_empty() {
                let wrong = is_dns1123_subdomain(prefix).into_iter();
                let wrong = wrong.filter(|error| *error != max_len_error(DNS1123_SUBDOMAIN_MAX_LENGTH));
                errors.extend(wrong.map(|error| format!("prefix part {error}")));
            }
            name
        }
        _ => {
            let what = regex_error(LABEL_KEY_MESSAGE, LABEL_KEY, &EXAMPLES);
            return vec![format!(
                "a valid label key {what} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
            )];
        }
    };
    if name.is_empty() {
        errors.push(format!("name part {}", empty_error()));
    } else if name.len() > LABEL_VALUE_MAX_LENGTH {
        errors.push(format!("name part must be no more than {LABEL_VALUE_MAX_LENGTH} bytes"));
    }
    if !matches_label(name) {
        errors.push(format!("name part {}", regex_error(LABEL_KEY_MESSAGE, LABEL_KEY, &EXAMPLES)));
    }
    errors
}

/// `IsValidLabelValue`.
pub fn is_valid_label_value(value: &str) -> Vec<String> {
    let mut errors = Vec::new();
    if value.len() > LABEL_VALUE_MAX_LENGTH {
        errors.push(format!("must be no more than {LABEL_VALUE_MAX_LENGTH} bytes"));
    }
    if !value.is_empty() && !matches_label(value) {
        errors.push(regex_error(
            "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
            &format!("({LABEL_KEY})?"),
            &["MyValue", "my_value", "12345"],
        ));
    }
    errors
}

/// `IsCIdentifier`.
pub fn is_c_identifier(value: &str) -> Vec<String> {
    let rest = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let ok = value.bytes().all(rest) && value.bytes().next().is_some_and(|b| !b.is_ascii_digit());
    unless(ok, || {
        regex_error(
            "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'",
            "[A-Za-z_][A-Za-z0-9_]*",
            &["my_name", "MY_NAME", "MyName"],
        )
    })
}

pub fn is_valid_port_num(port: i64) -> Vec<String> {
    is_in_range(port, 1, 65535)
}

pub fn is_in_range(value: i64, min: i64, max: i64) -> Vec<String> {
    unless((min..=max).contains(&value), || inclusive_range_error(min, max))
}

/// `IsValidUserID` and `IsValidGroupID`.
pub fn is_valid_id(id: i64) -> Vec<String> {
    is_in_range(id, 0, i64::from(i32::MAX))
}

/// An IANA service name.
pub fn is_valid_port_name(port: &str) -> Vec<String> {
    let mut errors = longer_than(port, 15);
    if port.is_empty() || !port.bytes().all(|b| lower_or_digit(b) || b == b'-') {
        errors.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".to_owned());
    }
    if !port.bytes().any(|b| b.is_ascii_lowercase()) {
        errors.push("must contain at least one letter (a-z)".to_owned());
    }
    if port.contains("--") {
        errors.push("must not contain consecutive hyphens".to_owned());
    }
    if port.starts_with('-') || port.ends_with('-') {
        errors.push("must not begin or end with a hyphen".to_owned());
    }
    errors
}

/// `10%`.
pub fn is_valid_percent(percent: &str) -> Vec<String> {
    let digits = percent.strip_suffix('%').unwrap_or("");
    unless(!digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()), || {
        regex_error(
            "a valid percent string must be a numeric string followed by an ending '%'",
            "[0-9]+%",
            &["1%", "93%"],
        )
    })
}

pub fn is_http_header_name(value: &str) -> Vec<String> {
    let ok = !value.is_empty() && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    unless(ok, || {
        regex_error(
            "a valid HTTP header must consist of alphanumeric characters or '-'",
            "[-A-Za-z0-9]+",
            &["X-Header-Name"],
        )
    })
}

/// `IsEnvVarName`: the strict form, for `envFrom` prefixes and downward API keys.
pub fn is_env_var_name(value: &str) -> Vec<String> {
    let ok = !value.is_empty()
        && value.bytes().all(config_key_byte)
        && !value.starts_with(|c: char| c.is_ascii_digit());
    let mut errors = unless(ok, || {
        regex_error(
            "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit",
            "[-._a-zA-Z][-._a-zA-Z0-9]*",
            &["my.env-name", "MY_ENV.NAME", "MyEnvName1"],
        )
    });
    errors.extend(has_ch_dir_prefix(value));
    errors
}

/// `IsRelaxedEnvVarName`: what a container's `env` asks since 1.34.
pub fn is_relaxed_env_var_name(value: &str) -> Vec<String> {
    let mut errors = unless(!value.is_empty(), || format!("environment variable name {}", empty_error()));
    if !value.chars().all(|c| (' '..='~').contains(&c) && c != '=') {
        errors.push(
            "a valid environment variable name must consist only of printable ASCII characters other than '='"
                .to_owned(),
        );
    }
    errors
}

/// A key of a ConfigMap's or Secret's data.
pub fn is_config_map_key(value: &str) -> Vec<String> {
    let mut errors = longer_than(value, DNS1123_SUBDOMAIN_MAX_LENGTH);
    if value.is_empty() || !value.bytes().all(config_key_byte) {
        errors.push(regex_error(
            "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
            "[-._a-zA-Z0-9]+",
            &["key.name", "KEY_NAME", "key-name"],
        ));
    }
    errors.extend(has_ch_dir_prefix(value));
    errors
}

/// `IsFullyQualifiedName`: a subdomain of three segments at least.
pub fn validate_fully_qualified_name(errors: &mut FieldErrors, path: &FieldPath, name: &str) {
    if name.is_empty() {
        return errors.required(path, "");
    }
    let wrong = is_dns1123_subdomain(name);
    if !wrong.is_empty() {
        return errors.invalid(path, name, wrong.join(","));
    }
    if name.split('.').count() < 3 {
        errors.invalid(path, name, "should be a domain with at least three segments separated by dots");
    }
}

/// `IsDomainPrefixedPath`: `acme.io/foo`.
pub fn validate_domain_prefixed_path(errors: &mut FieldErrors, path: &FieldPath, value: &str) {
    if value.is_empty() {
        return errors.required(path, "");
    }
    let Some((host, rest)) = value.split_once('/').filter(|(h, r)| !h.is_empty() && !r.is_empty()) else {
        return errors.invalid(path, value, "must be a domain-prefixed path (such as \"acme.io/foo\")");
    };
    for wrong in is_dns1123_subdomain(host) {
        errors.invalid(path, host, wrong);
    }
    let path_byte = |b: u8| b.is_ascii_alphanumeric() || br"/\-._~%!$&'()*+,;=:".contains(&b) && b != b'\\';
    if !rest.bytes().all(path_byte) {
        errors.invalid(path, rest, regex_error("Invalid path", r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+", &[]));
    }
}

/// `ValidateLabelName`: a label's key.
pub fn validate_label_name(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    for wrong in is_qualified_name(name) {
        errors.invalid(path, name, wrong);
    }
}

/// `ValidateLabels`. Values that are no strings are the decoder's to refuse.
pub fn validate_labels(errors: &mut FieldErrors, labels: &Map, path: &FieldPath) {
    for (key, value) in labels.iter() {
        validate_label_name(errors, key, path);
        let value = value.as_str().unwrap_or("");
        for wrong in is_valid_label_value(value) {
            errors.invalid(path, value, wrong);
        }
    }
}

/// `ValidateAnnotations`: keys are qualified names whatever their case, and there is a limit in total.
pub fn validate_annotations(errors: &mut FieldErrors, annotations: &Map, path: &FieldPath) {
    for key in annotations.keys() {
        for wrong in is_qualified_name(&key.to_lowercase()) {
            errors.invalid(path, key.as_str(), wrong);
        }
    }
    let size: usize = annotations.iter().map(|(k, v)| k.len() + v.as_str().map_or(0, str::len)).sum();
    if size > TOTAL_ANNOTATION_SIZE_LIMIT {
        errors.too_long(path, TOTAL_ANNOTATION_SIZE_LIMIT);
    }
}

/// Adds an "Invalid value" error for each thing that is wrong.
pub fn invalid_each(
    errors: &mut FieldErrors,
    path: &FieldPath,
    value: impl Into<Value>,
    wrong: impl IntoIterator<Item = String>,
) {
    let value = value.into();
    for detail in wrong {
        errors.invalid(path, value.clone(), detail);
    }
}

/// `MaxLenError`.
pub fn max_len_error(length: usize) -> String {
    format!("must be no more than {length} characters")
}

/// `EmptyError`.
pub fn empty_error() -> &'static str {
    "must be non-empty"
}

/// `InclusiveRangeError`.
pub fn inclusive_range_error(lo: i64, hi: i64) -> String {
    format!("must be between {lo} and {hi}, inclusive")
}

/// `RegexError`; the stray comma before `or` is upstream's.
pub fn regex_error(message: &str, regex: &str, examples: &[&str]) -> String {
    if examples.is_empty() {
        return format!("{message} (regex used for validation is '{regex}')");
    }
    let examples: Vec<String> = examples.iter().map(|example| format!("'{example}', ")).collect();
    format!("{message} (e.g. {}regex used for validation is '{regex}')", examples.join(" or "))
}

fn unless(ok: bool, error: impl FnOnce() -> String) -> Vec<String> {
    if ok { Vec::new() } else { vec![error()] }
}

fn longer_than(value: &str, max: usize) -> Vec<String> {
    unless(value.len() <= max, || max_len_error(max))
}

fn has_ch_dir_prefix(value: &str) -> Option<String> {
    match value {
        "." => Some("must not be '.'".to_owned()),
        ".." => Some("must not be '..'".to_owned()),
        _ if value.starts_with("..") => Some("must not start with '..'".to_owned()),
        _ => None,
    }
}

fn config_key_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_')
}

fn lower_or_digit(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit()
}

/// Not empty, `end` at both ends, `inner` between.
fn word(value: &str, end: impl Fn(u8) -> bool, inner: impl Fn(u8) -> bool) -> bool {
    match value.as_bytes() {
        [] => false,
        [one] => end(*one),
        [first, middle @ .., last] => end(*first) && end(*last) && middle.iter().all(|b| inner(*b)),
    }
}

fn matches_dns1123_label(value: &str) -> bool {
    word(value, lower_or_digit, |b| lower_or_digit(b) || b == b'-')
}

fn matches_dns1123_subdomain(value: &str) -> bool {
    value.split('.').all(matches_dns1123_label)
}

fn matches_label(value: &str) -> bool {
    word(value, |b| b.is_ascii_alphanumeric(), config_key_byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_formed_names_have_no_errors() {
        let long = "a".repeat(63);
        for (check, names) in [
            (is_dns1123_label as fn(&str) -> Vec<String>, vec!["a", "0", "a-b", &long]),
            (is_dns1123_subdomain, vec!["a", "a.b-c.0"]),
            (is_dns1035_label, vec!["a", "a-0"]),
            (is_qualified_name, vec!["a", "A_b.c", "example.com/x"]),
            (is_valid_label_value, vec!["", "a", "A_b.c", &long]),
            (is_config_map_key, vec!["a", ".a", "A_b-c", "..."].into_iter().take(3).collect()),
            (is_valid_port_name, vec!["http", "a-1"]),
            (is_env_var_name, vec!["A", "_a.b-c"]),
            (is_relaxed_env_var_name, vec!["1", "a b%"]),
            (is_wildcard_dns1123_subdomain, vec!["*.a.b"]),
            (is_valid_percent, vec!["10%"]),
        ] {
            for name in names {
                assert_eq!(check(name), Vec::<String>::new(), "{name:?}");
            }
        }
    }

    #[test]
    fn malformed_names_are_explained_as_upstream_does() {
        let label = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
                     start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for \
                     validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
        assert_eq!(is_dns1123_label("A"), [label]);
        assert_eq!(is_dns1123_label("-"), [label]);
        assert_eq!(is_dns1123_label("a.b"), ["must not contain dots"]);
        assert_eq!(is_dns1123_label(&"a".repeat(64)), ["must be no more than 63 characters"]);
        assert_eq!(is_qualified_name("/a"), ["prefix part must be non-empty"]);
        assert_eq!(is_qualified_name(&"a".repeat(64)), ["name part must be no more than 63 bytes"]);
        assert_eq!(is_qualified_name("").len(), 2);
        assert!(is_qualified_name("a/b/c")[0].starts_with("a valid label key must consist of"));
        assert_eq!(is_config_map_key(".."), ["must not be '..'"]);
        assert_eq!(
            name_is_path_segment("a/b%", NamePart::Whole),
            ["may not contain '/'", "may not contain '%'"]
        );
        assert_eq!(name_is_path_segment(".", NamePart::Prefix), Vec::<String>::new());
        assert_eq!(is_valid_port_name("-").len(), 2);
    }

    #[test]
    fn a_prefix_may_end_in_a_dash() {
        assert!(name_is_dns_label("web-", NamePart::Prefix).is_empty());
        assert!(!name_is_dns_label("web-", NamePart::Whole).is_empty());
    }
}
