//! The API figures of the architecture's table.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use drydock_runtime::{Stopwatch, wall};
use futures::stream::{FuturesUnordered, TryStreamExt as _};
use serde_json::json;

use crate::clusters::{cpu_seconds, resident_mib};
use crate::connection::Connection;
use crate::kubeconfig::{self, Target};
use crate::report::Figure;

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

/// A request of one worker: worker and sequence number to method, path, content type and body.
type Make<'a> = dyn Fn(usize, u64) -> (&'static str, String, &'static str, Bytes) + Sync + 'a;

/// Runs futures together in this task, each polled when it is woken and not when another is.
async fn all<T>(futures: impl IntoIterator<Item = impl Future<Output = Result<T>>>) -> Result<Vec<T>> {
    futures.into_iter().collect::<FuturesUnordered<_>>().try_collect().await
}

struct Bench {
    target: Target,
    /// Of the server, when it is on this machine.
    pid: Option<u32>,
    /// Requests whose name contains this are measured; "" for everything.
    only: String,
    clients: usize,
    duration: Duration,
    figures: Vec<Figure>,
}

pub(crate) async fn measure(
    file: &Path,
    pid: Option<u32>,
    only: String,
    clients: usize,
    seconds: u64,
) -> Result<Vec<Figure>> {
    let target = kubeconfig::load(file)?;
    let mut bench =
        Bench { target, pid, only, clients, duration: Duration::from_secs(seconds), figures: Vec::new() };
    bench.namespaces().await?;
    // First, while nothing else is in the server.
    if let Some(pid) = pid.filter(|_| bench.only.is_empty()) {
        bench.memory(pid).await?;
    }
    bench.writes().await?;
    bench.reads().await?;
    bench.patches().await?;
    if bench.is_wanted("watch fan-out") {
        bench.fan_out().await?;
    }
    Ok(bench.figures)
}

fn config_map(name: &str) -> Bytes {
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"app": "bench"}},
        "data": {"key": "x".repeat(200), "other": "value"}});
    Bytes::from(body.to_string())
}

fn secret(name: &str) -> Bytes {
    let body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
        "stringData": {"password": "x".repeat(100)}});
    Bytes::from(body.to_string())
}

fn pod(name: &str) -> Bytes {
    let body = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "bench"}},
        "spec": {"schedulerName": "nobody", "containers": [{"name": "app", "image": "registry.example/app:1",
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            "ports": [{"containerPort": 8080}]}]}});
    Bytes::from(body.to_string())
}

impl Bench {
    async fn namespaces(&self) -> Result<()> {
        let mut connection = Connection::open(&self.target).await?;
        for name in [
            "bench-write",
            "bench-pods",
            "bench-500",
            "bench-5000",
            "bench-patch",
            "bench-watch",
            "bench-mem",
        ] {
            let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            connection.call("POST", "/api/v1/namespaces", JSON, body.to_string().as_bytes()).await?;
        }
        // Pods need the namespace's default service account.
        for name in ["bench-pods", "bench-mem"] {
            let path = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
            while connection.call("GET", &path, JSON, &[]).await.is_err() {
                wall::sleep(Duration::from_millis(20)).await;
            }
        }
        Ok(())
    }

    async fn writes(&mut self) -> Result<()> {
        let path = "/api/v1/namespaces/bench-write/configmaps";
        self.rate("create ConfigMap", &|client, i| {
            ("POST", path.to_owned(), JSON, config_map(&format!("c{client}-{i}")))
        })
        .await?;
        let path = "/api/v1/namespaces/bench-pods/pods";
        self.rate("create Pod", &|client, i| ("POST", path.to_owned(), JSON, pod(&format!("p{client}-{i}"))))
            .await
    }

    async fn reads(&mut self) -> Result<()> {
        if !["GET ConfigMap", "LIST 500 ConfigMaps", "LIST 5000 ConfigMaps"]
            .iter()
            .any(|what| self.is_wanted(what))
        {
            return Ok(());
        }
        for (namespace, count) in [("bench-500", 500), ("bench-5000", 5000)] {
            let path = format!("/api/v1/namespaces/{namespace}/configmaps");
            self.fill(&path, count, &config_map).await?;
        }
        self.rate("GET ConfigMap", &|client, i| {
            let n = (client as u64 * 31 + i) % 500;
            ("GET", format!("/api/v1/namespaces/bench-500/configmaps/f{n}"), JSON, Bytes::new())
        })
        .await?;
        for count in [500, 5000] {
            let path = format!("/api/v1/namespaces/bench-{count}/configmaps");
            self.rate(&format!("LIST {count} ConfigMaps"), &|_, _| ("GET", path.clone(), JSON, Bytes::new()))
                .await?;
        }
        Ok(())
    }

    async fn patches(&mut self) -> Result<()> {
        let path = "/api/v1/namespaces/bench-patch/configmaps";
        self.fill(path, self.clients, &config_map).await?;
        self.rate("merge patch ConfigMap", &|client, i| {
            let body = json!({"data": {"key": i.to_string()}}).to_string();
            ("PATCH", format!("{path}/f{client}"), MERGE, Bytes::from(body))
        })
        .await?;
        self.rate("server-side apply ConfigMap", &|client, i| {
            let name = format!("a{client}");
            let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
                "data": {"key": i.to_string()}});
            (
                "PATCH",
                format!("{path}/{name}?fieldManager=bench&force=true"),
                APPLY,
                Bytes::from(body.to_string()),
            )
        })
        .await
    }

    /// Creates `f0` to `f<count - 1>`.
    async fn fill(&self, path: &str, count: usize, make: &(dyn Fn(&str) -> Bytes + Sync)) -> Result<()> {
        let next = AtomicU64::new(0);
        let work = || async {
            let mut connection = Connection::open(&self.target).await?;
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= count as u64 {
                    return anyhow::Ok(());
                }
                connection.call("POST", path, JSON, &make(&format!("f{i}"))).await?;
            }
        };
        all((0..self.clients).map(|_| work())).await?;
        Ok(())
    }

    /// Requests per second of all clients together.
    fn is_wanted(&self, what: &str) -> bool {
        what.contains(&self.only)
    }

    async fn rate(&mut self, what: &str, make: &Make<'_>) -> Result<()> {
        if !self.is_wanted(what) {
            return Ok(());
        }
        let stop = AtomicBool::new(false);
        let target = self.target.clone();
        let work = |client: usize| {
            let (stop, target) = (&stop, &target);
            async move {
                let mut connection = Connection::open(target).await?;
                let mut done = 0;
                while !stop.load(Ordering::Relaxed) {
                    let (method, path, content_type, body) = make(client, done);
                    connection.call(method, &path, content_type, &body).await?;
                    done += 1;
                }
                anyhow::Ok(done)
            }
        };
        let cpu_before = self.pid.map(cpu_seconds).transpose()?;
        let watch = Stopwatch::start();
        let timer = async {
            wall::sleep(self.duration).await;
            stop.store(true, Ordering::Relaxed);
        };
        let (done, ()) = futures::join!(all((0..self.clients).map(work)), timer);
        let total: u64 = done?.into_iter().sum();
        let rate = total as f64 / watch.elapsed().as_secs_f64();
        eprintln!("{what}: {rate:.0} per s");
        self.figures.push(Figure::new(format!("{what}, {} clients", self.clients), rate, "per s"));
        if let (Some(pid), Some(before)) = (self.pid, cpu_before) {
            let each = (cpu_seconds(pid)? - before) * 1e6 / total as f64;
            self.figures.push(Figure::new(format!("{what}, the server's CPU time"), each, "µs each"));
        }
        Ok(())
    }

    /// Events per second that 20 watchers together receive while 4 clients write.
    async fn fan_out(&mut self) -> Result<()> {
        const WATCHERS: usize = 20;
        const WRITES: u64 = 2000;
        let received = Arc::new(AtomicU64::new(0));
        let path = "/api/v1/namespaces/bench-watch/configmaps";
        let mut watchers = Vec::new();
        for _ in 0..WATCHERS {
            let connection = Connection::open(&self.target).await?;
            let mut events = connection.watch(&format!("{path}?watch=true")).await?;
            let received = received.clone();
            watchers.push(async move {
                let mut mine = 0;
                while mine < WRITES
                    && let Some(events) = events.lines().await?
                {
                    mine += events;
                    received.fetch_add(events, Ordering::Relaxed);
                }
                anyhow::Ok(())
            });
        }
        let next = AtomicU64::new(0);
        let write = || async {
            let mut connection = Connection::open(&self.target).await?;
            loop {
                let i = next.fetch_add(1, Ordering::Relaxed);
                if i >= WRITES {
                    return anyhow::Ok(());
                }
                connection.call("POST", path, JSON, &config_map(&format!("w{i}"))).await?;
            }
        };
        let watch = Stopwatch::start();
        let everybody = async {
            futures::try_join!(all(watchers), all((0..4).map(|_| write())))?;
            anyhow::Ok(())
        };
        let _ = wall::timeout(Duration::from_secs(60), everybody).await.transpose()?;
        let received = received.load(Ordering::Relaxed);
        let rate = received as f64 / watch.elapsed().as_secs_f64();
        self.figures.push(Figure::new(format!("watch fan-out, {WATCHERS} watchers"), rate, "events per s"));
        let lost = WATCHERS as u64 * WRITES - received.min(WATCHERS as u64 * WRITES);
        self.figures.push(Figure::new("watch events lost", lost as f64, "events"));
        Ok(())
    }

    async fn memory(&mut self, pid: u32) -> Result<()> {
        let before = resident_mib(pid)?;
        self.fill("/api/v1/namespaces/bench-mem/pods", 5000, &pod).await?;
        self.fill("/api/v1/namespaces/bench-mem/configmaps", 5000, &config_map).await?;
        self.fill("/api/v1/namespaces/bench-mem/secrets", 5000, &secret).await?;
        let after = resident_mib(pid)?;
        self.figures.push(Figure::new(
            "memory before 5,000 pods, 10,000 config maps and secrets",
            before,
            "MiB",
        ));
        self.figures.push(Figure::new("memory after them", after, "MiB"));
        Ok(())
    }
}
