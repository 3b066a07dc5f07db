//! Every task has an owner that can stop it and wait for it.
//!
//! A [`Tasks`] is a group: the service has one, each tenant has one below it. A task runs in a span with the group's
//! tenant and its own name; its panic or error is handled by its [`OnError`] policy and reaches nobody else.
//! Closing a group cancels its token, and with it every child group's, and returns when all its tasks have ended.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::Clock;

/// Why a task ended early. Boxed: tasks' errors are only logged.
pub type TaskError = Box<dyn std::error::Error + Send + Sync>;

/// What becomes of a task that panics or returns an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// Logged; the task is over.
    Stop,
    /// Logged; started again after a backoff of 0.1 s doubling to 30 s, which a minute without failure resets.
    Restart,
}

/// A group of tasks that end together. Clones are the same group.
#[derive(Clone, Debug)]
pub struct Tasks {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    tenant: String,
    cancel: CancellationToken,
    tracker: TaskTracker,
    clock: Clock,
}

impl Tasks {
    /// A top-level group. `clock` times the restarts of its tasks.
    pub fn new(tenant: impl Into<String>, clock: Clock) -> Self {
        Self::with_token(tenant.into(), clock, CancellationToken::new())
    }

    /// A group that ends no later than this one. The caller closes it to await it.
    #[must_use]
    pub fn child(&self, tenant: impl Into<String>, clock: Clock) -> Self {
        Self::with_token(tenant.into(), clock, self.inner.cancel.child_token())
    }

    fn with_token(tenant: String, clock: Clock, cancel: CancellationToken) -> Self {
        Self { inner: Arc::new(Inner { tenant, cancel, tracker: TaskTracker::new(), clock }) }
    }

    pub fn tenant(&self) -> &str {
        &self.inner.tenant
    }

    pub fn clock(&self) -> &Clock {
        &self.inner.clock
    }

    /// Fires when the group is closed. Tasks that need more than being dropped at an await watch it.
    pub fn cancelled(&self) -> CancellationToken {
        self.inner.cancel.clone()
    }

    pub fn is_closed(&self) -> bool {
        self.inner.cancel.is_cancelled()
    }

    /// Runs `future` until it ends or the group closes, which drops it at its next await.
    pub fn spawn(&self, component: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let cancel = self.inner.cancel.clone();
        // Boxed before anything is wrapped around it: each wrapping of a future holds it twice.
        let mut future = future.boxed();
        let until_closed = async move {
            tokio::select! {
                biased;
                () = cancel.cancelled() => {}
                () = &mut future => {}
            }
        };
        self.start(component, until_closed.boxed());
    }

    /// Runs `future` to its end; closing the group waits for it. For work that watches [`Tasks::cancelled`] itself.
    pub fn spawn_to_end(&self, component: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        self.start(component, future.boxed());
    }

    fn start(&self, component: &'static str, future: BoxFuture<'static, ()>) {
        let span = tracing::info_span!("task", tenant = %self.inner.tenant, component);
        let guarded = async move {
            if let Err(panic) = AssertUnwindSafe(future).catch_unwind().await {
                tracing::error!(panic = panic_text(&*panic), "task panicked");
            }
        };
        #[expect(clippy::disallowed_methods, reason = "this is the place that spawns")]
        tokio::spawn(self.inner.tracker.track_future(guarded.instrument(span)));
    }

    /// Runs what `make` makes, again and again under `on_error`, until it returns Ok or the group closes.
    pub fn supervise<F, Fut>(&self, component: &'static str, on_error: OnError, mut make: F)
    where
        F: FnMut() -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), TaskError>> + Send + 'static,
    {
        let clock = self.inner.clock.clone();
        self.spawn(component, async move {
            let mut delay = FIRST_DELAY;
            loop {
                let started = clock.now();
                let run = async { make().boxed().await };
                let outcome = AssertUnwindSafe(run).catch_unwind().await;
                match outcome {
                    Ok(Ok(())) => return,
                    Ok(Err(error)) => tracing::warn!(error = %chain(&*error), "task failed"),
                    Err(panic) => tracing::error!(panic = panic_text(&*panic), "task panicked"),
                }
                if on_error == OnError::Stop {
                    return;
                }
                if clock.now().duration_since(started).as_secs() >= 60 {
                    delay = FIRST_DELAY;
                }
                clock.sleep(delay).await;
                delay = (delay * 2).min(LAST_DELAY);
            }
        });
    }

    /// Runs blocking code on a thread made for that; closing the group waits for it.
    pub async fn blocking<T: Send + 'static>(&self, f: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let _token = self.inner.tracker.token();
        tokio::task::spawn_blocking(f).await.ok()
    }

    /// Cancels every task of this group and its children, and waits for this group's to end. May be called twice.
    pub async fn close(&self) {
        self.inner.cancel.cancel();
        self.inner.tracker.close();
        self.inner.tracker.wait().await;
    }
}

const FIRST_DELAY: Duration = Duration::from_millis(100);
const LAST_DELAY: Duration = Duration::from_secs(30);

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

/// An error and its sources, joined by colons.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut out = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        out.push_str(": ");
        out.push_str(&inner.to_string());
        source = inner.source();
    }
    out
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_panicking_task_is_restarted_and_others_do_not_notice() {
        let tasks = Tasks::new("t", Clock::real());
        let runs = Arc::new(AtomicU32::new(0));
        let seen = runs.clone();
        let (done, wait) = tokio::sync::oneshot::channel();
        let mut done = Some(done);
        tasks.supervise("flaky", OnError::Restart, move || {
            let run = seen.fetch_add(1, Ordering::SeqCst);
            let done = if run == 2 { done.take() } else { None };
            async move {
                assert!(run > 0, "first run");
                if run == 1 {
                    return Err("second run".into());
                }
                let _ = done.map(|done| done.send(()));
                Ok(())
            }
        });
        wait.await.unwrap();
        assert_eq!(runs.load(Ordering::SeqCst), 3);
        tasks.close().await;
    }

    #[tokio::test]
    async fn closing_a_parent_cancels_its_children() {
        let parent = Tasks::new("service", Clock::real());
        let child = parent.child("tenant", Clock::real());
        child.spawn("waiter", std::future::pending());
        parent.close().await;
        child.close().await;
        assert!(child.is_closed());
    }
}
