//! What is said of rules when a definition is written.

use super::*;
use crate::value;

const ROOT: &str = "spec.validation.openAPIV3Schema";

/// A definition whose `spec` has a schema.
fn definition(spec: &Value) -> Value {
    let schema = value!({"type": "object", "properties": {"spec": (spec.clone())}});
    let mut definition = value!({
        "metadata": {"name": "boats.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "boats", "kind": "Boat"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": (schema)}}],
        },
    });
    apply_defaults(&mut definition);
    definition
}

/// What is wrong with a definition, without the path of its `spec`.
fn wrong(spec: &Value, old: Option<&Value>) -> Vec<String> {
    let errors = validate(&definition(spec), old.map(definition).as_ref(), 36);
    errors
        .iter()
        .map(|error| error.to_string().replacen(&format!("{ROOT}.properties[spec]"), "", 1))
        .collect()
}

fn gauge(rules: Value) -> Value {
    value!({"type": "object", "properties": {"gauge": {"type": "integer"}}, "x-kubernetes-validations": (rules)})
}

/// A rule as it is shown.
fn shown(rule: &str) -> String {
    format!(
        "{{\"Rule\":\"{rule}\",\"Message\":\"\",\"MessageExpression\":\"\",\"Reason\":null,\"FieldPath\":\"\",\
         \"OptionalOldSelf\":null}}"
    )
}

#[test]
fn rules_that_do_not_compile() {
    for (rule, why) in [
        (
            "self.missing == 1",
            "compilation failed: ERROR: <input>:1:5: undefined field 'missing'\n | self.missing == 1\n | ....^",
        ),
        (
            "self.gauge == 'thick'",
            "compilation failed: ERROR: <input>:1:12: found no matching overload for '_==_' applied to '(int, string)'\n \
             | self.gauge == 'thick'\n | ...........^",
        ),
        ("self.gauge", "cel expression must evaluate to a bool"),
    ] {
        let expected = format!(".x-kubernetes-validations[0].rule: Invalid value: {}: {why}", shown(rule));
        assert_eq!(wrong(&gauge(value!([{"rule": rule}])), None), [expected]);
    }
    let spec = gauge(value!([{"rule": "duration('a' + 'b') > duration(string(1)) && int('x') > 1"}]));
    let errors = wrong(&spec, None);
    assert!(errors[0].contains("program instantiation failed: "), "{errors:?}");
    let spec = gauge(value!([{"rule": "true", "messageExpression": "self.gauge"}]));
    let errors = wrong(&spec, None);
    assert!(
        errors[0]
            .starts_with(".x-kubernetes-validations[0].messageExpression: Invalid value: {\"Rule\":\"true\"")
    );
    assert!(errors[0].ends_with(": messageExpression must evaluate to a string"));
}

#[test]
fn schemas_that_are_wrong_keep_their_rules_from_being_compiled() {
    let spec = gauge(value!([{"rule": "nonsense"}, {"rule": ""}]));
    assert_eq!(
        wrong(&spec, None),
        [".x-kubernetes-validations[1].rule: Required value: rule is not specified"]
    );
}

#[test]
fn what_objects_were_is_known_only_where_they_can_be_told_apart() {
    let rules = value!([{"rule": "self == oldSelf"}]);
    let items = value!({"type": "integer", "x-kubernetes-validations": (rules.clone())});
    let detail = format!(
        "oldSelf cannot be used on the uncorrelatable portion of the schema within {ROOT}.properties[spec]"
    );
    let expected =
        format!(".items.x-kubernetes-validations[0].rule: Invalid value: \"self == oldSelf\": {detail}");
    assert_eq!(wrong(&value!({"type": "array", "maxItems": 5, "items": (items.clone())}), None), [expected]);
    let map = value!({"type": "object", "maxProperties": 5, "additionalProperties": (items)});
    assert_eq!(wrong(&map, None), Vec::<String>::new());
    let optional = gauge(value!([{"rule": "self.gauge > 1", "optionalOldSelf": true}]));
    let detail = "may not be set if oldSelf is not used in rule";
    let expected = format!(".x-kubernetes-validations[0].optionalOldSelf: Invalid value: true: {detail}");
    assert_eq!(wrong(&optional, None), [expected]);
    let optional = gauge(
        value!([{"rule": "!oldSelf.hasValue() || self.gauge >= oldSelf.value().gauge", "optionalOldSelf": true}]),
    );
    assert_eq!(wrong(&optional, None), Vec::<String>::new());
}

fn exceeds(what: &str, factor: &str) -> String {
    format!(
        "{what} exceeds budget by factor of {factor} (try simplifying the rule, or adding maxItems, maxProperties, and \
         maxLength where arrays, maps, and strings are declared)"
    )
}

fn pairs(max_items: Value, max_length: Value) -> Value {
    value!({
        "type": "array",
        "maxItems": (max_items),
        "items": {"type": "string", "maxLength": (max_length)},
        "x-kubernetes-validations": [{"rule": "self.all(x, self.all(y, x == y || x != y))"}],
    })
}

#[test]
fn rules_cost_no_more_than_they_may() {
    assert_eq!(wrong(&pairs(value!(20), value!(20)), None), Vec::<String>::new());
    let unbounded = pairs(Value::Null, Value::Null);
    let total = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema";
    let contributed =
        "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema";
    let rule = ".x-kubernetes-validations[0].rule: Forbidden";
    assert_eq!(
        wrong(&unbounded, None),
        [
            format!("{rule}: {}", exceeds("estimated rule cost", "more than 100x")),
            format!("{rule}: {contributed}"),
            format!("{ROOT}: Forbidden: {}", exceeds(total, "more than 100x")),
        ]
    );
    let factor = wrong(&pairs(value!(1000), value!(20)), None);
    assert_eq!(factor, [format!("{rule}: {}", exceeds("estimated rule cost", "2.3x"))]);
}

#[test]
fn stored_schemas_may_keep_costly_rules() {
    let costly = pairs(value!(1000), value!(20));
    assert_eq!(wrong(&costly, Some(&costly)), Vec::<String>::new());
    assert_eq!(wrong(&costly, Some(&pairs(value!(20), value!(20)))).len(), 1);
}

#[test]
fn rules_see_what_the_schema_declares() {
    let spec = value!({
        "type": "object",
        "properties": {
            "a-b": {"type": "integer"},
            "port": {"x-kubernetes-int-or-string": true, "maxLength": 10},
            "pod": {
                "type": "object",
                "x-kubernetes-embedded-resource": true,
                "x-kubernetes-preserve-unknown-fields": true,
                "x-kubernetes-validations": [{"rule": "self.metadata.name != self.kind"}],
            },
            "namespace": {"type": "string", "format": "date-time"},
        },
        "x-kubernetes-validations": [
            {"rule": "self.a__dash__b > 1 && self.__namespace__ < timestamp('2030-01-01T00:00:00Z')"},
            {"rule": "type(self.port) == int ? self.port > 0 : self.port.endsWith('%')"},
            {"rule": "self.pod.metadata.name.startsWith('a')"},
        ],
    });
    assert_eq!(wrong(&spec, None), Vec::<String>::new());
    let hidden = value!({"x-kubernetes-preserve-unknown-fields": true, "x-kubernetes-validations": [{"rule": "true"}]});
    let detail = "internal error: failed to construct type information for x-kubernetes-validations rules: unable to \
                  convert structural schema to CEL declarations";
    assert_eq!(wrong(&hidden, None), [format!(".x-kubernetes-validations: Internal error: {detail}")]);
}

#[test]
fn rules_may_use_what_the_version_before_the_clusters_knows() {
    let sorted = gauge(value!([{"rule": "[self.gauge, 1].sort().size() == 2"}]));
    let count = |minor, old: Option<&Value>| validate(&definition(&sorted), old, minor).len();
    let usual = validate(&definition(&gauge(value!([]))), None, 36).len();
    // `sort` came with 1.34: what is new waits for 1.35, what is stored does not.
    let stored = definition(&sorted);
    assert_eq!([33, 34, 35, 36].map(|minor| count(minor, None) - usual), [1, 1, 0, 0]);
    let of_update = |minor| count(minor, Some(&stored)) - count(36, Some(&stored));
    assert_eq!([33, 34, 35, 36].map(of_update), [1, 0, 0, 0]);
}
