//! Tokens to a document, after libyaml's parser and go-yaml's decoder.

mod collections;
mod entries;

use std::collections::HashMap;

use super::cursor::{Mark, Problem};
use super::resolve::resolve;
use super::scanner::{Kind, Scanner};
use super::{Yaml, YamlError};
use crate::value::Value;

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
}
