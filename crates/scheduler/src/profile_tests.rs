//! Decisions by profiles over hand-made clusters, and what is explained of them.

use std::sync::Arc;

use drydock_machinery::{Object, Value, value};

use crate::tests::{cluster, info, node, pod};
use crate::{Cluster, Configuration, Plugin, Profile, Verdict, explain, schedule};

/// The only profile of a document with these fields of a profile.
#[track_caller]
fn profile(fields: Value) -> Arc<Profile> {
    let mut document =
        value!({"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"});
    document.set(&["profiles"], vec![fields]);
    let read = Configuration::parse(&document).map_err(|errors| errors.aggregate()).unwrap();
    read.profile("default-scheduler").unwrap().clone()
}

fn with_args(plugin: &str, args: Value) -> Arc<Profile> {
    profile(value!({"pluginConfig": [{"name": plugin, "args": args}]}))
}

#[track_caller]
fn chosen(cluster: &Cluster, profile: &Arc<Profile>, pod: &Value) -> String {
    let mut chosen: Vec<String> =
        (0..4).map(|start| schedule(cluster, profile, &info(pod.clone()), start).unwrap().node).collect();
    chosen.dedup();
    assert_eq!(chosen.len(), 1, "not a tie");
    chosen.remove(0)
}

#[test]
fn strategies_like_other_nodes() {
    let mut cluster = cluster([node("empty", "4"), node("half", "4"), node("full", "4")]);
    cluster.add_pod("half", info(pod("x", "2")));
    cluster.add_pod("full", info(pod("y", "3")));
    let cpu = || value!([{"name": "cpu", "weight": 1}]);
    let mut ratio = value!({"type": "RequestedToCapacityRatio"});
    ratio.set(&["resources"], cpu());
    // Three quarters are best.
    ratio.set(
        &["requestedToCapacityRatio", "shape"],
        value!([{"utilization": 0, "score": 0}, {"utilization": 75, "score": 10}, {"utilization": 100, "score": 0}]),
    );
    for (strategy, wanted) in [
        (value!({"type": "LeastAllocated"}), "empty"),
        (value!({"type": "MostAllocated"}), "full"),
        (ratio, "half"),
    ] {
        let fields = value!({
            // Balance would have its say.
            "plugins": {"score": {"disabled": [{"name": "NodeResourcesBalancedAllocation"}]}},
            "pluginConfig": [{"name": "NodeResourcesFit", "args": {"scoringStrategy": strategy.clone()}}],
        });
        assert_eq!(chosen(&cluster, &profile(fields), &pod("p", "1")), wanted, "{strategy:?}");
    }
}

#[test]
fn extended_resources_count_only_for_pods_that_ask_for_them() {
    let mut with_gpus = node("gpus", "4");
    with_gpus.set(&["status", "allocatable", "example.com/gpu"], "8");
    let cluster = cluster([with_gpus, node("plain", "4")]);
    let binpack = value!({"type": "LeastAllocated", "resources": [{"name": "example.com/gpu", "weight": 1}]});
    let fit = with_args("NodeResourcesFit", value!({"scoringStrategy": binpack}));
    let scores = |pod: Value| {
        let explained = explain(&cluster, &fit, &info(pod).object);
        let of = |node: usize| match &explained.nodes[node].verdict {
            Verdict::Feasible { scores, .. } => {
                scores.iter().find(|one| one.plugin == Plugin::NodeResourcesFit).map(|one| one.normalized)
            }
            Verdict::Rejected { .. } => None,
        };
        [of(0), of(1)]
    };
    assert_eq!(scores(pod("p", "1")), [Some(0), Some(0)]);
    let mut asking = pod("p", "1");
    let mut containers = asking.array_at(&["spec", "containers"]).to_vec();
    containers[0].set(&["resources", "requests", "example.com/gpu"], "2");
    asking.set(&["spec", "containers"], containers);
    assert_eq!(scores(asking.clone()), [Some(75), None]);

    let ignoring = with_args("NodeResourcesFit", value!({"ignoredResourceGroups": ["example.com"]}));
    let named = value!({"kubernetes.io/hostname": "plain"});
    asking.set(&["spec", "nodeSelector"], named);
    assert!(schedule(&cluster, &fit, &info(asking.clone()), 0).is_err());
    assert_eq!(schedule(&cluster, &ignoring, &info(asking), 0).unwrap().node, "plain");
}

#[test]
fn filters_that_are_disabled_do_not_refuse() {
    let mut tainted = node("a", "4");
    tainted.set(&["spec", "taints"], value!([{"key": "k", "effect": "NoSchedule"}]));
    let cluster = cluster([tainted]);
    let without = profile(value!({"plugins": {"filter": {"disabled": [{"name": "TaintToleration"}]}}}));
    assert!(schedule(&cluster, &Arc::default(), &info(pod("p", "1")), 0).is_err());
    assert_eq!(schedule(&cluster, &without, &info(pod("p", "1")), 0).unwrap().node, "a");
}

#[test]
fn a_profile_adds_an_affinity() {
    let cluster = cluster([node("a", "4"), node("b", "4")]);
    let term =
        value!({"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": ["b"]}]});
    let mut args = value!({});
    args.set(
        &["addedAffinity", "requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"],
        vec![term.clone()],
    );
    let required = with_args("NodeAffinity", args);
    assert_eq!(chosen(&cluster, &required, &pod("p", "1")), "b");
    let mut on_a = pod("p", "1");
    on_a.set(&["spec", "nodeSelector"], value!({"kubernetes.io/hostname": "a"}));
    assert_eq!(
        schedule(&cluster, &required, &info(on_a), 0).unwrap_err().to_string(),
        "0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) didn't match \
         scheduler-enforced node affinity."
    );
    let mut args = value!({});
    args.set(
        &["addedAffinity", "preferredDuringSchedulingIgnoredDuringExecution"],
        value!([{"weight": 5, "preference": term}]),
    );
    assert_eq!(chosen(&cluster, &with_args("NodeAffinity", args), &pod("p", "1")), "b");
}

#[test]
fn default_constraints_hold_for_pods_of_services() {
    let zoned = |name: &str, zone: &str| {
        let mut node = node(name, "8");
        node.set(&["metadata", "labels", "zone"], zone);
        node
    };
    let mut cluster = cluster([zoned("a", "1"), zoned("b", "2"), node("none", "8")]);
    let service = value!({"metadata": {"name": "s", "namespace": "d"}, "spec": {"selector": {"app": "web"}}});
    cluster.groups_mut().set_service(&Object::new(service, 1));
    let web = |uid: &str| {
        let mut web = pod("web", "1");
        web.set(&["metadata", "uid"], uid);
        web
    };
    let hard = value!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"});
    let spread =
        with_args("PodTopologySpread", value!({"defaultingType": "List", "defaultConstraints": [hard]}));
    cluster.add_pod("a", info(web("1")));
    assert_eq!(chosen(&cluster, &spread, &web("2")), "b");
    let explained = explain(&cluster, &spread, &info(web("2")).object);
    let against = |node: usize| match &explained.nodes[node].verdict {
        Verdict::Rejected { plugin, reasons } => (*plugin, reasons[0].clone()),
        Verdict::Feasible { .. } => panic!("node {node} would do"),
    };
    let reason = "node(s) didn't match pod topology spread constraints";
    assert_eq!(against(0), (Plugin::PodTopologySpread, reason.to_owned()));
    assert_eq!(against(2), (Plugin::PodTopologySpread, format!("{reason} (missing required label)")));
    // Nobody's pods are not spread.
    let mut alone = pod("alone", "1");
    alone.set(&["spec", "nodeSelector"], value!({"kubernetes.io/hostname": "none"}));
    assert_eq!(chosen(&cluster, &spread, &alone), "none");
}

#[test]
fn the_weight_of_a_required_affinity_is_an_argument() {
    let mut cluster = cluster([node("a", "8"), node("b", "8")]);
    let mut fan = pod("fan", "1");
    let term =
        value!([{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "p"}}}]);
    fan.set(&["spec", "affinity", "podAffinity", "requiredDuringSchedulingIgnoredDuringExecution"], term);
    cluster.add_pod("a", info(fan));
    assert_eq!(chosen(&cluster, &Arc::default(), &pod("p", "1")), "a");
    let without = with_args("InterPodAffinity", value!({"hardPodAffinityWeight": 0}));
    assert_eq!(chosen(&cluster, &without, &pod("p", "1")), "b", "the emptier one");
}

#[test]
fn a_percentage_of_the_nodes_is_looked_at() {
    let cluster = cluster((0..1000).map(|i| node(&format!("n{i}"), "4")));
    let evaluated =
        |fields: Value| schedule(&cluster, &profile(fields), &info(pod("p", "1")), 0).unwrap().evaluated;
    assert_eq!(evaluated(value!({"percentageOfNodesToScore": 30})), 300);
    assert_eq!(evaluated(value!({"percentageOfNodesToScore": 100})), 1000);
    assert_eq!(evaluated(value!({"percentageOfNodesToScore": 1})), 100, "a hundred at least");
}

#[test]
fn without_preemption_nobody_is_pushed_out_and_nothing_is_said_of_it() {
    let off = profile(value!({"plugins": {"multiPoint": {"disabled": [{"name": "DynamicResources"}]}}}));
    let mut cluster = cluster([node("a", "1")]);
    cluster.add_pod("a", info(pod("x", "1")));
    let fit = schedule(&cluster, &off, &info(pod("p", "1")), 0).unwrap_err();
    let told = crate::preemption::preempt(&cluster, &off, &info(pod("p", "1")), &fit).unwrap_err().told;
    assert_eq!(told, "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.");
}

#[test]
fn the_explanation_adds_up_to_the_decision() {
    let mut small = node("small", "1");
    small.set(&["metadata", "labels", "size"], "small");
    let mut cluster = cluster([node("b", "4"), node("a", "4"), small]);
    cluster.add_pod("a", info(pod("x", "2")));
    let pending = info(pod("p", "2"));
    let profile: Arc<Profile> = Arc::default();
    let explained = explain(&cluster, &profile, &pending.object);
    let names: Vec<_> = explained.nodes.iter().map(|node| node.node.as_str()).collect();
    assert_eq!(names, ["a", "b", "small"]);
    let Verdict::Rejected { plugin, reasons } = &explained.nodes[2].verdict else { panic!("{explained:?}") };
    assert_eq!(
        (*plugin, reasons.as_slice()),
        (Plugin::NodeResourcesFit, &["Insufficient cpu".to_owned()][..])
    );
    let total = |node: usize| match &explained.nodes[node].verdict {
        Verdict::Feasible { scores, total } => {
            assert_eq!(scores.iter().map(|score| score.weighted).sum::<i64>(), *total);
            assert!(scores.iter().all(|score| score.weighted == score.weight * score.normalized));
            let fit = scores.iter().find(|score| score.plugin == Plugin::NodeResourcesFit).unwrap();
            (*total, fit.normalized)
        }
        Verdict::Rejected { .. } => panic!("{explained:?}"),
    };
    // Of CPU 0 and 50 of 100 are left, of memory 97 (200 MB are counted for each).
    assert_eq!((total(0).1, total(1).1), (47, 73));
    assert!(total(1).0 > total(0).0);
    assert_eq!(schedule(&cluster, &profile, &pending, 0).unwrap().node, "b");
    assert_eq!(explained.message, "");
}

#[test]
fn a_pod_that_has_a_node_is_judged_as_if_it_was_not_there() {
    let mut cluster = cluster([node("a", "2"), node("b", "1")]);
    let mut bound = pod("p", "2");
    bound.set(&["spec", "nodeName"], "a");
    let bound = info(bound);
    cluster.add_pod("a", bound.clone());
    let explained = explain(&cluster, &Arc::default(), &bound.object);
    assert_eq!(explained.node, "a");
    assert!(matches!(explained.nodes[0].verdict, Verdict::Feasible { .. }), "its own room is free");
    let Verdict::Rejected { plugin, .. } = explained.nodes[1].verdict else { panic!("{explained:?}") };
    assert_eq!(plugin, Plugin::NodeResourcesFit, "not NodeName");
}

#[test]
fn what_keeps_a_pod_from_being_tried_is_explained() {
    let mut gated = pod("p", "1");
    gated.set(&["spec", "schedulingGates"], value!([{"name": "a"}, {"name": "b"}]));
    let explained = explain(&cluster([node("a", "4")]), &Arc::default(), &info(gated.clone()).object);
    let held = (Plugin::SchedulingGates, "waiting for scheduling gates: [a b]".to_owned());
    assert_eq!(explained.held, Some(held));
    assert!(matches!(explained.nodes[0].verdict, Verdict::Feasible { .. }));
    let open = profile(value!({"plugins": {"preEnqueue": {"disabled": [{"name": "SchedulingGates"}]}}}));
    assert_eq!(explain(&Cluster::default(), &open, &info(gated).object).held, None);

    let mut claiming = pod("p", "1");
    claiming.set(&["spec", "volumes"], value!([{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]));
    let explained = explain(&cluster([node("a", "4")]), &Arc::default(), &info(claiming).object);
    let refusal = "persistentvolumeclaim \"c\" not found";
    assert_eq!(explained.refusal, Some((Plugin::VolumeBinding, refusal.to_owned())));
    assert!(explained.nodes.is_empty());
    assert_eq!(explained.message, format!("0/1 nodes are available: {refusal}."));
}
