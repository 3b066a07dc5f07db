//! Results on standard output: tables for people, JSON and YAML for scripts.

use std::io::Write as _;

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::CliError;

#[derive(Args, Clone, Copy, Debug)]
pub(super) struct OutputArgs {
    /// How to write the result
    #[arg(short, long, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub(super) output: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
    Yaml,
}

/// Writes to standard output. A reader that has gone is not an error.
pub(super) fn print(text: &str) -> Result<(), CliError> {
    print_bytes(text.as_bytes())
}

/// The same of what is text already.
pub(super) fn print_bytes(bytes: &[u8]) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::from(error).into())
        }
        _ => Ok(()),
    }
}

/// Writes a value for scripts, or what `table` makes of it for people.
pub(super) fn show(
    format: Format,
    value: &Value,
    table: impl FnOnce(&Value) -> String,
) -> Result<(), CliError> {
    let text = match format {
        Format::Table => table(value),
        Format::Json => {
            let json = serde_json::to_string_pretty(value).map_err(anyhow::Error::from)?;
            format!("{json}\n")
        }
        Format::Yaml => serde_saphyr::to_string(value).map_err(anyhow::Error::from)?,
    };
    print(&text)
}

/// Writes a list: `{"items": […]}` for scripts, one line each for people.
pub(super) fn show_list(
    format: Format,
    items: Vec<Value>,
    header: &[&str],
    row: impl Fn(&Value) -> Vec<String>,
) -> Result<(), CliError> {
    let list = serde_json::json!({ "items": items });
    show(format, &list, |list| {
        let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        table(header, items.iter().map(row).collect())
    })
}

/// Columns as wide as they must be, three spaces apart.
pub(super) fn table(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut lines = vec![header.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>()];
    lines.extend(rows);
    let widths: Vec<usize> = (0..header.len())
        .map(|column| {
            lines
                .iter()
                .filter_map(|line| line.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut out = String::new();
    for line in lines {
        let mut text = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            text.push_str(&format!("{cell:<width$}   "));
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

/// `Name:   value` lines; those without a value are left out.
pub(super) fn description(lines: &[(&str, String)]) -> String {
    let width = lines.iter().map(|(name, _)| name.len() + 1).max().unwrap_or(0);
    let mut out = String::new();
    for (name, value) in lines.iter().filter(|(_, value)| !value.is_empty()) {
        let name = format!("{name}:");
        out.push_str(&format!("{name:<width$}   {value}\n"));
    }
    out
}

/// A string within a value, "" when there is none.
pub(super) fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    }
}

/// `1 node`, `2 nodes`.
pub(super) fn nodes(count: u64) -> String {
    if count == 1 { "1 node".to_owned() } else { format!("{count} nodes") }
}

/// `key=value` pairs of an object.
pub(super) fn pairs(value: &Value, pointer: &str) -> String {
    let entries = value.pointer(pointer).and_then(Value::as_object);
    let pairs = entries
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    pairs.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_no_line_ends_in_spaces() {
        let rows = vec![
            vec!["dev".into(), "active".into(), String::new()],
            vec!["ünï".into(), "x".into(), "y".into()],
        ];
        assert_eq!(
            table(&["NAME", "STATE", "Z"], rows),
            "NAME   STATE    Z\ndev    active\nünï    x        y\n"
        );
    }
}
