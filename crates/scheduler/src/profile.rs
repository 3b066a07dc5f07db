//! How pods are scheduled: which plugins are asked, in which order, with which weights and arguments.
//!
//! A profile is plain data, of which the decision is a function; `config` reads it from a KubeSchedulerConfiguration.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use drydock_client::scheduling::NodeTerm;
use drydock_machinery::{Key, Object, Value};

use crate::plugin::{DEFAULT, Plugin, Point};
use crate::pod_info::SpreadConstraint;

/// The name of the profile that pods have unless they ask for another one.
pub const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// All that a scheduler is configured with.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// At least one, no two of the same name.
    pub(crate) profiles: Vec<Arc<Profile>>,
    pub(crate) backoff: Backoff,
    /// What it was read from; null when it is the default.
    pub(crate) document: Value,
}

/// How long pods pause after a failure: at first, and at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    pub(crate) last: Duration,
}

/// How the pods of one scheduler name are scheduled.
#[derive(Clone, Debug)]
pub struct Profile {
    pub(crate) name: String,
    /// Of so many nodes in a hundred that would do, one is chosen; 0 leaves it to the scheduler.
    pub(crate) percentage_of_nodes: usize,
    /// By extension point, in the order in which they are asked.
    points: [Vec<Plugin>; Point::ALL.len()],
    /// The plugins of the score point with their weights.
    pub(crate) scores: Vec<(Plugin, i64)>,
    pub(crate) args: Args,
}

/// The arguments of all plugins.
#[derive(Clone, Debug)]
pub(crate) struct Args {
    pub(crate) fit: Fit,
    /// The resources whose shares are to be alike.
    pub(crate) balanced: Vec<Key>,
    pub(crate) added_affinity: AddedAffinity,
    pub(crate) spread: SpreadDefaults,
    pub(crate) inter_pod: InterPod,
    pub(crate) candidates: Candidates,
    pub(crate) volumes_timeout: Duration,
    pub(crate) devices_timeout: Duration,
}

/// Of NodeResourcesFit.
#[derive(Clone, Debug)]
pub(crate) struct Fit {
    /// Extended resources that are not looked at, by name and by what is before the slash.
    pub(crate) ignored: HashSet<String>,
    pub(crate) ignored_groups: HashSet<String>,
    pub(crate) strategy: Strategy,
    /// What counts for the score, and how much.
    pub(crate) resources: Vec<(Key, i64)>,
}

/// Which nodes NodeResourcesFit likes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Strategy {
    LeastAllocated,
    MostAllocated,
    /// By points of utilization, 0 to 100, and score, 0 to 10; between them along a line.
    RequestedToCapacityRatio(Vec<(i64, i64)>),
}

/// Of NodeAffinity: an affinity of all pods of the profile.
#[derive(Clone, Debug, Default)]
pub(crate) struct AddedAffinity {
    /// None: every node will do. Terms are alternatives.
    pub(crate) required: Option<Vec<NodeTerm>>,
    pub(crate) preferred: Vec<(i64, NodeTerm)>,
}

/// Of PodTopologySpread: the constraints of pods that have none.
#[derive(Clone, Debug)]
pub(crate) struct SpreadDefaults {
    pub(crate) constraints: Vec<SpreadConstraint>,
    /// They are upstream's own, which also hold where a node lacks the label of one of them.
    pub(crate) is_system: bool,
}

/// Of InterPodAffinity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InterPod {
    /// The weight of an existing pod's required affinity to the incoming one.
    pub(crate) hard_weight: i64,
    /// What existing pods prefer does not count for one that prefers nothing.
    pub(crate) ignore_preferences_of_others: bool,
}

/// Of DefaultPreemption: how many nodes are compared, at least.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidates {
    pub(crate) percentage: usize,
    pub(crate) absolute: usize,
}

impl Default for Configuration {
    /// Upstream's without a file.
    fn default() -> Self {
        Self { profiles: vec![Arc::default()], backoff: Backoff::default(), document: Value::Null }
    }
}

impl PartialEq for Configuration {
    /// Read from the same document.
    fn eq(&self, other: &Self) -> bool {
        self.document == other.document
    }
}

impl Configuration {
    /// The profile of pods with this `spec.schedulerName`; None: somebody else schedules them.
    pub fn profile(&self, scheduler_name: &str) -> Option<&Arc<Profile>> {
        self.profiles.iter().find(|profile| profile.name == scheduler_name)
    }

    pub(crate) fn profile_of(&self, pod: &Object) -> Option<&Arc<Profile>> {
        self.profile(scheduler_name(pod))
    }
}

pub(crate) fn scheduler_name(pod: &Value) -> &str {
    pod.str_at(&["spec", "schedulerName"])
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_secs(1), last: Duration::from_secs(10) }
    }
}

impl Default for Profile {
    /// Upstream's `default-scheduler`.
    fn default() -> Self {
        let points = Point::ALL.map(|point| {
            let plugins = DEFAULT.iter().map(|(plugin, _)| *plugin);
            plugins.filter(|plugin| plugin.extends(point)).collect()
        });
        Self::new(DEFAULT_SCHEDULER.to_owned(), 0, points, &DEFAULT, Args::default())
    }
}

impl Profile {
    /// `weights` may name a plugin twice: the first one counts.
    pub(crate) fn new(
        name: String,
        percentage_of_nodes: usize,
        points: [Vec<Plugin>; Point::ALL.len()],
        weights: &[(Plugin, i64)],
        args: Args,
    ) -> Self {
        let weight = |plugin: Plugin| {
            let given = weights.iter().find(|(one, _)| *one == plugin).map_or(0, |(_, weight)| *weight);
            if given == 0 { 1 } else { given }
        };
        let scores = points[Point::Score as usize].iter().map(|plugin| (*plugin, weight(*plugin))).collect();
        Self { name, percentage_of_nodes, points, scores, args }
    }

    pub(crate) fn with_percentage(self, percentage_of_nodes: usize) -> Self {
        Self { percentage_of_nodes, ..self }
    }

    /// The scheduler name of its pods.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The plugins that are asked at the point, in their order.
    pub fn at(&self, point: Point) -> &[Plugin] {
        &self.points[point as usize]
    }

    pub(crate) fn has(&self, point: Point, plugin: Plugin) -> bool {
        self.at(point).contains(&plugin)
    }

    /// At any point.
    pub(crate) fn uses(&self, plugin: Plugin) -> bool {
        self.points.iter().any(|plugins| plugins.contains(&plugin))
    }
}

impl Default for Args {
    fn default() -> Self {
        Self {
            fit: Fit::default(),
            balanced: ["cpu", "memory"].map(Key::from).into(),
            added_affinity: AddedAffinity::default(),
            spread: SpreadDefaults::default(),
            inter_pod: InterPod { hard_weight: 1, ignore_preferences_of_others: false },
            candidates: Candidates { percentage: 10, absolute: 100 },
            volumes_timeout: Duration::from_secs(600),
            devices_timeout: Duration::from_secs(600),
        }
    }
}

impl Default for Fit {
    fn default() -> Self {
        Self {
            ignored: HashSet::new(),
            ignored_groups: HashSet::new(),
            strategy: Strategy::LeastAllocated,
            resources: ["cpu", "memory"].map(|name| (Key::from(name), 1)).into(),
        }
    }
}

impl Default for SpreadDefaults {
    fn default() -> Self {
        let constraint = |topology_key: &str, max_skew| SpreadConstraint::soft(topology_key, max_skew);
        let constraints =
            vec![constraint("kubernetes.io/hostname", 3), constraint("topology.kubernetes.io/zone", 5)];
        Self { constraints, is_system: true }
    }
}

impl Fit {
    /// Whether the node need not have the resource.
    pub(crate) fn ignores(&self, resource: &str) -> bool {
        (!self.ignored.is_empty() || !self.ignored_groups.is_empty())
            && crate::resources::is_extended(resource)
            && (self.ignored.contains(resource)
                || resource.split('/').next().is_some_and(|group| self.ignored_groups.contains(group)))
    }
}

impl AddedAffinity {
    pub(crate) fn admits(&self, node: &Object) -> bool {
        self.required.as_ref().is_none_or(|terms| terms.iter().any(|term| term.matches(node)))
    }
}
