//! The catalog's resources, from discovery.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// The verbs in the order in which discovery lists them, and the letters that stand for them.
const VERBS: [(&str, char); 8] = [
    ("create", 'c'),
    ("delete", 'd'),
    ("deletecollection", 'D'),
    ("get", 'g'),
    ("list", 'l'),
    ("patch", 'p'),
    ("update", 'u'),
    ("watch", 'w'),
];

pub(crate) fn write(discovery: &Value, out: &mut String) -> Result<()> {
    write_group_version(discovery, "/api/v1", "v1", out)?;
    let groups = discovery["/apis"]["groups"].as_array().context("discovery has no groups")?;
    for group in groups {
        let name = group["name"].as_str().context("a group has no name")?;
        // What others installed on the recorded server is not built in.
        if name.contains('.') && !name.ends_with(".k8s.io") {
            continue;
        }
        for version in group["versions"].as_array().context("a group has no versions")? {
            let group_version = version["groupVersion"].as_str().context("no groupVersion")?;
            write_group_version(discovery, &format!("/apis/{group_version}"), group_version, out)?;
        }
    }
    Ok(())
}

fn write_group_version(discovery: &Value, path: &str, group_version: &str, out: &mut String) -> Result<()> {
    writeln!(out, "G {group_version}")?;
    let resources = discovery[path]["resources"].as_array().with_context(|| format!("no {path}"))?;
    for resource in resources {
        let text = |key: &str| resource[key].as_str().unwrap_or_default();
        let scope = if resource["namespaced"] == true { "n" } else { "c" };
        write!(out, " {} {} {scope} {}", text("name"), text("kind"), verbs(&resource["verbs"])?)?;
        if !text("singularName").is_empty() {
            write!(out, " singular={}", text("singularName"))?;
        }
        for (key, token) in [("shortNames", "short"), ("categories", "in")] {
            if let Some(names) = resource[key].as_array() {
                let names: Vec<_> = names.iter().filter_map(Value::as_str).collect();
                write!(out, " {token}={}", names.join(","))?;
            }
        }
        if let Some(version) = resource["version"].as_str() {
            let group = text("group");
            let slash = if group.is_empty() { "" } else { "/" };
            write!(out, " as={group}{slash}{version}")?;
        }
        if !text("storageVersionHash").is_empty() {
            write!(out, " hash={}", text("storageVersionHash"))?;
        }
        out.push('\n');
    }
    Ok(())
}

fn verbs(listed: &Value) -> Result<String> {
    let listed = listed.as_array().context("a resource has no verbs")?;
    let letters: String =
        VERBS.iter().filter(|(verb, _)| listed.contains(&(*verb).into())).map(|(_, c)| c).collect();
    if letters.len() != listed.len() {
        bail!("unknown verbs in {listed:?}");
    }
    Ok(letters)
}
