//! Tokens to a document, after libyaml's parser and go-yaml's decoder.

use std::collections::HashMap;

use ecow::EcoVec;

use super::cursor::{Mark, Problem};
use super::resolve::resolve;
use super::scanner::{Kind, Scanner};
use super::{Yaml, YamlError};
use crate::go_text::go_quote;
use crate::value::{Key, Map, Value, intern};

/// Aliases may not blow a document up beyond this many nodes.
const MAX_NODES: usize = 2_000_000;
/// Deeper documents would use up the stack.
const MAX_DEPTH: usize = 1000;

pub(super) fn document(text: &str) -> Result<Yaml, YamlError> {
    // go-yaml takes no text for an empty line.
    let mut composer = Composer::new(if text.is_empty() { "\n" } else { text });
    let value = composer.document().map_err(|failure| match failure {
        Failure::Problem(problem) => match problem.line() {
            Some(line) => YamlError::yaml(&format!("line {line}: {}", problem.text)),
            None => YamlError::yaml(&problem.text),
        },
        Failure::Other(error) => error,
    })?;
    // What decoding says comes only after all of the document was read.
    if let Some(error) = composer.undecodable {
        return Err(error);
    }
    let duplicates = (!composer.duplicates.is_empty())
        .then(|| format!("yaml: unmarshal errors:\n  {}", composer.duplicates.join("\n  ")));
    Ok(Yaml { value, duplicates })
}

enum Failure {
    Problem(Problem),
    Other(YamlError),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

type Composed<T> = Result<T, Failure>;

/// A value, where it starts, and whether it is a plain `<<`.
struct Node {
    value: Value,
    mark: Mark,
    is_merge: bool,
    is_alias: bool,
}

/// What an anchor stands for.
enum Anchored {
    /// It is being read.
    Open,
    Done {
        value: Value,
        size: usize,
    },
}

struct Composer<'a> {
    scanner: Scanner<'a>,
    tags: Vec<(String, String)>,
    anchors: HashMap<String, Anchored>,
    duplicates: Vec<String>,
    undecodable: Option<YamlError>,
    /// Nodes so far, aliases counted with all they stand for.
    nodes: usize,
    depth: usize,
}

/// Where a node may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Flow,
    Block,
    /// A mapping's key or value: a sequence there need not be further in.
    Indentless,
}

/// The anchor and tag of a node.
#[derive(Default)]
struct Properties {
    anchor: Option<String>,
    tag: Option<String>,
}

impl<'a> Composer<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            scanner: Scanner::new(text),
            tags: Vec::new(),
            anchors: HashMap::new(),
            duplicates: Vec::new(),
            undecodable: None,
            nodes: 0,
            depth: 0,
        }
    }

    fn kind(&mut self) -> Composed<&Kind> {
        Ok(&self.scanner.peek()?.kind)
    }

    fn mark(&mut self) -> Composed<Mark> {
        Ok(self.scanner.peek()?.mark)
    }

    /// Whether the next token is one of these.
    fn is(&mut self, kinds: &[Kind]) -> Composed<bool> {
        let kind = self.kind()?;
        Ok(kinds.contains(kind))
    }

    fn fail<T>(&mut self, context: Mark, text: &str) -> Composed<T> {
        let at = self.mark()?;
        Err(Problem::of_parser(text, context, at).into())
    }

    fn document(&mut self) -> Composed<Value> {
        let value = match self.kind()? {
            Kind::StreamEnd => return Ok(Value::Null),
            Kind::Version { .. } | Kind::TagDirective { .. } | Kind::DocumentStart => {
                self.directives()?;
                if !self.is(&[Kind::DocumentStart])? {
                    return self.fail(Mark::default(), "did not find expected <document start>");
                }
                self.scanner.skip();
                match self.kind()? {
                    Kind::Version { .. }
                    | Kind::TagDirective { .. }
                    | Kind::DocumentStart
                    | Kind::DocumentEnd
                    | Kind::StreamEnd => Value::Null,
                    _ => self.node(Place::Block)?.value,
                }
            }
            _ => {
                self.directives()?;
                self.node(Place::Block)?.value
            }
        };
        // go-yaml looks whether the document ends, and reads no further.
        self.kind()?;
        Ok(value)
    }

    fn directives(&mut self) -> Composed<()> {
        let mut has_version = false;
        loop {
            match self.kind()?.clone() {
                Kind::Version { major, minor } => {
                    if std::mem::replace(&mut has_version, true) {
                        return self.fail(Mark::default(), "found duplicate %YAML directive");
                    }
                    if (major, minor) != (1, 1) {
                        return self.fail(Mark::default(), "found incompatible YAML document");
                    }
                }
                Kind::TagDirective { handle, prefix } => {
                    if self.tags.iter().any(|(known, _)| *known == handle) {
                        return self.fail(Mark::default(), "found duplicate %TAG directive");
                    }
                    self.tags.push((handle, prefix));
                }
                _ => break,
            }
            self.scanner.skip();
        }
        for (handle, prefix) in [("!", "!"), ("!!", "tag:yaml.org,2002:")] {
            if !self.tags.iter().any(|(known, _)| known == handle) {
                self.tags.push((handle.to_owned(), prefix.to_owned()));
            }
        }
        Ok(())
    }

    fn node(&mut self, place: Place) -> Composed<Node> {
        let mark = self.mark()?;
        if let Kind::Alias(name) = self.kind()? {
            let name = name.clone();
            let value = self.alias(&name)?;
            self.scanner.skip();
            return Ok(Node { value, mark, is_merge: false, is_alias: true });
        }
        let properties = self.properties(mark)?;
        let before = self.nodes;
        self.count(1)?;
        if let Some(anchor) = &properties.anchor {
            self.anchors.insert(anchor.clone(), Anchored::Open);
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Failure::Other(YamlError::yaml("exceeded max depth of 10000")));
        }
        let (value, is_merge) = self.content(place, &properties, mark)?;
        self.depth -= 1;
        if let Some(anchor) = properties.anchor {
            let size = self.nodes - before;
            self.anchors.insert(anchor, Anchored::Done { value: value.clone(), size });
        }
        Ok(Node { value, mark, is_merge, is_alias: false })
    }

    /// The value, and whether it is a plain `<<`.
    fn content(&mut self, place: Place, properties: &Properties, start: Mark) -> Composed<(Value, bool)> {
        let block = place != Place::Flow;
        let value = match self.kind()? {
            Kind::BlockEntry if place == Place::Indentless => self.indentless_sequence()?,
            Kind::Scalar { .. } => return self.scalar(properties.tag.as_deref()),
            Kind::FlowSequenceStart => self.flow_sequence()?,
            Kind::FlowMappingStart => self.flow_mapping()?,
            Kind::BlockSequenceStart if block => self.block_sequence()?,
            Kind::BlockMappingStart if block => self.block_mapping()?,
            _ if properties.anchor.is_some() || properties.tag.is_some() => {
                resolve("", true, properties.tag.as_deref())
            }
            _ => return self.fail(start, "did not find expected node content"),
        };
        Ok((value, false))
    }

    /// An anchor and a tag, in any order.
    fn properties(&mut self, start: Mark) -> Composed<Properties> {
        let mut out = Properties::default();
        loop {
            match self.kind()?.clone() {
                Kind::Anchor(name) if out.anchor.is_none() => out.anchor = Some(name),
                Kind::Tag { handle, suffix } if out.tag.is_none() => {
                    let prefix = match handle.as_str() {
                        "" => Some(String::new()),
                        handle => {
                            let known = self.tags.iter().find(|(known, _)| known == handle);
                            known.map(|(_, prefix)| prefix.clone())
                        }
                    };
                    let Some(prefix) = prefix else {
                        return self.fail(start, "found undefined tag handle");
                    };
                    out.tag = Some(prefix + &suffix);
                }
                _ => return Ok(out),
            }
            self.scanner.skip();
        }
    }

    fn alias(&mut self, name: &str) -> Composed<Value> {
        match self.anchors.get(name) {
            None => {
                let text = format!("unknown anchor '{name}' referenced");
                Err(Failure::Other(YamlError::yaml(&text)))
            }
            Some(Anchored::Open) => {
                let text = format!("anchor '{name}' value contains itself");
                self.undecodable.get_or_insert(YamlError::yaml(&text));
                Ok(Value::Null)
            }
            Some(Anchored::Done { value, size }) => {
                let (value, size) = (value.clone(), *size);
                self.count(size)?;
                Ok(value)
            }
        }
    }

    fn count(&mut self, nodes: usize) -> Composed<()> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(Failure::Other(YamlError::yaml("document contains excessive aliasing")));
        }
        Ok(())
    }

    fn scalar(&mut self, tag: Option<&str>) -> Composed<(Value, bool)> {
        let Kind::Scalar { text, plain } = self.kind()?.clone() else { return Ok((Value::Null, false)) };
        self.scanner.skip();
        // The tag `!` says that there is none.
        let (implicit, tag) = match tag {
            None => (plain, None),
            Some("!") => (true, None),
            tag => (false, tag),
        };
        let is_merge = text == "<<" && (implicit || tag == Some("tag:yaml.org,2002:merge"));
        Ok((resolve(&text, implicit, tag), is_merge))
    }

    fn block_sequence(&mut self) -> Composed<Value> {
        let start = self.mark()?;
        self.scanner.skip();
        let mut items = EcoVec::new();
        loop {
            match self.kind()? {
                Kind::BlockEntry => {
                    self.scanner.skip();
                    items.push(self.node_unless(Place::Block, &[Kind::BlockEntry, Kind::BlockEnd])?.value);
                }
                Kind::BlockEnd => break,
                _ => return self.fail(start, "did not find expected '-' indicator"),
            }
        }
        self.scanner.skip();
        Ok(Value::Array(items))
    }

    fn indentless_sequence(&mut self) -> Composed<Value> {
        let mut items = EcoVec::new();
        let ends = [Kind::BlockEntry, Kind::Key, Kind::Value, Kind::BlockEnd];
        while self.is(&[Kind::BlockEntry])? {
            self.scanner.skip();
            items.push(self.node_unless(Place::Block, &ends)?.value);
        }
        Ok(Value::Array(items))
    }

    /// A node, or null when one of these comes instead.
    fn node_unless(&mut self, place: Place, ends: &[Kind]) -> Composed<Node> {
        if self.is(ends)? {
            let mark = self.mark()?;
            self.count(1)?;
            return Ok(Node { value: Value::Null, mark, is_merge: false, is_alias: false });
        }
        self.node(place)
    }

    fn block_mapping(&mut self) -> Composed<Value> {
        let start = self.mark()?;
        self.scanner.skip();
        let mut map = Map::new();
        let ends = [Kind::Key, Kind::Value, Kind::BlockEnd];
        loop {
            match self.kind()? {
                Kind::Key => self.scanner.skip(),
                Kind::BlockEnd => break,
                _ => return self.fail(start, "did not find expected key"),
            }
            let key = self.node_unless(Place::Indentless, &ends)?;
            let value = self.value(Place::Indentless, &ends)?;
            self.put(&mut map, key, value);
        }
        self.scanner.skip();
        Ok(Value::Object(map))
    }

    /// What follows a key: `: value`, or null.
    fn value(&mut self, place: Place, ends: &[Kind]) -> Composed<Node> {
        let mark = self.mark()?;
        if !self.is(&[Kind::Value])? {
            self.count(1)?;
            return Ok(Node { value: Value::Null, mark, is_merge: false, is_alias: false });
        }
        self.scanner.skip();
        let is_empty = self.is(ends)?;
        let node = self.node_unless(place, ends)?;
        Ok(if is_empty { Node { mark, ..node } } else { node })
    }

    fn flow_sequence(&mut self) -> Composed<Value> {
        let start = self.mark()?;
        self.scanner.skip();
        let mut items = EcoVec::new();
        loop {
            if self.is(&[Kind::FlowSequenceEnd])? {
                break;
            }
            if !items.is_empty() {
                if !self.is(&[Kind::FlowEntry])? {
                    return self.fail(start, "did not find expected ',' or ']'");
                }
                self.scanner.skip();
            }
            match self.kind()? {
                Kind::FlowSequenceEnd => break,
                Kind::Key => items.push(self.pair()?),
                _ => items.push(self.node(Place::Flow)?.value),
            }
        }
        self.scanner.skip();
        Ok(Value::Array(items))
    }

    /// `a: b` in a flow sequence: a mapping of one key.
    fn pair(&mut self) -> Composed<Value> {
        self.scanner.skip();
        let ends = [Kind::FlowEntry, Kind::FlowSequenceEnd];
        let key = self.node_unless(Place::Flow, &[Kind::Value, Kind::FlowEntry, Kind::FlowSequenceEnd])?;
        let value = self.value(Place::Flow, &ends)?;
        let mut map = Map::new();
        self.put(&mut map, key, value);
        Ok(Value::Object(map))
    }

    fn flow_mapping(&mut self) -> Composed<Value> {
        let start = self.mark()?;
        self.scanner.skip();
        let mut map = Map::new();
        let mut first = true;
        let ends = [Kind::FlowEntry, Kind::FlowMappingEnd];
        loop {
            if self.is(&[Kind::FlowMappingEnd])? {
                break;
            }
            if !std::mem::take(&mut first) {
                if !self.is(&[Kind::FlowEntry])? {
                    return self.fail(start, "did not find expected ',' or '}'");
                }
                self.scanner.skip();
            }
            match self.kind()? {
                Kind::FlowMappingEnd => break,
                Kind::Key => {
                    self.scanner.skip();
                    let none = [Kind::Value, Kind::FlowEntry, Kind::FlowMappingEnd];
                    let key = self.node_unless(Place::Flow, &none)?;
                    let value = self.value(Place::Flow, &ends)?;
                    self.put(&mut map, key, value);
                }
                _ => {
                    let key = self.node(Place::Flow)?;
                    let mark = self.mark()?;
                    self.put(
                        &mut map,
                        key,
                        Node { value: Value::Null, mark, is_merge: false, is_alias: false },
                    );
                }
            }
        }
        self.scanner.skip();
        Ok(Value::Object(map))
    }

    fn put(&mut self, map: &mut Map, key: Node, value: Node) {
        if key.is_merge && !key.is_alias {
            if let Err(error) = self.merge(map, &value) {
                self.undecodable.get_or_insert(error);
            }
            return;
        }
        match key_text(&key.value, &value.value) {
            Ok(text) => self.insert(map, text, &key.value, value.value, value.mark),
            Err(error) => {
                self.undecodable.get_or_insert(error);
            }
        }
    }

    fn insert(&mut self, map: &mut Map, text: Key, key: &Value, value: Value, mark: Mark) {
        if map.insert(text, value).is_some() {
            let shown = match key {
                Value::String(text) => go_quote(text),
                other => String::from_utf8_lossy(&other.to_json()).into_owned(),
            };
            self.duplicates.push(format!("line {}: key {shown} already set in map", mark.line + 1));
        }
    }

    /// Adds what `<<` names to the keys so far; of a list's maps the earlier win.
    fn merge(&mut self, map: &mut Map, from: &Node) -> Result<(), YamlError> {
        let maps: Vec<&Map> = match &from.value {
            Value::Object(one) => vec![one],
            Value::Array(items) if !from.is_alias => {
                let maps = items.iter().map(Value::as_object).collect::<Option<_>>();
                maps.ok_or_else(no_map)?
            }
            _ => return Err(no_map()),
        };
        for (key, value) in maps.into_iter().rev().flat_map(Map::iter) {
            self.insert(map, key.clone(), &Value::String(key.clone()), value.clone(), from.mark);
        }
        Ok(())
    }
}

fn no_map() -> YamlError {
    YamlError::yaml("map merge requires map or sequence of maps as the value")
}

/// A key as JSON can have it.
fn key_text(key: &Value, value: &Value) -> Result<Key, YamlError> {
    match key {
        Value::String(text) => Ok(intern(text)),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
            Ok(String::from_utf8_lossy(&key.to_json()).as_ref().into())
        }
        Value::Null => {
            let shown = match value {
                Value::String(text) => go_quote(text),
                Value::Null => "interface {}(nil)".to_owned(),
                other => String::from_utf8_lossy(&other.to_json()).into_owned(),
            };
            let text =
                format!("unsupported map key of type: %!s(<nil>), key: interface {{}}(nil), value: {shown}");
            Err(YamlError(text))
        }
        Value::Array(_) => Err(YamlError::yaml(&format!("invalid map key: {}", go_syntax(key)))),
        Value::Object(_) => Err(YamlError::yaml(&format!("invalid map key: {}", go_syntax(key)))),
    }
}

/// `%#v`.
fn go_syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::String(text) => go_quote(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go_syntax).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Object(map) => {
            let entries: Vec<String> =
                map.iter().map(|(key, value)| format!("{}:{}", go_quote(key), go_syntax(value))).collect();
            format!("map[interface {{}}]interface {{}}{{{}}}", entries.join(", "))
        }
        other => String::from_utf8_lossy(&other.to_json()).into_owned(),
    }
}
