use std::sync::Arc;

use drydock_machinery::value;

use super::policy::LATEST;
use super::*;

fn check(level: Level, minor: u32, spec: Value, expected: &str) {
    let mut pod = value!({"metadata": {"name": "p"}});
    pod.set(&["spec"], spec);
    assert_eq!(violations::details(&evaluate(LevelVersion { level, minor }, &pod)), expected);
}

#[test]
fn levels_name_what_they_do_not_allow() {
    let containers = value!([{"name": "c"}]);
    check(
        Level::Baseline,
        LATEST,
        value!({"hostNetwork": true, "hostPID": true, "containers": containers}),
        "host namespaces (hostNetwork=true, hostPID=true)",
    );
    check(
        Level::Restricted,
        LATEST,
        value!({"containers": [{"name": "c", "securityContext": {"privileged": true}}]}),
        "privileged (container \"c\" must not set securityContext.privileged=true), allowPrivilegeEscalation != false \
         (container \"c\" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \
         \"c\" must set securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"c\" must set \
         securityContext.runAsNonRoot=true), seccompProfile (pod or container \"c\" must set \
         securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")",
    );
    check(
        Level::Baseline,
        LATEST,
        value!({"containers": [
            {"name": "a", "ports": [{"hostPort": 80}], "securityContext": {"capabilities": {"add": ["NET_ADMIN", "KILL"]}}},
            {"name": "b", "ports": [{"hostPort": 443}]},
        ], "volumes": [{"name": "v", "hostPath": {"path": "/"}}]}),
        "non-default capabilities (container \"a\" must not include \"NET_ADMIN\" in securityContext.capabilities.add), \
         hostPath volumes (volume \"v\"), hostPort (containers \"a\", \"b\" use hostPorts 443, 80)",
    );
    check(Level::Privileged, LATEST, value!({"hostNetwork": true}), "");
}

#[test]
fn old_versions_of_a_level_know_fewer_rules() {
    let spec = value!({"containers": [{"name": "c", "livenessProbe": {"httpGet": {"host": "1.2.3.4"}}}]});
    check(Level::Baseline, 33, spec.clone(), "");
    check(
        Level::Baseline,
        34,
        spec,
        "probe or lifecycle host (container \"c\" uses probe or lifecycle host \"1.2.3.4\")",
    );
    let spec = value!({"hostUsers": false, "securityContext": {"runAsUser": 0, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "c", "securityContext": {
            "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}}]});
    check(Level::Restricted, 35, spec.clone(), "");
    check(
        Level::Restricted,
        34,
        spec,
        "runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true), runAsUser=0 (pod must \
         not set runAsUser=0)",
    );
}

#[test]
fn labels_make_a_policy_and_warnings_follow_what_is_enforced() {
    let policy = |labels: Value| {
        let mut namespace = Value::object();
        namespace.set(&["metadata", "labels"], labels);
        let (policy, errors) = Policy::of(&namespace);
        (policy.enforce.to_string(), policy.warn.to_string(), errors.aggregate())
    };
    let (enforce, warn, errors) = policy(value!({
        "pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/enforce-version": "v1.25",
    }));
    assert_eq!((enforce.as_str(), warn.as_str(), errors), ("restricted:v1.25", "restricted:v1.25", None));
    let (_, _, errors) = policy(value!({
        "pod-security.kubernetes.io/enforce": "tight", "pod-security.kubernetes.io/warn-version": "v1.x",
    }));
    assert_eq!(
        errors.unwrap(),
        "[metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"tight\": must be one of privileged, \
         baseline, restricted, metadata.labels[pod-security.kubernetes.io/warn-version]: Invalid value: \"v1.x\": must be \
         \"latest\" or \"v1.x\"]"
    );
}

#[test]
fn existing_pods_are_named_by_what_they_violate() {
    let pod = |name: &str, host: bool| {
        let tree = value!({"metadata": {"name": name}, "spec": {"hostNetwork": host, "containers": []}});
        Arc::new(Object::new(tree, 1))
    };
    let pods = [pod("b", true), pod("a", true), pod("fine", false)];
    let level = LevelVersion { level: Level::Baseline, minor: LATEST };
    assert_eq!(
        existing_violations(&pods, "ns", level),
        [
            "existing pods in namespace \"ns\" violate the new PodSecurity enforce level \"baseline:latest\"",
            "a (and 1 other pod): host namespaces",
        ]
    );
}
