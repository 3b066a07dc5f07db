//! `cargo xtask bench`: builds the benchmark in release and runs it.

use std::process::Command;

use anyhow::Result;

use crate::process::{self, cargo};

pub(crate) fn run(args: &[&str]) -> Result<()> {
    process::run(Command::new(cargo()).args(["build", "--release", "--package", "drydock"]))?;
    process::run(
        Command::new(cargo()).args(["run", "--release", "--package", "drydock-bench", "--"]).args(args),
    )
}
