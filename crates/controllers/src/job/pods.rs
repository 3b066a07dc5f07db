//! A job's pods: making as many as are wanted, deleting those that are not.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use drydock_machinery::{Object, ObjectMeta, Status, Value, value};

use super::indexes::{self, Indexes};
use super::state::State;
use super::{INDEX, Jobs, TRACKING, is_indexed, is_suspended, policy};
use crate::util::pod_control::{delete_all, is_namespace_terminating, pod_from_template, slow_start};
use crate::util::{between, count_at, pod};

const BURST: i64 = 500;
const FIRST_BACKOFF: Duration = Duration::from_secs(10);
const LAST_BACKOFF: Duration = Duration::from_secs(600);

impl Jobs {
    /// Brings the number of active pods to what it should be.
    pub(super) async fn manage(&self, job: &Object, state: &mut State<'_>) -> Result<(), Status> {
        if state.verdict.is_some() || is_suspended(job) {
            let all = std::mem::take(&mut state.active);
            // Until they are seen to be gone the job has not ended.
            state.terminating.extend(all.iter().cloned());
            let deleted = self.delete_pods(job, state, all).await;
            if deleted.is_ok() {
                state.count_stopped();
            }
            return deleted;
        }
        let wanted = wanted_active(job, state);
        let mut active = state.active.len() as i64;
        if job.str_at(&["spec", "podReplacementPolicy"]) == "Failed" {
            active += state.terminating.len() as i64;
        }
        let mut surplus = self.surplus(job, state, wanted);
        if !surplus.is_empty() {
            surplus.truncate(BURST as usize);
            let gone: BTreeSet<String> = surplus.iter().map(|pod| pod.uid().to_owned()).collect();
            state.active.retain(|pod| !gone.contains(pod.uid()));
            state.terminating.extend(surplus.iter().cloned());
            return self.delete_pods(job, state, surplus).await;
        }
        if active >= wanted {
            return Ok(());
        }
        let count = (wanted - active).min(BURST);
        let per_index = job.i64_at(&["spec", "backoffLimitPerIndex"]).is_some();
        let mut pause = if per_index { Duration::ZERO } else { self.pause(state) };
        let mut indexes = if is_indexed(job) { free_indexes(job, state, count) } else { Vec::new() };
        if per_index {
            (indexes, pause) = self.due_indexes(state, indexes);
        }
        if !pause.is_zero() {
            self.queue.add_after(job.key(), pause);
            state.pauses = true;
            return Ok(());
        }
        self.create_pods(job, state, count, indexes).await
    }

    /// What is left of the pause after failures in a row.
    fn pause(&self, state: &State<'_>) -> Duration {
        state.backoff.map_or(Duration::ZERO, |backoff| self.left_of_pause(backoff.failures, backoff.last))
    }

    fn left_of_pause(&self, failures: u32, last: jiff::Timestamp) -> Duration {
        let factor = 1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        let delay = FIRST_BACKOFF.checked_mul(factor).unwrap_or(LAST_BACKOFF).min(LAST_BACKOFF);
        delay.saturating_sub(between(last, self.ctx.clock.now()))
    }

    /// The indexes whose own pause is over; when there are none, how long the shortest goes on.
    fn due_indexes(&self, state: &State<'_>, indexes: Vec<i64>) -> (Vec<i64>, Duration) {
        let left = |index: &i64| match state.replaced.get(index) {
            Some(pod) => {
                let failures = u32::try_from(policy::all_index_failures(pod) + 1).unwrap_or(u32::MAX);
                self.left_of_pause(failures, policy::finished_at(pod))
            }
            None => Duration::ZERO,
        };
        let (due, waiting): (Vec<_>, Vec<_>) = indexes.into_iter().partition(|index| left(index).is_zero());
        let pause = if due.is_empty() { waiting.iter().map(left).min() } else { None };
        (due, pause.unwrap_or_default())
    }

    /// Active pods beyond the wanted number, and of indexes that need none.
    fn surplus(&self, job: &Object, state: &State<'_>, wanted: i64) -> Vec<Arc<Object>> {
        let mut pods = state.active.clone();
        // Those that are missed least come first.
        pods.sort_by_key(|pod| (pod::is_ready(pod), pod::phase(pod) == "Running"));
        let mut surplus = Vec::new();
        if is_indexed(job) {
            let completions = count_at(job, &["spec", "completions"], 0);
            let mut seen = Indexes::default();
            pods.reverse();
            pods.retain(|pod| {
                let fits = indexes::of_pod(pod).is_some_and(|index| {
                    (0..completions).contains(&index)
                        && !state.completed.contains(index)
                        && !state.failed_indexes.contains(index)
                        && seen.insert(index)
                });
                if !fits {
                    surplus.push(pod.clone());
                }
                fits
            });
            pods.sort_by_key(|pod| std::cmp::Reverse(indexes::of_pod(pod)));
        }
        let too_many = usize::try_from(pods.len() as i64 - wanted).unwrap_or(0);
        surplus.extend(pods.into_iter().take(too_many));
        surplus
    }

    async fn delete_pods(
        &self,
        job: &Object,
        state: &State<'_>,
        pods: Vec<Arc<Object>>,
    ) -> Result<(), Status> {
        delete_all(&self.expectations, &job.key(), &pods, |pod| async move {
            // Of a job that has ended pods are counted like any that were deleted; others are not waited for.
            if state.verdict.is_none() {
                self.release(&pod).await?;
            }
            self.control.delete(job, &pod).await
        })
        .await
    }

    async fn create_pods(
        &self,
        job: &Object,
        state: &mut State<'_>,
        count: i64,
        indexes: Vec<i64>,
    ) -> Result<(), Status> {
        let pods: Vec<Value> = if is_indexed(job) {
            indexes.into_iter().map(|index| indexed_pod(job, state, index)).collect()
        } else {
            (0..count).map(|_| tracked_pod(job)).collect()
        };
        let key = job.key();
        self.expectations.expect_creations(&key, pods.len() as i64);
        let made = parking_lot::Mutex::new(Vec::new());
        let create = |i: usize| {
            let (pod, made) = (pods[i].clone(), &made);
            async move {
                match self.control.create(job, pod).await {
                    Ok(pod) => {
                        made.lock().push(pod);
                        Ok(())
                    }
                    Err(status) if is_namespace_terminating(&status) => Ok(()),
                    Err(status) => Err(status),
                }
            }
        };
        let (done, error) = slow_start(pods.len(), create).await;
        for _ in done..pods.len() {
            self.expectations.created(&key);
        }
        state.active.extend(made.into_inner());
        error.map_or(Ok(()), Err)
    }
}

fn indexed_pod(job: &Object, state: &State<'_>, index: i64) -> Value {
    let mut pod = tracked_pod(job);
    let name = format!("{}-{index}", job.name());
    pod.set(&["metadata", "generateName"], format!("{name}-"));
    pod.set(&["metadata", "annotations", INDEX], index.to_string());
    pod.set(&["metadata", "labels", INDEX], index.to_string());
    pod.set(&["spec", "hostname"], name);
    if job.i64_at(&["spec", "backoffLimitPerIndex"]).is_some() {
        policy::set_index_failures(&mut pod, job, state.replaced.get(&index).map(|replaced| &**replaced));
    }
    let variable = value!({"name": "JOB_COMPLETION_INDEX", "valueFrom": {"fieldRef": {
        "fieldPath": "metadata.labels['batch.kubernetes.io/job-completion-index']",
    }}});
    for list in ["initContainers", "containers"] {
        let Some(containers) = pod.at(&["spec", list]).and_then(Value::as_array) else { continue };
        let mut containers = containers.to_vec();
        for container in &mut containers {
            let mut env = container.array_at(&["env"]).to_vec();
            if !env.iter().any(|one| one.str_at(&["name"]) == "JOB_COMPLETION_INDEX") {
                env.push(variable.clone());
            }
            container.set(&["env"], env);
        }
        pod.set(&["spec", list], containers);
    }
    pod
}

fn wanted_active(job: &Object, state: &State<'_>) -> i64 {
    let parallelism = count_at(job, &["spec", "parallelism"], 1);
    match job.i64_at(&["spec", "completions"]) {
        // A work queue: once one has succeeded, the others finish and no new ones start.
        None if state.succeeded() > 0 => (state.active.len() as i64).min(parallelism),
        None => parallelism,
        Some(completions) => {
            let left = completions - state.succeeded() - state.failed_indexes.count();
            left.max(0).min(parallelism)
        }
    }
}

fn free_indexes(job: &Object, state: &State<'_>, count: i64) -> Vec<i64> {
    let mut taken: Indexes = state.active.iter().filter_map(|pod| indexes::of_pod(pod)).collect();
    taken.add(&state.completed);
    taken.add(&state.failed_indexes);
    if job.str_at(&["spec", "podReplacementPolicy"]) == "Failed" {
        taken.add(&state.terminating.iter().filter_map(|pod| indexes::of_pod(pod)).collect());
    }
    let count = usize::try_from(count).unwrap_or(0);
    taken.free(count_at(job, &["spec", "completions"], 0), count)
}

fn tracked_pod(job: &Object) -> Value {
    let mut pod = pod_from_template(job.at(&["spec", "template"]).unwrap_or(&Value::Null), job);
    let mut finalizers = pod.array_at(&["metadata", "finalizers"]).to_vec();
    finalizers.push(TRACKING.into());
    pod.set(&["metadata", "finalizers"], finalizers);
    pod
}
