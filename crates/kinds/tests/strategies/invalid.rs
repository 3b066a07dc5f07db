//! Objects that upstream refuses, and the errors it gives, in order: one JSON object a line in `data/invalid.jsonl`.

use crate::common::create_errors;
use drydock_machinery::{Value, value};

/// Containers mount what the claim templates will give each pod, and nothing else.
#[test]
fn a_stateful_sets_claims_are_volumes_of_its_pods() {
    let set = |mount: &str| {
        value!({
            "metadata": {"name": "db", "namespace": "default"},
            "spec": {
                "serviceName": "db", "selector": {"matchLabels": {"app": "db"}},
                "template": {
                    "metadata": {"labels": {"app": "db"}},
                    "spec": {"containers": [{"name": "c", "image": "i", "volumeMounts": [{"name": mount, "mountPath": "/d"}]}]},
                },
                "volumeClaimTemplates": [{
                    "metadata": {"name": "data"},
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
                }],
            },
        })
    };
    assert_eq!(create_errors(("apps", "v1", "statefulsets"), &set("data")), [""; 0]);
    let errors = ["spec.template.spec.containers[0].volumeMounts[0].name: Not found: \"other\""];
    assert_eq!(create_errors(("apps", "v1", "statefulsets"), &set("other")), errors);
}

#[test]
fn invalid_objects_are_refused_in_upstreams_words() {
    let mut wrong = Vec::new();
    for line in include_str!("data/invalid.jsonl").lines() {
        let case = Value::from_json(line.as_bytes()).unwrap();
        let text = |field: &str| case.str_at(&[field]);
        let got =
            create_errors((text("group"), text("version"), text("resource")), case.get("object").unwrap());
        let want: Vec<&str> = case.array_at(&["errors"]).iter().filter_map(Value::as_str).collect();
        if got != want {
            wrong.push(format!("{}\n  got  {got:#?}\n  want {want:#?}", text("case")));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}
