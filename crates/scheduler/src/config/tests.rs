//! What is read of KubeSchedulerConfigurations, and what is refused.

use std::time::Duration;

use drydock_machinery::{Value, value};

use super::{KIND, VERSION};
use crate::plugin::{Plugin, Point};
use crate::profile::{Configuration, Profile, Strategy};

fn document(mut fields: Value) -> Value {
    fields.set(&["apiVersion"], VERSION);
    fields.set(&["kind"], KIND);
    fields
}

#[track_caller]
fn read(fields: Value) -> Configuration {
    Configuration::parse(&document(fields)).map_err(|errors| errors.aggregate()).unwrap()
}

#[track_caller]
fn profile(profile: Value) -> Profile {
    let read = read(value!({"profiles": [profile]}));
    Profile::clone(&read.profiles[0])
}

#[track_caller]
fn refused(fields: Value) -> Vec<String> {
    let errors = Configuration::parse(&document(fields)).unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn refused_args(plugin: &str, args: Value) -> Vec<String> {
    let errors = refused(value!({"profiles": [{"pluginConfig": [{"name": plugin, "args": args}]}]}));
    let path = "profiles[0].pluginConfig[0].args.";
    errors.into_iter().map(|error| error.strip_prefix(path).unwrap_or(&error).to_owned()).collect()
}

#[test]
fn an_empty_document_is_upstreams_default() {
    let read = read(value!({}));
    let default = Profile::default();
    assert_eq!(read.profiles.len(), 1);
    assert_eq!(read.profiles[0].name, "default-scheduler");
    for point in Point::ALL {
        assert_eq!(read.profiles[0].at(point), default.at(point), "{point:?}");
    }
    let weights: Vec<_> = default.scores.iter().map(|(plugin, weight)| (plugin.name(), *weight)).collect();
    assert_eq!(
        weights,
        [
            ("TaintToleration", 3),
            ("NodeAffinity", 2),
            ("NodeResourcesFit", 1),
            ("VolumeBinding", 1),
            ("PodTopologySpread", 2),
            ("InterPodAffinity", 2),
            ("DynamicResources", 2),
            ("NodeResourcesBalancedAllocation", 1),
            ("ImageLocality", 1),
        ]
    );
}

#[test]
fn profiles_have_their_own_plugins_and_share_the_rest() {
    let read = read(value!({
        "percentageOfNodesToScore": 30, "podInitialBackoffSeconds": 2, "podMaxBackoffSeconds": 20,
        "profiles": [
            {"schedulerName": "a", "percentageOfNodesToScore": 70},
            {"schedulerName": "b", "plugins": {"score": {"disabled": [{"name": "*"}]}}},
        ],
    }));
    assert_eq!((read.backoff.first, read.backoff.last), (Duration::from_secs(2), Duration::from_secs(20)));
    let of = |name: &str| read.profile(name).unwrap().clone();
    assert_eq!((of("a").percentage_of_nodes, of("b").percentage_of_nodes), (70, 30));
    assert_eq!(of("a").scores.len(), 9);
    assert_eq!(of("b").scores, []);
    assert_eq!(of("b").at(Point::Filter), of("a").at(Point::Filter));
    assert!(read.profile("default-scheduler").is_none());
}

#[test]
fn a_point_comes_before_multi_point() {
    let read = profile(value!({"plugins": {
        "multiPoint": {
            "enabled": [{"name": "ImageLocality", "weight": 7}, {"name": "NodeAffinity", "weight": 9}],
            "disabled": [{"name": "VolumeZone"}],
        },
        "score": {"enabled": [{"name": "NodeResourcesFit", "weight": 5}, {"name": "TaintToleration"}]},
        "filter": {"disabled": [{"name": "NodeName"}]},
    }}));
    // Those that the point names first, then the rest of the default set; a weight that is not given is 1.
    let scores: Vec<_> = read.scores.iter().map(|(plugin, weight)| (plugin.name(), *weight)).collect();
    assert_eq!(
        scores,
        [
            ("NodeResourcesFit", 5),
            ("TaintToleration", 1),
            ("NodeAffinity", 9),
            ("VolumeBinding", 1),
            ("PodTopologySpread", 2),
            ("InterPodAffinity", 2),
            ("DynamicResources", 2),
            ("NodeResourcesBalancedAllocation", 1),
            ("ImageLocality", 7),
        ]
    );
    assert!(!read.uses(Plugin::VolumeZone));
    assert!(!read.has(Point::Filter, Plugin::NodeName));
    assert_eq!(read.at(Point::Filter).first(), Some(&Plugin::NodeUnschedulable));
}

#[test]
fn everything_can_be_disabled_and_some_of_it_enabled_again() {
    let only = ["PrioritySort", "DefaultBinder", "NodeName"].map(|name| value!({"name": name}));
    let read = profile(value!({"plugins": {
        "multiPoint": {"disabled": [{"name": "*"}], "enabled": only.to_vec()},
    }}));
    assert_eq!(read.at(Point::Filter), [Plugin::NodeName]);
    assert_eq!(read.at(Point::PreEnqueue), []);
    assert_eq!(read.scores, []);
}

#[test]
fn arguments_are_read_and_the_others_stay() {
    let ratio = value!({"type": "RequestedToCapacityRatio", "resources": [{"name": "example.com/gpu", "weight": 3}],
        "requestedToCapacityRatio": {"shape": [{"utilization": 0, "score": 0}, {"utilization": 100, "score": 10}]}});
    let read = profile(value!({"pluginConfig": [
        {"name": "NodeResourcesFit", "args": {
            "apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "NodeResourcesFitArgs",
            "ignoredResources": ["example.com/foo"], "ignoredResourceGroups": ["group.example"], "scoringStrategy": ratio,
        }},
        {"name": "InterPodAffinity", "args": {"hardPodAffinityWeight": 40}},
        {"name": "DefaultPreemption", "args": {"minCandidateNodesAbsolute": 5}},
        {"name": "VolumeBinding", "args": {"bindTimeoutSeconds": 9}},
        {"name": "DynamicResources", "args": {"bindingTimeout": "1m30s"}},
        {"name": "PodTopologySpread", "args": {"defaultingType": "List", "defaultConstraints": [
            {"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"},
        ]}},
        {"name": "NodeResourcesBalancedAllocation", "args": {"resources": [{"name": "memory"}]}},
    ]}));
    let args = read.args;
    assert_eq!(args.fit.strategy, Strategy::RequestedToCapacityRatio(vec![(0, 0), (100, 10)]));
    assert_eq!(args.fit.resources, [("example.com/gpu".into(), 3)]);
    let ignored = ["example.com/foo", "group.example/x", "example.com/bar", "cpu"];
    assert_eq!(ignored.map(|name| args.fit.ignores(name)), [true, true, false, false]);
    assert_eq!(args.inter_pod.hard_weight, 40);
    assert_eq!((args.candidates.percentage, args.candidates.absolute), (10, 5));
    assert_eq!(
        (args.volumes_timeout, args.devices_timeout),
        (Duration::from_secs(9), Duration::from_secs(90))
    );
    assert!(!args.spread.is_system && args.spread.constraints[0].hard);
    assert_eq!(args.balanced, ["memory"]);
}

#[test]
fn what_is_about_the_program_has_no_effect() {
    read(value!({
        "parallelism": 4, "enableProfiling": false, "leaderElection": {"leaderElect": false, "resourceLock": "x"},
        "clientConnection": {"kubeconfig": "/etc/kubernetes/scheduler.conf", "qps": 1.5, "burst": 3},
    }));
    assert_eq!(
        refused(
            value!({"parallelism": 0, "clientConnection": {"burst": -1}, "leaderElection": {"leaseDuration": "5s"}})
        ),
        [
            "clientConnection.burst: Invalid value: -1: must be non-negative",
            "leaderElection.leaseDuration: Invalid value: \"10s\": must be greater than `RenewDeadline`",
            "parallelism: Invalid value: 0: should be an integer value greater than zero",
        ]
    );
}

#[test]
fn wrong_documents_are_refused_in_upstreams_words() {
    let errors =
        Configuration::parse(&value!({"apiVersion": "kubescheduler.config.k8s.io/v1beta3", "kind": KIND}));
    assert_eq!(
        errors.unwrap_err().aggregate().unwrap(),
        "apiVersion: Unsupported value: \"kubescheduler.config.k8s.io/v1beta3\": supported values: \
         \"kubescheduler.config.k8s.io/v1\""
    );
    assert_eq!(
        refused(value!({
            "percentageOfNodesToScore": 101, "podInitialBackoffSeconds": 0, "podMaxBackoffSeconds": -1,
            "profile": [], "extenders": [{"urlPrefix": "http://x"}],
            "profiles": [{"schedulerName": "a"}, {"schedulerName": "a"}, {"percentageOfNodesToScore": -1}],
        })),
        [
            "profiles[1].schedulerName: Duplicate value: \"profiles[0].schedulerName\"",
            "profiles[2].schedulerName: Required value",
            "profiles[2].percentageOfNodesToScore: Invalid value: -1: not in valid range [0-100]",
            "percentageOfNodesToScore: Invalid value: 101: not in valid range [0-100]",
            "podInitialBackoffSeconds: Invalid value: 0: must be greater than 0",
            "podMaxBackoffSeconds: Invalid value: -1: must be greater than or equal to PodInitialBackoffSeconds",
            "extenders: Forbidden: extenders are not supported: the cluster's scheduler asks no other programs",
            "profile: Forbidden: unknown field",
        ]
    );
}

#[test]
fn wrong_plugins_are_refused_in_upstreams_words() {
    let plugins = |plugins: Value| refused(value!({"profiles": [{"plugins": plugins}]}));
    let named = |point: &str, names: &[&str]| {
        let entries: Vec<Value> = names.iter().map(|name| value!({"name": *name})).collect();
        let mut out = value!({});
        out.set(&[point, "enabled"], entries);
        plugins(out)
    };
    let path = "profiles[0].plugins";
    assert_eq!(
        named(
            "filter",
            &["Nothing", "ImageLocality", "NodeName", "NodeName", "EBSLimits", "NodeDeclaredFeatures"]
        ),
        [
            format!(
                "{path}.filter.enabled[0]: Invalid value: \"Nothing\": FilterPlugin \"Nothing\" does not exist"
            ),
            format!(
                "{path}.filter.enabled[1]: Invalid value: \"ImageLocality\": plugin \"ImageLocality\" does not extend \
                 FilterPlugin plugin"
            ),
            format!(
                "{path}.filter.enabled[3]: Invalid value: \"NodeName\": plugin \"NodeName\" already registered as \
                 \"FilterPlugin\""
            ),
            format!(
                "{path}.filter.enabled[4]: Invalid value: \"EBSLimits\": was invalid in version \"v1\" \
                 (KubeSchedulerConfiguration is version \
                 \"kubescheduler.config.k8s.io/v1\")"
            ),
            format!(
                "{path}.filter.enabled[5]: Invalid value: \"NodeDeclaredFeatures\": plugin \"NodeDeclaredFeatures\" is \
                 not supported"
            ),
        ]
    );
    assert_eq!(
        named("multiPoint", &["ImageLocality", "ImageLocality"]),
        [format!(
            "{path}.multiPoint.enabled[0]: Invalid value: \"ImageLocality\": plugin \"ImageLocality\" already registered \
             as \"ScorePlugin\""
        )]
    );
    assert_eq!(
        plugins(value!({"multiPoint": {"disabled": [{"name": "*"}]}})),
        [
            format!(
                "{path}.queueSort: Invalid value: []: only one queue sort plugin required for profile with scheduler \
                 name \"default-scheduler\", but got 0"
            ),
            format!(
                "{path}.bind: Invalid value: []: at least one bind plugin is needed for profile with scheduler name \
                 \"default-scheduler\""
            ),
        ]
    );
    let [error] = &plugins(value!({"preScore": {"disabled": [{"name": "TaintToleration"}]}}))[..] else {
        panic!()
    };
    assert!(error.ends_with(
        "plugin \"TaintToleration\" works out at preScore what it needs at score: enable or disable both"
    ));
    let sorts = value!({"queueSort": {"enabled": [{"name": "PrioritySort"}]}});
    let [error] = &refused(
        value!({"profiles": [{"schedulerName": "a"}, {"schedulerName": "b", "plugins": sorts}]}),
    )[..] else {
        panic!()
    };
    assert_eq!(
        error,
        "profiles[1].plugins.queueSort: Invalid value: {\"Enabled\":[{\"Name\":\"PrioritySort\",\"Weight\":0}],\
         \"Disabled\":null}: must be the same for all profiles"
    );
    assert_eq!(
        named("multiPoint", &["Nothing"]),
        [format!(
            "{path}.multiPoint.enabled[0]: Invalid value: \"Nothing\": PreFilterPlugin \"Nothing\" does not exist"
        )]
    );
}

#[test]
fn wrong_arguments_are_refused_in_upstreams_words() {
    assert_eq!(
        refused_args(
            "NodeResourcesFit",
            value!({
                "ignoredResources": ["a b"], "ignoredResourceGroups": ["a/b"], "ignored": [],
                "scoringStrategy": {"type": "Most", "resources": [{"name": "cpu", "weight": 101}],
                    "requestedToCapacityRatio": {"shape": []}},
            })
        )
        .iter()
        .map(|error| error.split(": a qualified name").next().unwrap())
        .collect::<Vec<_>>(),
        [
            "ignoredResources[0]: Invalid value: \"a b\": name part must consist of alphanumeric characters, '-', '_' or \
             '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', \
             regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            "ignoredResourceGroups[0]: Invalid value: \"a/b\": resource group name can't contain '/'",
            "scoringStrategy.type: Unsupported value: \"Most\": supported values: \"LeastAllocated\", \
             \"MostAllocated\", \"RequestedToCapacityRatio\"",
            "scoringStrategy.resources[0].weight: Invalid value: 101: resource weight of cpu not in valid range (0, 100]",
            "scoringStrategy.requestedToCapacityRatio: Forbidden: must be nil when type is not RequestedToCapacityRatio",
            "ignored: Forbidden: unknown field",
        ]
    );
    let shape = |points: Value| {
        refused_args(
            "NodeResourcesFit",
            value!({"scoringStrategy": {
                "type": "RequestedToCapacityRatio", "requestedToCapacityRatio": {"shape": points},
            }}),
        )
    };
    let path = "scoringStrategy.requestedToCapacityRatio.shape";
    assert_eq!(shape(value!([])), [format!("{path}: Required value: at least one point must be specified")]);
    assert_eq!(
        shape(value!([{"utilization": 5, "score": 11}, {"utilization": 5, "score": 1}])),
        [
            format!("{path}[1].utilization: Invalid value: 5: values must be sorted in increasing order"),
            format!("{path}[0].score: Invalid value: 11: not in valid range [0, 10]"),
        ]
    );
    assert_eq!(
        refused_args(
            "DefaultPreemption",
            value!({"minCandidateNodesPercentage": 0, "minCandidateNodesAbsolute": 0})
        ),
        [
            "minCandidateNodesPercentage: Invalid value: 0: cannot be zero at the same time as minCandidateNodesAbsolute",
            "minCandidateNodesAbsolute: Invalid value: 0: cannot be zero at the same time as minCandidateNodesPercentage",
        ]
    );
    assert_eq!(
        refused_args("InterPodAffinity", value!({"hardPodAffinityWeight": 101})),
        ["hardPodAffinityWeight: Invalid value: 101: not in valid range [0, 100]"]
    );
    assert_eq!(
        refused_args(
            "VolumeBinding",
            value!({"bindTimeoutSeconds": -1, "shape": [{"utilization": 1, "score": 2}]})
        ),
        [
            "bindTimeoutSeconds: Invalid value: -1: invalid BindTimeoutSeconds, should not be a negative value",
            "shape: Invalid value: [{\"Utilization\":1,\"Score\":2}]: unexpected field `shape`, remove it or turn on the feature \
         gate StorageCapacityScoring"
        ]
    );
    assert_eq!(
        refused_args(
            "NodeResourcesBalancedAllocation",
            value!({"resources": [{"name": "cpu"}, {"name": "cpu", "weight": 2}]})
        ),
        ["resources[1].name: Duplicate value: \"cpu\"", "resources[1].weight: Invalid value: 2: must be 1",]
    );
    assert_eq!(
        refused_args("DynamicResources", value!({"filterTimeout": "-1s", "bindingTimeout": "10ms"})),
        [
            "filterTimeout: Invalid value: \"-1s\": must be zero or positive",
            "bindingTimeout: Invalid value: \"10ms\": must be at least 1 second",
        ]
    );
    let same = value!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"});
    assert_eq!(
        refused_args(
            "PodTopologySpread",
            value!({"defaultConstraints": [
                same, same, {"maxSkew": 0, "labelSelector": {}},
            ]})
        ),
        [
            "defaultingType: Invalid value: \"System\": when .defaultConstraints are not empty",
            "defaultConstraints[1]: Duplicate value: \"{zone, ScheduleAnyway}\"",
            "defaultConstraints[2].maxSkew: Invalid value: 0: not in valid range (0, inf)",
            "defaultConstraints[2].topologyKey: Required value: can not be empty",
            "defaultConstraints[2].whenUnsatisfiable: Required value: can not be empty",
            "defaultConstraints[2].labelSelector: Forbidden: constraint must not define a selector, as they deduced for \
             each pod",
        ]
    );
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let mut affinity = value!({});
    affinity.set(
        &["addedAffinity", required, "nodeSelectorTerms"],
        value!([{
            "matchExpressions": [{"key": "a", "operator": "In"}, {"key": "a", "operator": "Near"}],
            "matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a", "b"]}],
        }]),
    );
    let path = format!("addedAffinity.{required}.nodeSelectorTerms[0]");
    assert_eq!(
        refused_args("NodeAffinity", affinity),
        [
            format!(
                "{path}.matchExpressions[0].values: Invalid value: null: for 'in', 'notin' operators, values set can't \
                 be empty"
            ),
            format!(
                "{path}.matchExpressions[1].operator: Unsupported value: \"Near\": supported values: \"In\", \"NotIn\", \
                 \"Exists\", \"DoesNotExist\", \"Gt\", \"Lt\""
            ),
            format!("{path}.matchFields[0].values: Invalid value: [\"a\",\"b\"]: must have one element"),
        ]
    );
    assert_eq!(
        refused_args("NodeAffinity", value!({"kind": "InterPodAffinityArgs"})),
        ["kind: Invalid value: \"InterPodAffinityArgs\": args for plugin NodeAffinity were not of type \
          NodeAffinityArgs.kubescheduler.config.k8s.io, got InterPodAffinityArgs.kubescheduler.config.k8s.io"]
    );
    assert_eq!(refused_args("NodeName", value!({"x": 1})), ["x: Forbidden: unknown field"]);
    let twice = value!([{"name": "NodeName"}, {"name": "NodeName"}, {"name": "NodeNam"}]);
    assert_eq!(
        refused(value!({"profiles": [{"pluginConfig": twice}]})),
        [
            "profiles[0].pluginConfig[1]: Duplicate value: \"NodeName\"",
            "profiles[0].pluginConfig[2]: Invalid value: \"NodeNam\": plugin \"NodeNam\" does not exist",
        ]
    );
}
