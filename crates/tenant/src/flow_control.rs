//! The flow schemas and priority levels that every cluster has, after upstream's mandatory and suggested configuration.
//!
//! The API server reads them back: see its `flow` module.

use drydock_machinery::{Value, value};

const API_VERSION: &str = "flowcontrol.apiserver.k8s.io/v1";

/// Name, shares, lendable percent, and queues with their hand size; no queues means to reject at once.
const LEVELS: [(&str, i64, i64, Option<(i64, i64)>); 7] = [
    ("catch-all", 5, 0, None),
    ("system", 30, 33, Some((64, 6))),
    ("node-high", 40, 25, Some((64, 6))),
    ("leader-election", 10, 0, Some((16, 4))),
    ("workload-high", 40, 50, Some((128, 6))),
    ("workload-low", 100, 90, Some((128, 6))),
    ("global-default", 20, 50, Some((128, 6))),
];

pub(crate) fn priority_levels() -> Vec<Value> {
    let exempt = value!({"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}});
    let mut levels = vec![object("PriorityLevelConfiguration", "exempt", exempt)];
    levels.extend(LEVELS.iter().map(|(name, shares, lendable, queues)| {
        let response = match queues {
            None => value!({"type": "Reject"}),
            Some((queues, hand)) => value!({"type": "Queue",
                "queuing": {"queues": *queues, "handSize": *hand, "queueLengthLimit": 50}}),
        };
        let limited = value!({"nominalConcurrencyShares": *shares, "lendablePercent": *lendable,
            "limitResponse": response});
        object("PriorityLevelConfiguration", name, value!({"type": "Limited", "limited": limited}))
    }));
    levels
}

/// Who a schema is for.
#[derive(Clone, Copy)]
enum Who {
    Group(&'static str),
    User(&'static str),
    /// In `kube-system`.
    Account(&'static str),
}

/// What of it.
#[derive(Clone, Copy)]
enum What {
    Everything,
    Leases,
    Nodes,
    Probes,
}

type Schema = (&'static str, &'static str, i64, &'static str, &'static [Who], What);

const EVERYONE: &[Who] = &[Who::Group("system:unauthenticated"), Who::Group("system:authenticated")];
const MANAGER: Who = Who::User("system:kube-controller-manager");
const SCHEDULER: Who = Who::User("system:kube-scheduler");
const NODES: &[Who] = &[Who::Group("system:nodes")];
const ACCOUNTS: &[Who] = &[Who::Account("*")];

/// Name, priority level, precedence, distinguisher, subjects, rules.
const SCHEMAS: [Schema; 11] = [
    ("exempt", "exempt", 1, "", &[Who::Group("system:masters")], What::Everything),
    ("probes", "exempt", 2, "", EVERYONE, What::Probes),
    (
        "system-leader-election",
        "leader-election",
        100,
        "ByUser",
        &[MANAGER, SCHEDULER, Who::Account("*")],
        What::Leases,
    ),
    ("system-node-high", "node-high", 400, "ByUser", NODES, What::Nodes),
    ("system-nodes", "system", 500, "ByUser", NODES, What::Everything),
    ("kube-controller-manager", "workload-high", 800, "ByNamespace", &[MANAGER], What::Everything),
    ("kube-scheduler", "workload-high", 800, "ByNamespace", &[SCHEDULER], What::Everything),
    ("kube-system-service-accounts", "workload-high", 900, "ByNamespace", ACCOUNTS, What::Everything),
    (
        "service-accounts",
        "workload-low",
        9000,
        "ByUser",
        &[Who::Group("system:serviceaccounts")],
        What::Everything,
    ),
    ("global-default", "global-default", 9900, "ByUser", EVERYONE, What::Everything),
    ("catch-all", "catch-all", 10000, "ByUser", EVERYONE, What::Everything),
];

/// The schemas, each with its status.
pub(crate) fn flow_schemas(now: &str) -> Vec<(Value, Value)> {
    SCHEMAS.iter().map(|schema| (flow_schema(schema), dangling(schema.1, now))).collect()
}

fn flow_schema((name, level, precedence, by, who, what): &Schema) -> Value {
    let subjects: Vec<Value> = who.iter().map(|who| subject(*who)).collect();
    let mut rule = rules(*what);
    rule.set(&["subjects"], subjects);
    let mut spec = value!({"priorityLevelConfiguration": {"name": *level}, "matchingPrecedence": *precedence,
        "rules": [rule]});
    if !by.is_empty() {
        spec.set(&["distinguisherMethod"], value!({"type": *by}));
    }
    object("FlowSchema", name, spec)
}

fn subject(who: Who) -> Value {
    match who {
        Who::Group(name) => value!({"kind": "Group", "group": {"name": name}}),
        Who::User(name) => value!({"kind": "User", "user": {"name": name}}),
        Who::Account(name) => {
            value!({"kind": "ServiceAccount", "serviceAccount": {"namespace": "kube-system", "name": name}})
        }
    }
}

fn rules(what: What) -> Value {
    let use_of = |verbs: Value, group: &str, resources: Value, cluster: bool| {
        let mut rule =
            value!({"verbs": verbs, "apiGroups": [group], "resources": resources, "namespaces": ["*"]});
        if cluster {
            rule.set(&["clusterScope"], true);
        }
        rule
    };
    match what {
        What::Everything => value!({
            "resourceRules": [use_of(value!(["*"]), "*", value!(["*"]), true)],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        }),
        What::Leases => {
            let verbs = value!(["get", "create", "update"]);
            value!({"resourceRules": [use_of(verbs, "coordination.k8s.io", value!(["leases"]), false)]})
        }
        What::Nodes => value!({"resourceRules": [
            use_of(value!(["*"]), "", value!(["nodes", "nodes/status"]), true),
            use_of(value!(["*"]), "coordination.k8s.io", value!(["leases"]), false),
        ]}),
        What::Probes => {
            value!({"nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}]})
        }
    }
}

/// The level that a schema names exists.
fn dangling(level: &str, now: &str) -> Value {
    let message = format!(
        "This FlowSchema references the PriorityLevelConfiguration object named {level:?} and it exists"
    );
    value!({"conditions": [{"type": "Dangling", "status": "False", "reason": "Found", "message": message,
        "lastTransitionTime": now}]})
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    value!({"apiVersion": API_VERSION, "kind": kind,
        "metadata": {"name": name, "annotations": {"apf.kubernetes.io/autoupdate-spec": "true"}},
        "spec": spec})
}
