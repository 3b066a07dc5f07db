//! Table rows as upstream's printers show them (`pkg/printers/internalversion`), for every kind.
//!
//! Column definitions are data (`columns.tsv`); cells are written here, one function a kind. Rows always have the
//! wide columns too: clients leave out what they do not want.

mod core;
mod human;
mod others;
mod pod;
mod storage;
mod workload;

use std::collections::HashMap;
use std::sync::LazyLock;

use drydock_machinery::{Map, ObjectMeta as _, Value};
use jiff::Timestamp;

use crate::Column;

pub(crate) use self::core::{
    component_status, config_map, endpoints, event, namespace, node, resource_quota, secret, service,
    service_account,
};
pub(crate) use self::others::*;
pub(crate) use self::pod::{pod, pod_conditions};
pub(crate) use self::storage::*;
pub(crate) use self::workload::*;

type Columns = HashMap<(&'static str, &'static str), &'static [Column]>;

static COLUMNS: LazyLock<Columns> = LazyLock::new(parse_columns);

/// The columns of a kind; Name and Created At for one that has no printer.
pub(crate) fn columns(group: &str, resource: &str) -> &'static [Column] {
    COLUMNS.get(&(group, resource)).or_else(|| COLUMNS.get(&("", "limitranges"))).copied().unwrap_or(&[])
}

fn parse_columns() -> Columns {
    let mut docs: HashMap<&str, &'static str> = HashMap::new();
    let mut sections: Vec<((&str, &str), Vec<Column>)> = Vec::new();
    for line in include_str!("columns.tsv").lines().filter(|line| !line.starts_with('#')) {
        if let Some(section) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            sections.push((section.split_once('/').unwrap_or(("", section)), Vec::new()));
            continue;
        }
        let fields: Vec<&'static str> = line.split('\t').collect();
        let [name, column_type, format, priority, text] = fields[..] else { continue };
        if name.starts_with('@') {
            docs.insert(name, unescaped(text));
        } else if let Some((_, columns)) = sections.last_mut() {
            let description = docs.get(text).copied().unwrap_or_else(|| unescaped(text));
            let priority = priority.parse().unwrap_or(0);
            columns.push(Column { name, column_type, format, description, priority });
        }
    }
    sections.into_iter().map(|(key, columns)| (key, &*columns.leak())).collect()
}

/// Called once for each description in the process's life.
fn unescaped(text: &'static str) -> &'static str {
    if text.contains("\\n") { text.replace("\\n", "\n").leak() } else { text }
}

/// Name and creation time.
pub(crate) fn default_cells(object: &Value) -> Vec<Value> {
    vec![object.name().into(), object.creation_timestamp().into()]
}

/// How long ago the object was made.
fn age(object: &Value, now: Timestamp) -> Value {
    human::since(object.creation_timestamp(), now).into()
}

/// `labels.FormatLabels`.
fn format_labels(labels: &Map) -> String {
    if labels.is_empty() {
        return "<none>".to_owned();
    }
    let pairs: Vec<String> =
        labels.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or(""))).collect();
    pairs.join(",")
}

/// `metav1.FormatLabelSelector`.
fn format_selector(selector: Option<&Value>) -> String {
    let Some(selector) = selector.filter(|selector| !selector.is_null()) else { return "<none>".to_owned() };
    match drydock_machinery::selector::Selector::from_label_selector(Some(selector)) {
        Ok(selector) if selector.is_everything() => "<none>".to_owned(),
        Ok(selector) => selector.to_string(),
        Err(_) => "<error>".to_owned(),
    }
}

/// Names and images of containers.
fn container_cells(containers: &[Value]) -> [Value; 2] {
    let joined = |field: &str| {
        let texts: Vec<&str> = containers.iter().map(|container| container.str_at(&[field])).collect();
        Value::from(texts.join(","))
    };
    [joined("name"), joined("image")]
}

fn int(value: &Value, path: &[&str]) -> Value {
    value.i64_at(path).unwrap_or(0).into()
}

fn text_or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}

/// A scalar as Go's `%v` prints it.
fn plain(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(s)) => s.to_string(),
        Some(other) => String::from_utf8_lossy(&other.to_json()).into_owned(),
    }
}
