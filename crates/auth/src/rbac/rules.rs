//! Whether a rule allows a request: upstream's matching, on the rule's object.

use drydock_machinery::Value;

use crate::attributes::Attributes;

/// Whether `rule`, a PolicyRule, allows a request.
pub fn rule_allows(rule: &Value, attributes: &Attributes<'_>) -> bool {
    if !has_or_star(rule.array_at(&["verbs"]), attributes.verb) {
        return false;
    }
    if !attributes.is_resource {
        return rule
            .array_at(&["nonResourceURLs"])
            .iter()
            .filter_map(Value::as_str)
            .any(|url| url_covers(url, attributes.path));
    }
    has_or_star(rule.array_at(&["apiGroups"]), attributes.group)
        && resource_matches(rule.array_at(&["resources"]), attributes.resource, attributes.subresource)
        && name_matches(rule.array_at(&["resourceNames"]), attributes.name)
}

/// `*`, the path itself, or a prefix that ends in `*`.
pub(super) fn url_covers(url: &str, path: &str) -> bool {
    url == "*" || url == path || url.ends_with('*') && path.starts_with(url.trim_end_matches('*'))
}

fn has_or_star(list: &[Value], wanted: &str) -> bool {
    list.iter().filter_map(Value::as_str).any(|own| own == "*" || own == wanted)
}

fn resource_matches(list: &[Value], resource: &str, subresource: &str) -> bool {
    list.iter().filter_map(Value::as_str).any(|own| {
        if own == "*" {
            return true;
        }
        if subresource.is_empty() {
            return own == resource;
        }
        own.rsplit_once('/')
            .is_some_and(|(head, tail)| tail == subresource && (head == resource || head == "*"))
            // A subresource of several segments, such as an extra key in impersonation.
            || own.strip_prefix(resource).and_then(|rest| rest.strip_prefix('/')) == Some(subresource)
            || own.strip_prefix("*/") == Some(subresource)
    })
}

fn name_matches(list: &[Value], name: &str) -> bool {
    list.is_empty() || list.iter().filter_map(Value::as_str).any(|own| own == name)
}

/// A rule as messages show it: `{APIGroups:[""], Resources:["pods"], Verbs:["get"]}`.
pub fn rule_summary(rule: &Value) -> String {
    const FIELDS: [(&str, &str); 5] = [
        ("APIGroups", "apiGroups"),
        ("Resources", "resources"),
        ("NonResourceURLs", "nonResourceURLs"),
        ("ResourceNames", "resourceNames"),
        ("Verbs", "verbs"),
    ];
    let parts: Vec<String> = FIELDS
        .iter()
        .map(|(title, field)| (title, rule.array_at(&[field])))
        .filter(|(_, list)| !list.is_empty())
        .map(|(title, list)| {
            let texts: Vec<String> =
                list.iter().filter_map(Value::as_str).map(|text| format!("{text:?}")).collect();
            format!("{title}:[{}]", texts.join(" "))
        })
        .collect();
    format!("{{{}}}", parts.join(", "))
}
