//! Semantic versions: Kubernetes' `library/semverlib.go`, with the messages of `blang/semver`.

use std::any::Any;
use std::cmp::Ordering;

use super::{Implementation, no_overload};
use crate::error::EvalError;
use crate::value::{Opaque, Value};

/// A version. What follows `+` does not count.
#[derive(Clone, Debug)]
struct Semver {
    numbers: [u64; 3],
    pre: Vec<Pre>,
}

/// A part of a pre-release; numbers come before words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Pre {
    Number(u64),
    Word(String),
}

impl Semver {
    fn order(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => self.pre.cmp(&other.pre),
        })
    }
}

impl Opaque for Semver {
    fn type_name(&self) -> &str {
        "kubernetes.Semver"
    }

    fn equals(&self, other: &dyn Opaque) -> Result<bool, EvalError> {
        self.compare(other).map(Ordering::is_eq).ok_or_else(EvalError::no_such_overload)
    }

    fn compare(&self, other: &dyn Opaque) -> Option<Ordering> {
        other.as_any().downcast_ref::<Self>().map(|other| self.order(other))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

pub(super) const FUNCTIONS: &[(&str, Implementation)] = &[
    ("semver", |_, args| from_text("semver", args)?.map(Value::opaque).map_err(EvalError::new)),
    ("isSemver", |_, args| from_text("isSemver", args).map(|parsed| Value::Bool(parsed.is_ok()))),
    ("major", |_, args| number("major", args, 0)),
    ("minor", |_, args| number("minor", args, 1)),
    ("patch", |_, args| number("patch", args, 2)),
];

fn from_text(function: &str, args: &[Value]) -> Result<Result<Semver, String>, EvalError> {
    match args {
        [Value::String(text)] | [Value::String(text), Value::Bool(false)] => Ok(parse(text)),
        [Value::String(text), Value::Bool(true)] => Ok(normalize(text).and_then(|text| parse(&text))),
        _ => Err(no_overload(function, args)),
    }
}

fn number(function: &str, args: &[Value], index: usize) -> Result<Value, EvalError> {
    match args {
        [value] => match value.downcast::<Semver>() {
            Some(version) => Ok(Value::Int(version.numbers[index] as i64)),
            None => Err(no_overload(function, args)),
        },
        _ => Err(no_overload(function, args)),
    }
}

fn parse(text: &str) -> Result<Semver, String> {
    if text.is_empty() {
        return Err("Version string empty".to_owned());
    }
    let mut parts = text.splitn(3, '.');
    let (Some(major), Some(minor), Some(patch)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("No Major.Minor.Patch elements found".to_owned());
    };
    let major = parse_number(major, "major", "Major")?;
    let minor = parse_number(minor, "minor", "Minor")?;
    let (patch, build) = patch.split_once('+').map_or((patch, None), |(p, b)| (p, Some(b)));
    let (patch, pre) = patch.split_once('-').map_or((patch, None), |(p, pre)| (p, Some(pre)));
    let patch = parse_number(patch, "patch", "Patch")?;
    let pre = pre.into_iter().flat_map(|pre| pre.split('.')).map(parse_pre).collect::<Result<_, _>>()?;
    for part in build.into_iter().flat_map(|build| build.split('.')) {
        if part.is_empty() {
            return Err("Build meta data is empty".to_owned());
        }
        if !is_word(part) {
            return Err(format!("Invalid character(s) found in build meta data {part:?}"));
        }
    }
    Ok(Semver { numbers: [major, minor, patch], pre })
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

fn parse_uint(text: &str) -> Result<u64, String> {
    let reason = if text.is_empty() { "invalid syntax" } else { "value out of range" };
    text.parse().map_err(|_| format!("strconv.ParseUint: parsing {text:?}: {reason}"))
}

fn parse_number(text: &str, name: &str, title: &str) -> Result<u64, String> {
    if !is_digits(text) {
        return Err(format!("Invalid character(s) found in {name} number {text:?}"));
    }
    if text.len() > 1 && text.starts_with('0') {
        return Err(format!("{title} number must not contain leading zeroes {text:?}"));
    }
    parse_uint(text)
}

fn parse_pre(text: &str) -> Result<Pre, String> {
    if text.is_empty() {
        return Err("Prerelease is empty".to_owned());
    }
    if is_digits(text) {
        if text.len() > 1 && text.starts_with('0') {
            return Err(format!("Numeric PreRelease version must not contain leading zeroes {text:?}"));
        }
        return parse_uint(text).map(Pre::Number);
    }
    if is_word(text) {
        return Ok(Pre::Word(text.to_owned()));
    }
    Err(format!("Invalid character(s) found in prerelease {text:?}"))
}

/// Drops a `v` in front and leading zeros, and adds what is missing of minor and patch.
fn normalize(text: &str) -> Result<String, String> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let mut parts: Vec<String> = text.splitn(3, '.').map(without_zeros).collect();
    if parts.len() < 3 {
        if parts.last().is_some_and(|last| last.contains(['+', '-'])) {
            return Err("short version cannot contain PreRelease/Build meta data".to_owned());
        }
        parts.resize(3, "0".to_owned());
    }
    Ok(parts.join("."))
}

fn without_zeros(part: &str) -> String {
    if part.len() <= 1 {
        return part.to_owned();
    }
    let rest = part.trim_start_matches('0');
    if rest.starts_with(|c: char| c.is_ascii_digit()) { rest.to_owned() } else { format!("0{rest}") }
}
