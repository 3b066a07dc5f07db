//! Figures as people read them, and as `docs/benchmarks.md` keeps them.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Command;

use anyhow::{Context, Result};

/// One measured thing.
pub(crate) struct Figure {
    pub(crate) what: String,
    pub(crate) value: f64,
    pub(crate) unit: &'static str,
}

impl Figure {
    pub(crate) fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { what: what.into(), value, unit }
    }

    fn shown(&self) -> String {
        if self.value >= 100.0 {
            format!("{:.0} {}", self.value, self.unit)
        } else {
            format!("{:.2} {}", self.value, self.unit)
        }
    }
}

pub(crate) fn print(figures: &[Figure]) {
    for figure in figures {
        println!("{:<52} {}", figure.what, figure.shown());
    }
}

/// Appends a section to `docs/benchmarks.md`.
pub(crate) fn record(figures: &[Figure]) -> Result<()> {
    let date = drydock_runtime::wall::now().strftime("%Y-%m-%d").to_string();
    let commit = Command::new("git").args(["rev-parse", "--short", "HEAD"]).output()?.stdout;
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--record").collect();
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .open("docs/benchmarks.md")
        .context("docs/benchmarks.md: run this at the repository's top")?;
    writeln!(
        file,
        "\n### {date}, commit {}, `cargo xtask bench {}`\n\n{}\n\n| what | figure |\n| --- | --- |",
        String::from_utf8_lossy(&commit).trim(),
        args.join(" "),
        machine()
    )?;
    for figure in figures {
        writeln!(file, "| {} | {} |", figure.what, figure.shown())?;
    }
    Ok(())
}

/// What it was measured on.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| -> Option<String> {
        let line = text.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let model = field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown processor".to_owned());
    let kib: u64 = field(&read("/proc/meminfo"), "MemTotal")
        .and_then(|text| text.split_whitespace().next()?.parse().ok())
        .unwrap_or(0);
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{cores} cores of {model}, {} GiB, Linux {}", kib.div_ceil(1024 * 1024), kernel.trim())
}
