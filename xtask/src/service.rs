//! A drydock service in a folder of its own, for as long as the value lives.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process::run;

/// A running `drydock serve`. Dropping it stops the service and removes its folder.
pub(crate) struct Service {
    binary: PathBuf,
    child: Child,
    folder: PathBuf,
    pub(crate) url: String,
}

impl Service {
    /// Starts `binary` on a free port with an empty data folder.
    pub(crate) fn start(binary: &Path, name: &str) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("drydock-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let log = std::fs::File::create(folder.join("service.log"))?;
        let mut child = Command::new(binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(folder.join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let url = listening_url(BufReader::new(stdout)).with_context(|| {
            let log = std::fs::read_to_string(folder.join("service.log")).unwrap_or_default();
            format!("the service did not say where it listens; it logged:\n{log}")
        })?;
        Ok(Self { binary: binary.to_owned(), child, folder, url })
    }

    /// Runs the CLI against this service.
    pub(crate) fn drydock(&self, args: &[&str]) -> Result<()> {
        run(Command::new(&self.binary).args(args).env("DRYDOCK_SERVER", &self.url))
    }

    /// Creates a cluster and answers the path of its kubeconfig.
    pub(crate) fn cluster(&self, name: &str, nodes: u32) -> Result<PathBuf> {
        self.drydock(&["cluster", "create", name, "--nodes", &nodes.to_string(), "--wait"])?;
        let file = self.folder.join(format!("{name}.kubeconfig"));
        self.drydock(&["cluster", "kubeconfig", name, "--output", &file.to_string_lossy()])?;
        Ok(file)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Reads the line that names the address, then leaves the pipe open and drained.
fn listening_url(mut stdout: impl BufRead + Send + 'static) -> Result<String> {
    let mut line = String::new();
    loop {
        line.clear();
        if stdout.read_line(&mut line)? == 0 {
            bail!("the service ended");
        }
        if let Some(at) = line.find("http://") {
            let url = line[at..].split_whitespace().next().unwrap_or_default().to_owned();
            std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
            return Ok(url);
        }
    }
}
