//! The horizontal pod autoscaler: keeps the replicas of what it targets in step with metrics.
//!
//! Every autoscaler is looked at each fifteen seconds. Metrics come from the APIs `metrics.k8s.io`, `custom.metrics.k8s.io`
//! and `external.metrics.k8s.io`, whoever serves them; where nobody does, the autoscaler says so in its conditions and does
//! nothing. The size is read and written through the target's `scale` subresource. What was recommended and done lately
//! is kept in memory, as upstream does: after a restart the stabilization windows begin anew.
//!
//! Deliberately absent: selectors of pods' and objects' metrics, for which requests have no field.

mod compute;
mod limits;
mod metrics;
mod replicas;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use drydock_client::resources::{HORIZONTAL_POD_AUTOSCALERS, PODS};
use drydock_client::{Change, Controller, Informer, Request, Verb, WorkQueue};
use drydock_machinery::selector::Selector;
use drydock_machinery::{GroupVersionResource, Key, Object, ObjectMeta, Status, Value, names, value};
use parking_lot::Mutex;

use crate::Context;
use crate::util::{conditions, count_at, set_count, split_key};
use compute::{Computation, Offer, Refusal};
use limits::{Asked, History};
use replicas::{Fleet, Tolerances};

const RESYNC: Duration = Duration::from_secs(15);
/// A new autoscaler's target has usually just been made, too.
const FIRST: Duration = Duration::from_secs(1);
const ATTEMPTS: usize = 5;

type Kinds = BTreeMap<(String, String), GroupVersionResource>;

struct Autoscalers {
    ctx: Context,
    queue: Arc<WorkQueue>,
    autoscalers: Arc<Informer>,
    pods: Arc<Informer>,
    /// By the autoscaler's key; forgotten with it.
    histories: Mutex<HashMap<Key, History>>,
    /// The pods that each autoscaler's target selects, to notice when two autoscalers want the same.
    selectors: Mutex<BTreeMap<Key, Selector>>,
}

/// The target and its size.
struct Target {
    resource: GroupVersionResource,
    scale: Arc<Object>,
}

/// What all metrics together say.
struct Outcome {
    statuses: Vec<Value>,
    /// The replicas and the metric that proposed them, or why there are none.
    chosen: Result<(i64, String), String>,
}

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let this = Arc::new(Autoscalers {
        autoscalers: ctx.informers.informer(&HORIZONTAL_POD_AUTOSCALERS),
        pods: ctx.informers.informer(&PODS),
        queue: queue.clone(),
        histories: Mutex::default(),
        selectors: Mutex::default(),
        ctx,
    });
    let me = this.clone();
    this.autoscalers.on_change(move |change| {
        let key = Key::from(change.object().key());
        match change {
            Change::Deleted(_) => {
                me.histories.lock().remove(&key);
                me.selectors.lock().remove(&key);
            }
            Change::Added(_) => me.queue.add_after(key, FIRST),
            Change::Updated { old, new } if old.get("spec") != new.get("spec") => {
                me.queue.add_after(key, FIRST)
            }
            Change::Updated { .. } => {}
        }
    });
    let needs = [this.autoscalers.clone(), this.pods.clone()];
    let tasks = this.ctx.tasks.clone();
    Controller::new("horizontal-pod-autoscaler", queue).workers(5).needs(needs).start(&tasks, move |key| {
        let this = this.clone();
        async move {
            this.sync(&key).await;
            Ok(())
        }
    });
}

/// Resources that are served, by group and kind.
fn kinds(resources: Vec<drydock_client::ApiResource>) -> Kinds {
    let entries = resources.into_iter().map(|one| ((one.resource.group.to_string(), one.kind), one.resource));
    entries.collect()
}

impl Autoscalers {
    /// Errors are told in conditions and events; the next look is due at its time in any case.
    async fn sync(&self, key: &Key) {
        let (namespace, name) = split_key(key);
        let Some(autoscaler) = self.autoscalers.get(namespace, name) else { return };
        let mut new = autoscaler.value().clone();
        self.reconcile(key, &mut new).await;
        if new.get("status") != autoscaler.get("status")
            && let Err(status) = self.ctx.client.update_status(&HORIZONTAL_POD_AUTOSCALERS, new).await
            && !status.is_not_found()
        {
            self.ctx.events.warning(&autoscaler, "FailedUpdateStatus", status.to_string());
        }
        self.queue.add_after(key.clone(), RESYNC);
    }

    fn say(&self, autoscaler: &mut Value, kind: &str, holds: bool, reason: &str, message: &str) {
        let now = self.ctx.clock.now_rfc3339();
        let status = if holds { "True" } else { "False" };
        conditions::set_in_place(autoscaler, conditions::new(kind, status, reason, message, &now));
    }

    async fn reconcile(&self, key: &Key, autoscaler: &mut Value) {
        let kinds = self.ctx.client.discover().await.map(kinds).unwrap_or_default();
        let target = match self.target(autoscaler, &kinds).await {
            Ok(target) => target,
            Err(why) => {
                self.ctx.events.warning(autoscaler, "FailedGetScale", why.clone());
                let message =
                    format!("the HPA controller was unable to get the target's current scale: {why}");
                return self.say(autoscaler, "AbleToScale", false, "FailedGetScale", &message);
            }
        };
        let message = "the HPA controller was able to get the target's current scale";
        self.say(autoscaler, "AbleToScale", true, "SucceededGetScale", message);
        let current = count_at(&target.scale, &["spec", "replicas"], 0);
        let now = self.ctx.clock.now();
        self.histories.lock().entry(key.clone()).or_default().begin(now, current);
        let min = count_at(autoscaler, &["spec", "minReplicas"], 1);
        let max = count_at(autoscaler, &["spec", "maxReplicas"], 0);
        let (desired, reason, statuses) = if current == 0 {
            let message = "scaling is disabled since the replica count of the target is zero";
            self.say(autoscaler, "ScalingActive", false, "ScalingDisabled", message);
            (0, String::new(), Vec::new())
        } else if current > max {
            (max, "Current number of replicas above Spec.MaxReplicas".to_owned(), Vec::new())
        } else if current < min {
            (min, "Current number of replicas below Spec.MinReplicas".to_owned(), Vec::new())
        } else {
            let outcome = self.compute(key, autoscaler, &target, &kinds).await;
            match outcome.chosen {
                Err(why) => {
                    let desired = count_at(autoscaler, &["status", "desiredReplicas"], 0);
                    set_status(autoscaler, current, desired, outcome.statuses);
                    return self.ctx.events.warning(autoscaler, "FailedComputeMetricsReplicas", why);
                }
                Ok((proposed, metric)) => {
                    let reason = match proposed.cmp(&current) {
                        std::cmp::Ordering::Greater => format!("{metric} above target"),
                        std::cmp::Ordering::Less => "All metrics below target".to_owned(),
                        std::cmp::Ordering::Equal => String::new(),
                    };
                    let asked =
                        Asked { autoscaler: &autoscaler.clone(), now, current, desired: proposed, min, max };
                    (self.limit(key, autoscaler, asked), reason, outcome.statuses)
                }
            }
        };
        if desired == current {
            return set_status(autoscaler, current, current, statuses);
        }
        self.rescale(key, autoscaler, target, desired, &reason, statuses).await;
    }

    /// The target's scale.
    async fn target(&self, autoscaler: &Value, kinds: &Kinds) -> Result<Target, String> {
        let reference = |field: &str| autoscaler.str_at(&["spec", "scaleTargetRef", field]);
        let (group, _) = names::split_api_version(reference("apiVersion"));
        if reference("apiVersion").matches('/').count() > 1 {
            return Err(format!("unexpected GroupVersion string: {}", reference("apiVersion")));
        }
        let kind = (group.to_owned(), reference("kind").to_owned());
        let Some(resource) = kinds.get(&kind) else {
            return Err(format!("no matches for kind {:?} in group {group:?}", kind.1));
        };
        let request = Request::new(Verb::Get, resource, autoscaler.namespace(), reference("name"));
        let scale = self.ctx.client.object(request.subresource("scale")).await;
        let scale = scale.map_err(|status| status.to_string())?;
        Ok(Target { resource: resource.clone(), scale })
    }

    /// The selector of the target's pods, and these.
    fn select(
        &self,
        key: &Key,
        autoscaler: &mut Value,
        scale: &Object,
    ) -> Result<(Selector, Vec<Arc<Object>>), String> {
        let text = scale.str_at(&["status", "selector"]);
        if text.is_empty() {
            self.ctx.events.warning(autoscaler, "SelectorRequired", "selector is required");
            let message = "the HPA target's scale is missing a selector";
            self.say(autoscaler, "ScalingActive", false, "InvalidSelector", message);
            return Err("selector is required".to_owned());
        }
        let mut refuse = |reason: &str, message: String| {
            self.ctx.events.warning(autoscaler, reason, message.clone());
            self.say(autoscaler, "ScalingActive", false, reason, &message);
            message
        };
        let selector = Selector::parse(text).map_err(|error| {
            let message =
                format!("couldn't convert selector into a corresponding internal selector object: {error}");
            refuse("InvalidSelector", message)
        })?;
        let (namespace, _) = split_key(key);
        let mut pods = self.pods.list_in(namespace);
        pods.retain(|pod| selector.matches(pod.labels()));
        let mut selectors = self.selectors.lock();
        selectors.insert(key.clone(), selector.clone());
        let wants = |(other, theirs): &(&Key, &Selector)| {
            split_key(other).0 == namespace && pods.iter().any(|pod| theirs.matches(pod.labels()))
        };
        let wanted: Vec<String> =
            selectors.iter().filter(wants).map(|(other, _)| other.to_string()).collect();
        drop(selectors);
        if wanted.len() > 1 {
            let all = wanted.join(" ");
            let message = format!("pods by selector {text} are controlled by multiple HPAs: [{all}]");
            return Err(refuse("AmbiguousSelector", message));
        }
        Ok((selector, pods))
    }

    /// Asks every metric. One that fails holds back only what would take replicas away.
    async fn compute(&self, key: &Key, autoscaler: &mut Value, target: &Target, kinds: &Kinds) -> Outcome {
        let (selector, pods) = match self.select(key, autoscaler, &target.scale) {
            Ok(selected) => selected,
            Err(why) => return Outcome { statuses: Vec::new(), chosen: Err(why) },
        };
        let current = count_at(&target.scale, &["spec", "replicas"], 0);
        let tolerances = Tolerances::of(autoscaler);
        let fleet = Fleet { pods: &pods, now: self.ctx.clock.now(), current, tolerances };
        let computation = Computation {
            client: &self.ctx.client,
            autoscaler: &autoscaler.clone(),
            selector: &selector,
            fleet: &fleet,
            status_replicas: count_at(&target.scale, &["status", "replicas"], 0),
            resources: kinds,
        };
        let mut results = Vec::new();
        for spec in computation.autoscaler.array_at(&["spec", "metrics"]) {
            let result = computation.compute(spec).await;
            if let Err(refusal) = &result {
                self.ctx.events.warning(autoscaler, refusal.reason, refusal.message.clone());
            }
            results.push(result);
        }
        self.choose(autoscaler, current, results)
    }

    fn choose(&self, autoscaler: &mut Value, current: i64, results: Vec<Result<Offer, Refusal>>) -> Outcome {
        let count = results.len();
        let mut statuses = Vec::with_capacity(count);
        let mut best: Option<(i64, String)> = None;
        let mut refusals = Vec::new();
        for result in results {
            match result {
                Ok(offer) => {
                    statuses.push(offer.status);
                    if best.as_ref().is_none_or(|(replicas, _)| offer.replicas > *replicas) {
                        best = Some((offer.replicas, offer.name));
                    }
                }
                Err(refusal) => {
                    // A metric that is not known has an empty entry.
                    statuses.push(value!({"type": ""}));
                    refusals.push(refusal);
                }
            }
        }
        let shrinks = best.as_ref().is_some_and(|(replicas, _)| *replicas < current);
        let chosen = match (best, refusals.first()) {
            (Some((replicas, name)), refusal) if refusal.is_none() || !shrinks => {
                let message =
                    format!("the HPA was able to successfully calculate a replica count from {name}");
                self.say(autoscaler, "ScalingActive", true, "ValidMetricFound", &message);
                Ok((replicas, name))
            }
            (_, refusal) => {
                let failed = refusals.len();
                let (reason, message, whole) = refusal
                    .map_or(("", "", ""), |refusal| (refusal.reason, &refusal.message, &refusal.whole));
                let message = format!("the HPA was unable to compute the replica count: {message}");
                self.say(autoscaler, "ScalingActive", false, reason, &message);
                Err(format!("invalid metrics ({failed} invalid out of {count}), first error is: {whole}"))
            }
        };
        Outcome { statuses, chosen }
    }

    fn limit(&self, key: &Key, autoscaler: &mut Value, asked: Asked<'_>) -> i64 {
        let limited = self.histories.lock().entry(key.clone()).or_default().limit(asked);
        self.say(autoscaler, "AbleToScale", true, limited.able.0, limited.able.1);
        let (is_limited, (reason, message)) = limited.limited;
        self.say(autoscaler, "ScalingLimited", is_limited, reason, message);
        limited.replicas
    }

    async fn rescale(
        &self,
        key: &Key,
        autoscaler: &mut Value,
        target: Target,
        desired: i64,
        reason: &str,
        statuses: Vec<Value>,
    ) {
        let current = count_at(&target.scale, &["spec", "replicas"], 0);
        if let Err(status) = self.write_scale(&target, desired).await {
            let message = format!("New size: {desired}; reason: {reason}; error: {status}");
            self.ctx.events.warning(autoscaler, "FailedRescale", message);
            let message = format!("the HPA controller was unable to update the target scale: {status}");
            self.say(autoscaler, "AbleToScale", false, "FailedUpdateScale", &message);
            let before = count_at(autoscaler, &["status", "desiredReplicas"], 0);
            return set_status(autoscaler, current, before, statuses);
        }
        let message = format!("the HPA controller was able to update the target scale to {desired}");
        self.say(autoscaler, "AbleToScale", true, "SucceededRescale", &message);
        let message = format!("New size: {desired}; reason: {reason}");
        self.ctx.events.normal(autoscaler, "SuccessfulRescale", message);
        let now = self.ctx.clock.now();
        self.histories.lock().entry(key.clone()).or_default().rescaled(autoscaler, now, current, desired);
        set_status(autoscaler, current, desired, statuses);
        autoscaler.set(&["status", "lastScaleTime"], self.ctx.clock.now_rfc3339());
    }

    async fn write_scale(&self, target: &Target, desired: i64) -> Result<(), Status> {
        let (namespace, name) = (target.scale.namespace(), target.scale.name());
        let mut scale = target.scale.clone();
        for attempt in 1..=ATTEMPTS {
            let mut new = scale.value().clone();
            new.set(&["spec", "replicas"], desired);
            let request = Request::new(Verb::Update, &target.resource, namespace, name).subresource("scale");
            match self.ctx.client.call(request.body(new)).await {
                Err(status) if status.is_conflict() && attempt < ATTEMPTS => {
                    let request = Request::new(Verb::Get, &target.resource, namespace, name);
                    scale = self.ctx.client.object(request.subresource("scale")).await?;
                }
                outcome => return outcome.map(drop),
            }
        }
        Ok(())
    }
}

/// Writes the counts anew; conditions and the time of the last change stay.
fn set_status(autoscaler: &mut Value, current: i64, desired: i64, statuses: Vec<Value>) {
    set_count(autoscaler, &["status", "currentReplicas"], current);
    autoscaler.set(&["status", "desiredReplicas"], desired);
    autoscaler.remove(&["status", "observedGeneration"]);
    let statuses = if statuses.is_empty() { Value::Null } else { Value::from(statuses) };
    autoscaler.set(&["status", "currentMetrics"], statuses);
}
