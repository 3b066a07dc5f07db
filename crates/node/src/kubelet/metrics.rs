//! The usage that a kubelet reports: as a summary, and as Prometheus' text.

use std::fmt::Write as _;
use std::sync::Arc;

use drydock_machinery::quantity::Quantity;
use drydock_machinery::{Object, ObjectMeta as _, Value, value};
use jiff::Timestamp;

/// What is reported on.
pub(super) struct View {
    pub(super) node: String,
    /// Since when the node is there.
    pub(super) since: String,
    pub(super) now: Timestamp,
    /// Those that run.
    pub(super) pods: Vec<Arc<Object>>,
}

/// What a container or a node uses.
#[derive(Clone, Copy, Default)]
struct Usage {
    milli_cores: i64,
    bytes: i64,
    /// For how long it has run.
    seconds: i64,
}

impl Usage {
    fn cpu_seconds(self) -> f64 {
        self.milli_cores as f64 / 1000.0 * self.seconds as f64
    }

    fn cpu(self, time: &str) -> Value {
        value!({"time": time, "usageNanoCores": self.milli_cores * 1_000_000,
            "usageCoreNanoSeconds": self.milli_cores * self.seconds * 1_000_000})
    }

    fn memory(self, time: &str) -> Value {
        value!({"time": time, "usageBytes": self.bytes, "workingSetBytes": self.bytes, "rssBytes": self.bytes,
            "pageFaults": 0, "majorPageFaults": 0})
    }

    fn plus(self, other: Self) -> Self {
        Self {
            milli_cores: self.milli_cores + other.milli_cores,
            bytes: self.bytes + other.bytes,
            seconds: self.seconds.max(other.seconds),
        }
    }
}

/// Without a request a container uses this much.
const LEAST: (i64, i64) = (1, 8 * 1024 * 1024);

impl View {
    /// The running containers of a pod: name, start and usage.
    fn containers<'a>(&'a self, pod: &'a Object) -> impl Iterator<Item = (&'a str, &'a str, Usage)> {
        let specs = pod.array_at(&["spec", "containers"]).iter();
        let pairs = specs.zip(pod.array_at(&["status", "containerStatuses"]));
        pairs.filter_map(|(spec, status)| {
            let started = status.str_at(&["state", "running", "startedAt"]);
            let since: Timestamp = started.parse().ok()?;
            let request = |name: &str| Quantity::of(spec.at(&["resources", "requests", name]));
            let usage = Usage {
                milli_cores: (request("cpu").milli_value() / 2).max(LEAST.0),
                bytes: (request("memory").value() / 2).max(LEAST.1),
                seconds: self.now.duration_since(since).as_secs().max(0),
            };
            Some((spec.str_at(&["name"]), started, usage))
        })
    }

    /// The node itself takes a little besides its pods.
    fn node_usage(&self) -> Usage {
        let since = self.since.parse().unwrap_or(self.now);
        let seconds = self.now.duration_since(since).as_secs().max(0);
        let own = Usage { milli_cores: 50, bytes: 256 * 1024 * 1024, seconds };
        let all = self.pods.iter().flat_map(|pod| self.containers(pod));
        all.fold(own, |sum, (.., usage)| sum.plus(usage))
    }
}

/// `/stats/summary`
pub(super) fn summary(view: &View) -> Value {
    let time = drydock_runtime::clock::rfc3339(view.now);
    let pods: Vec<Value> = view
        .pods
        .iter()
        .map(|pod| {
            let mut total = Usage::default();
            let containers: Vec<Value> = view
                .containers(pod)
                .map(|(name, started, usage)| {
                    total = total.plus(usage);
                    value!({"name": name, "startTime": started, "cpu": usage.cpu(&time), "memory": usage.memory(&time)})
                })
                .collect();
            value!({
                "podRef": {"name": pod.name(), "namespace": pod.namespace(), "uid": pod.uid()},
                "startTime": pod.str_at(&["status", "startTime"]), "containers": containers,
                "cpu": total.cpu(&time), "memory": total.memory(&time),
            })
        })
        .collect();
    let usage = view.node_usage();
    value!({
        "node": {"nodeName": view.node.as_str(), "startTime": view.since.as_str(), "cpu": usage.cpu(&time),
            "memory": usage.memory(&time)},
        "pods": pods,
    })
}

/// `/metrics/resource`, which the metrics server reads.
pub(super) fn resource(view: &View) -> String {
    let mut out = String::new();
    let millis = view.now.as_millisecond();
    let all: Vec<(&Object, &str, Usage)> = view
        .pods
        .iter()
        .flat_map(|pod| view.containers(pod).map(move |(name, _, usage)| (&**pod, name, usage)))
        .collect();
    let labels = |pod: &Object, name: &str| {
        format!("container=\"{name}\",namespace=\"{}\",pod=\"{}\"", pod.namespace(), pod.name())
    };
    let _ = writeln!(out, "# TYPE container_cpu_usage_seconds_total counter");
    for (pod, name, usage) in &all {
        let seconds = usage.cpu_seconds();
        let _ =
            writeln!(out, "container_cpu_usage_seconds_total{{{}}} {seconds} {millis}", labels(pod, name));
    }
    let _ = writeln!(out, "# TYPE container_memory_working_set_bytes gauge");
    for (pod, name, usage) in &all {
        let _ = writeln!(
            out,
            "container_memory_working_set_bytes{{{}}} {} {millis}",
            labels(pod, name),
            usage.bytes
        );
    }
    let _ = writeln!(out, "# TYPE container_start_time_seconds gauge");
    for (pod, name, usage) in &all {
        let start = view.now.as_second() - usage.seconds;
        let _ = writeln!(out, "container_start_time_seconds{{{}}} {start}", labels(pod, name));
    }
    let node = view.node_usage();
    let _ = writeln!(out, "# TYPE node_cpu_usage_seconds_total counter");
    let _ = writeln!(out, "node_cpu_usage_seconds_total {} {millis}", node.cpu_seconds());
    let _ = writeln!(out, "# TYPE node_memory_working_set_bytes gauge");
    let _ = writeln!(out, "node_memory_working_set_bytes {} {millis}", node.bytes);
    let _ = writeln!(out, "# TYPE resource_scrape_error gauge\nresource_scrape_error 0");
    out
}

/// `/metrics`
pub(super) fn kubelet(view: &View) -> String {
    let containers: usize = view.pods.iter().map(|pod| view.containers(pod).count()).sum();
    format!(
        "# TYPE kubelet_node_name gauge\nkubelet_node_name{{node=\"{}\"}} 1\n# TYPE kubelet_running_pods gauge\n\
         kubelet_running_pods {}\n# TYPE kubelet_running_containers gauge\n\
         kubelet_running_containers{{container_state=\"running\"}} {containers}\n",
        view.node,
        view.pods.len()
    )
}

/// `/metrics/cadvisor`
pub(super) fn cadvisor(view: &View) -> String {
    let mut out = String::from("# TYPE container_cpu_usage_seconds_total counter\n");
    for pod in &view.pods {
        for (name, _, usage) in view.containers(pod) {
            let _ = writeln!(
                out,
                "container_cpu_usage_seconds_total{{container=\"{name}\",cpu=\"total\",namespace=\"{}\",pod=\"{}\"}} {}",
                pod.namespace(),
                pod.name(),
                usage.cpu_seconds()
            );
        }
    }
    out
}
