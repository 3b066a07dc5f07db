//! The plugins that profiles are made of, and the extension points at which they are asked.

/// A plugin of upstream's, by its name there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Plugin {
    NodeUnschedulable,
    NodeName,
    TaintToleration,
    NodeAffinity,
    NodePorts,
    NodeResourcesFit,
    VolumeRestrictions,
    NodeVolumeLimits,
    VolumeBinding,
    VolumeZone,
    PodTopologySpread,
    InterPodAffinity,
    DynamicResources,
    SchedulingGates,
    PrioritySort,
    DefaultPreemption,
    NodeResourcesBalancedAllocation,
    ImageLocality,
    DefaultBinder,
}

/// Upstream's default plugins in their order, and the weights of their scores. 0 is none given. Absent:
/// NodeDeclaredFeatures, as nodes here declare none.
pub(crate) const DEFAULT: [(Plugin, i64); 19] = [
    (Plugin::SchedulingGates, 0),
    (Plugin::PrioritySort, 0),
    (Plugin::NodeUnschedulable, 0),
    (Plugin::NodeName, 0),
    (Plugin::TaintToleration, 3),
    (Plugin::NodeAffinity, 2),
    (Plugin::NodePorts, 0),
    (Plugin::NodeResourcesFit, 1),
    (Plugin::VolumeRestrictions, 0),
    (Plugin::NodeVolumeLimits, 0),
    (Plugin::VolumeBinding, 0),
    (Plugin::VolumeZone, 0),
    (Plugin::PodTopologySpread, 2),
    (Plugin::InterPodAffinity, 2),
    (Plugin::DynamicResources, 2),
    (Plugin::DefaultPreemption, 0),
    (Plugin::NodeResourcesBalancedAllocation, 1),
    (Plugin::ImageLocality, 1),
    (Plugin::DefaultBinder, 0),
];

/// Plugins that upstream has, and this scheduler has not.
pub(crate) const ABSENT: [&str; 4] =
    ["NodeDeclaredFeatures", "GangScheduling", "TopologyPlacementGenerator", "PodGroupPodsCount"];

/// An extension point of upstream's scheduling framework, in the order in which it looks at them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    PreFilter,
    Filter,
    PostFilter,
    Reserve,
    PreScore,
    Score,
    PreBind,
    Bind,
    PostBind,
    Permit,
    PreEnqueue,
    QueueSort,
    PlacementGenerate,
    PlacementScore,
}

impl Point {
    pub const ALL: [Self; 14] = [
        Self::PreFilter,
        Self::Filter,
        Self::PostFilter,
        Self::Reserve,
        Self::PreScore,
        Self::Score,
        Self::PreBind,
        Self::Bind,
        Self::PostBind,
        Self::Permit,
        Self::PreEnqueue,
        Self::QueueSort,
        Self::PlacementGenerate,
        Self::PlacementScore,
    ];

    /// Its field in a profile's `plugins`.
    pub fn field(self) -> &'static str {
        match self {
            Self::PreEnqueue => "preEnqueue",
            Self::QueueSort => "queueSort",
            Self::PreFilter => "preFilter",
            Self::Filter => "filter",
            Self::PostFilter => "postFilter",
            Self::PreScore => "preScore",
            Self::Score => "score",
            Self::Reserve => "reserve",
            Self::Permit => "permit",
            Self::PreBind => "preBind",
            Self::Bind => "bind",
            Self::PostBind => "postBind",
            Self::PlacementGenerate => "placementGenerate",
            Self::PlacementScore => "placementScore",
        }
    }

    /// What upstream's messages call it: the name of its interface.
    pub(crate) fn interface(self) -> String {
        let field = self.field();
        format!("{}{}Plugin", field[..1].to_ascii_uppercase(), &field[1..])
    }
}

impl Plugin {
    pub fn bit(self) -> u32 {
        1 << self as u32
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::NodeUnschedulable => "NodeUnschedulable",
            Self::NodeName => "NodeName",
            Self::TaintToleration => "TaintToleration",
            Self::NodeAffinity => "NodeAffinity",
            Self::NodePorts => "NodePorts",
            Self::NodeResourcesFit => "NodeResourcesFit",
            Self::VolumeRestrictions => "VolumeRestrictions",
            Self::NodeVolumeLimits => "NodeVolumeLimits",
            Self::VolumeBinding => "VolumeBinding",
            Self::VolumeZone => "VolumeZone",
            Self::PodTopologySpread => "PodTopologySpread",
            Self::InterPodAffinity => "InterPodAffinity",
            Self::DynamicResources => "DynamicResources",
            Self::SchedulingGates => "SchedulingGates",
            Self::PrioritySort => "PrioritySort",
            Self::DefaultPreemption => "DefaultPreemption",
            Self::NodeResourcesBalancedAllocation => "NodeResourcesBalancedAllocation",
            Self::ImageLocality => "ImageLocality",
            Self::DefaultBinder => "DefaultBinder",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        DEFAULT.iter().map(|(plugin, _)| *plugin).find(|plugin| plugin.name() == name)
    }

    /// Where upstream's plugin is asked.
    pub fn extends(self, point: Point) -> bool {
        use Point::{
            Bind, Filter, PlacementScore, PostFilter, PreBind, PreEnqueue, PreFilter, PreScore, QueueSort,
            Reserve, Score,
        };
        let points: &[Point] = match self {
            Self::NodeUnschedulable | Self::NodeName => &[Filter],
            Self::TaintToleration => &[Filter, PreScore, Score],
            Self::NodeAffinity | Self::PodTopologySpread | Self::InterPodAffinity => {
                &[PreFilter, Filter, PreScore, Score]
            }
            Self::NodeResourcesFit => &[PreFilter, Filter, PreScore, Score, PlacementScore],
            Self::NodePorts | Self::VolumeRestrictions | Self::NodeVolumeLimits | Self::VolumeZone => {
                &[PreFilter, Filter]
            }
            Self::VolumeBinding => &[PreFilter, Filter, Reserve, PreBind, PreScore, Score],
            Self::DynamicResources => &[PreEnqueue, PreFilter, Filter, PostFilter, Score, Reserve, PreBind],
            Self::SchedulingGates => &[PreEnqueue],
            Self::PrioritySort => &[QueueSort],
            Self::DefaultPreemption => &[PreEnqueue, PostFilter],
            Self::NodeResourcesBalancedAllocation => &[PreScore, Score],
            Self::ImageLocality => &[Score],
            Self::DefaultBinder => &[Bind],
        };
        points.contains(&point)
    }

    /// The point at which it works out what it needs at `point`; without that upstream's plugin fails there.
    pub(crate) fn prepares_for(self, point: Point) -> Option<Point> {
        match (point, self) {
            (
                Point::Filter,
                Self::NodePorts
                | Self::NodeResourcesFit
                | Self::VolumeRestrictions
                | Self::VolumeBinding
                | Self::PodTopologySpread
                | Self::InterPodAffinity
                | Self::DynamicResources,
            ) => Some(Point::PreFilter),
            (Point::Score, Self::TaintToleration | Self::PodTopologySpread | Self::InterPodAffinity) => {
                Some(Point::PreScore)
            }
            _ => None,
        }
    }
}
