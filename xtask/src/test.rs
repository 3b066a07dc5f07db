//! `cargo xtask test`: installs what the tests need, runs all of them, and cleans up.

use std::process::Command;

use anyhow::Result;

use crate::process::{self, cargo, root};
use crate::tools::{Tools, nextest};
use crate::{fidelity, tidy};

pub(crate) fn run(args: &[&str]) -> Result<()> {
    tidy::run()?;
    let tools = Tools::install()?;
    nextest()?;
    let localstack = if args.contains(&"--no-localstack") { None } else { Some(LocalStack::start()?) };
    let mut tests = Command::new(cargo());
    tests.args(["nextest", "run", "--workspace", "--no-fail-fast"]);
    if localstack.is_none() {
        tests.args(["--filterset", "not binary(/localstack/)"]);
    }
    process::run(tools.export(&mut tests))?;
    process::run(Command::new(cargo()).args(["test", "--workspace", "--doc", "--quiet"]))?;
    drop(localstack);
    match fidelity::corpus() {
        Some(corpus) => fidelity::replay(&corpus, &tools, &[], false),
        None => {
            println!("no recorded conversations at ../shared/fidelity: that part did not run");
            Ok(())
        }
    }
}

/// LocalStack, started by the project's own script; stopped when dropped.
struct LocalStack;

impl LocalStack {
    fn start() -> Result<Self> {
        process::run(Command::new("bash").arg(root().join("localstack/start.sh")))?;
        Ok(Self)
    }
}

impl Drop for LocalStack {
    fn drop(&mut self) {
        let _ = process::run(Command::new("bash").arg(root().join("localstack/stop.sh")));
    }
}
