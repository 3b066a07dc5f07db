//! `cargo xtask bench`: builds the benchmark in release and runs it.

use std::process::Command;

use anyhow::Result;

use crate::process::{self, cargo, target_dir};

pub(crate) fn run(args: &[&str]) -> Result<()> {
    process::run(Command::new(cargo()).args(["build", "--release", "--package", "drydock"]))?;
    let mut bench = Command::new(cargo());
    bench.args(["run", "--release", "--package", "drydock-bench", "--"]).args(args);
    if std::env::var_os("DRYDOCK_BENCH_BINARY").is_none() {
        bench.env("DRYDOCK_BENCH_BINARY", target_dir()?.join("release/drydock"));
    }
    process::run(&mut bench)
}
