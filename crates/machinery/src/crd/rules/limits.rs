//! What a definition's rules may cost, and everything else that is checked of rules once their schema is known to be
//! good.

use std::sync::Arc;

use super::compile::{Compiler, Rule, Stored};
use super::declare::Declared;
use crate::patch::go_format::go_json;
use crate::status::{FieldErrors, FieldPath};
use crate::value::Value;

/// The greatest cost of an expression.
const PER_EXPRESSION: u64 = 10_000_000;
/// The greatest cost of a schema's expressions together.
const PER_SCHEMA: u64 = 100_000_000;
/// How many of the most expensive expressions are named.
const NAMED: usize = 4;

/// What is the same for all rules of a schema, and what their costs add up to.
pub(crate) struct Budget<'a> {
    stored: &'a Stored<'a>,
    /// An unchanged schema keeps expressions that cost too much.
    is_unchanged: bool,
    total: u64,
    most_expensive: Vec<(FieldPath, u64)>,
    /// What is wrong with rules. Comes behind what is wrong with the schema.
    errors: FieldErrors,
}

/// Where a schema node is, as far as its rules mind.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// How many values of the node an object can have; none if nothing bounds that.
    cardinality: Option<u64>,
    /// The path at which values of an old object are no longer to be told from one another.
    uncorrelatable: Option<FieldPath>,
    is_root: bool,
    /// Under `allOf` and the like there are no rules.
    has_rules: bool,
}

impl Place {
    pub(crate) fn root() -> Self {
        Self { cardinality: Some(1), uncorrelatable: None, is_root: true, has_rules: true }
    }

    /// Under a junctor.
    pub(crate) fn nested(&self) -> Self {
        Self { has_rules: false, ..self.clone() }
    }

    /// The place of a node's properties.
    pub(crate) fn property(&self, schema: &Value, path: &FieldPath) -> Self {
        let is_correlatable = matches!(schema.str_at(&["x-kubernetes-map-type"]), "" | "granular" | "atomic");
        self.child(schema, (!is_correlatable).then_some(path))
    }

    pub(crate) fn additional_property(&self, schema: &Value) -> Self {
        self.child(schema, None)
    }

    pub(crate) fn items(&self, schema: &Value, path: &FieldPath) -> Self {
        let is_correlatable = schema.str_at(&["x-kubernetes-list-type"]) == "map";
        self.child(schema, (!is_correlatable).then_some(path))
    }

    fn child(&self, schema: &Value, uncorrelatable: Option<&FieldPath>) -> Self {
        Self {
            cardinality: self
                .cardinality
                .zip(factor(schema))
                .map(|(count, factor)| count.saturating_mul(factor)),
            uncorrelatable: self.uncorrelatable.clone().or_else(|| uncorrelatable.cloned()),
            is_root: false,
            has_rules: self.has_rules,
        }
    }
}

/// How many children one value of a schema can have.
fn factor(schema: &Value) -> Option<u64> {
    let bound = |name: &str| schema.i64_at(&[name]).map(|max| max.max(0).cast_unsigned());
    match schema.str_at(&["type"]) {
        "object" if schema.get("additionalProperties").is_some_and(|of| !of.is_null()) => {
            bound("maxProperties")
        }
        "array" => bound("maxItems"),
        _ => Some(1),
    }
}

impl<'a> Budget<'a> {
    pub(crate) fn new(stored: &'a Stored<'a>, is_unchanged: bool) -> Self {
        Self { stored, is_unchanged, total: 0, most_expensive: Vec::new(), errors: FieldErrors::new() }
    }

    pub(crate) fn minor_version(&self) -> u32 {
        self.stored.minor_version
    }

    /// Checks the rules of a node whose schema has nothing else wrong with it.
    pub(crate) fn check(&mut self, schema: &Value, place: &Place, path: &FieldPath) {
        let rules = schema.array_at(&["x-kubernetes-validations"]);
        if rules.is_empty() || !place.has_rules {
            return;
        }
        let path = path.child("x-kubernetes-validations");
        let is_resource = place.is_root || schema.bool_at(&["x-kubernetes-embedded-resource"]);
        let Some(declared) = Declared::of(schema, is_resource) else {
            let detail = "internal error: failed to construct type information for x-kubernetes-validations rules: \
                          unable to convert structural schema to CEL declarations";
            return self.errors.internal(&path, detail);
        };
        let compiler = Compiler::new(Arc::new(declared));
        for (at, rule) in rules.iter().enumerate() {
            self.rule(&compiler, rule, place, &path.index(at));
        }
    }

    fn rule(&mut self, compiler: &Compiler, rule: &Value, place: &Place, path: &FieldPath) {
        let rule_path = path.child("rule");
        let compiled = match compiler.compile(rule, self.stored) {
            Ok(compiled) => compiled,
            Err(detail) => {
                self.errors.invalid_shown(&rule_path, shown_rule(rule), detail);
                return self.old_self(false, rule, place, path);
            }
        };
        let count = place.cardinality.unwrap_or_else(|| compiler.max_cardinality());
        self.spend("estimated rule cost", compiled.max_cost.saturating_mul(count), &rule_path);
        self.message(&compiled, rule, path);
        self.old_self(compiled.uses_old_self, rule, place, path);
    }

    fn message(&mut self, compiled: &Rule, rule: &Value, path: &FieldPath) {
        let path = path.child("messageExpression");
        match &compiled.message {
            None => {}
            Some(Ok(message)) => self.spend("estimated messageExpression cost", message.max_cost, &path),
            Some(Err(detail)) => self.errors.invalid_shown(&path, shown_rule(rule), detail),
        }
    }

    fn old_self(&mut self, uses_old_self: bool, rule: &Value, place: &Place, path: &FieldPath) {
        let optional = rule.get("optionalOldSelf").filter(|optional| !optional.is_null());
        if uses_old_self {
            if let Some(within) = &place.uncorrelatable {
                let detail = format!(
                    "oldSelf cannot be used on the uncorrelatable portion of the schema within {within}"
                );
                self.errors.invalid(&path.child("rule"), rule.str_at(&["rule"]), detail);
            }
        } else if let Some(optional) = optional {
            let detail = "may not be set if oldSelf is not used in rule";
            self.errors.invalid(&path.child("optionalOldSelf"), optional.clone(), detail);
        }
    }

    fn spend(&mut self, what: &str, cost: u64, path: &FieldPath) {
        if cost > PER_EXPRESSION && !self.is_unchanged {
            self.errors.forbidden(path, exceeds(what, cost, PER_EXPRESSION));
        }
        self.total = self.total.saturating_add(cost);
        if cost >= PER_SCHEMA / 100 {
            self.most_expensive.push((path.clone(), cost));
            self.most_expensive.sort_by_key(|(_, cost)| std::cmp::Reverse(*cost));
            self.most_expensive.truncate(NAMED);
        }
    }

    /// Everything that is wrong with the rules, and with what they cost together.
    pub(crate) fn finish(self, path: &FieldPath) -> FieldErrors {
        let mut errors = self.errors;
        if self.total > PER_SCHEMA {
            for (path, _) in &self.most_expensive {
                let detail = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
                errors.forbidden(path, detail);
            }
            let what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
            errors.forbidden(path, exceeds(what, self.total, PER_SCHEMA));
        }
        errors
    }
}

fn exceeds(what: &str, cost: u64, limit: u64) -> String {
    let factor = cost as f64 / limit as f64;
    let factor = if factor > 100.0 {
        "more than 100x".to_owned()
    } else if factor < 1.5 {
        format!("{factor:.6}x")
    } else {
        format!("{factor:.1}x")
    };
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and \
         maxLength where arrays, maps, and strings are declared)"
    )
}

/// A rule as Go prints the internal type.
pub(in crate::crd) fn shown_rule(rule: &Value) -> String {
    let text = |name: &str| go_json(&Value::from(rule.str_at(&[name])));
    let optional = |name: &str| rule.get(name).map_or_else(|| "null".to_owned(), go_json);
    format!(
        "{{\"Rule\":{},\"Message\":{},\"MessageExpression\":{},\"Reason\":{},\"FieldPath\":{},\"OptionalOldSelf\":{}}}",
        text("rule"),
        text("message"),
        text("messageExpression"),
        optional("reason"),
        text("fieldPath"),
        optional("optionalOldSelf"),
    )
}
