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
///
/// What surprises is replayed with little else going on, and judged by that: a case that waits for controllers may run
/// out of time on a busy machine, and one that is known to differ may agree by luck. What differs has two such chances,
/// as some recordings depend on when a periodic controller comes by (with upstream, too: one in twenty replays of
/// `controllers/job-deleted-pod-counts-as-failed` meets the pod garbage collector, which fails the pod first).
pub(crate) fn replay(corpus: &Path, tools: &Tools, cases: &[&str], bless: bool) -> Result<()> {
    let service = Service::start(&target_dir()?.join("debug/drydock"), "fidelity")?;
    let kubeconfig = service.cluster("fidelity", 0)?;
    let player = Player { corpus, tools, kubeconfig: &kubeconfig };
    let mut results = player.play(cases, "4", "8")?;
    let recorded = recorded(corpus)?;
    if cases.is_empty() {
        check_all_ran(&recorded, &results)?;
    }
    if bless {
        if !cases.is_empty() {
            bail!("--bless goes with a run of all cases");
        }
        // Known to differ is what differs twice.
        let differing = differ(&results).into_iter().map(str::to_owned).collect();
        player.play_again(&mut results, differing, |agrees| agrees)?;
        report(&results);
        let list: String = differ(&results).iter().map(|case| format!("{case}\n")).collect();
        std::fs::write(KNOWN, list)?;
        return Ok(());
    }
    let list = std::fs::read_to_string(KNOWN).with_context(|| KNOWN.to_owned())?;
    let known: BTreeSet<&str> = list.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if let Some(stray) = known.iter().find(|case| !recorded.contains(**case)) {
        bail!("{KNOWN} names {stray}, which is no recorded case");
    }
    // A case that differed is forgiven if it agrees now; one that is known to differ must agree both times to count.
    let surprising = surprises(&results, &known);
    let (lucky, unlucky): (Vec<String>, Vec<String>) =
        surprising.into_iter().partition(|case| known.contains(case.as_str()));
    for _ in 0..2 {
        let unlucky = unlucky.iter().filter(|case| has_failed(&results[*case])).cloned().collect();
        player.play_again(&mut results, unlucky, |agrees| agrees)?;
    }
    player.play_again(&mut results, lucky, |agrees| !agrees)?;
    report(&results);
    judge(&results, &known)
}

/// The cases that the corpus holds: `kinds/configmap` for `cases/kinds/configmap.yaml` with its golden file.
fn recorded(corpus: &Path) -> Result<BTreeSet<String>> {
    let top = corpus.join("cases");
    let mut cases = BTreeSet::new();
    let mut folders = vec![top.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "yaml")
                && path.with_extension("golden.json").exists()
                && let Ok(case) = path.with_extension("").strip_prefix(&top)
            {
                cases.insert(case.to_string_lossy().into_owned());
            }
        }
    }
    Ok(cases)
}

fn check_all_ran(recorded: &BTreeSet<String>, results: &Results) -> Result<()> {
    let missing: Vec<&String> = recorded.iter().filter(|case| !results.contains_key(*case)).collect();
    if !missing.is_empty() || results.len() != recorded.len() {
        bail!("{} of {} recorded cases ran; not: {missing:?}", results.len(), recorded.len());
    }
    println!("{} recorded cases ran", results.len());
    Ok(())
}

type Results = BTreeMap<String, serde_json::Value>;

struct Player<'a> {
    corpus: &'a Path,
    tools: &'a Tools,
    kubeconfig: &'a Path,
}

impl Player<'_> {
    /// Replays `cases` with little else going on and more time, and takes the new outcomes that `take` wants, told
    /// whether they agree.
    fn play_again(
        &self,
        results: &mut Results,
        cases: Vec<String>,
        take: impl Fn(bool) -> bool,
    ) -> Result<()> {
        if cases.is_empty() {
            return Ok(());
        }
        eprintln!("+ once more: {}", cases.join(" "));
        let names: Vec<&str> = cases.iter().map(String::as_str).collect();
        let again = self.play(&names, "1", "20")?;
        results.extend(again.into_iter().filter(|(_, result)| take(!has_failed(result))));
        Ok(())
    }

    /// Replays `cases`, `jobs` at a time, with `within` seconds for anything to happen.
    fn play(&self, cases: &[&str], jobs: &str, within: &str) -> Result<Results> {
        let results = target_dir()?.join("fidelity-results.json");
        let _ = std::fs::remove_file(&results);
        let mut command = Command::new(&self.tools.python);
        command.arg(self.corpus.join("replay.py")).arg("--kubeconfig").arg(self.kubeconfig);
        command.args(["--jobs", jobs, "--within", within, "--json"]).arg(&results).args(cases);
        command.env("KUBECTL", self.tools.kubectl_of_recordings());
        eprintln!("+ replaying {}", self.corpus.display());
        // Ends with 1 when any case differs; the list decides whether that is a failure.
        command.status().context("cannot start replay.py")?;
        let text = std::fs::read_to_string(&results).context("the replay left no results")?;
        Ok(serde_json::from_str(&text)?)
    }
}

fn has_failed(result: &serde_json::Value) -> bool {
    result["failed"].as_object().is_some_and(|steps| !steps.is_empty())
}

fn differ(results: &Results) -> BTreeSet<&str> {
    results.iter().filter(|(_, result)| has_failed(result)).map(|(case, _)| case.as_str()).collect()
}

/// Cases that differ and are not known to, and cases that agree and are known to differ.
fn surprises(results: &Results, known: &BTreeSet<&str>) -> Vec<String> {
    let surprising =
        |(case, result): &(&String, &serde_json::Value)| has_failed(result) != known.contains(case.as_str());
    results.iter().filter(surprising).map(|(case, _)| case.clone()).collect()
}

fn report(results: &Results) {
    for (folder, (agree, total)) in tally(results, &differ(results)) {
        println!("{folder}: {agree} of {total} cases agree");
    }
}

fn judge(results: &Results, known: &BTreeSet<&str>) -> Result<()> {
    let differ = differ(results);
    let newly_differ: Vec<&&str> = differ.difference(known).collect();
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

fn tally<'a>(results: &'a Results, differ: &BTreeSet<&str>) -> BTreeMap<&'a str, (usize, usize)> {
    let mut tally = BTreeMap::new();
    for case in results.keys() {
        let folder = case.split('/').next().unwrap_or(case);
        let (agree, total) = tally.entry(folder).or_insert((0, 0));
        *agree += usize::from(!differ.contains(case.as_str()));
        *total += 1;
    }
    tally
}
