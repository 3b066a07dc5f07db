//! `allOf`, `anyOf`, `oneOf` and `not`.

use super::{Failure, Kind, Outcome, check as check_node};
use crate::crd::node::Node;
use crate::value::Value;

pub(super) fn check(node: &Node, value: &Value, old: Option<&Value>, path: &str) -> Outcome {
    let mut outcome = Outcome::default();
    let run = |nodes: &[Node]| -> Vec<Outcome> {
        nodes.iter().map(|node| check_node(node, value, old, path)).collect()
    };
    any_of(&mut outcome, run(&node.any_of), path);
    one_of(&mut outcome, run(&node.one_of), path);
    all_of(&mut outcome, run(&node.all_of), path);
    if let Some(not) = &node.not
        && check_node(not, value, old, path).is_valid()
    {
        general(&mut outcome, format!("{path:?} must not validate the schema (not)"));
    }
    outcome.held += 1;
    outcome
}

fn general(outcome: &mut Outcome, message: String) {
    outcome.fail(Failure::new(Kind::General, "", Value::Null, message));
}

/// The alternative of which most holds; the first of several.
fn best(results: Vec<Outcome>) -> Option<Outcome> {
    results.into_iter().reduce(|best, next| if next.held > best.held { next } else { best })
}

fn any_of(outcome: &mut Outcome, results: Vec<Outcome>, path: &str) {
    if results.is_empty() {
        return;
    }
    if let Some(first) = results.iter().find(|result| result.is_valid()) {
        return outcome.merge(first.clone());
    }
    general(outcome, format!("{path:?} must validate at least one schema (anyOf)"));
    outcome.merge(best(results).unwrap_or_default());
}

fn one_of(outcome: &mut Outcome, results: Vec<Outcome>, path: &str) {
    if results.is_empty() {
        return;
    }
    let valid: Vec<&Outcome> = results.iter().filter(|result| result.is_valid()).collect();
    let found = match valid[..] {
        [one] => return outcome.merge(one.clone()),
        [] => "Found none valid".to_owned(),
        _ => format!("Found {} valid alternatives", valid.len()),
    };
    let none = valid.is_empty();
    general(outcome, format!("{path:?} must validate one and only one schema (oneOf). {found}"));
    if none {
        outcome.merge(best(results).unwrap_or_default());
    }
}

fn all_of(outcome: &mut Outcome, results: Vec<Outcome>, path: &str) {
    let (count, valid) = (results.len(), results.iter().filter(|result| result.is_valid()).count());
    for result in results {
        outcome.merge(result);
    }
    if valid != count {
        let none = if valid == 0 { ". None validated" } else { "" };
        general(outcome, format!("{path:?} must validate all the schemas (allOf){none}"));
    }
}
