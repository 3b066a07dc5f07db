//! What `/metrics` tells, under upstream's names: requests by resource, their durations, those in flight, and objects.
//!
//! Owned by one API server. A series exists from the first request that belongs to it, so an idle tenant has none.

use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use drydock_runtime::wall::Stopwatch;
use foldhash::HashMap;
use http::Method;
use parking_lot::{Mutex, RwLock};

use super::handler::Req;
use super::path::Path;
use super::query::Query;
use super::{Answer, body};
use crate::metrics::{Elsewhere, Histogram};

/// Upper bounds in seconds of upstream's `apiserver_request_duration_seconds`.
const REQUEST_BOUNDS: &[f64] = &[
    0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0,
    20.0, 30.0, 45.0, 60.0,
];

/// Those of `apiserver_request_sli_duration_seconds`.
const SLI_BOUNDS: &[f64] = &[
    0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0,
    45.0, 60.0,
];

/// The media type of metrics.
pub(crate) const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

/// Paths are the clients' to choose: those beyond are not counted.
const MOST_SERIES: usize = 4096;

/// Requests of one API server.
#[derive(Default)]
pub(crate) struct Requests {
    /// By labels, as text.
    series: RwLock<HashMap<Box<str>, Arc<Mutex<Series>>>>,
    /// What the server itself took of each request, by labels without the dry run's.
    service_levels: RwLock<HashMap<Box<str>, Arc<Mutex<Histogram>>>>,
    reading: AtomicI64,
    mutating: AtomicI64,
    watches: Arc<AtomicUsize>,
}

/// Watches that one tenant's clients may have at a time.
const MOST_WATCHES: usize = 20_000;

/// A watch that goes on.
pub(crate) struct Watching(Arc<AtomicUsize>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Series {
    codes: Vec<(u16, u64)>,
    durations: Histogram,
    /// Shared with the series of dry runs.
    service_level: Arc<Mutex<Histogram>>,
}

/// A series' labels.
struct Labels {
    verb: &'static str,
    dry_run: &'static str,
    text: String,
}

impl Labels {
    fn new(verb: &'static str, dry_run: &'static str, after_dry_run: fmt::Arguments<'_>) -> Self {
        let text = format!("component=\"apiserver\",dry_run=\"{dry_run}\",{after_dry_run}");
        Self { verb, dry_run, text }
    }

    fn without_dry_run(&self) -> String {
        self.text.replacen(&format!("dry_run=\"{}\",", self.dry_run), "", 1)
    }
}

/// A request that is being answered; dropped without [`Running::done`] when its client went away.
pub(crate) struct Running<'a> {
    requests: &'a Requests,
    labels: Labels,
    started: Stopwatch,
    in_flight: Option<&'a AtomicI64>,
}

impl Requests {
    /// A path that is not `served` is counted with those of no resource: clients could make any number of them up.
    pub(crate) fn begin(&self, method: &Method, path: &Path, query: &Query, served: bool) -> Running<'_> {
        let labels = labels(method, path, query, served);
        let in_flight = match labels.verb {
            // They last for as long as their clients like.
            "WATCH" | "CONNECT" => None,
            "GET" | "LIST" => Some(&self.reading),
            _ => Some(&self.mutating),
        };
        if let Some(count) = in_flight {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Running { requests: self, labels, started: Stopwatch::start(), in_flight }
    }

    /// None when there are too many.
    pub(crate) fn watch(&self) -> Option<Watching> {
        let before = self.watches.fetch_add(1, Ordering::Relaxed);
        let watching = Watching(self.watches.clone());
        (before < MOST_WATCHES).then_some(watching)
    }

    fn record(&self, labels: &Labels, code: u16, duration: Duration, elsewhere: Duration) {
        let known = self.series.read().get(labels.text.as_str()).cloned();
        if known.is_none() && self.series.read().len() >= MOST_SERIES {
            return;
        }
        let series = known.unwrap_or_else(|| self.new_series(labels));
        let mut series = series.lock();
        series.durations.observe(duration);
        series.service_level.lock().observe(duration.saturating_sub(elsewhere));
        match series.codes.iter_mut().find(|(known, _)| *known == code) {
            Some((_, count)) => *count += 1,
            None => series.codes.push((code, 1)),
        }
    }

    fn new_series(&self, labels: &Labels) -> Arc<Mutex<Series>> {
        let new_level = || Arc::new(Mutex::new(Histogram::new(SLI_BOUNDS)));
        let mut levels = self.service_levels.write();
        let service_level = levels.entry(labels.without_dry_run().into()).or_insert_with(new_level).clone();
        drop(levels);
        let durations = Histogram::new(REQUEST_BOUNDS);
        let new = || Arc::new(Mutex::new(Series { codes: Vec::new(), durations, service_level }));
        self.series.write().entry(labels.text.as_str().into()).or_insert_with(new).clone()
    }

    fn write(&self, out: &mut String) {
        let mut all: Vec<(Box<str>, Arc<Mutex<Series>>)> =
            self.series.read().iter().map(|(labels, series)| (labels.clone(), series.clone())).collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        let _ = writeln!(out, "# TYPE apiserver_current_inflight_requests gauge");
        for (kind, count) in [("mutating", &self.mutating), ("readOnly", &self.reading)] {
            let count = count.load(Ordering::Relaxed);
            let _ = writeln!(out, "apiserver_current_inflight_requests{{request_kind=\"{kind}\"}} {count}");
        }
        let _ = writeln!(out, "# TYPE apiserver_longrunning_requests gauge");
        let watches = self.watches.load(Ordering::Relaxed);
        let _ = writeln!(out, "apiserver_longrunning_requests{{verb=\"WATCH\"}} {watches}");
        let _ = writeln!(out, "# TYPE apiserver_request_duration_seconds histogram");
        for (labels, series) in &all {
            series.lock().durations.write(out, "apiserver_request_duration_seconds", labels);
        }
        const SLI: &str = "apiserver_request_sli_duration_seconds";
        let mut levels: Vec<(Box<str>, Arc<Mutex<Histogram>>)> = self
            .service_levels
            .read()
            .iter()
            .map(|(labels, level)| (labels.clone(), level.clone()))
            .collect();
        levels.sort_by(|(one, _), (other, _)| one.cmp(other));
        let _ = writeln!(out, "# TYPE {SLI} histogram");
        for (labels, level) in &levels {
            level.lock().write(out, SLI, labels);
        }
        let _ = writeln!(out, "# TYPE apiserver_request_total counter");
        for (labels, series) in &all {
            for (code, count) in &series.lock().codes {
                let _ = writeln!(out, "apiserver_request_total{{code=\"{code}\",{labels}}} {count}");
            }
        }
    }
}

impl Running<'_> {
    pub(crate) fn done(self, code: u16, elsewhere: &Elsewhere) {
        self.requests.record(&self.labels, code, self.started.elapsed(), elsewhere.time());
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(count) = self.in_flight {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn labels(method: &Method, path: &Path, query: &Query, served: bool) -> Labels {
    let (Path::Resource(of), true) = (path, served) else {
        let verb = if *method == Method::GET || *method == Method::HEAD { "GET" } else { "other" };
        const NONE: &str = r#"group="",resource="",scope="",subresource="""#;
        return Labels::new(verb, "", format_args!("{NONE},verb=\"{verb}\",version=\"\""));
    };
    let one = !of.name.is_empty();
    let verb = match method.as_str() {
        _ if matches!(of.subresource.as_str(), "exec" | "attach" | "portforward" | "proxy") => "CONNECT",
        "GET" | "HEAD" if of.watch || query.flag("watch") == Some(true) => "WATCH",
        "GET" | "HEAD" if one => "GET",
        "GET" | "HEAD" => "LIST",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" if one => "DELETE",
        "DELETE" => "DELETECOLLECTION",
        _ => "other",
    };
    let scope = match (one, of.namespace.is_empty()) {
        (true, _) => "resource",
        (false, false) => "namespace",
        (false, true) => "cluster",
    };
    let dry_run = if query.get("dryRun") == Some("All") { "All" } else { "" };
    let named = [&of.group, &of.resource, &of.subresource, &of.version].map(|name| plain(name));
    let [group, resource, subresource, version] = named;
    Labels::new(
        verb,
        dry_run,
        format_args!(
            "group=\"{group}\",resource=\"{resource}\",scope=\"{scope}\",\
             subresource=\"{subresource}\",verb=\"{verb}\",version=\"{version}\""
        ),
    )
}

/// What cannot be a name is left out: it would have to be escaped.
fn plain(text: &str) -> &str {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'/');
    if text.len() <= 253 && text.bytes().all(is_plain) { text } else { "" }
}

/// The answer to `/metrics`.
pub(crate) fn serve(request: &Req) -> Answer {
    let core = &request.core;
    let mut out = String::new();
    core.requests.write(&mut out);
    core.aggregation.write_metrics(&core.registry.cache, &mut out);
    core.auditor.write_metrics(&mut out);
    core.flow.write_metrics(&mut out);
    let mut counts = core.registry.cache.counts();
    counts.sort();
    for (family, name_label) in [("apiserver_resource_objects", false), ("apiserver_storage_objects", true)] {
        let _ = writeln!(out, "# TYPE {family} gauge");
        for (prefix, count) in &counts {
            let mut parts = prefix.trim_matches('/').split('/');
            let (group, resource) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
            let group = if group == "core" { "" } else { group };
            let _ = match (name_label, group) {
                (false, _) => writeln!(out, "{family}{{group=\"{group}\",resource=\"{resource}\"}} {count}"),
                (true, "") => writeln!(out, "{family}{{resource=\"{resource}\"}} {count}"),
                (true, _) => writeln!(out, "{family}{{resource=\"{resource}.{group}\"}} {count}"),
            };
        }
    }
    let _ = writeln!(out, "# TYPE apiserver_watch_cache_resource_version gauge");
    let _ = writeln!(out, "apiserver_watch_cache_resource_version {}", core.registry.cache.revision());
    let _ = writeln!(out, "# TYPE etcd_request_duration_seconds histogram");
    core.registry.commits.lock().write(&mut out, "etcd_request_duration_seconds", "operation=\"txn\"");
    write_process(request, &mut out);
    body::whole(200, TEXT, out)
}

/// What dashboards ask of every component.
fn write_process(request: &Req, out: &mut String) {
    let core = &request.core;
    let (git, minor) = (&core.version.git, core.version.minor);
    let _ = writeln!(out, "# TYPE kubernetes_build_info gauge");
    let _ = writeln!(out, "kubernetes_build_info{{git_version=\"{git}\",major=\"1\",minor=\"{minor}\"}} 1");
    let _ = writeln!(out, "# TYPE process_start_time_seconds gauge");
    let _ = writeln!(out, "process_start_time_seconds {}", core.started.as_second());
    if let Some(seconds) = process_cpu_seconds() {
        let _ = writeln!(out, "# TYPE process_cpu_seconds_total counter");
        let _ = writeln!(out, "process_cpu_seconds_total {seconds}");
    }
    if let Some(bytes) = process_memory_bytes() {
        let _ = writeln!(out, "# TYPE process_resident_memory_bytes gauge");
        let _ = writeln!(out, "process_resident_memory_bytes {bytes}");
    }
}

/// As [`process_cpu_seconds`].
fn process_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Of the whole process, which other tenants' servers share. None where the system does not tell.
fn process_cpu_seconds() -> Option<f64> {
    /// The kernel's USER_HZ, which is 100 on every architecture that Rust has threads on.
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in brackets, may contain spaces; user and system time are the 12th and 13th field behind it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::path;

    #[test]
    fn requests_are_counted_by_what_they_are_about() {
        let requests = Requests::default();
        let served = |url: &str| !url.contains("made-up");
        let check = |method: Method, url: &str, code: u16| {
            let (path, query) = url.split_once('?').unwrap_or((url, ""));
            let running =
                requests.begin(&method, &path::parse(path), &Query::parse(Some(query)), served(url));
            let elsewhere = Elsewhere::default();
            elsewhere.add(Duration::from_secs(3600));
            running.done(code, &elsewhere);
        };
        check(Method::GET, "/api/v1/pods?watch=true", 200);
        check(Method::POST, "/apis/apps/v1/namespaces/a/deployments", 201);
        check(Method::POST, "/apis/apps/v1/namespaces/a/deployments", 409);
        check(Method::GET, "/apis/made-up.example.com/v1/things", 404);
        let mut out = String::new();
        requests.write(&mut out);
        assert!(!out.contains("made-up"));
        for line in [
            "apiserver_current_inflight_requests{request_kind=\"mutating\"} 0",
            "apiserver_request_total{code=\"409\",component=\"apiserver\",dry_run=\"\",group=\"apps\",\
             resource=\"deployments\",scope=\"namespace\",subresource=\"\",verb=\"POST\",version=\"v1\"} 1",
            "apiserver_request_total{code=\"200\",component=\"apiserver\",dry_run=\"\",group=\"\",\
             resource=\"pods\",scope=\"cluster\",subresource=\"\",verb=\"WATCH\",version=\"v1\"} 1",
            "apiserver_request_duration_seconds_count{component=\"apiserver\",dry_run=\"\",group=\"apps\",\
             resource=\"deployments\",scope=\"namespace\",subresource=\"\",verb=\"POST\",version=\"v1\"} 2",
            // What was spent elsewhere is not the server's.
            "apiserver_request_sli_duration_seconds_sum{component=\"apiserver\",group=\"apps\",\
             resource=\"deployments\",scope=\"namespace\",subresource=\"\",verb=\"POST\",version=\"v1\"} 0",
            "apiserver_request_sli_duration_seconds_bucket{component=\"apiserver\",group=\"apps\",\
             resource=\"deployments\",scope=\"namespace\",subresource=\"\",verb=\"POST\",version=\"v1\",\
             le=\"0.05\"} 2",
        ] {
            assert!(out.lines().any(|found| found == line), "{line} in {out}");
        }
    }
}
