//! Whether some rules grant everything that others do: what keeps people from giving away more than they hold.

use std::collections::BTreeMap;

use drydock_machinery::{Value, value};

use super::rules::url_covers;

/// The parts of `wanted` that no rule of `held` grants, one verb and resource (or path) each.
pub fn uncovered(held: &[Value], wanted: &[Value]) -> Vec<Value> {
    wanted.iter().flat_map(break_down).filter(|part| !held.iter().any(|rule| covers(rule, part))).collect()
}

/// A rule for each verb, group, resource and name, or verb and path, of `rule`.
fn break_down(rule: &Value) -> Vec<Value> {
    let list = |field: &str| texts(rule, field);
    let mut parts = Vec::new();
    for group in list("apiGroups") {
        for resource in list("resources") {
            for verb in list("verbs") {
                let part = value!({"apiGroups": [group], "resources": [resource], "verbs": [verb]});
                let names = list("resourceNames");
                if names.is_empty() {
                    parts.push(part);
                    continue;
                }
                for name in names {
                    let mut part = part.clone();
                    part.set(&["resourceNames"], vec![name]);
                    parts.push(part);
                }
            }
        }
    }
    for url in list("nonResourceURLs") {
        for verb in list("verbs") {
            parts.push(value!({"nonResourceURLs": [url], "verbs": [verb]}));
        }
    }
    parts
}

fn covers(rule: &Value, part: &Value) -> bool {
    let all = |field: &str, has: &dyn Fn(&[&str], &str) -> bool| {
        let own = texts(rule, field);
        texts(part, field).iter().all(|wanted| has(&own, wanted))
    };
    let has_or_star = |own: &[&str], wanted: &str| own.contains(&"*") || own.contains(&wanted);
    let has_resource = |own: &[&str], wanted: &str| {
        let any = |(_, subresource): (&str, &str)| {
            own.iter().any(|own| own.strip_prefix("*/") == Some(subresource))
        };
        has_or_star(own, wanted) || wanted.split_once('/').is_some_and(any)
    };
    let has_url = |own: &[&str], wanted: &str| own.iter().any(|url| url_covers(url, wanted));
    let names = texts(rule, "resourceNames");
    let names_cover = names.is_empty() || {
        let wanted = texts(part, "resourceNames");
        !wanted.is_empty() && wanted.iter().all(|name| names.contains(name))
    };
    all("verbs", &has_or_star)
        && all("apiGroups", &has_or_star)
        && all("resources", &has_resource)
        && all("nonResourceURLs", &has_url)
        && names_cover
}

/// Joins rules that differ in their verbs only.
pub fn compact(parts: &[Value]) -> Vec<Value> {
    let mut joined: BTreeMap<Vec<u8>, Value> = BTreeMap::new();
    for part in parts {
        let mut key = part.clone();
        let verbs = key.remove(&["verbs"]).unwrap_or_default();
        let rule = joined.entry(key.to_json()).or_insert_with(|| {
            key.set(&["verbs"], Vec::<Value>::new());
            key
        });
        if let Some(own) = rule.at_mut(&["verbs"]).as_array_mut() {
            own.extend(verbs.as_array().unwrap_or(&[]).iter().cloned());
        }
    }
    joined.into_values().collect()
}

fn texts<'a>(rule: &'a Value, field: &str) -> Vec<&'a str> {
    rule.array_at(&[field]).iter().filter_map(Value::as_str).collect()
}
