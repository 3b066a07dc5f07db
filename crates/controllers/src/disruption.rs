//! Pod disruption budgets: how many of their pods may be evicted now.
//!
//! The eviction subresource takes from `status.disruptionsAllowed`; this controller counts it anew whenever pods change.

use std::sync::Arc;
use std::time::Duration;

use drydock_client::resources::{
    DEPLOYMENTS, POD_DISRUPTION_BUDGETS, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, STATEFUL_SETS,
};
use drydock_client::{Controller, Informer, Request, Verb, WorkQueue};
use drydock_machinery::names::split_api_version;
use drydock_machinery::{Key, Map, Object, ObjectMeta, Status, Value};

use crate::Context;
use crate::util::intstr::{Round, scaled};
use crate::util::{between, conditions, count_at, owner, pod, split_key};

/// An eviction that did not lead to a deletion is forgotten after this long.
const DISRUPTED_TIMEOUT: Duration = Duration::from_secs(120);

struct Disruption {
    ctx: Context,
    queue: Arc<WorkQueue>,
    budgets: Arc<Informer>,
    pods: Arc<Informer>,
}

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let (budgets, pods) = (ctx.informers.informer(&POD_DISRUPTION_BUDGETS), ctx.informers.informer(&PODS));
    let this =
        Arc::new(Disruption { queue: queue.clone(), budgets: budgets.clone(), pods: pods.clone(), ctx });
    let to = queue.clone();
    budgets.on_change(move |change| to.add_object(change.object()));
    let me = this.clone();
    pods.on_change(move |change| {
        let pod = change.object();
        let mut own: Vec<Arc<Object>> = Vec::new();
        for budget in me.budgets.list_in(pod.namespace()) {
            let selector = crate::util::selector(budget.at(&["spec", "selector"]));
            let is_own = selector.matches(pod.labels());
            if is_own || change.old().is_some_and(|old| selector.matches(old.labels())) {
                me.queue.add_object(&budget);
            }
            own.extend(is_own.then_some(budget));
        }
        if let [one, _, ..] = own.as_slice() {
            let message = format!(
                "Pod {:?}/{:?} matches multiple PodDisruptionBudgets.  Chose {:?} arbitrarily.",
                pod.namespace(),
                pod.name(),
                one.name()
            );
            me.ctx.events.warning(pod, "MultiplePodDisruptionBudgets", message);
        }
    });
    let mut needs = vec![budgets, pods];
    for resource in [&DEPLOYMENTS, &REPLICA_SETS, &REPLICATION_CONTROLLERS, &STATEFUL_SETS] {
        // Scaling is noticed by the pods that come and go.
        let informer = this.ctx.informers.informer(resource);
        needs.push(informer);
    }
    let tasks = this.ctx.tasks.clone();
    Controller::new("disruption", queue).needs(needs).start(&tasks, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await }
    });
}

impl Disruption {
    async fn sync(&self, key: &Key) -> Result<(), Status> {
        let (namespace, name) = split_key(key);
        let Some(budget) = self.budgets.get(namespace, name) else { return Ok(()) };
        let selector = crate::util::selector(budget.at(&["spec", "selector"]));
        let mut pods = self.pods.list_in(namespace);
        pods.retain(|pod| selector.matches(pod.labels()));
        if pods.is_empty() {
            self.ctx.events.normal(&budget, "NoPods", "No matching pods found");
        }
        self.tell_of_unmanaged(&budget, &pods);
        match self.expected(&budget, &pods).await {
            Ok((expected, desired)) => self.write(&budget, &pods, expected, desired).await,
            Err(error) => {
                let message = format!("Failed to calculate the number of expected pods: {error}");
                self.ctx.events.warning(&budget, "CalculateExpectedPodCountFailed", message.clone());
                self.fail_safe(&budget, &error).await
            }
        }
    }

    fn tell_of_unmanaged(&self, budget: &Object, pods: &[Arc<Object>]) {
        let by_scale = budget.at(&["spec", "maxUnavailable"]).is_some_and(|value| !value.is_null())
            || budget.at(&["spec", "minAvailable"]).is_some_and(|value| value.as_str().is_some());
        if by_scale && pods.iter().any(|pod| pod.controller_ref().is_none()) {
            let selector = drydock_machinery::go_text::label_selector(
                budget.at(&["spec", "selector"]).unwrap_or(&Value::Null),
            );
            let message = format!(
                "Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be unmanaged. As a result, \
                 the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account \
                 for these pods please set \".spec.minAvailable\" field of the PDB to an integer value."
            );
            self.ctx.events.warning(budget, "UnmanagedPods", message);
        }
    }

    /// How many pods there should be, and how many of them must be healthy.
    async fn expected(&self, budget: &Object, pods: &[Arc<Object>]) -> Result<(i64, i64), String> {
        let count = pods.len() as i64;
        let maximum = budget.at(&["spec", "maxUnavailable"]).filter(|value| !value.is_null());
        if let Some(maximum) = maximum {
            let expected = self.expected_scale(pods).await?;
            let unavailable = scaled(Some(maximum), expected, Round::Up).ok_or("invalid maxUnavailable")?;
            return Ok((expected, (expected - unavailable).max(0)));
        }
        match budget.at(&["spec", "minAvailable"]) {
            Some(Value::Int(minimum)) => Ok((count, *minimum)),
            Some(minimum) => {
                let expected = self.expected_scale(pods).await?;
                let desired = scaled(Some(minimum), expected, Round::Up).ok_or("invalid minAvailable")?;
                Ok((expected, desired))
            }
            // A budget that says nothing allows nothing.
            None => Ok((0, 0)),
        }
    }

    /// The sum of the scales of the pods' controllers.
    async fn expected_scale(&self, pods: &[Arc<Object>]) -> Result<i64, String> {
        let mut scales: std::collections::BTreeMap<String, i64> = Default::default();
        for pod in pods {
            // Pods that nobody manages are told about, and not counted.
            let Some(owner) = pod.controller_ref() else { continue };
            let (uid, scale) = self
                .scale_of(pod.namespace(), owner)
                .await?
                .ok_or_else(|| format!("found no controllers for pod {:?}", pod.name()))?;
            scales.insert(uid, scale);
        }
        Ok(scales.values().sum())
    }

    /// The uid and the wanted number of replicas of what a pod's controller reference leads to.
    async fn scale_of(&self, namespace: &str, reference: &Value) -> Result<Option<(String, i64)>, String> {
        let (group, _) = split_api_version(reference.str_at(&["apiVersion"]));
        let resource = match (group, reference.str_at(&["kind"])) {
            ("apps", "ReplicaSet") => &REPLICA_SETS,
            ("", "ReplicationController") => &REPLICATION_CONTROLLERS,
            ("apps", "StatefulSet") => &STATEFUL_SETS,
            (group, kind) => return self.scale_of_other(namespace, group, kind, reference).await,
        };
        let found = self.ctx.informers.informer(resource).get(namespace, reference.str_at(&["name"]));
        let Some(found) = found.filter(|found| found.uid() == reference.str_at(&["uid"])) else {
            return Ok(None);
        };
        let mut scaled = found.clone();
        if let Some(name) = owner::controller_of_kind(&found, "apps", "Deployment") {
            let Some(deployment) = self.ctx.informers.informer(&DEPLOYMENTS).get(namespace, name) else {
                return Ok(None);
            };
            scaled = deployment;
        }
        Ok(Some((scaled.uid().to_owned(), count_at(&scaled, &["spec", "replicas"], 1))))
    }

    /// As the controller's own scale subresource says.
    async fn scale_of_other(
        &self,
        namespace: &str,
        group: &str,
        kind: &str,
        reference: &Value,
    ) -> Result<Option<(String, i64)>, String> {
        let served = self.ctx.client.discover().await.map_err(|status| status.to_string())?;
        let mut same = served.iter().filter(|served| served.kind == kind && served.resource.group == group);
        let Some(served) = same.next() else {
            let version = reference.str_at(&["apiVersion"]);
            return Err(format!("no matches for kind {kind:?} in version {version:?}"));
        };
        let name = reference.str_at(&["name"]);
        let request = Request::new(Verb::Get, &served.resource, namespace, name).subresource("scale");
        match self.ctx.client.object(request).await {
            Ok(scale) if scale.uid() == reference.str_at(&["uid"]) => {
                Ok(Some((scale.uid().to_owned(), count_at(&scale, &["spec", "replicas"], 0))))
            }
            Ok(_) => Ok(None),
            Err(status) if status.is_not_found() && served.scalable => Ok(None),
            Err(status) if status.is_not_found() => {
                let resource = served.resource.group_resource();
                Err(format!("{resource} does not implement the scale subresource"))
            }
            Err(status) => Err(status.to_string()),
        }
    }

    async fn write(
        &self,
        budget: &Object,
        pods: &[Arc<Object>],
        expected: i64,
        desired: i64,
    ) -> Result<(), Status> {
        let now = self.ctx.clock.now();
        let (disrupted, recheck) = self.disrupted(budget, pods);
        let healthy = |pod: &&Arc<Object>| {
            !pod.is_deleting() && !disrupted.contains_key(pod.name()) && pod::is_ready(pod)
        };
        let healthy = pods.iter().filter(healthy).count() as i64;
        let allowed = if expected <= 0 { 0 } else { (healthy - desired).max(0) };
        let mut new = budget.value().clone();
        new.set(&["status", "currentHealthy"], healthy);
        new.set(&["status", "desiredHealthy"], desired);
        new.set(&["status", "expectedPods"], expected);
        new.set(&["status", "disruptionsAllowed"], allowed);
        new.set(&["status", "observedGeneration"], budget.generation());
        if disrupted.is_empty() {
            new.remove(&["status", "disruptedPods"]);
        } else {
            new.set(&["status", "disruptedPods"], disrupted);
        }
        let (status, reason) =
            if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
        self.set_condition(&mut new, status, reason, "");
        if let Some(at) = recheck {
            self.queue.add_after(budget.key(), between(now, at));
        }
        if new.get("status") == budget.get("status") {
            return Ok(());
        }
        self.ctx.client.update_status(&POD_DISRUPTION_BUDGETS, new).await.map(drop)
    }

    /// Of the generation that the status is of.
    fn set_condition(&self, new: &mut Value, status: &str, reason: &str, message: &str) {
        let now = self.ctx.clock.now_rfc3339();
        let mut condition = conditions::new("DisruptionAllowed", status, reason, "", &now);
        condition.set(&["message"], message);
        if let Some(observed) =
            new.i64_at(&["status", "observedGeneration"]).filter(|observed| *observed != 0)
        {
            condition.set(&["observedGeneration"], observed);
        }
        conditions::set_in_place(new, condition);
    }

    /// Evicted pods whose deletion has not been seen yet, and when the first of them is to be forgotten.
    fn disrupted(&self, budget: &Object, pods: &[Arc<Object>]) -> (Map, Option<jiff::Timestamp>) {
        let now = self.ctx.clock.now();
        let mut recheck = None;
        let mut kept = Map::new();
        for (name, time) in budget.object_at(&["status", "disruptedPods"]).iter() {
            let pending = pods.iter().any(|pod| pod.name() == name.as_str() && !pod.is_deleting());
            let until = time
                .as_str()
                .and_then(|time| time.parse::<jiff::Timestamp>().ok())
                .and_then(|since| since.saturating_add(DISRUPTED_TIMEOUT).ok());
            if let Some(until) = until.filter(|until| pending && *until > now) {
                kept.insert(name.clone(), time.clone());
                recheck = Some(recheck.map_or(until, |at: jiff::Timestamp| at.min(until)));
            }
        }
        (kept, recheck)
    }

    /// When nothing can be counted, nothing may be disrupted.
    async fn fail_safe(&self, budget: &Object, error: &str) -> Result<(), Status> {
        let mut new = budget.value().clone();
        new.set(&["status", "disruptionsAllowed"], 0);
        self.set_condition(&mut new, "False", "SyncFailed", error);
        if new.get("status") == budget.get("status") {
            return Ok(());
        }
        self.ctx.client.update_status(&POD_DISRUPTION_BUDGETS, new).await.map(drop)
    }
}
