//! Replays the recorded conversations with upstream Kubernetes against a fresh cluster.
//!
//! `tests/fidelity-known-failures.txt` lists the cases that are known to differ, a line each. A case that newly differs
//! fails the run; so does a listed case that agrees, so that the list only shrinks. The corpus is not part of the
//! repository: it lies in `../shared/fidelity` or where `DRYDOCK_FIDELITY` says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{self, cargo, root, target_dir};
use crate::service::Service;
use crate::tools::Tools;

const KNOWN: &str = "tests/fidelity-known-failures.txt";

/// The corpus, where there is one.
pub(crate) fn corpus() -> Option<PathBuf> {
    let named = std::env::var_os("DRYDOCK_FIDELITY").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| root().join("../shared/fidelity"));
    folder.join("replay.py").exists().then_some(folder)
}

pub(crate) fn run(args: &[&str]) -> Result<()> {
    let bless = args.contains(&"--bless");
    let cases: Vec<&str> = args.iter().copied().filter(|arg| !arg.starts_with("--")).collect();
    let corpus = corpus().context("no corpus at ../shared/fidelity; DRYDOCK_FIDELITY can name it")?;
    // The same selection of packages as the tests: another would build the AWS SDK anew.
    process::run(Command::new(cargo()).args(["nextest", "run", "--workspace", "--no-run"]))?;
    replay(&corpus, &Tools::install()?, &cases, bless)
}

/// Runs `cases` (all when empty) and holds the outcome against the list.
pub(crate) fn replay(corpus: &Path, tools: &Tools, cases: &[&str], bless: bool) -> Result<()> {
    let service = Service::start(&target_dir()?.join("debug/drydock"), "fidelity")?;
    let kubeconfig = service.cluster("fidelity", 0)?;
    let results = target_dir()?.join("fidelity-results.json");
    let _ = std::fs::remove_file(&results);
    let mut command = Command::new(&tools.python);
    command.arg(corpus.join("replay.py")).arg("--kubeconfig").arg(&kubeconfig);
    command.args(["--jobs", "4", "--within", "8", "--json"]).arg(&results).args(cases);
    command.env("KUBECTL", &tools.kubectl);
    eprintln!("+ replaying {}", corpus.display());
    // Ends with 1 when any case differs; the list decides whether that is a failure.
    command.status().context("cannot start replay.py")?;
    let text = std::fs::read_to_string(&results).context("the replay left no results")?;
    judge(&serde_json::from_str(&text)?, cases.is_empty(), bless)
}

fn judge(results: &BTreeMap<String, serde_json::Value>, all: bool, bless: bool) -> Result<()> {
    let failed =
        |result: &serde_json::Value| result["failed"].as_object().is_some_and(|steps| !steps.is_empty());
    let differ: BTreeSet<&str> =
        results.iter().filter(|(_, result)| failed(result)).map(|(case, _)| case.as_str()).collect();
    for (folder, (agree, total)) in tally(results, &differ) {
        println!("{folder}: {agree} of {total} cases agree");
    }
    if bless {
        if !all {
            bail!("--bless goes with a run of all cases");
        }
        let list: String = differ.iter().map(|case| format!("{case}\n")).collect();
        std::fs::write(KNOWN, list)?;
        return Ok(());
    }
    let list = std::fs::read_to_string(KNOWN).with_context(|| KNOWN.to_owned())?;
    let known: BTreeSet<&str> = list.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let newly_differ: Vec<&&str> = differ.difference(&known).collect();
    let newly_agree: Vec<&&str> =
        known.iter().filter(|case| results.contains_key(**case) && !differ.contains(**case)).collect();
    if !newly_agree.is_empty() {
        bail!("these agree now: take them out of {KNOWN}: {newly_agree:?}");
    }
    if !newly_differ.is_empty() {
        bail!("these differ and are not in {KNOWN}: {newly_differ:?}");
    }
    println!("{} passed, 0 failed", results.len() - differ.len());
    Ok(())
}

fn tally<'a>(
    results: &'a BTreeMap<String, serde_json::Value>,
    differ: &BTreeSet<&str>,
) -> BTreeMap<&'a str, (usize, usize)> {
    let mut tally = BTreeMap::new();
    for case in results.keys() {
        let folder = case.split('/').next().unwrap_or(case);
        let (agree, total) = tally.entry(folder).or_insert((0, 0));
        *agree += usize::from(!differ.contains(case.as_str()));
        *total += 1;
    }
    tally
}
