//! What clusters cost: time to create one, and memory per idle one.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use drydock_runtime::{Stopwatch, wall};

use crate::connection::Connection;
use crate::kubeconfig;
use crate::report::Figure;

/// A service in a folder of its own, for as long as the value lives.
pub(crate) struct Service {
    binary: PathBuf,
    child: Child,
    folder: PathBuf,
    url: String,
}

impl Service {
    pub(crate) async fn start(binary: &Path) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("drydock-bench-{}", std::process::id()));
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
        let mut stdout = BufReader::new(child.stdout.take().context("no standard output")?);
        let mut line = String::new();
        let url = loop {
            line.clear();
            if stdout.read_line(&mut line)? == 0 {
                bail!("the service ended; see {}", folder.join("service.log").display());
            }
            if let Some(at) = line.find("http://") {
                break line[at..].split_whitespace().next().unwrap_or_default().to_owned();
            }
        };
        std::thread::spawn(move || std::io::copy(&mut stdout, &mut std::io::sink()));
        Ok(Self { binary: binary.to_owned(), child, folder, url })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn drydock(&self, args: &[&str]) -> Result<Vec<u8>> {
        let output = Command::new(&self.binary).args(args).env("DRYDOCK_SERVER", &self.url).output()?;
        if !output.status.success() {
            bail!("drydock {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(output.stdout)
    }

    fn kubeconfig(&self, name: &str) -> Result<PathBuf> {
        let file = self.folder.join(format!("{name}.kubeconfig"));
        std::fs::write(&file, self.drydock(&["cluster", "kubeconfig", name])?)?;
        Ok(file)
    }

    /// Creates a cluster; answers its kubeconfig once its default service account is there.
    pub(crate) async fn cluster(&self, name: &str, nodes: u32) -> Result<PathBuf> {
        self.drydock(&["cluster", "create", name, "--nodes", &nodes.to_string(), "--wait"])?;
        let file = self.kubeconfig(name)?;
        default_account(&file).await?;
        Ok(file)
    }

    /// Asks for a cluster over REST, without waiting for it.
    async fn post_cluster(&self, name: &str, nodes: u32) -> Result<()> {
        let body = serde_json::json!({"name": name, "node_pools": pools(nodes)}).to_string();
        let authority = self.url.trim_start_matches("http://").trim_end_matches('/');
        let tcp = tokio::net::TcpStream::connect(authority).await?;
        let (mut sender, driver) =
            hyper::client::conn::http1::handshake(hyper_util::rt::TokioIo::new(tcp)).await?;
        let request = http::Request::post("/v1/clusters")
            .header("host", authority)
            .header("content-type", "application/json")
            .body(http_body_util::Full::new(Bytes::from(body)))?;
        let (response, _) = futures::join!(sender.send_request(request), async {
            let _ = wall::timeout(Duration::from_secs(10), driver).await;
        });
        let status = response?.status();
        if !status.is_success() {
            bail!("POST /v1/clusters: {status}");
        }
        Ok(())
    }
}

fn pools(nodes: u32) -> serde_json::Value {
    if nodes == 0 { serde_json::json!([]) } else { serde_json::json!([{"name": "default", "size": nodes}]) }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Waits until the default namespace's default service account can be read.
async fn default_account(kubeconfig: &Path) -> Result<()> {
    let mut connection = Connection::open(&kubeconfig::load(kubeconfig)?).await?;
    let path = "/api/v1/namespaces/default/serviceaccounts/default";
    let watch = Stopwatch::start();
    while let Err(error) = connection.call("GET", path, "", Bytes::new()).await {
        if watch.elapsed() > Duration::from_secs(30) {
            return Err(error);
        }
        wall::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

pub(crate) async fn measure(binary: &Path, count: usize, nodes: u32) -> Result<Vec<Figure>> {
    let service = Service::start(binary).await?;
    let mut figures = Vec::new();
    let mut times = Vec::new();
    for i in 0..11 {
        let watch = Stopwatch::start();
        let name = format!("timed-{i}");
        service.post_cluster(&name, 0).await?;
        let file = loop {
            match service.kubeconfig(&name) {
                Ok(file) => break file,
                Err(error) if watch.elapsed() > Duration::from_secs(30) => return Err(error),
                Err(_) => wall::sleep(Duration::from_millis(1)).await,
            }
        };
        default_account(&file).await?;
        times.push(watch.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    figures.push(Figure::new(
        "create a cluster until its default service account is read (median of 11)",
        times[5],
        "s",
    ));
    figures.push(Figure::new("the slowest of them", times[10], "s"));

    let before = resident_mib(service.pid())?;
    let watch = Stopwatch::start();
    for i in 0..count {
        service.post_cluster(&format!("idle-{i}"), nodes).await?;
    }
    for i in 0..count {
        let name = format!("idle-{i}");
        service
            .drydock(&["cluster", "get", &name, "--wait"])
            .or_else(|_| service.drydock(&["cluster", "get", &name]))?;
    }
    let last = service.kubeconfig(&format!("idle-{}", count - 1))?;
    default_account(&last).await?;
    figures.push(Figure::new(format!("create {count} clusters"), watch.elapsed().as_secs_f64(), "s"));
    wall::sleep(Duration::from_secs(10)).await;
    let after = resident_mib(service.pid())?;
    let what = format!("memory per idle cluster with {nodes} nodes, over {count}");
    figures.push(Figure::new(what, (after - before) / count as f64, "MiB"));
    figures.push(Figure::new(format!("memory of the service with {count} clusters"), after, "MiB"));
    Ok(figures)
}

/// The resident set of a process, in MiB.
pub(crate) fn resident_mib(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("no such process")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
    Ok(kib / 1024.0)
}
