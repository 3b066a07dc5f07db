//! Events about objects: what `kubectl describe` shows at the end.
//!
//! A recorder is one component's voice. What it records goes through upstream's correlation (repeats count up one
//! event, a flood of similar ones is combined, an object that is talked about too much is not listened to), and is then
//! written in order by a task that lives only while there is something to write. Losing an event is no error.

mod correlator;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use drydock_machinery::{Key, Object, ObjectMeta, Reason, Status, Value, value};
use drydock_runtime::{Tasks, clock};
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::{Client, PatchType, Request, Verb, resources};
use correlator::{Correlator, Verdict};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    Normal,
    Warning,
}

impl EventType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// How a component's events look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `source`, `count`, `firstTimestamp`: controllers and kubelets.
    Core,
    /// `eventTime`, `action`, `series`: the scheduler.
    Series,
}

/// Records events in a component's name. Clones share the correlation.
#[derive(Clone)]
pub struct EventRecorder {
    inner: Arc<Inner>,
    /// The node, for kubelets; the reporting instance, for components with series.
    host: Key,
}

struct Inner {
    client: Client,
    tasks: Tasks,
    component: String,
    form: Form,
    correlator: Mutex<Correlator>,
    /// What the last event's name ends with.
    last_name: AtomicU64,
    outbox: Mutex<Outbox>,
}

#[derive(Default)]
struct Outbox {
    waiting: VecDeque<Outgoing>,
    /// A task is writing; it takes what is added meanwhile.
    writing: bool,
}

/// An event on its way: a new one, or more of one that exists.
struct Outgoing {
    event: Value,
    patch: Option<Value>,
    slot: String,
}

impl EventRecorder {
    /// For controllers; `component` is as in `source.component`.
    pub fn new(client: Client, tasks: Tasks, component: &str) -> Self {
        Self::build(client, tasks, component, "", Form::Core)
    }

    /// The same component on another host: a kubelet. Correlation is shared.
    #[must_use]
    pub fn on_host(&self, host: &str) -> Self {
        Self { inner: self.inner.clone(), host: host.into() }
    }

    /// For components that use the events.k8s.io form, as the scheduler does.
    pub fn with_series(client: Client, tasks: Tasks, component: &str, instance: &str) -> Self {
        Self::build(client, tasks, component, instance, Form::Series)
    }

    fn build(client: Client, tasks: Tasks, component: &str, host: &str, form: Form) -> Self {
        let inner = Inner {
            client,
            tasks,
            component: component.to_owned(),
            form,
            correlator: Mutex::default(),
            last_name: AtomicU64::new(0),
            outbox: Mutex::default(),
        };
        Self { inner: Arc::new(inner), host: host.into() }
    }

    pub fn normal(&self, about: &Value, reason: &str, message: impl Into<String>) {
        self.record(&reference(about), EventType::Normal, reason, "", message.into());
    }

    pub fn warning(&self, about: &Value, reason: &str, message: impl Into<String>) {
        self.record(&reference(about), EventType::Warning, reason, "", message.into());
    }

    /// With all there is to say: `about` is an object reference (see [`reference()`]); `action` is only shown by
    /// components with series.
    pub fn record(&self, about: &Value, kind: EventType, reason: &str, action: &str, message: String) {
        let now = self.inner.tasks.clock().now();
        let outgoing = match self.inner.form {
            Form::Core => self.core_event(about, kind, reason, message, now),
            Form::Series => self.series_event(about, kind, reason, action, message, now),
        };
        if let Some(outgoing) = outgoing {
            self.send(outgoing);
        }
    }

    fn core_event(
        &self,
        about: &Value,
        kind: EventType,
        reason: &str,
        message: String,
        now: Timestamp,
    ) -> Option<Outgoing> {
        let group = self.inner.group_key(about, kind, reason, "");
        let name = self.inner.event_name(about, now);
        let verdict =
            self.inner.correlator.lock().observe(&self.inner.spam_key(about), &group, message, &name, now);
        let Verdict::Write { message, slot, seen } = verdict else { return None };
        let time = clock::rfc3339(now);
        let mut event = self.inner.skeleton(about, kind, reason, &message);
        event.set(&["metadata", "name"], seen.name.clone());
        event.set(&["source"], source(&self.inner.component, &self.host));
        event.set(&["firstTimestamp"], clock::rfc3339(seen.first));
        event.set(&["lastTimestamp"], time.clone());
        event.set(&["count"], seen.count);
        event.set(&["reportingInstance"], self.host.clone());
        let patch = (seen.count > 1)
            .then(|| value!({"count": seen.count, "lastTimestamp": time, "message": message}));
        Some(Outgoing { event, patch, slot })
    }

    /// As client-go's `tools/events`: a repeat within six minutes makes a series, which is only written once.
    fn series_event(
        &self,
        about: &Value,
        kind: EventType,
        reason: &str,
        action: &str,
        message: String,
        now: Timestamp,
    ) -> Option<Outgoing> {
        let slot = self.inner.group_key(about, kind, reason, action);
        let seen = self.inner.correlator.lock().repeat(&slot, &self.inner.event_name(about, now), now);
        if seen.count > 2 {
            return None;
        }
        let mut event = self.inner.skeleton(about, kind, reason, &message);
        event.set(&["metadata", "name"], seen.name.clone());
        event.set(&["eventTime"], clock::rfc3339_micro(seen.first));
        event.set(&["action"], action);
        event.set(&["reportingInstance"], self.host.clone());
        let patch = (seen.count == 2)
            .then(|| value!({"series": {"count": 2, "lastObservedTime": clock::rfc3339_micro(now)}}));
        Some(Outgoing { event, patch, slot })
    }

    fn send(&self, outgoing: Outgoing) {
        let mut outbox = self.inner.outbox.lock();
        outbox.waiting.push_back(outgoing);
        if std::mem::replace(&mut outbox.writing, true) {
            return;
        }
        drop(outbox);
        let inner = self.inner.clone();
        self.inner.tasks.spawn("events", async move { inner.write_all().await });
    }
}

impl std::fmt::Debug for EventRecorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EventRecorder").field("component", &self.inner.component).finish()
    }
}

impl Inner {
    fn skeleton(&self, about: &Value, kind: EventType, reason: &str, message: &str) -> Value {
        let mut event = value!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {"namespace": namespace_of(about)},
            "reason": reason, "message": message, "type": kind.as_str(),
            "reportingComponent": self.component,
        });
        event.set(&["involvedObject"], about.clone());
        event
    }

    /// Of the time, and different from all before: a clock may stand still.
    fn event_name(&self, about: &Value, now: Timestamp) -> Key {
        let nanos = u64::try_from(now.as_nanosecond()).unwrap_or(0);
        let next = |last: u64| nanos.max(last.saturating_add(1));
        let last = self.last_name.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
        Key::from(format!("{}.{:x}", about.str_at(&["name"]), next(last.unwrap_or_default())))
    }

    fn spam_key(&self, about: &Value) -> String {
        let field = |name| about.str_at(&[name]);
        let (kind, namespace, name) = (field("kind"), field("namespace"), field("name"));
        format!("{kind}/{namespace}/{name}/{}/{}", field("uid"), field("apiVersion"))
    }

    fn group_key(&self, about: &Value, kind: EventType, reason: &str, action: &str) -> String {
        let field_path = about.str_at(&["fieldPath"]);
        format!("{}/{field_path}/{}/{reason}/{action}", self.spam_key(about), kind.as_str())
    }

    async fn write_all(&self) {
        loop {
            let next = {
                let mut outbox = self.outbox.lock();
                let next = outbox.waiting.pop_front();
                outbox.writing = next.is_some();
                next
            };
            let Some(outgoing) = next else { return };
            if let Err(status) = self.write(&outgoing).await {
                self.correlator.lock().forget(&outgoing.slot);
                tracing::debug!(%status, component = self.component, "event was not written");
            }
        }
    }

    async fn write(&self, outgoing: &Outgoing) -> Result<(), Status> {
        if let Some(patch) = &outgoing.patch {
            let (namespace, name) = (outgoing.event.namespace(), outgoing.event.name());
            let verb = Verb::Patch(PatchType::Merge);
            let request = Request::new(verb, &resources::EVENTS, namespace, name).body(patch.clone());
            match self.client.object(request).await {
                Err(status) if status.reason == Reason::NotFound => {}
                outcome => return outcome.map(drop),
            }
        }
        self.client.create(&resources::EVENTS, outgoing.event.clone()).await.map(drop)
    }
}

/// A reference to the object, as events carry it.
pub fn reference(object: &Value) -> Value {
    let mut reference = value!({
        "apiVersion": object.api_version(), "kind": object.kind(), "name": object.name(),
    });
    for (key, text) in [
        ("namespace", object.namespace()),
        ("uid", object.uid()),
        ("resourceVersion", object.resource_version()),
    ] {
        if !text.is_empty() {
            reference.set(&[key], text);
        }
    }
    reference
}

/// A reference to a container of a pod; `list` is `containers` or `initContainers`.
pub fn container_reference(pod: &Object, list: &str, container: &str) -> Value {
    let mut reference = reference(pod);
    reference.set(&["fieldPath"], format!("spec.{list}{{{container}}}"));
    reference
}

fn source(component: &str, host: &str) -> Value {
    if host.is_empty() {
        value!({"component": component})
    } else {
        value!({"component": component, "host": host})
    }
}

/// Events about cluster-scoped objects live in `default`.
fn namespace_of(about: &Value) -> &str {
    match about.str_at(&["namespace"]) {
        "" => "default",
        namespace => namespace,
    }
}
