//! What clusters cost: time to create one, and memory per idle one.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use drydock_runtime::{Stopwatch, wall};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};

use crate::connection::Connection;
use crate::kubeconfig;
use crate::report::Figure;

/// How long a cluster may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// A service in a folder of its own, for as long as the value lives.
pub(crate) struct Service {
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
        Ok(Self { child, folder, url })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Creates a cluster; answers its kubeconfig once its nodes are ready and its default service account is there.
    pub(crate) async fn cluster(&self, name: &str, nodes: u32) -> Result<PathBuf> {
        self.create(name, nodes).await?;
        self.active(name).await?;
        let file = self.kubeconfig(name).await?;
        default_account(&file).await?;
        Ok(file)
    }

    /// Asks for a cluster, without waiting for it.
    async fn create(&self, name: &str, nodes: u32) -> Result<()> {
        let pools = if nodes == 0 { json!([]) } else { json!([{"name": "default", "nodes": nodes}]) };
        let body = json!({"name": name, "nodePools": pools}).to_string();
        self.call("POST", "/v1/clusters", body).await.map(drop)
    }

    /// Waits until a cluster serves and all its nodes are ready.
    async fn active(&self, name: &str) -> Result<()> {
        let watch = Stopwatch::start();
        loop {
            let cluster: Value = serde_json::from_slice(
                &self.call("GET", &format!("/v1/clusters/{name}"), String::new()).await?,
            )?;
            if cluster["state"] == "active" && cluster["nodes"]["ready"] == cluster["nodes"]["wanted"] {
                return Ok(());
            }
            if watch.elapsed() > PATIENCE {
                bail!("cluster {name} is still {cluster}");
            }
            wall::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Downloads a kubeconfig; an error as long as there is none.
    async fn kubeconfig(&self, name: &str) -> Result<PathBuf> {
        let file = self.folder.join(format!("{name}.kubeconfig"));
        let text = self.call("GET", &format!("/v1/clusters/{name}/kubeconfig"), String::new()).await?;
        std::fs::write(&file, text)?;
        Ok(file)
    }

    async fn call(&self, method: &str, path: &str, body: String) -> Result<Bytes> {
        let authority = self.url.trim_start_matches("http://").trim_end_matches('/');
        let tcp = tokio::net::TcpStream::connect(authority).await?;
        let (mut sender, driver) = http1::handshake(TokioIo::new(tcp)).await?;
        let mut request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", authority)
            .header("connection", "close");
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Full::new(Bytes::from(body)))?;
        let answer = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            let body = response.into_body().collect().await?.to_bytes();
            anyhow::Ok((status, body))
        };
        let (answer, _) = futures::join!(answer, driver);
        let (status, body) = answer?;
        if !status.is_success() {
            bail!("{method} {path}: {status}: {}", String::from_utf8_lossy(&body));
        }
        Ok(body)
    }
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
    while let Err(error) = connection.call("GET", path, "", &[]).await {
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
        service.create(&name, 0).await?;
        let file = loop {
            match service.kubeconfig(&name).await {
                Ok(file) => break file,
                Err(error) if watch.elapsed() > PATIENCE => return Err(error),
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
        service.create(&format!("idle-{i}"), nodes).await?;
    }
    for i in 0..count {
        service.active(&format!("idle-{i}")).await?;
    }
    figures.push(Figure::new(
        format!("create {count} clusters with {nodes} nodes, until all are active"),
        watch.elapsed().as_secs_f64(),
        "s",
    ));
    // Controllers come to rest.
    wall::sleep(Duration::from_secs(15)).await;
    let (cpu, watch) = (cpu_seconds(service.pid())?, Stopwatch::start());
    wall::sleep(Duration::from_secs(20)).await;
    let share = (cpu_seconds(service.pid())? - cpu) / watch.elapsed().as_secs_f64();
    let after = resident_mib(service.pid())?;
    let what = format!("memory per idle cluster with {nodes} nodes, over {count}");
    figures.push(Figure::new(what, (after - before) / count as f64, "MiB"));
    figures.push(Figure::new(format!("memory of the service with {count} clusters"), after, "MiB"));
    figures.push(Figure::new("its share of a core while idle", share * 100.0, "%"));

    // All of them answer.
    let watch = Stopwatch::start();
    for i in 0..count {
        default_account(&service.kubeconfig(&format!("idle-{i}")).await?).await?;
    }
    let took = watch.elapsed().as_secs_f64() / count as f64;
    figures.push(Figure::new("download a kubeconfig, connect and read, each of them in turn", took, "s"));
    Ok(figures)
}

/// The resident set of a process, in MiB.
pub(crate) fn resident_mib(pid: u32) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).context("no such process")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.split_whitespace().nth(1).context("no figure")?.parse()?;
    Ok(kib / 1024.0)
}

/// Processor time that a process has used so far, in seconds.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).context("no such process")?;
    let fields = stat.rsplit_once(')').context("no command")?.1;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    // Linux reports in USER_HZ, which is 100 on every architecture that Rust supports.
    Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
}
