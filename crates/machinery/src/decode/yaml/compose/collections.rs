//! Sequences and mappings, in blocks and in brackets.

use ecow::EcoVec;

use super::{Composed, Composer, Node, Place};
use crate::decode::yaml::scanner::Kind;
use crate::value::{Map, Value};

impl Composer<'_> {
    pub(super) fn block_sequence(&mut self) -> Composed<Value> {
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

    pub(super) fn indentless_sequence(&mut self) -> Composed<Value> {
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

    pub(super) fn block_mapping(&mut self) -> Composed<Value> {
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

    pub(super) fn flow_sequence(&mut self) -> Composed<Value> {
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

    pub(super) fn flow_mapping(&mut self) -> Composed<Value> {
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
}
