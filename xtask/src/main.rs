//! Project automation: `cargo xtask COMMAND`.
//!
//! Everything that the project does to itself is a command here, so that CI, the README and people run the same.

mod bench;
mod fidelity;
mod process;
mod schema;
mod service;
mod test;
mod tidy;
mod tools;

use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  test [--no-localstack]       install what the tests need, run all of them, clean up
  tools                        install what the tests need, for running them otherwise
  fidelity [--bless] [CASE..]  replay the recorded conversations against a fresh cluster
  bench [ARGS..]               measure; see `cargo xtask bench --help`
  schema --go DIR ..           write the catalog of built-in types anew; see docs/catalog.md
  tidy                         check what the compiler does not: layering, file sizes, paths
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match run(&args.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        // Without a backtrace, which would hide what it says at the end of a long log.
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[&str]) -> Result<()> {
    std::env::set_current_dir(process::root())?;
    match args {
        ["test", rest @ ..] => test::run(rest),
        ["tools"] => tools::Tools::install().map(drop),
        ["fidelity", rest @ ..] => fidelity::run(rest),
        ["bench", rest @ ..] => bench::run(rest),
        ["schema", rest @ ..] => schema::run(rest),
        ["tidy"] => tidy::run(),
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(())
        }
        [] => bail!("no command\n\n{USAGE}"),
        [other, ..] => bail!("unknown command {other:?}\n\n{USAGE}"),
    }
}
