//! `cargo xtask schema`: writes the catalog of built-in types, run by hand for a new Kubernetes version.
//!
//! Reads what a live API server answers (OpenAPI v2, v3 and discovery) and the Go sources of the API types (JSON
//! tags, protobuf numbers, Go's type names), and writes the facts of both as one compact text table, which
//! `drydock-machinery` holds and reads. docs/catalog.md says how to obtain the inputs and what the table looks like.

mod delta;
mod golang;
mod resources;
mod types;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

const USAGE: &str = "usage: cargo xtask schema --go DIR --reference DIR --version 1.NN --out FILE";

/// Where the inputs are and where the table goes.
struct Options {
    /// Holds the source trees `api`, `apimachinery`, `apiextensions-apiserver` and `kube-aggregator`.
    go: PathBuf,
    /// Holds `openapi-v2.json.gz`, `openapi-v3.json.gz` and `discovery.json`.
    reference: PathBuf,
    version: String,
    out: PathBuf,
}

pub(crate) fn run(args: &[&str]) -> Result<()> {
    if let Some(("delta", args)) = args.split_first().map(|(first, rest)| (*first, rest)) {
        return delta::run(args);
    }
    let options = Options::parse(args)?;
    let go = golang::Sources::read(&options.go)?;
    let openapi_v3 = read_gz_json(&options.reference.join("openapi-v3.json.gz"))?;
    let openapi_v2 = read_gz_json(&options.reference.join("openapi-v2.json.gz"))?;
    let discovery: Value = serde_json::from_slice(
        &std::fs::read(options.reference.join("discovery.json")).context("reading discovery.json")?,
    )?;

    let mut out = format!("drydock-catalog 1\nversion {}\n", options.version);
    types::write(&go, &openapi_v3, &openapi_v2, &mut out)?;
    resources::write(&discovery, &mut out)?;
    std::fs::write(&options.out, &out).with_context(|| format!("writing {}", options.out.display()))?;
    println!("{}: {} bytes", options.out.display(), out.len());
    Ok(())
}

impl Options {
    fn parse(args: &[&str]) -> Result<Self> {
        let mut given = std::collections::HashMap::new();
        for pair in args.chunks(2) {
            let [name, value] = pair else { bail!("{USAGE}") };
            given.insert(*name, (*value).to_owned());
        }
        let mut take = |name| given.remove(name).context(USAGE);
        Ok(Self {
            go: take("--go")?.into(),
            reference: take("--reference")?.into(),
            version: take("--version")?,
            out: take("--out")?.into(),
        })
    }
}

fn read_gz_json(path: &Path) -> Result<Value> {
    let file = std::fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(file).read_to_end(&mut text)?;
    Ok(serde_json::from_slice(&text)?)
}
