//! Evaluating the rules of a schema against an object and what it was.
//!
//! [`Rules`] are compiled once per served version of a custom resource. The walk over an object, the order of errors,
//! budgets and messages are apiextensions-apiserver's `pkg/apiserver/schema/cel`.

mod correlate;
mod message;
mod schema;
mod typed;
mod walk;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use drydock_cel::Program;

use self::schema::Typed;
use super::compile::{Compiler, Stored};
use super::declare::Declared;
use crate::crd::definition::normalized_field_path;
use crate::status::{FieldErrors, FieldPath};
use crate::value::{Key, Value};

/// What all rules together may cost for one object.
pub(in crate::crd) const REQUEST_BUDGET: i64 = 10_000_000;

/// The rules of a schema.
#[derive(Debug)]
pub struct Rules {
    root: Node,
}

/// What rules found.
#[derive(Debug, Default)]
pub struct Findings {
    pub errors: FieldErrors,
    /// Errors of parts that were so before.
    pub warnings: Vec<String>,
}

/// A node of the schema that has rules or has nodes with rules within.
#[derive(Debug)]
struct Node {
    schema: Arc<Typed>,
    /// As errors show it.
    type_name: String,
    rules: Vec<Rule>,
    all_of: Vec<Node>,
    items: Option<Box<Node>>,
    /// Sorted by name.
    properties: Vec<(Key, Node)>,
    additional: Option<Box<Node>>,
}

/// A rule, compiled.
#[derive(Debug)]
struct Rule {
    program: Result<Program, String>,
    message_program: Option<Program>,
    /// The `messageExpression`.
    message_source: String,
    uses_old_self: bool,
    optional_old_self: bool,
    /// `message`, else what there is to say without one.
    message: String,
    /// What errors of evaluation name it by.
    shown: String,
    reason: String,
    /// Where errors are reported, from the node.
    field_path: Option<String>,
}

impl Rules {
    /// Compiles the rules of a structural schema for a cluster of Kubernetes 1.`minor_version`; None when it has none.
    pub fn compile(open_api_v3_schema: &Value, minor_version: u32) -> Option<Self> {
        Self::compile_part(open_api_v3_schema, true, minor_version)
    }

    /// Compiles the rules of a part of a schema, which is an object with a name of its own if it `is_resource`.
    pub(in crate::crd) fn compile_part(
        schema: &Value,
        is_resource: bool,
        minor_version: u32,
    ) -> Option<Self> {
        if !has_rules(schema) {
            return None;
        }
        let mut stored = Stored::new(minor_version);
        stored.collect(schema);
        Some(Self { root: Node::compile(schema, schema, is_resource, &stored)? })
    }

    /// What the rules say of a default: as a value that stays, and if that is well as one that is new. What that costs,
    /// of the two the dearer, is taken from `budget`, which is negative once it did not suffice.
    pub(in crate::crd) fn check_default(
        &self,
        default: &Value,
        path: &FieldPath,
        budget: &mut i64,
    ) -> FieldErrors {
        let (mut errors, mut left) = walk::walk_all(&self.root, default, Some(default), path, *budget);
        if errors.is_empty() {
            let (as_new, left_by_new) = walk::walk_all(&self.root, default, None, path, *budget);
            errors = as_new;
            left = left.min(left_by_new);
        }
        *budget = left;
        errors
    }

    /// What the rules say of `new`, which was `old`.
    pub fn evaluate(&self, new: &Value, old: Option<&Value>) -> Findings {
        walk::walk(&self.root, new, old, REQUEST_BUDGET)
    }
}

/// Whether there are rules where the validator looks at first: not those within `allOf` alone.
fn has_rules(schema: &Value) -> bool {
    let within = |name: &str| schema.get(name).is_some_and(has_rules);
    !schema.array_at(&["x-kubernetes-validations"]).is_empty()
        || within("items")
        || within("additionalProperties")
        || schema.object_at(&["properties"]).values().any(has_rules)
}

fn object_at<'a>(schema: &'a Value, field: &str) -> Option<&'a Value> {
    schema.get(field).filter(|inner| matches!(inner, Value::Object(_)))
}

impl Node {
    /// `rules` has the rules; `schema` is the same place on the structural spine, which says what values look like.
    fn compile(rules: &Value, schema: &Value, is_resource: bool, stored: &Stored<'_>) -> Option<Self> {
        let embedded = |schema: &Value| schema.bool_at(&["x-kubernetes-embedded-resource"]);
        let below = |name: &str| {
            let (rules, schema) = (object_at(rules, name)?, object_at(schema, name)?);
            Self::compile(rules, schema, embedded(schema), stored).map(Box::new)
        };
        let properties = rules.object_at(&["properties"]).iter().filter_map(|(name, inner)| {
            let schema = schema.at(&["properties", name])?;
            // What expressions cannot see has no rules.
            Declared::of(schema, embedded(schema))?;
            Some((name.clone(), Self::compile(inner, schema, embedded(schema), stored)?))
        });
        let all_of = rules.array_at(&["allOf"]).iter();
        let node = Self {
            schema: Typed::compile(schema, is_resource),
            type_name: schema.str_at(&["type"]).to_owned(),
            rules: Rule::compile_all(rules, schema, is_resource, stored),
            all_of: all_of.filter_map(|part| Self::compile(part, schema, is_resource, stored)).collect(),
            items: below("items"),
            properties: properties.collect(),
            additional: below("additionalProperties"),
        };
        let is_empty = node.rules.is_empty()
            && node.all_of.is_empty()
            && node.items.is_none()
            && node.properties.is_empty()
            && node.additional.is_none();
        (!is_empty).then_some(node)
    }

    fn property(&self, name: &str) -> Option<&Self> {
        let index = self.properties.binary_search_by(|(other, _)| other.as_str().cmp(name)).ok()?;
        Some(&self.properties[index].1)
    }

    fn uses_old_self(&self) -> bool {
        self.rules.iter().any(|rule| rule.uses_old_self)
    }
}

impl Rule {
    fn compile_all(rules: &Value, schema: &Value, is_resource: bool, stored: &Stored<'_>) -> Vec<Self> {
        let list = rules.array_at(&["x-kubernetes-validations"]);
        let Some(declared) = Declared::of(schema, is_resource).filter(|_| !list.is_empty()) else {
            return Vec::new();
        };
        let compiler = Compiler::new(Arc::new(declared));
        let named = list.iter().filter(|rule| !rule.str_at(&["rule"]).trim().is_empty());
        named.map(|rule| Self::compile(rule, schema, &compiler, stored)).collect()
    }

    fn compile(source: &Value, schema: &Value, compiler: &Compiler, stored: &Stored<'_>) -> Self {
        let compiled = compiler.compile(source, stored);
        let message = source.str_at(&["message"]).trim();
        let text = source.str_at(&["rule"]).trim();
        let path = Some(source.str_at(&["fieldPath"])).filter(|path| !path.is_empty());
        let uses_old_self = compiled.as_ref().is_ok_and(|rule| rule.uses_old_self);
        let (program, message_program) = match compiled {
            Ok(rule) => (Ok(rule.program), rule.message.and_then(Result::ok).map(|message| message.program)),
            Err(why) => (Err(why), None),
        };
        Self {
            uses_old_self,
            program,
            message_program,
            message_source: source.str_at(&["messageExpression"]).to_owned(),
            optional_old_self: source.bool_at(&["optionalOldSelf"]),
            message: if message.is_empty() { format!("failed rule: {text}") } else { message.to_owned() },
            shown: if message.is_empty() { text } else { message }.to_owned(),
            reason: source.str_at(&["reason"]).to_owned(),
            field_path: path.and_then(|path| normalized_field_path(path, schema)),
        }
    }
}
