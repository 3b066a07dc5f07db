//! Keeps an informer's store equal to what the server has: list, then watch from the list's revision.
//!
//! A watch that ends is resumed from the last revision seen, bookmarks included; only when that revision is gone
//! (410), or the stream breaks its protocol, everything is listed again. Failures back off on the Clock from 0.1 s to
//! 30 s, with jitter.

use std::sync::Arc;
use std::time::Duration;

use drydock_machinery::{Object, ObjectMeta, Reason, Status};
use drydock_runtime::Clock;
use futures::StreamExt;
use rand::Rng;
use tokio_util::sync::CancellationToken;

use crate::{Client, Informer, Options, WatchEvent};

const FIRST_DELAY: Duration = Duration::from_millis(100);
const LAST_DELAY: Duration = Duration::from_secs(30);

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
                    backoff.reset();
                    self.watch_on(&mut version, &mut backoff).await;
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
}

impl Backoff {
    fn new() -> Self {
        Self { delay: FIRST_DELAY }
    }

    fn reset(&mut self) {
        self.delay = FIRST_DELAY;
    }

    async fn wait(&mut self, clock: &Clock) {
        let jitter = rand::rng().random_range(1.0..1.5);
        clock.sleep(self.delay.mul_f64(jitter)).await;
        self.delay = (self.delay * 2).min(LAST_DELAY);
    }
}
