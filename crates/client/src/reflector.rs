//! Keeps an informer's store equal to what the server has: list, then watch from the list's revision.
//!
//! A watch that ends is resumed from the last revision seen, bookmarks included; only when that revision is gone
//! (410), or the stream breaks its protocol, everything is listed again. Failures back off on the Clock from 0.1 s to
//! 30 s, with jitter; after two minutes without one the pauses are short again.

use std::sync::Arc;
use std::time::Duration;

use drydock_machinery::{Object, ObjectMeta, Reason, Status};
use drydock_runtime::Clock;
use futures::StreamExt;
use jiff::Timestamp;
use rand::Rng;
use tokio_util::sync::CancellationToken;

use crate::{Client, Informer, Options, WatchEvent};

const FIRST_DELAY: Duration = Duration::from_millis(100);
const LAST_DELAY: Duration = Duration::from_secs(30);
/// After so long without a failure what went before is forgotten.
const FORGET_AFTER: Duration = Duration::from_secs(120);

pub(crate) async fn run(client: Client, informer: Arc<Informer>, clock: Clock, stop: CancellationToken) {
    let reflector = Reflector { client, informer, clock };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = reflector.run() => {}
    }
}

struct Reflector {
    client: Client,
    informer: Arc<Informer>,
    clock: Clock,
}

/// Why a watch is over.
enum End {
    /// Resume from the last revision.
    Closed,
    /// The revision is too old: list again.
    Expired,
    Failed(Status),
}

impl Reflector {
    async fn run(&self) {
        let mut backoff = Backoff::new();
        // "0" is any revision: the server's cache may answer. After an expiry the newest is wanted.
        let mut list_version = "0";
        loop {
            match self.list(list_version).await {
                Ok(mut version) => {
                    let listed = version.clone();
                    self.watch_on(&mut version, &mut backoff).await;
                    if version == listed {
                        // A server that has forgotten its own list at once is not hammered.
                        backoff.wait(&self.clock).await;
                    }
                    list_version = "";
                }
                Err(status) => {
                    self.note(&status, "list failed");
                    backoff.wait(&self.clock).await;
                }
            }
        }
    }

    async fn list(&self, resource_version: &str) -> Result<String, Status> {
        let options = Options { resource_version: resource_version.to_owned(), ..Options::default() };
        let list = self.client.list(self.informer.resource(), "", options).await?;
        self.informer.replace(&list.items);
        Ok(list.resource_version)
    }

    /// Watches again and again, until everything must be listed anew.
    async fn watch_on(&self, version: &mut String, backoff: &mut Backoff) {
        loop {
            let before = version.clone();
            match self.watch(version).await {
                End::Expired => return,
                End::Closed => {
                    // A server that closes at once without an event is not hammered.
                    if *version == before {
                        backoff.wait(&self.clock).await;
                    } else {
                        backoff.reset();
                    }
                }
                End::Failed(status) => {
                    self.note(&status, "watch failed");
                    if *version != before {
                        backoff.reset();
                    }
                    backoff.wait(&self.clock).await;
                }
            }
        }
    }

    async fn watch(&self, version: &mut String) -> End {
        let options =
            Options { resource_version: version.clone(), allow_watch_bookmarks: true, ..Options::default() };
        let mut stream = match self.client.watch(self.informer.resource(), "", options).await {
            Ok(stream) => stream,
            Err(status) => return ended(status),
        };
        while let Some(event) = stream.next().await {
            match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    version_of(&object, version);
                    self.informer.upsert(&object);
                }
                WatchEvent::Deleted(object) => {
                    version_of(&object, version);
                    self.informer.delete(&object);
                }
                WatchEvent::Bookmark { resource_version, .. } => *version = resource_version,
                WatchEvent::Error(status) => return ended(status),
            }
        }
        End::Closed
    }

    fn note(&self, status: &Status, what: &str) {
        // A resource whose definition was just removed, or a server that is starting, is no reason to alarm anyone.
        tracing::debug!(resource = %self.informer.resource(), %status, what);
    }
}

fn version_of(object: &Object, version: &mut String) {
    version.clear();
    version.push_str(object.resource_version());
}

fn ended(status: Status) -> End {
    if matches!(status.reason, Reason::Expired | Reason::Gone) || status.code == 410 {
        End::Expired
    } else {
        End::Failed(status)
    }
}

struct Backoff {
    delay: Duration,
    /// When the last pause was over.
    waited: Timestamp,
}

impl Backoff {
    fn new() -> Self {
        Self { delay: FIRST_DELAY, waited: Timestamp::MIN }
    }

    fn reset(&mut self) {
        self.delay = FIRST_DELAY;
    }

    /// How long to wait after a failure now.
    fn next(&mut self, now: Timestamp) -> Duration {
        let quiet = now.duration_since(self.waited);
        if quiet.unsigned_abs() > FORGET_AFTER {
            self.reset();
        }
        let delay = self.delay;
        self.delay = (delay * 2).min(LAST_DELAY);
        delay
    }

    async fn wait(&mut self, clock: &Clock) {
        let jitter = rand::rng().random_range(1.0..1.5);
        let delay = self.next(clock.now());
        clock.sleep(delay.mul_f64(jitter)).await;
        self.waited = clock.now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_until_there_was_no_failure_for_a_while() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut backoff = Backoff::new();
        let mut next = |second| {
            let now = start + jiff::SignedDuration::from_secs(second);
            let delay = backoff.next(now);
            backoff.waited = now;
            delay.as_millis()
        };
        assert_eq!([next(0), next(1), next(2)], [100, 200, 400]);
        assert_eq!([next(3), next(123), next(200)], [800, 1_600, 3_200]);
        assert_eq!(next(321), 100);
    }
}
