//! What the compiler does not check: who may depend on whom, how long files are, and what must not be in the tree.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::cargo;

/// Which packages of the workspace a package may depend on; see `docs/ARCHITECTURE.md`.
const LAYERS: &[(&str, &[&str])] = &[
    ("drydock-runtime", &[]),
    ("drydock-cel", &[]),
    ("drydock-machinery", &["cel"]),
    ("drydock-store", &["runtime"]),
    ("drydock-streams", &["runtime"]),
    ("drydock-client", &["runtime", "machinery"]),
    ("drydock-cloud-api", &["runtime"]),
    ("drydock-kinds", &["machinery", "cel"]),
    ("drydock-auth", &["runtime", "machinery", "cel"]),
    ("drydock-apiserver", &["runtime", "machinery", "cel", "store", "client", "kinds", "auth", "streams"]),
    ("drydock-controllers", &["runtime", "machinery", "client"]),
    ("drydock-scheduler", &["runtime", "machinery", "cel", "client"]),
    ("drydock-node", &["runtime", "machinery", "client"]),
    ("drydock-cloud", &["runtime", "machinery", "client", "cloud-api"]),
    ("drydock-provider-mock", &["runtime", "cloud-api"]),
    ("drydock-provider-aws", &["runtime", "cloud-api"]),
];

/// Lines of a Rust file.
const LONGEST_FILE: usize = 800;

pub(crate) fn run() -> Result<()> {
    let mut wrong = layering()?;
    wrong.extend(files()?);
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("tidy:\n  {}", wrong.join("\n  "))
}

fn layering() -> Result<Vec<String>> {
    let output = Command::new(cargo())
        .args(["metadata", "--no-deps", "--format-version=1"])
        .output()
        .context("cargo metadata")?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let layers: BTreeMap<_, _> = LAYERS.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(allowed) = layers.get(name) else { continue };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            // Tests may use what they like.
            let of_tests = dependency["kind"].as_str() == Some("dev");
            let on = dependency["name"].as_str().unwrap_or_default();
            if let Some(on) = on.strip_prefix("drydock-")
                && !of_tests
                && !allowed.contains(&on)
            {
                wrong.push(format!("{name} may not depend on drydock-{on}"));
            }
        }
    }
    Ok(wrong)
}

fn files() -> Result<Vec<String>> {
    let output = Command::new("git").args(["ls-files"]).output().context("git ls-files")?;
    let list = String::from_utf8(output.stdout)?;
    let mut wrong = Vec::new();
    for path in list.lines() {
        let Ok(bytes) = std::fs::read(path) else { continue };
        let Ok(text) = std::str::from_utf8(&bytes) else { continue };
        if path.ends_with(".rs") && text.lines().count() > LONGEST_FILE {
            wrong.push(format!("{path} has more than {LONGEST_FILE} lines"));
        }
        // Spelled so that this file does not hold them.
        for bad in [concat!("/ro", "ot/"), concat!("/wo", "rk/")] {
            if text.contains(bad) {
                wrong.push(format!("{path} holds a path of somebody's machine: {bad}"));
            }
        }
    }
    Ok(wrong)
}
