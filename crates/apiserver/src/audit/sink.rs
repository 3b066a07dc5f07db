//! Where events go: a queue of bounded size, and one task that appends them to a file.
//!
//! The file is begun anew when it has grown to its bound; a bounded number of older ones stay. What does not fit the
//! queue within a bounded time is dropped and counted: the log may have gaps when its disk cannot keep up, and requests
//! go on.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use drydock_auth::audit::Level;
use drydock_runtime::{Tasks, wall};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::AuditLog;

/// How large things may become.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one file.
    pub file_size: u64,
    /// Files altogether.
    pub files: usize,
    /// Bytes that wait to be written.
    pub queue: u32,
    /// How long a request waits for room in the queue, of wall time.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { file_size: 64 << 20, files: 5, queue: 16 << 20, patience: Duration::from_millis(200) }
    }
}

/// So much is written at once.
const BATCH: usize = 1 << 20;

/// How long the writer waits for what is still under way when the server stops.
const LAST_EVENTS: Duration = Duration::from_millis(50);

/// Takes encoded events. Clones are the same one.
#[derive(Clone)]
pub(super) struct Sink {
    inner: Arc<Inner>,
}

struct Inner {
    log: AuditLog,
    tasks: Tasks,
    /// The writer starts with the first event.
    queue: OnceLock<UnboundedSender<Line>>,
    /// Bytes that the queue has room for.
    room: Arc<Semaphore>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    written: AtomicU64,
    lost: AtomicU64,
    levels: [AtomicU64; 4],
}

struct Line {
    bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

impl Sink {
    pub(super) fn new(log: AuditLog, tasks: Tasks) -> Self {
        let room = Arc::new(Semaphore::new(log.limits.queue as usize));
        let inner = Inner { log, tasks, queue: OnceLock::new(), room, counts: Counts::default() };
        Self { inner: Arc::new(inner) }
    }

    pub(super) fn count_level(&self, level: Level) {
        self.inner.counts.levels[level as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Queues an event; waits for room within bounds.
    pub(super) async fn push(&self, bytes: Vec<u8>) {
        let size = self.size(&bytes);
        if let Ok(room) = self.inner.room.clone().try_acquire_many_owned(size) {
            return self.send(bytes, room);
        }
        let room = self.inner.room.clone().acquire_many_owned(size);
        match wall::timeout(self.inner.log.limits.patience, room).await {
            Some(Ok(room)) => self.send(bytes, room),
            _ => self.lose(1),
        }
    }

    /// Queues an event if there is room.
    pub(super) fn push_now(&self, bytes: Vec<u8>) {
        match self.inner.room.clone().try_acquire_many_owned(self.size(&bytes)) {
            Ok(room) => self.send(bytes, room),
            Err(_) => self.lose(1),
        }
    }

    /// An event larger than the queue takes all of it.
    fn size(&self, bytes: &[u8]) -> u32 {
        u32::try_from(bytes.len()).unwrap_or(u32::MAX).min(self.inner.log.limits.queue)
    }

    fn send(&self, bytes: Vec<u8>, room: OwnedSemaphorePermit) {
        let queue = self.inner.queue.get_or_init(|| {
            let (queue, lines) = unbounded_channel();
            let writer = Writer { sink: Arc::downgrade(&self.inner), file: None, lines };
            self.inner.tasks.spawn_to_end("audit-log", writer.run(self.inner.tasks.clone()));
            queue
        });
        if queue.send(Line { bytes, _room: room }).is_err() {
            self.lose(1);
        }
    }

    fn lose(&self, events: u64) {
        self.inner.lose(events);
    }

    pub(super) fn write_metrics(&self, out: &mut String) {
        let counts = &self.inner.counts;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let _ = writeln!(out, "# TYPE apiserver_audit_event_total counter");
        let _ = writeln!(out, "apiserver_audit_event_total {}", count(&counts.written));
        let _ = writeln!(out, "# TYPE apiserver_audit_error_total counter");
        let _ = writeln!(out, "apiserver_audit_error_total{{plugin=\"log\"}} {}", count(&counts.lost));
        let _ = writeln!(out, "# TYPE apiserver_audit_level_total counter");
        let levels = ["None", "Metadata", "Request", "RequestResponse"];
        for (level, counter) in levels.iter().zip(&counts.levels) {
            let _ = writeln!(out, "apiserver_audit_level_total{{level=\"{level}\"}} {}", count(counter));
        }
    }
}

impl Inner {
    fn lose(&self, events: u64) {
        let before = self.counts.lost.fetch_add(events, Ordering::Relaxed);
        if before == 0 {
            tracing::warn!("audit events are lost: they come faster than they can be written");
        }
    }
}

/// Appends what is queued to the file.
struct Writer {
    sink: std::sync::Weak<Inner>,
    file: Option<LogFile>,
    lines: UnboundedReceiver<Line>,
}

impl Writer {
    async fn run(mut self, tasks: Tasks) {
        let closed = tasks.cancelled();
        loop {
            let first = tokio::select! {
                biased;
                line = self.lines.recv() => line,
                // Requests under way still end.
                () = closed.cancelled() => wall::timeout(LAST_EVENTS, self.lines.recv()).await.flatten(),
            };
            let Some(first) = first else { return };
            let mut batch = vec![first];
            let mut size = batch[0].bytes.len();
            while size < BATCH
                && let Ok(line) = self.lines.try_recv()
            {
                size += line.bytes.len();
                batch.push(line);
            }
            self.append(batch, &tasks).await;
        }
    }

    async fn append(&mut self, batch: Vec<Line>, tasks: &Tasks) {
        let Some(sink) = self.sink.upgrade() else { return };
        let (log, file) = (sink.log.clone(), self.file.take());
        let events = batch.len() as u64;
        let appended = tasks.blocking(move || {
            let mut file = match file {
                Some(file) => file,
                None => LogFile::open(&log)?,
            };
            for line in &batch {
                file.append(&log, &line.bytes)?;
            }
            file.flush()?;
            Ok::<_, std::io::Error>(file)
        });
        match appended.await {
            Some(Ok(file)) => {
                self.file = Some(file);
                sink.counts.written.fetch_add(events, Ordering::Relaxed);
            }
            Some(Err(error)) => {
                // Opened anew for the next: the disk may have room again.
                tracing::error!(%error, file = %sink.log.file.display(), "the audit log cannot be written");
                sink.lose(events);
            }
            None => sink.lose(events),
        }
    }
}

struct LogFile {
    file: std::io::BufWriter<File>,
    size: u64,
}

impl LogFile {
    fn open(log: &AuditLog) -> std::io::Result<Self> {
        let mut options = File::options();
        options.create(true).append(true);
        // Requests hold secrets.
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&log.file)?;
        let size = file.metadata()?.len();
        Ok(Self { file: std::io::BufWriter::new(file), size })
    }

    fn append(&mut self, log: &AuditLog, line: &[u8]) -> std::io::Result<()> {
        if self.size > 0 && self.size + line.len() as u64 > log.limits.file_size {
            self.flush()?;
            rotate(&log.file, log.limits.files)?;
            *self = Self::open(log)?;
        }
        self.size += line.len() as u64;
        self.file.write_all(line)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// The part of the log that is so many parts old.
fn older(file: &Path, age: usize) -> PathBuf {
    if age == 0 {
        return file.to_owned();
    }
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{age}"));
    PathBuf::from(name)
}

/// Makes way for a new file: each becomes older by one, and the oldest goes.
fn rotate(file: &Path, files: usize) -> std::io::Result<()> {
    let oldest = files.max(1) - 1;
    match std::fs::remove_file(older(file, oldest)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    for age in (0..oldest).rev() {
        match std::fs::rename(older(file, age), older(file, age + 1)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use drydock_runtime::Clock;

    use super::*;

    fn log(folder: &tempfile::TempDir, limits: Limits) -> AuditLog {
        AuditLog { file: folder.path().join("audit.log"), limits }
    }

    #[tokio::test]
    async fn files_are_bounded_in_size_and_number() {
        let folder = tempfile::tempdir().unwrap();
        let tasks = Tasks::new("t", Clock::real());
        let limits = Limits { file_size: 10, files: 3, ..Limits::default() };
        let sink = Sink::new(log(&folder, limits), tasks.clone());
        for i in 0..9 {
            sink.push(format!("line{i}\n").into_bytes()).await;
        }
        tasks.close().await;
        let mut names: Vec<String> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["audit.log", "audit.log.1", "audit.log.2"]);
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!((read("audit.log"), read("audit.log.2")), ("line8\n".to_owned(), "line6\n".to_owned()));
    }

    #[tokio::test]
    async fn what_does_not_fit_is_dropped_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        let tasks = Tasks::new("t", Clock::real());
        let limits = Limits { queue: 8, patience: Duration::from_millis(1), ..Limits::default() };
        let sink = Sink::new(log(&folder, limits), tasks.clone());
        let held = sink.inner.room.clone().try_acquire_many_owned(4).unwrap();
        sink.push(b"too much".to_vec()).await;
        drop(held);
        sink.push(b"more than the whole queue\n".to_vec()).await;
        tasks.close().await;
        let mut metrics = String::new();
        sink.write_metrics(&mut metrics);
        assert!(metrics.contains("apiserver_audit_error_total{plugin=\"log\"} 1\n"), "{metrics}");
        assert!(metrics.contains("apiserver_audit_event_total 1\n"), "{metrics}");
        let text = std::fs::read_to_string(folder.path().join("audit.log")).unwrap();
        assert_eq!(text, "more than the whole queue\n");
    }
}
