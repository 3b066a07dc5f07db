//! Reading a container's log, and following it.

use std::sync::Arc;

use bytes::Bytes;
use drydock_client::Informer;
use drydock_client::dialer::LogOptions;
use drydock_machinery::{Object, ObjectMeta, Status, Value};
use drydock_runtime::Clock;
use futures::StreamExt;
use futures::stream::BoxStream;
use jiff::Timestamp;

use crate::container::find;
use crate::logs::Run;

pub(crate) type Lines = BoxStream<'static, std::io::Result<Bytes>>;

/// Lines that are kept: what is older was rotated away, as kubelets do with logs of 10 MiB.
const KEPT: usize = 100_000;
/// How much is read at a time.
const CHUNK: usize = 64 * 1024;

/// A reader of a log.
struct Reader {
    clock: Clock,
    pods: Arc<Informer>,
    pod: Arc<Object>,
    container: String,
    run: Run,
    next: usize,
    options: LogOptions,
    /// When reading began.
    began: Timestamp,
    /// Bytes that may still be sent.
    left: Option<usize>,
}

/// The lines that `options` ask for.
///
/// # Errors
/// As the client sees it: the container has not run.
pub(crate) fn read(
    clock: &Clock,
    pods: &Arc<Informer>,
    pod: &Object,
    options: LogOptions,
) -> Result<Lines, Status> {
    let name = match options.container.as_str() {
        "" => pod.array_at(&["spec", "containers"]).first().map_or("", |c| c.str_at(&["name"])),
        name => name,
    };
    let (container, status) = find(pod, name).ok_or_else(|| not_running(pod, name))?;
    let Some(run) = Run::of(pod, container, status, options.previous) else {
        return Err(if options.previous { no_previous(pod, name) } else { waiting(pod, name, status) });
    };
    let now = clock.now();
    let reader = Reader {
        clock: clock.clone(),
        pods: pods.clone(),
        pod: pods.get_key(&pod.key()).unwrap_or_else(|| Arc::new(Object::new(pod.value().clone(), 0))),
        container: name.to_owned(),
        next: first_line(&run, &options, now),
        left: options.limit_bytes.map(|limit| usize::try_from(limit).unwrap_or(0)),
        run,
        options,
        began: now,
    };
    let pieces = futures::stream::unfold(reader, |mut reader| async move {
        let text = reader.piece().await?;
        Some((Ok(Bytes::from(text)), reader))
    });
    Ok(pieces.boxed())
}

impl Reader {
    /// What comes next; None at the end.
    async fn piece(&mut self) -> Option<Vec<u8>> {
        let existing = self.until(self.began);
        if !existing.is_empty() {
            return Some(existing);
        }
        if self.options.follow { self.wait().await } else { None }
    }

    /// Lines from the present one up to `now`, but not many at a time.
    fn until(&mut self, now: Timestamp) -> Vec<u8> {
        let count = self.run.count(now);
        let most = self.left.unwrap_or(CHUNK).min(CHUNK);
        let mut out = String::new();
        while self.next < count && out.len() < most {
            if self.options.timestamps
                && let Some(time) = self.run.time_of(self.next)
            {
                out.push_str(&time.strftime("%Y-%m-%dT%H:%M:%S%.9fZ ").to_string());
            }
            out.push_str(&self.run.line(self.next));
            out.push('\n');
            self.next += 1;
        }
        // The limit may be within a character.
        let mut out = out.into_bytes();
        if let Some(left) = &mut self.left {
            out.truncate(*left);
            *left -= out.len();
        }
        out
    }

    /// The next lines, when they come; None when there will be no more.
    async fn wait(&mut self) -> Option<Vec<u8>> {
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
    let mut first = count.saturating_sub(KEPT);
    if let Some(tail) = options.tail_lines {
        first = first.max(count.saturating_sub(usize::try_from(tail).unwrap_or(0)));
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
