//! YAML as sigs.k8s.io/yaml reads it: YAML 1.1 in the dialect of go-yaml v2, and only the first document.
//!
//! `yes`, `on` and `y` are booleans, `010` is eight, `1_000` is a thousand, times stay strings, `<<` merges, keys become
//! strings. Of duplicate keys the last wins; they are reported as Go's strict decoder does.

use std::collections::HashMap;

use ecow::EcoVec;
use granit_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::scan::TypeMeta;
use crate::value::{Key, Map, Value, intern};

/// A document, and what strict decoding says about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Yaml {
    pub value: Value,
    /// `yaml: unmarshal errors:\n  line 7: key "a" already set in map`: the first of the strict errors.
    pub duplicates: Option<String>,
}

/// Why a text is no YAML. Upstream says `error converting YAML to JSON: ` before it where it says so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("yaml: {0}")]
pub struct YamlError(String);

/// Aliases may not blow a document up beyond this many nodes.
const MAX_NODES: usize = 2_000_000;
const MAX_DEPTH: usize = 1000;

/// Reads the first document of `text`; null when there is none.
///
/// # Errors
/// When the text is no YAML, or aliases expand without measure.
pub fn yaml(text: &str) -> Result<Yaml, YamlError> {
    let mut composer = Composer {
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        duplicates: Vec::new(),
        nodes: 0,
        depth: 0,
    };
    let value = composer.document()?;
    let duplicates = (!composer.duplicates.is_empty())
        .then(|| format!("yaml: unmarshal errors:\n  {}", composer.duplicates.join("\n  ")));
    Ok(Yaml { value, duplicates })
}

impl Yaml {
    /// `apiVersion` and `kind` of the document.
    pub fn type_meta(&self) -> TypeMeta {
        let text = |key| self.value.str_at(&[key]).to_owned();
        TypeMeta { api_version: text("apiVersion"), kind: text("kind") }
    }
}

struct Composer<'a> {
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    /// Values and sizes by anchor.
    anchors: HashMap<usize, (Value, usize)>,
    duplicates: Vec<String>,
    /// Nodes so far, aliases counted with all they stand for.
    nodes: usize,
    depth: usize,
}

impl<'a> Composer<'a> {
    fn document(&mut self) -> Result<Value, YamlError> {
        loop {
            match self.next()? {
                (Event::StreamStart | Event::DocumentStart(..), _) => {}
                (Event::StreamEnd | Event::DocumentEnd, _) => return Ok(Value::Null),
                (event, _) => return self.node(event),
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Span), YamlError> {
        match self.parser.next() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(YamlError(format!("line {}: {}", error.marker().line(), error.info()))),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>) -> Result<Value, YamlError> {
        let before = self.nodes;
        self.count(1)?;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain;
                (resolve(&text, plain, tag.as_deref()), anchor)
            }
            Event::SequenceStart(_, anchor, _) => (self.sequence()?, anchor),
            Event::MappingStart(_, anchor, _) => (self.mapping()?, anchor),
            Event::Alias(anchor) => {
                let Some((value, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err(YamlError("unknown anchor referenced".into()));
                };
                self.count(size)?;
                return Ok(value);
            }
            _ => return Err(YamlError("did not find expected node content".into())),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, (value.clone(), self.nodes - before));
        }
        Ok(value)
    }

    fn count(&mut self, nodes: usize) -> Result<(), YamlError> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(YamlError("document contains excessive aliasing".into()));
        }
        Ok(())
    }

    fn enter(&mut self) -> Result<(), YamlError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(YamlError("exceeded max depth".into())) } else { Ok(()) }
    }

    fn sequence(&mut self) -> Result<Value, YamlError> {
        self.enter()?;
        let mut items = EcoVec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd | Event::StreamEnd, _) => break,
                (event, _) => items.push(self.node(event)?),
            }
        }
        self.depth -= 1;
        Ok(Value::Array(items))
    }

    fn mapping(&mut self) -> Result<Value, YamlError> {
        self.enter()?;
        let mut map = Map::new();
        let mut merged = Vec::new();
        loop {
            let key = match self.next()? {
                (Event::MappingEnd | Event::StreamEnd, _) => break,
                (event, _) => event,
            };
            let is_merge =
                matches!(&key, Event::Scalar(text, ScalarStyle::Plain, ..) if text.as_ref() == "<<");
            let key = key_text(&self.node(key)?)?;
            let (event, span) = self.next()?;
            let value = self.node(event)?;
            if is_merge {
                merged.push(value);
                continue;
            }
            if map.insert(key.clone(), value).is_some() {
                let line = span.start.line();
                self.duplicates
                    .push(format!("line {line}: key {} already set in map", super::go_quote(&key)));
            }
        }
        for value in merged {
            merge(&mut map, &value)?;
        }
        self.depth -= 1;
        Ok(Value::Object(map))
    }
}

/// Adds what `<<` names; own keys win, and earlier maps of a list.
fn merge(map: &mut Map, from: &Value) -> Result<(), YamlError> {
    match from {
        Value::Object(from) => {
            for (key, value) in from.iter() {
                if !map.contains_key(key) {
                    map.insert(key.clone(), value.clone());
                }
            }
            Ok(())
        }
        Value::Array(items) if items.iter().all(|item| matches!(item, Value::Object(_))) => {
            items.iter().try_for_each(|item| merge(map, item))
        }
        _ => Err(YamlError("map merge requires map or sequence of maps as the value".into())),
    }
}

/// A key as JSON can have it.
fn key_text(key: &Value) -> Result<Key, YamlError> {
    match key {
        Value::String(text) => Ok(intern(text)),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
            Ok(String::from_utf8_lossy(&key.to_json()).as_ref().into())
        }
        Value::Null => Err(YamlError("unsupported map key of type: %!s(<nil>)".into())),
        Value::Array(_) | Value::Object(_) => Err(YamlError("invalid map key".into())),
    }
}

/// The value of a scalar after YAML 1.1.
fn resolve(text: &str, plain: bool, tag: Option<&Tag>) -> Value {
    let core = tag.filter(|tag| tag.handle() == "tag:yaml.org,2002:").map(|tag| tag.suffix());
    match core {
        Some("str" | "binary" | "timestamp") => return Value::from(text),
        None if !plain || tag.is_some() => return Value::from(text),
        _ => {}
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Value::Bool(true);
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Value::Bool(false);
        }
        _ => {}
    }
    let number = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.'));
    number.then(|| resolve_number(text)).flatten().unwrap_or_else(|| Value::from(text))
}

fn resolve_number(text: &str) -> Option<Value> {
    // JSON has no infinities: what upstream cannot encode stays text.
    let plain = text.replace('_', "");
    if let Some(int) = parse_int(&plain) {
        return Some(i64::try_from(int).map_or(Value::Float(int as f64), Value::Int));
    }
    is_float(&plain).then(|| plain.parse::<f64>().ok()).flatten().map(|f| {
        // Go prints a whole float without a point, which JSON reads back as an integer.
        if f == f.trunc() && f.abs() < 1e15 { Value::Int(f as i64) } else { Value::Float(f) }
    })
}

/// As Go's `strconv.ParseInt` with base 0.
fn parse_int(text: &str) -> Option<i128> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, radix) = match digits.get(..2) {
        Some("0x" | "0X") => (&digits[2..], 16),
        Some("0b" | "0B") => (&digits[2..], 2),
        Some("0o" | "0O") => (&digits[2..], 8),
        Some(_) if digits.starts_with('0') => (&digits[1..], 8),
        _ => (digits, 10),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let magnitude = i128::from(u64::from_str_radix(digits, radix).ok()?);
    let value = if negative { -magnitude } else { magnitude };
    (value >= i128::from(i64::MIN)).then_some(value)
}

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let mantissa = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    let exponent = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    mantissa && exponent
}
