//! `cargo xtask schema delta`: what an older version has otherwise than the catalog of the newest.
//!
//! Reads that catalog and the JSON schemas of the older version (`_definitions.json` of PyPI's kubernetes-validate),
//! and writes which definitions and fields there were not yet, and which fields were required. What the older version
//! had and the newest has not is reported: the form has no place for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde_json::Value;

const USAGE: &str =
    "usage: cargo xtask schema delta --base FILE --definitions FILE --version 1.NN --out FILE";

/// A definition of the newest catalog.
struct Known<'a> {
    reference: &'a str,
    name: String,
    /// In the order of the catalog, and whether required.
    fields: Vec<(&'a str, bool)>,
}

pub(crate) fn run(args: &[&str]) -> Result<()> {
    let mut given: BTreeMap<&str, &str> =
        args.chunks(2).filter_map(|pair| Some((*pair.first()?, *pair.get(1)?))).collect();
    let mut take = |name| given.remove(name).context(USAGE);
    let (base, definitions, version, out) =
        (take("--base")?, take("--definitions")?, take("--version")?, PathBuf::from(take("--out")?));
    let base = std::fs::read_to_string(base).context("reading the base catalog")?;
    let definitions: Value =
        serde_json::from_slice(&std::fs::read(definitions).context("reading definitions")?)?;
    let definitions = &definitions["$defs"];

    let mut text = format!("drydock-catalog-delta 1\nversion {version}\n");
    let everywhere = &definitions["io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"];
    let kinds =
        everywhere["x-kubernetes-group-version-kind"].as_array().context("DeleteOptions names no kinds")?;
    let group_versions: Vec<String> = kinds.iter().map(super::types::group_version).collect();
    writeln!(text, "E {}", group_versions.join(" "))?;
    for known in known(&base) {
        compare(&known, definitions.get(&known.name), &mut text)?;
    }
    std::fs::write(&out, &text).with_context(|| format!("writing {}", out.display()))?;
    println!("{}: {} bytes", out.display(), text.len());
    Ok(())
}

/// The definitions that OpenAPI documents have.
fn known(base: &str) -> Vec<Known<'_>> {
    let mut packages: BTreeMap<char, &str> = BTreeMap::new();
    let mut out: Vec<Known<'_>> = Vec::new();
    let mut listed = false;
    for line in base.lines().take_while(|line| !line.starts_with("G ")) {
        if let Some(rest) = line.strip_prefix("P ") {
            let mut words = rest.split(' ');
            let letter = words.next().and_then(|word| word.chars().next());
            packages.extend(letter.zip(words.next()));
        } else if let Some(rest) = line.strip_prefix("T ") {
            let reference = rest.split(' ').next().unwrap_or("");
            listed = !rest.split(' ').any(|word| word == "U");
            if let Some((letter, name)) = reference.split_once('.').filter(|_| listed) {
                let package = letter.chars().next().and_then(|letter| packages.get(&letter));
                let name = format!("{}.{name}", package.copied().unwrap_or(""));
                out.push(Known { reference, name, fields: Vec::new() });
            }
        } else if let (Some(field), true, Some(known)) = (line.strip_prefix(' '), listed, out.last_mut()) {
            let mut words = field.split(' ');
            let name = words.next().unwrap_or("");
            let required = words.skip(1).any(|word| !word.contains('=') && word.contains('!'));
            known.fields.push((name, required));
        }
    }
    out
}

fn compare(known: &Known<'_>, older: Option<&Value>, out: &mut String) -> Result<()> {
    let Some(older) = older else {
        writeln!(out, "- {}", known.reference)?;
        return Ok(());
    };
    let had = |name: &str| older["properties"].get(name).is_some();
    let missing: Vec<&str> = known.fields.iter().map(|(name, _)| *name).filter(|name| !had(name)).collect();
    if !missing.is_empty() {
        writeln!(out, "- {} {}", known.reference, missing.join(","))?;
    }
    let fields: BTreeSet<&str> = known.fields.iter().map(|(name, _)| *name).collect();
    for name in older["properties"].as_object().into_iter().flatten().map(|(name, _)| name) {
        if !fields.is_empty() && !fields.contains(name.as_str()) {
            println!("{}.{name} is gone", known.name);
        }
    }
    let required: Vec<&str> =
        older["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let now: BTreeSet<&str> = known
        .fields
        .iter()
        .filter(|(name, required)| *required && had(name))
        .map(|(name, _)| *name)
        .collect();
    if required.iter().copied().collect::<BTreeSet<_>>() != now {
        writeln!(out, "{}", format!("r {} {}", known.reference, required.join(",")).trim_end())?;
    }
    Ok(())
}
