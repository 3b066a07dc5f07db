//! Rules over objects: values, errors, transitions, ratcheting.

use super::*;
use crate::value;

/// The errors of rules over `spec`, whose schema has `properties`, then the warnings after a `!`.
fn findings(spec: &Value, new: &Value, old: Option<&Value>) -> Vec<String> {
    let schema = value!({"type": "object", "properties": {"spec": (spec.clone())}});
    let rules = Rules::compile(&schema, 36).expect("rules");
    let object = |spec: &Value| value!({"apiVersion": "a/v1", "kind": "K", "metadata": {"name": "n"}, "spec": (spec.clone())});
    let findings = rules.evaluate(&object(new), old.map(object).as_ref());
    let errors = findings.errors.iter().map(ToString::to_string);
    errors.chain(findings.warnings.iter().map(|warning| format!("! {warning}"))).collect()
}

fn object(properties: &Value, rules: &Value) -> Value {
    value!({"type": "object", "properties": (properties.clone()), "x-kubernetes-validations": (rules.clone())})
}

/// Whether a rule over a spec of these properties holds.
fn check(properties: &Value, rule: &str, spec: &Value, expect: &str) {
    let schema = object(properties, &value!([{"rule": rule, "message": "no"}]));
    let got = findings(&schema, spec, None);
    let got = got.first().map_or("yes", |error| {
        error
            .strip_prefix("spec: Invalid value: ")
            .unwrap_or(error)
            .strip_prefix("\"object\": ")
            .unwrap_or(error.strip_prefix("spec: Invalid value: ").unwrap_or(error))
    });
    assert_eq!(got, expect, "{rule}");
}

#[test]
fn values_have_their_schemas_types() {
    let properties = value!({
        "at": {"type": "string", "format": "date-time"},
        "day": {"type": "string", "format": "date"},
        "long": {"type": "string", "format": "duration"},
        "raw": {"type": "string", "format": "byte"},
        "port": {"x-kubernetes-int-or-string": true},
        "ratio": {"type": "number"},
        "a-b": {"type": "integer"},
        "namespace": {"type": "string"},
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": {"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}}}},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "none": {"type": "string", "nullable": true},
        "inner": {"type": "object", "x-kubernetes-embedded-resource": true},
    });
    let spec = value!({
        "at": "2024-01-02t03:04:05.5+01:00", "day": "2024-02-29", "long": "3 days", "raw": "aGk=", "port": 80,
        "ratio": 2, "a-b": 1, "namespace": "x", "tags": ["a", "b"], "none": null,
        "list": [{"k": "a", "v": 1}, {"k": "b", "v": 2}], "labels": {"a-b": "c"},
        "inner": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}},
    });
    for (rule, expect) in [
        ("self.at.getHours() == 2 && self.day.getMonth() == 1", "yes"),
        ("self.long == duration('72h') && string(self.raw) == 'hi'", "yes"),
        ("self.port == 80 && self.ratio == 2.0", "yes"),
        (
            "self.port.startsWith('8')",
            "'no such overload': call arguments did not match a supported operator, function or macro signature for rule: no",
        ),
        ("self.a__dash__b == 1 && self.__namespace__ == 'x'", "yes"),
        ("self.tags == ['b', 'a'] && self.tags + ['b', 'c'] == ['a', 'b', 'c']", "yes"),
        ("(self.list + self.list).size() == 2 && self.list[1].v == 2", "yes"),
        ("self.labels['a-b'] == 'c' && self.labels.all(k, k == 'a-b')", "yes"),
        ("!has(self.none) && has(self.inner.metadata.name) && self.inner.kind == 'Pod'", "yes"),
        ("self.list.exists(e, e.v == 3)", "no"),
        ("self.tags[5] == ''", "index out of bounds: 5 evaluating rule: no"),
    ] {
        check(&properties, rule, &spec, expect);
    }
}

#[test]
fn reasons_paths_and_messages_are_as_told() {
    let schema = object(
        &value!({"min": {"type": "integer"}, "max": {"type": "integer", "x-kubernetes-validations": [{"rule": "self < 5"}]}}),
        &value!([
            {"rule": "self.min <= self.max", "messageExpression": "string(self.min) + ' is more than ' + string(self.max)"},
            {"rule": "self.min > 0", "reason": "FieldValueForbidden", "fieldPath": ".min", "message": " no  "},
            {"rule": "self.min != 0", "reason": "FieldValueDuplicate", "fieldPath": ".min"},
            {"rule": "self.min != 0", "messageExpression": "self.nothing"},
            {"rule": "self.max / self.min > 0"},
        ]),
    );
    assert_eq!(findings(&schema, &value!({"min": 1, "max": 2}), None), Vec::<String>::new());
    assert_eq!(
        findings(&schema, &value!({"min": 9, "max": 8}), None),
        [
            "spec: Invalid value: 9 is more than 8",
            "spec: Invalid value: failed rule: self.max / self.min > 0",
            "spec.max: Invalid value: 8: failed rule: self < 5",
        ]
    );
    assert_eq!(
        findings(&schema, &value!({"min": 0, "max": 1}), None),
        [
            "spec.min: Forbidden: no",
            "spec.min: Duplicate value",
            "spec: Invalid value: failed rule: self.min != 0",
            "spec: Invalid value: \"object\": division by zero evaluating rule: self.max / self.min > 0",
        ]
    );
}

#[test]
fn transition_rules_need_something_to_compare_with() {
    let items = value!({"type": "object", "properties": {"k": {"type": "string"}, "v": {"type": "integer"}},
        "x-kubernetes-validations": [{"rule": "self.v >= oldSelf.v", "message": "shrinks"}]});
    let schema = value!({"type": "object", "properties": {
        "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"], "items": (items)},
        "mode": {"type": "string", "x-kubernetes-validations": [
            {"rule": "oldSelf.hasValue() || self == 'new'", "optionalOldSelf": true, "message": "must start new"},
            {"rule": "self == oldSelf || oldSelf == 'new'", "message": "is final"}]},
    }});
    let spec = |mode: &str, v: i64| value!({"mode": mode, "list": [{"k": "b", "v": 1}, {"k": "a", "v": v}]});
    assert!(findings(&schema, &spec("new", 1), None).is_empty());
    assert_eq!(findings(&schema, &spec("x", 1), None), ["spec.mode: Invalid value: \"x\": must start new"]);
    assert!(findings(&schema, &spec("done", 2), Some(&spec("new", 1))).is_empty());
    assert_eq!(
        findings(&schema, &spec("x", 1), Some(&spec("done", 2))),
        ["spec.list[1]: Invalid value: shrinks", "spec.mode: Invalid value: \"x\": is final"]
    );
}

#[test]
fn what_was_wrong_before_is_only_warned_of() {
    let schema = value!({"type": "object", "properties": {
        "a": {"type": "integer", "x-kubernetes-validations": [{"rule": "self < 5"}]},
        "b": {"type": "object", "properties": {"c": {"type": "integer"}},
            "x-kubernetes-validations": [{"rule": "self.c < 5"}]},
    }});
    let old = value!({"a": 9, "b": {"c": 9}});
    assert_eq!(
        findings(&schema, &value!({"a": 9, "b": {"c": 8}}), Some(&old)),
        [
            "spec.b: Invalid value: failed rule: self.c < 5",
            "! spec.a: Invalid value: 9: failed rule: self < 5",
        ]
    );
}

#[test]
fn a_rule_over_its_budget_ends_the_walk() {
    let list = value!({"type": "array", "items": {"type": "integer"}, "x-kubernetes-validations": [
        {"rule": "self.all(x, self.all(y, self.all(z, x + y + z > 0)))"}, {"rule": "false"}]});
    let spec = value!({"type": "object", "properties": {"list": (list)}});
    let numbers: Vec<i64> = (1..100).collect();
    assert_eq!(
        findings(&spec, &value!({"list": (numbers)}), None),
        [
            "spec.list: Invalid value: \"array\": 'operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost exceeds limit for rule: self.all(x, self.all(y, self.all(z, x + y + z > 0)))"
        ]
    );
}
