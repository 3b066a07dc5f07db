//! What a kubelet serves: logs. Simulated containers have nothing to execute or connect to, and say so.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use drydock_client::Informer;
use drydock_client::dialer::{ExecOptions, ExecStreams, LogOptions, NodeDialer, Stream};
use drydock_machinery::{Object, ObjectMeta, Reason, Status, Value};
use drydock_runtime::Clock;
use futures::StreamExt;
use futures::stream::BoxStream;
use jiff::Timestamp;

use crate::agents::NodeAgents;
use crate::logs::Run;
use crate::status::{APP, EPHEMERAL, INIT, spec_list};

type Lines = BoxStream<'static, std::io::Result<Bytes>>;

/// A reader of a log.
struct Reader {
    clock: Clock,
    pods: Arc<Informer>,
    pod: Arc<Object>,
    container: String,
    run: Run,
    next: usize,
    options: LogOptions,
    /// Bytes that may still be sent.
    left: Option<usize>,
}

#[async_trait]
impl NodeDialer for NodeAgents {
    async fn logs(&self, pod: &Object, options: LogOptions) -> Result<Lines, Status> {
        let node = pod.str_at(&["spec", "nodeName"]);
        if self.node(node).is_none() {
            return Err(unreachable(node));
        }
        let name = match options.container.as_str() {
            "" => pod.array_at(&["spec", "containers"]).first().map_or("", |c| c.str_at(&["name"])),
            name => name,
        };
        let (container, status) = find(pod, name).ok_or_else(|| not_running(pod, name))?;
        let Some(run) = Run::of(pod, container, status, options.previous) else {
            return Err(if options.previous { no_previous(pod, name) } else { waiting(pod, name, status) });
        };
        let now = self.clock.now();
        let mut reader = Reader {
            clock: self.clock.clone(),
            pods: self.pods.clone(),
            pod: self
                .pods
                .get_key(&pod.key())
                .unwrap_or_else(|| Arc::new(Object::new(pod.value().clone(), 0))),
            container: name.to_owned(),
            next: first_line(&run, &options, now),
            left: options.limit_bytes.map(|limit| usize::try_from(limit).unwrap_or(0)),
            run,
            options,
        };
        let existing = reader.until(now);
        let head = futures::stream::iter([Ok(Bytes::from(existing))]);
        if !reader.options.follow {
            return Ok(head.boxed());
        }
        let tail = futures::stream::unfold(reader, |mut reader| async move {
            let text = reader.wait().await?;
            Some((Ok(Bytes::from(text)), reader))
        });
        Ok(head.chain(tail).boxed())
    }

    async fn exec(&self, pod: &Object, _: ExecOptions) -> Result<ExecStreams, Status> {
        Err(simulated(pod, "commands cannot be run in it"))
    }

    async fn port_forward(&self, pod: &Object, _: u16) -> Result<Box<dyn Stream>, Status> {
        Err(simulated(pod, "its ports cannot be connected to"))
    }
}

impl Reader {
    /// The lines from the present one up to `now`.
    fn until(&mut self, now: Timestamp) -> String {
        let count = self.run.count(now);
        let mut out = String::new();
        while self.next < count {
            if self.options.timestamps
                && let Some(time) = self.run.time_of(self.next)
            {
                out.push_str(&time.strftime("%Y-%m-%dT%H:%M:%S%.9fZ ").to_string());
            }
            out.push_str(&self.run.line(self.next));
            out.push('\n');
            self.next += 1;
            if self.left.is_some_and(|left| out.len() >= left) {
                break;
            }
        }
        if let Some(left) = &mut self.left {
            out.truncate(*left);
            *left -= out.len();
        }
        out
    }

    /// The next lines, when they come; None when there will be no more.
    async fn wait(&mut self) -> Option<String> {
        loop {
            if self.left == Some(0) {
                return None;
            }
            // The container may have ended since.
            let pod = self.pods.get_key(&self.pod.key()).filter(|pod| pod.uid() == self.pod.uid())?;
            let (_, status) = find(&pod, &self.container)?;
            status.at(&["state", "running", "startedAt"])?;
            let Some(at) = self.run.time_of(self.next) else {
                // It has nothing more to say but runs on: looks again now and then.
                self.clock.sleep(std::time::Duration::from_secs(1)).await;
                continue;
            };
            self.clock.sleep_until(at).await;
            let text = self.until(self.clock.now());
            if !text.is_empty() {
                return Some(text);
            }
        }
    }
}

fn first_line(run: &Run, options: &LogOptions, now: Timestamp) -> usize {
    let count = run.count(now);
    let mut first = 0;
    if let Some(tail) = options.tail_lines {
        first = count.saturating_sub(usize::try_from(tail).unwrap_or(0));
    }
    let since = match (&options.since_time, options.since_seconds) {
        (Some(time), _) => time.parse().ok(),
        (None, Some(seconds)) => now.checked_sub(jiff::SignedDuration::from_secs(seconds)).ok(),
        _ => None,
    };
    if let Some(since) = since {
        first = first.max(run.count(since));
    }
    first
}

fn find<'a>(pod: &'a Value, name: &str) -> Option<(&'a Value, &'a Value)> {
    [APP, INIT, EPHEMERAL].into_iter().map(|status| (spec_list(status), status)).find_map(|(spec, status)| {
        let named = |list: &'a [Value]| list.iter().find(|one| one.str_at(&["name"]) == name);
        Some((named(pod.array_at(&["spec", spec]))?, named(pod.array_at(&["status", status]))?))
    })
}

fn bad_request(message: String) -> Status {
    Status::bad_request(message)
}

fn not_running(pod: &Object, name: &str) -> Status {
    bad_request(format!("container {name:?} in pod {:?} is not available", pod.name()))
}

fn no_previous(pod: &Object, name: &str) -> Status {
    bad_request(format!("previous terminated container {name:?} in pod {:?} not found", pod.name()))
}

fn waiting(pod: &Object, name: &str, status: &Value) -> Status {
    let reason = status.str_at(&["state", "waiting", "reason"]);
    if crate::plan::is_pull_failure(reason) {
        let what = "trying and failing to pull image";
        return bad_request(format!(
            "container {name:?} in pod {:?} is waiting to start: {what}",
            pod.name()
        ));
    }
    bad_request(format!("container {name:?} in pod {:?} is waiting to start: {reason}", pod.name()))
}

fn unreachable(node: &str) -> Status {
    let message = format!("dial tcp: lookup {node}: no such host");
    Status::new(500, Reason::InternalError, message)
}

fn simulated(pod: &Object, what: &str) -> Status {
    let message = format!("pod {:?} runs on a simulated node: {what}", pod.name());
    Status::new(501, Reason::Unknown, message)
}
