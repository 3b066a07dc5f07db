//! A container that has ended for good does not run again.

use drydock_machinery::{FieldErrors, FieldPath, Value};

use crate::shape::{has, present};

const ENDED: [&str; 2] = ["state", "terminated"];

/// `ValidateContainerStateTransition` and its likes for the other lists.
pub(super) fn check(
    errors: &mut FieldErrors,
    status: &Value,
    before: &Value,
    old_pod: &Value,
    (list, containers): (&str, &str),
    path: &FieldPath,
) {
    let ephemeral = containers == "ephemeralContainers";
    if !ephemeral && all_can_restart(old_pod) {
        return;
    }
    for (i, old) in before.array_at(&[list]).iter().enumerate().filter(|(_, old)| has(old, &ENDED)) {
        let named = |status: &&Value| status.str_at(&["name"]) == old.str_at(&["name"]);
        let mut running = status.array_at(&[list]).iter().filter(named).filter(|new| !has(new, &ENDED));
        let code = old.i64_at(&["state", "terminated", "exitCode"]).unwrap_or(0);
        let container = old_pod.array_at(&["spec", containers]).iter().find(named);
        let may = !ephemeral && container.is_some_and(|container| restarts(container, old_pod, code));
        if running.next().is_some() && !may {
            errors
                .forbidden(&path.index(i).child("state"), "may not be transitioned to non-terminated state");
        }
    }
}

/// Whether a rule of some container restarts them all.
fn all_can_restart(pod: &Value) -> bool {
    ["containers", "initContainers"].iter().any(|list| {
        let rules = |container: &Value| container.array_at(&["restartPolicyRules"]).to_vec();
        let mut all = pod.array_at(&["spec", list]).iter().flat_map(rules);
        all.any(|rule| rule.str_at(&["action"]) == "RestartAllContainers")
    })
}

/// `ContainerShouldRestart`: the container's rules first, then its policy, then the pod's.
fn restarts(container: &Value, pod: &Value, code: i64) -> bool {
    if let Some(own) = present(container, &["restartPolicy"]).and_then(Value::as_str) {
        if let Some(rule) =
            container.array_at(&["restartPolicyRules"]).iter().find(|rule| matches(rule, code))
        {
            return rule.str_at(&["action"]) == "Restart";
        }
        return policy_restarts(own, code);
    }
    policy_restarts(pod.str_at(&["spec", "restartPolicy"]), code)
}

fn matches(rule: &Value, code: i64) -> bool {
    let listed = rule.array_at(&["exitCodes", "values"]).iter().any(|value| value.as_i64() == Some(code));
    match rule.str_at(&["exitCodes", "operator"]) {
        "In" => listed,
        "NotIn" => !listed,
        _ => false,
    }
}

fn policy_restarts(policy: &str, code: i64) -> bool {
    match policy {
        "Always" => true,
        "OnFailure" => code != 0,
        _ => false,
    }
}
