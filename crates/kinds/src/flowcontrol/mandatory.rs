//! The schemas and levels that every cluster needs as they are: `exempt` and `catch-all`.

use drydock_machinery::status::literal;
use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta as _, Value, value};

use crate::shape::shown;

pub(super) fn schema(errors: &mut FieldErrors, object: &Value, path: &FieldPath) {
    let name = object.name();
    let rules = |groups: &[&str]| {
        let subjects = groups.iter().map(|name| value!({"kind": "Group", "group": {"name": *name}}));
        value!([{
            "subjects": subjects.collect::<Vec<_>>(),
            "resourceRules": [{
                "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"],
            }],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        }])
    };
    let mut fixed = value!({"priorityLevelConfiguration": {"name": name}});
    match name {
        "exempt" => {
            fixed.set(&["matchingPrecedence"], 1);
            fixed.set(&["rules"], rules(&["system:masters"]));
        }
        "catch-all" => {
            fixed.set(&["matchingPrecedence"], 10_000);
            fixed.set(&["distinguisherMethod", "type"], "ByUser");
            fixed.set(&["rules"], rules(&["system:unauthenticated", "system:authenticated"]));
        }
        _ => return,
    }
    let spec = shown(object, &["spec"]);
    if spec != fixed {
        let detail = format!("spec of '{name}' must equal the fixed value");
        errors.invalid(path, literal(schema_form(&spec)), detail);
    }
}

pub(super) fn level(errors: &mut FieldErrors, object: &Value, path: &FieldPath) {
    let name = object.name();
    let spec = shown(object, &["spec"]);
    let detail = match name {
        "exempt" if spec.str_at(&["type"]) != "Exempt" || !spec.get("limited").is_none_or(Value::is_null) => {
            format!("spec of '{name}' except the 'spec.exempt' field must equal the fixed value")
        }
        "catch-all" if spec != catch_all() => format!("spec of '{name}' must equal the fixed value"),
        _ => return,
    };
    errors.invalid(path, literal(level_form(&spec)), detail);
}

fn catch_all() -> Value {
    value!({"type": "Limited", "limited": {
        "nominalConcurrencyShares": 5, "limitResponse": {"type": "Reject"}, "lendablePercent": 0,
    }})
}

fn json(value: Option<&Value>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| String::from_utf8_lossy(&value.to_json()).into_owned())
}

fn text(of: &Value, path: &[&str]) -> String {
    json(Some(&of.str_at(path).into()))
}

fn list(items: &[Value], shown: impl Fn(&Value) -> String) -> String {
    if items.is_empty() {
        return "null".to_owned();
    }
    format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(","))
}

fn named(of: Option<&Value>) -> String {
    let of = of.filter(|of| !of.is_null());
    of.map_or_else(|| "null".to_owned(), |of| format!("{{\"Name\":{}}}", text(of, &["name"])))
}

/// As Go prints upstream's internal type.
fn schema_form(spec: &Value) -> String {
    let method = spec.get("distinguisherMethod").filter(|method| !method.is_null());
    format!(
        "{{\"PriorityLevelConfiguration\":{},\"MatchingPrecedence\":{},\"DistinguisherMethod\":{},\"Rules\":{}}}",
        format_args!("{{\"Name\":{}}}", text(spec, &["priorityLevelConfiguration", "name"])),
        spec.i64_at(&["matchingPrecedence"]).unwrap_or(0),
        method
            .map_or_else(|| "null".to_owned(), |method| format!("{{\"Type\":{}}}", text(method, &["type"]))),
        list(spec.array_at(&["rules"]), rule_form),
    )
}

fn rule_form(rule: &Value) -> String {
    let subject = |subject: &Value| {
        let account = subject.get("serviceAccount").filter(|account| !account.is_null());
        let account = account.map_or_else(
            || "null".to_owned(),
            |of| format!("{{\"Namespace\":{},\"Name\":{}}}", text(of, &["namespace"]), text(of, &["name"])),
        );
        format!(
            "{{\"Kind\":{},\"User\":{},\"Group\":{},\"ServiceAccount\":{account}}}",
            text(subject, &["kind"]),
            named(subject.get("user")),
            named(subject.get("group")),
        )
    };
    let resources = |rule: &Value| {
        format!(
            "{{\"Verbs\":{},\"APIGroups\":{},\"Resources\":{},\"ClusterScope\":{},\"Namespaces\":{}}}",
            json(rule.get("verbs")),
            json(rule.get("apiGroups")),
            json(rule.get("resources")),
            rule.bool_at(&["clusterScope"]),
            json(rule.get("namespaces")),
        )
    };
    let paths = |rule: &Value| {
        format!(
            "{{\"Verbs\":{},\"NonResourceURLs\":{}}}",
            json(rule.get("verbs")),
            json(rule.get("nonResourceURLs"))
        )
    };
    format!(
        "{{\"Subjects\":{},\"ResourceRules\":{},\"NonResourceRules\":{}}}",
        list(rule.array_at(&["subjects"]), subject),
        list(rule.array_at(&["resourceRules"]), resources),
        list(rule.array_at(&["nonResourceRules"]), paths),
    )
}

fn level_form(spec: &Value) -> String {
    let part = |name: &str| spec.get(name).filter(|part| !part.is_null());
    let limited = part("limited").map_or_else(|| "null".to_owned(), limited_form);
    let exempt = part("exempt").map_or_else(
        || "null".to_owned(),
        |exempt| {
            format!(
                "{{\"NominalConcurrencyShares\":{},\"LendablePercent\":{}}}",
                json(exempt.get("nominalConcurrencyShares")),
                json(exempt.get("lendablePercent")),
            )
        },
    );
    format!("{{\"Type\":{},\"Limited\":{limited},\"Exempt\":{exempt}}}", text(spec, &["type"]))
}

fn limited_form(limited: &Value) -> String {
    let queuing = limited.at(&["limitResponse", "queuing"]).filter(|queuing| !queuing.is_null());
    let number = |of: &Value, field: &str| of.i64_at(&[field]).unwrap_or(0);
    let queuing = queuing.map_or_else(
        || "null".to_owned(),
        |of| {
            format!(
                "{{\"Queues\":{},\"HandSize\":{},\"QueueLengthLimit\":{}}}",
                number(of, "queues"),
                number(of, "handSize"),
                number(of, "queueLengthLimit")
            )
        },
    );
    format!(
        "{{\"NominalConcurrencyShares\":{},\"LimitResponse\":{{\"Type\":{},\"Queuing\":{queuing}}},\"LendablePercent\":{},\
         \"BorrowingLimitPercent\":{}}}",
        number(limited, "nominalConcurrencyShares"),
        text(limited, &["limitResponse", "type"]),
        json(limited.get("lendablePercent")),
        json(limited.get("borrowingLimitPercent")),
    )
}
