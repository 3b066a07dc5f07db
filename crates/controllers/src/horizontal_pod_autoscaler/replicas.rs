//! How many replicas a metric asks for.
//!
//! Pods that are not ready or have no sample are assumed to use nothing when there is more to do, and all that they may
//! when there is less: what is not known never makes a change greater, nor turns its direction.

use std::collections::BTreeMap;
use std::sync::Arc;

use drydock_machinery::quantity::Quantity;
use drydock_machinery::{Object, ObjectMeta, Value};
use jiff::{SignedDuration, Timestamp};

use super::metrics::{Sample, Samples};
use crate::util::{conditions, pod, time_at};

/// How long after its start a pod's use of CPU may be that of starting.
const CPU_INITIALIZATION: SignedDuration = SignedDuration::from_secs(300);
/// A pod that was never ready has become unready this soon after its start.
const INITIAL_READINESS_DELAY: SignedDuration = SignedDuration::from_secs(30);
const NO_PODS: &str = "no pods returned by selector while calculating replica count";

/// How far from 1 a ratio may be before anything is done, down and up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tolerances {
    pub(super) down: f64,
    pub(super) up: f64,
}

impl Tolerances {
    const DEFAULT: f64 = 0.1;

    pub(super) fn of(autoscaler: &Value) -> Self {
        let of = |direction: &str| {
            let tolerance = autoscaler.at(&["spec", "behavior", direction, "tolerance"]);
            tolerance
                .filter(|value| !value.is_null())
                .map_or(Self::DEFAULT, |value| Quantity::of(Some(value)).as_f64())
        };
        Self { down: of("scaleDown"), up: of("scaleUp") }
    }

    fn allow(self, ratio: f64) -> bool {
        (1.0 - self.down..=1.0 + self.up).contains(&ratio)
    }
}

/// What is wanted of each pod.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target {
    /// A percentage of what it requests.
    Utilization(i64),
    /// Thousandths.
    Average(i64),
}

/// What a metric proposes, and what it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proposal {
    pub(super) replicas: i64,
    /// A percentage; 0 for targets that are none.
    pub(super) utilization: i64,
    /// Thousandths, per pod.
    pub(super) usage: i64,
}

/// The target's pods with what decides about their samples.
pub(super) struct Fleet<'a> {
    pub(super) pods: &'a [Arc<Object>],
    pub(super) now: Timestamp,
    /// `spec.replicas` of the target.
    pub(super) current: i64,
    pub(super) tolerances: Tolerances,
}

#[derive(Debug, Default)]
struct Groups {
    ready: i64,
    unready: Vec<String>,
    missing: Vec<String>,
    ignored: Vec<String>,
}

/// A ratio, and what it was made of.
struct Ratio {
    ratio: f64,
    utilization: i64,
    usage: i64,
}

impl Fleet<'_> {
    /// The replicas that bring the pods' samples of `resource` ("" for other metrics) to `target`.
    ///
    /// # Errors
    /// Why it cannot be said, in upstream's words.
    pub(super) fn by_samples(
        &self,
        mut samples: Samples,
        target: Target,
        resource: &str,
        container: &str,
    ) -> Result<Proposal, String> {
        if self.pods.is_empty() {
            return Err(NO_PODS.to_owned());
        }
        let groups = self.group(&samples, resource);
        for name in groups.ignored.iter().chain(&groups.unready) {
            samples.remove(name);
        }
        if samples.is_empty() {
            return Err("did not receive metrics for targeted pods (pods might be unready)".to_owned());
        }
        let requests = match target {
            Target::Utilization(_) => requests(self.pods, container, resource)?,
            Target::Average(_) => BTreeMap::new(),
        };
        let first = ratio(&samples, &requests, target)?;
        let proposal = |replicas| Proposal { replicas, utilization: first.utilization, usage: first.usage };
        let unready_count = !groups.unready.is_empty() && first.ratio > 1.0;
        if !unready_count && groups.missing.is_empty() {
            let within = self.tolerances.allow(first.ratio);
            return Ok(proposal(if within { self.current } else { ceil(first.ratio * groups.ready as f64) }));
        }
        assume(&mut samples, &groups.missing, first.ratio, |name| match target {
            Target::Utilization(percent) => requests.get(name).copied().unwrap_or(0) * percent.max(100) / 100,
            Target::Average(value) => value,
        });
        if unready_count {
            samples.extend(groups.unready.iter().map(|name| (name.clone(), Sample::assumed(0))));
        }
        let second = ratio(&samples, &requests, target)?;
        Ok(proposal(self.cautious(first.ratio, second.ratio, samples.len())))
    }

    /// The replicas for a ratio over assumed samples: those there are when it is about nothing or turns the direction.
    fn cautious(&self, first: f64, second: f64, samples: usize) -> i64 {
        let turned = (first < 1.0 && second > 1.0) || (first > 1.0 && second < 1.0);
        if turned || self.tolerances.allow(second) {
            return self.current;
        }
        let replicas = ceil(second * samples as f64);
        let against = (second < 1.0 && replicas > self.current) || (second > 1.0 && replicas < self.current);
        if against { self.current } else { replicas }
    }

    /// The replicas that bring a value of the whole to `target`.
    pub(super) fn by_total(&self, usage: i64, target: i64) -> Result<Proposal, String> {
        let ratio = usage as f64 / target as f64;
        let replicas = if self.current == 0 {
            ceil(ratio)
        } else if self.tolerances.allow(ratio) {
            self.current
        } else if self.pods.is_empty() {
            return Err(format!("unable to calculate ready pods: {NO_PODS}"));
        } else {
            let ready = self.pods.iter().filter(|one| pod::phase(one) == "Running" && pod::is_ready(one));
            ceil(ratio * ready.count() as f64)
        };
        Ok(Proposal { replicas, utilization: 0, usage })
    }

    /// The replicas among which a value of the whole is `target` for each; `status` is how many there are.
    pub(super) fn by_share(&self, usage: i64, target: i64, status: i64) -> Proposal {
        let ratio = usage as f64 / (target as f64 * status as f64);
        let replicas = if self.tolerances.allow(ratio) { status } else { ceil(usage as f64 / target as f64) };
        let share = if status == 0 { 0 } else { (usage as f64 / status as f64).ceil() as i64 };
        Proposal { replicas, utilization: 0, usage: share }
    }

    fn group(&self, samples: &Samples, resource: &str) -> Groups {
        let mut groups = Groups::default();
        for one in self.pods {
            let name = one.name().to_owned();
            if one.is_deleting() || pod::phase(one) == "Failed" {
                groups.ignored.push(name);
            } else if pod::phase(one) == "Pending" {
                groups.unready.push(name);
            } else if let Some(sample) = samples.get(&name) {
                if resource == "cpu" && self.is_starting(one, sample) {
                    groups.unready.push(name);
                } else {
                    groups.ready += 1;
                }
            } else {
                groups.missing.push(name);
            }
        }
        groups
    }

    /// Whether what the pod uses may be due to its starting.
    fn is_starting(&self, one: &Object, sample: &Sample) -> bool {
        let condition = conditions::condition(one, "Ready");
        let (Some(ready), Some(started)) = (condition, time_at(one, &["status", "startTime"])) else {
            return true;
        };
        let unready = ready.str_at(&["status"]) == "False";
        let since = time_at(ready, &["lastTransitionTime"]).unwrap_or(Timestamp::MIN);
        let after = |at: Timestamp, by: SignedDuration| at.saturating_add(by).unwrap_or(Timestamp::MAX);
        if after(started, CPU_INITIALIZATION) > self.now {
            unready || sample.at.is_none_or(|at| at < after(since, sample.window))
        } else {
            unready && after(started, INITIAL_READINESS_DELAY) > since
        }
    }
}

/// Rounded up; no more than an int32 holds.
fn ceil(replicas: f64) -> i64 {
    replicas.ceil().min(f64::from(i32::MAX)) as i64
}

/// Gives those without samples all when the others use too little, and nothing when they use too much.
fn assume(samples: &mut Samples, missing: &[String], ratio: f64, all: impl Fn(&str) -> i64) {
    for name in missing {
        if ratio < 1.0 {
            samples.insert(name.clone(), Sample::assumed(all(name)));
        } else if ratio > 1.0 {
            samples.insert(name.clone(), Sample::assumed(0));
        }
    }
}

fn ratio(samples: &Samples, requests: &BTreeMap<String, i64>, target: Target) -> Result<Ratio, String> {
    match target {
        Target::Average(wanted) => {
            let total: i64 = samples.values().map(|sample| sample.value).sum();
            let usage = total / samples.len().max(1) as i64;
            Ok(Ratio { ratio: usage as f64 / wanted as f64, utilization: 0, usage })
        }
        Target::Utilization(wanted) => {
            let known =
                samples.iter().filter_map(|(name, sample)| Some((sample.value, *requests.get(name)?)));
            let (mut used, mut requested, mut count) = (0, 0, 0);
            for (value, request) in known {
                used += value;
                requested += request;
                count += 1;
            }
            if requested == 0 {
                return Err("no metrics returned matched known pods".to_owned());
            }
            let utilization = used * 100 / requested;
            Ok(Ratio { ratio: utilization as f64 / wanted as f64, utilization, usage: used / count })
        }
    }
}

/// What each pod requests of a resource, in thousandths: itself, its containers together, or one of these.
fn requests(pods: &[Arc<Object>], container: &str, resource: &str) -> Result<BTreeMap<String, i64>, String> {
    let of = |one: &Arc<Object>| Ok((one.name().to_owned(), request(one, container, resource)?));
    pods.iter().map(of).collect()
}

fn request(one: &Object, container: &str, resource: &str) -> Result<i64, String> {
    let name = one.name();
    let own = one.object_at(&["spec", "resources", "requests"]);
    if container.is_empty() && own.iter().next().is_some() {
        if let Some(request) = own.get(resource) {
            return Ok(Quantity::of(Some(request)).milli_value());
        }
        if resource != "cpu" && resource != "memory" {
            return Err(format!("missing pod-level request for {resource} in Pod {name}"));
        }
    }
    let sidecars = one.array_at(&["spec", "initContainers"]).iter();
    let sidecars = sidecars.filter(|one| one.str_at(&["restartPolicy"]) == "Always");
    let all = one.array_at(&["spec", "containers"]).iter().chain(sidecars);
    let mut concerned =
        all.filter(|one| container.is_empty() || one.str_at(&["name"]) == container).peekable();
    if !container.is_empty() && concerned.peek().is_none() {
        return Err(format!("container {container} not found in Pod {name}"));
    }
    concerned
        .map(|one| match one.at(&["resources", "requests", resource]) {
            Some(request) => Ok(Quantity::of(Some(request)).milli_value()),
            None => {
                let of = one.str_at(&["name"]);
                Err(format!("missing request for {resource} in container {of} of Pod {name}"))
            }
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    fn pods(count: usize) -> Vec<Arc<Object>> {
        let one = |i: usize| {
            let pod = value!({
                "metadata": {"name": format!("p{i}")},
                "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": "1"}}}]},
                "status": {
                    "phase": "Running", "startTime": "2026-01-01T00:00:00Z",
                    "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:01:00Z"}],
                },
            });
            Arc::new(Object::new(pod, 1))
        };
        (0..count).map(one).collect()
    }

    fn propose(pods: &[Arc<Object>], values: &[i64], target: Target) -> Result<Proposal, String> {
        let now: Timestamp = "2026-01-01T01:00:00Z".parse().unwrap();
        let fleet =
            Fleet { pods, now, current: pods.len() as i64, tolerances: Tolerances { down: 0.1, up: 0.1 } };
        let sample = |value| Sample { value, at: Some(now), window: SignedDuration::from_secs(60) };
        let samples = values.iter().enumerate().map(|(i, value)| (format!("p{i}"), sample(*value))).collect();
        fleet.by_samples(samples, target, "cpu", "")
    }

    #[test]
    fn utilization_above_the_target_asks_for_more() {
        let up = propose(&pods(3), &[300, 500, 700], Target::Utilization(30)).unwrap();
        assert_eq!(up, Proposal { replicas: 5, utilization: 50, usage: 500 });
        let same = propose(&pods(3), &[300, 300, 310], Target::Utilization(30)).unwrap();
        assert_eq!(same.replicas, 3, "within the tolerance");
        let down = propose(&pods(5), &[100, 300, 500, 250, 250], Target::Utilization(50)).unwrap();
        assert_eq!(down.replicas, 3);
    }

    #[test]
    fn pods_without_samples_dampen_the_change() {
        // Of four, two use all: with the others at nothing it is what was wanted.
        assert_eq!(propose(&pods(4), &[1000, 1000], Target::Utilization(50)).unwrap().replicas, 4);
        // Two use nothing: the others are assumed to use all.
        assert_eq!(propose(&pods(4), &[0, 0], Target::Utilization(100)).unwrap().replicas, 2);
    }

    #[test]
    fn no_samples_and_no_requests_are_errors() {
        let none = propose(&pods(1), &[], Target::Utilization(50)).unwrap_err();
        assert_eq!(none, "did not receive metrics for targeted pods (pods might be unready)");
        assert_eq!(propose(&[], &[], Target::Utilization(50)).unwrap_err(), NO_PODS);
    }

    #[test]
    fn a_value_of_the_whole_is_shared() {
        let pods = pods(3);
        let fleet = Fleet {
            pods: &pods,
            now: Timestamp::UNIX_EPOCH,
            current: 3,
            tolerances: Tolerances { down: 0.1, up: 0.1 },
        };
        assert_eq!(fleet.by_total(20_000, 10_000).unwrap().replicas, 6);
        let share = fleet.by_share(10_000, 2_000, 3);
        assert_eq!((share.replicas, share.usage), (5, 3334));
    }
}
