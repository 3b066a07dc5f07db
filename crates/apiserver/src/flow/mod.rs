//! API priority and fairness: how many requests run at once, and whose turn it is.
//!
//! Every request belongs to a flow (a FlowSchema and who or where it comes from) and to a priority level. A level has
//! seats; what finds none waits in one of the level's queues or is turned away with 429. Queues take turns by what
//! they were served already, so that a flooding client waits for itself and others go on. A level with nothing to do
//! lends seats to others, and has them back at once.
//!
//! The objects are the tenant's own `FlowSchema` and `PriorityLevelConfiguration`, read from the watch cache whenever
//! they changed. Left out, of what upstream does: requests of components in process do not count, and a write's
//! watchers are not charged to it.

mod conditions;
mod config;
mod level;
mod matching;
mod queues;

pub use conditions::MANAGER as FLOW_SCHEMA_CONDITIONS;

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use drydock_auth::Attributes;
use drydock_runtime::wall;
use http::HeaderValue;
use parking_lot::{Mutex, RwLock};

use self::config::{Config, Level};
use self::level::{Arrival, State};
use self::queues::Abandon;
use crate::cache::{Cache, ResourceCache};

/// The seats of all levels together: upstream's `--max-requests-inflight` and `--max-mutating-requests-inflight`.
pub(crate) const TOTAL_SEATS: u32 = 600;

/// How long a request waits for its turn at most: a quarter of what it may take altogether.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// The gate that requests from outside pass.
pub(crate) struct Flow {
    schemas: Arc<ResourceCache>,
    levels: Arc<ResourceCache>,
    config: RwLock<Arc<Config>>,
    state: Arc<Mutex<State>>,
}

/// Why a request was turned away, in upstream's words for metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Rejection {
    ConcurrencyLimit,
    QueueFull,
    TimeOut,
}

impl Rejection {
    fn name(self) -> &'static str {
        match self {
            Self::ConcurrencyLimit => "concurrency-limit",
            Self::QueueFull => "queue-full",
            Self::TimeOut => "time-out",
        }
    }
}

/// Which schema and which level a request fell under.
#[derive(Clone, Debug)]
pub(crate) struct Classified {
    config: Arc<Config>,
    schema: usize,
}

impl Classified {
    fn schema(&self) -> &config::Schema {
        &self.config.schemas[self.schema]
    }

    fn level(&self) -> &Arc<Level> {
        &self.config.levels[self.schema().level]
    }

    /// For the answer's headers: the schema's UID and the level's.
    pub(crate) fn uids(&self) -> (HeaderValue, HeaderValue) {
        (self.schema().uid.clone(), self.level().uid.clone())
    }
}

/// A running request's seats, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Ticket(Option<level::Seated>);

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(seated) = self.0.take() {
            seated.leave();
        }
    }
}

impl Flow {
    pub(crate) fn new(cache: &Cache) -> Self {
        const GROUP: &str = "flowcontrol.apiserver.k8s.io";
        let of = |resource| cache.by_prefix(&crate::cache::key_prefix(GROUP, resource));
        Self {
            schemas: of("flowschemas"),
            levels: of("prioritylevelconfigurations"),
            config: RwLock::default(),
            state: Arc::default(),
        }
    }

    /// The schema that comes first of those that match.
    pub(crate) fn classify(&self, attributes: &Attributes<'_>) -> Classified {
        let config = self.config();
        let matching = config.schemas.iter().position(|schema| schema.matches(attributes));
        // The last one is there for whatever matches nothing.
        let schema = matching.unwrap_or(config.schemas.len() - 1);
        Classified { config, schema }
    }

    /// Returns when it is the request's turn. `seats` is how much work it is: 1 for most.
    ///
    /// # Errors
    /// When it is to be turned away.
    pub(crate) async fn enter(
        &self,
        classified: &Classified,
        attributes: &Attributes<'_>,
        seats: u32,
    ) -> Result<Ticket, Rejection> {
        let schema = classified.schema();
        let level = classified.level();
        if level.is_exempt() {
            return Ok(Ticket(None));
        }
        let arrived = {
            let flow = || schema.flow_hash(attributes);
            self.state.lock().arrive(&self.state, level, &schema.name, seats, flow)
        };
        let waiting = match arrived {
            Arrival::Seated(seated) => return Ok(Ticket(Some(seated))),
            Arrival::Rejected(why) => return Err(why),
            Arrival::Queued(waiting) => waiting,
        };
        // The place in the queue is given up when the client goes away as well.
        let mut place = Abandon::new(&self.state, level, waiting.id);
        match wall::timeout(LONGEST_WAIT, waiting.turn).await {
            Some(Ok(seated)) => {
                place.served();
                Ok(Ticket(Some(seated)))
            }
            _ => {
                self.state.lock().count_rejection(level, &schema.name, Rejection::TimeOut);
                Err(Rejection::TimeOut)
            }
        }
    }

    /// The configuration as of the objects now.
    fn config(&self) -> Arc<Config> {
        let versions = (self.schemas.revision(), self.levels.revision());
        {
            let known = self.config.read();
            if known.versions == Some(versions) {
                return known.clone();
            }
        }
        let schemas = self.schemas.snapshot();
        let levels = self.levels.snapshot();
        let versions = (schemas.revision, levels.revision);
        let new = Arc::new(Config::new(schemas.objects.values(), levels.objects.values(), versions));
        self.state.lock().configure(&new);
        *self.config.write() = new.clone();
        new
    }

    /// Appends upstream's `apiserver_flowcontrol_*` series.
    pub(crate) fn write_metrics(&self, out: &mut String) {
        self.config();
        self.state.lock().write_metrics(out);
    }
}

/// Writes one family: its type, then a line for each labels and value.
fn family<V: std::fmt::Display>(
    out: &mut String,
    name: &str,
    kind: &str,
    lines: impl Iterator<Item = (String, V)>,
) {
    let _ = writeln!(out, "# TYPE apiserver_flowcontrol_{name} {kind}");
    for (labels, value) in lines {
        let _ = writeln!(out, "apiserver_flowcontrol_{name}{{{labels}}} {value}");
    }
}

#[cfg(test)]
mod tests;
