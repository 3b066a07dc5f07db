use super::*;
use crate::resources::builtin;

fn warnings(resources: &str, expression: &str) -> Vec<Value> {
    let policy = value!({"spec": {
        "variables": [{"name": "replicas", "expression": "object.spec.replicas"}],
        "matchConstraints": {"resourceRules": [
            {"apiGroups": ["apps", ""], "apiVersions": ["v1"], "resources": [resources]},
        ]},
        "validations": [{"expression": expression}],
    }});
    check(&policy, &builtin(36), KubernetesVersion::V1_36)
}

#[test]
fn fields_that_do_not_exist_are_warned_of() {
    let found = warnings("deployments", "object.spec.replicsa <= 5");
    assert_eq!(
        found,
        [value!({
            "fieldRef": "spec.validations[0].expression",
            "warning": "apps/v1, Kind=Deployment: ERROR: <input>:1:12: undefined field 'replicsa'\n \
                | object.spec.replicsa <= 5\n | ...........^\n",
        })]
    );
    assert!(warnings("deployments", "object.spec.template.spec.containers.all(c, c.image != '')").is_empty());
}

#[test]
fn variables_have_types_too() {
    let found = warnings("deployments", "variables.replicas > 'many'");
    assert!(
        found[0]
            .str_at(&["warning"])
            .contains("found no matching overload for '_>_' applied to '(int, string)'")
    );
}

#[test]
fn rules_with_wildcards_are_not_checked() {
    assert!(warnings("*", "object.nothing").is_empty());
    assert_eq!(warnings("pods", "object.nothing").len(), 1);
}

#[test]
fn numbers_or_strings_are_either() {
    assert!(warnings("services", "object.spec.ports[0].targetPort == 80").is_empty());
}
