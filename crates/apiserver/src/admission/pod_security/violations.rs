//! What a check finds, how it is said, and how checks walk a pod.

use std::collections::BTreeSet;

use drydock_machinery::Value;

/// One thing that a level does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) reason: String,
    /// "" when the reason says it all.
    pub(super) detail: String,
}

impl Violation {
    pub(super) fn new(reason: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { reason: reason.into(), detail: detail.into() }
    }
}

pub(super) fn reasons(violations: &[Violation]) -> String {
    let reasons: Vec<&str> = violations.iter().map(|violation| violation.reason.as_str()).collect();
    reasons.join(", ")
}

pub(super) fn details(violations: &[Violation]) -> String {
    let parts: Vec<String> = violations
        .iter()
        .map(|violation| match violation.detail.as_str() {
            "" => violation.reason.clone(),
            detail => format!("{} ({detail})", violation.reason),
        })
        .collect();
    parts.join(", ")
}

/// All containers, in the order in which they are named.
pub(super) fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(|list| pod.array_at(&["spec", list]))
}

pub(super) fn name(container: &Value) -> &str {
    container.str_at(&["name"])
}

/// The names of the containers that `is_bad`.
pub(super) fn bad_containers(pod: &Value, mut is_bad: impl FnMut(&Value) -> bool) -> Vec<&str> {
    containers(pod).filter(|container| is_bad(container)).map(name).collect()
}

/// `container "a"`, `containers "a", "b"`.
pub(super) fn named(containers: &[&str]) -> String {
    format!("{} {}", plural("container", containers.len()), quoted(containers.iter().copied()))
}

pub(super) fn plural(noun: &str, count: usize) -> String {
    if count == 1 { noun.to_owned() } else { format!("{noun}s") }
}

pub(super) fn quoted<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = texts.into_iter().map(|text| format!("\"{text}\"")).collect();
    quoted.join(", ")
}

pub(super) fn quoted_set(texts: &BTreeSet<String>) -> String {
    quoted(texts.iter().map(String::as_str))
}

/// `pod`, `container "a"`, or both.
pub(super) fn setters(pod_too: bool, containers: &[&str]) -> String {
    let mut parts = Vec::new();
    if pod_too {
        parts.push("pod".to_owned());
    }
    if !containers.is_empty() {
        parts.push(named(containers));
    }
    parts.join(" and ")
}

pub(super) fn is_windows(pod: &Value) -> bool {
    pod.str_at(&["spec", "os", "name"]) == "windows"
}

/// Pods in a user namespace of their own may be root in it, since 1.35.
pub(super) fn has_user_namespace(pod: &Value, minor: u32) -> bool {
    minor >= 35 && pod.at(&["spec", "hostUsers"]).and_then(Value::as_bool) == Some(false)
}
