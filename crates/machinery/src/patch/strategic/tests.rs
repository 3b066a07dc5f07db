use super::*;
use crate::test_schema::pod_like;
use crate::value;

fn pod() -> Value {
    value!({
        "metadata": {"labels": {"a": "1", "b": "2"}, "finalizers": ["x/a", "x/b"]},
        "spec": {
            "containers": [
                {"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]},
                {"name": "b", "image": "b:1"}, {"name": "c", "image": "c:1"}],
            "securityContext": {"runAsUser": 1000, "fsGroup": 2000},
            "volumes": [{"name": "v", "emptyDir": {}}],
        },
    })
}

/// Applies `patch` to [`pod`] and answers what is at `path`.
fn check(patch: Value, path: &[&str], expect: Value) {
    let schema = pod_like();
    let patched = strategic_merge_patch(&pod(), &patch, schema.root());
    let got = patched.map(|value| value.at(path).cloned().unwrap_or_default());
    assert_eq!(got, Ok(expect), "{patch:?}");
}

fn check_error(patch: Value, expect: &str) {
    let schema = pod_like();
    let error = strategic_merge_patch(&pod(), &patch, schema.root()).unwrap_err();
    assert_eq!(error.to_string(), expect, "{patch:?}");
}

fn names(patch: Value, expect: &[&str]) {
    let schema = pod_like();
    let patched = strategic_merge_patch(&pod(), &patch, schema.root()).unwrap();
    let containers = patched.array_at(&["spec", "containers"]).iter();
    assert_eq!(containers.map(|c| c.str_at(&["name"])).collect::<Vec<_>>(), expect, "{patch:?}");
}

#[test]
fn objects_merge_and_null_removes() {
    check(
        value!({"metadata": {"labels": {"b": null, "c": "3"}}}),
        &["metadata", "labels"],
        value!({"a": "1", "c": "3"}),
    );
    check(value!({"metadata": {"labels": {"$patch": "delete"}}}), &["metadata", "labels"], value!({}));
    check(
        value!({"spec": {"securityContext": {"$patch": "replace", "fsGroup": 1}}}),
        &["spec", "securityContext"],
        value!({"fsGroup": 1}),
    );
    check(value!({"status": {"phase": "x", "y": null}}), &["status"], value!({"phase": "x"}));
}

#[test]
fn lists_merge_by_key() {
    check(
        value!({"spec": {"containers": [{"name": "a", "env": [{"$patch": "replace"}, {"name": "Q", "value": "7"}]}]}}),
        &["spec", "containers"],
        value!([{"name": "a", "image": "a:1", "env": [{"name": "Q", "value": "7"}]},
            {"name": "b", "image": "b:1"}, {"name": "c", "image": "c:1"}]),
    );
    names(value!({"spec": {"containers": [{"$patch": "delete", "name": "b"}]}}), &["a", "c"]);
    names(value!({"spec": {"containers": [{"$patch": "delete", "name": "nobody"}]}}), &["a", "b", "c"]);
    names(value!({"spec": {"containers": [{"name": "d"}, {"$patch": "replace"}]}}), &["d"]);
    names(value!({"spec": {"containers": [{"name": "d"}]}}), &["d", "a", "b", "c"]);
    names(value!({"spec": {"containers": [{"name": "c"}, {"name": "a"}]}}), &["b", "c", "a"]);
}

#[test]
fn lists_of_scalars_merge_as_sets() {
    let finalizers =
        |patch: Value, expect: Value| check(value!({"metadata": patch}), &["metadata", "finalizers"], expect);
    finalizers(value!({"finalizers": ["x/c"]}), value!(["x/c", "x/a", "x/b"]));
    finalizers(value!({"$deleteFromPrimitiveList/finalizers": ["x/a", "x/none"]}), value!(["x/b"]));
    finalizers(value!({"$setElementOrder/finalizers": ["x/b", "x/a"]}), value!(["x/b", "x/a"]));
    finalizers(
        value!({"$setElementOrder/finalizers": ["x/d", "x/b"], "$deleteFromPrimitiveList/finalizers": ["x/a"],
            "finalizers": ["x/d"]}),
        value!(["x/d", "x/b"]),
    );
}

#[test]
fn element_order_is_followed() {
    names(
        value!({"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "x"}, {"name": "a"}, {"name": "b"}],
            "containers": [{"name": "x", "image": "x"}]}}),
        &["c", "x", "a", "b"],
    );
    names(
        value!({"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}]}}),
        &["b", "c", "a"],
    );
    // What is added takes the place of what was deleted, and is behind what the order does not name.
    names(
        value!({"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "x"}],
            "containers": [{"name": "x", "image": "x"}, {"name": "a", "$patch": "delete"}]}}),
        &["b", "c", "x"],
    );
}

#[test]
fn retained_keys_are_all_there_is() {
    check(
        value!({"spec": {"volumes": [{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/"}}]}}),
        &["spec", "volumes"],
        value!([{"name": "v", "hostPath": {"path": "/"}}]),
    );
    check_error(
        value!({"spec": {"volumes": [{"name": "v", "$retainKeys": ["name"], "hostPath": {"path": "/"}}]}}),
        "invalid patch format of retainKeys",
    );
}

#[test]
fn what_cannot_merge_is_explained_as_upstream_does() {
    check_error(
        value!({"spec": {"containers": [{"image": "b"}]}}),
        "map: map[image:b] does not contain declared merge key: name",
    );
    check_error(
        value!({"metadata": {"labels": {"$patch": "frob"}}}),
        "unknown patch type: frob in map: map[$patch:frob]",
    );
    check_error(value!([1]), "json: cannot unmarshal array into Go value of type map[string]interface {}");
    check_error(
        value!({"metadata": {"$setElementOrder/finalizers": ["x/a"], "finalizers": ["x/q"]}}),
        "The order in patch list:\n[x/q]\n doesn't match $setElementOrder list:\n[x/a]\n",
    );
    check_error(
        value!({"spec": {"containers": ["a"]}}),
        "list element types are not identical: [[map[env:[map[name:X value:1] map[name:Y value:2]] image:a:1 name:a] \
         map[image:b:1 name:b] map[image:c:1 name:c]] [a]]",
    );
}

#[test]
fn a_struct_that_says_so_is_replaced_whole() {
    let budget = crate::GroupVersionKind::new("policy", "v1", "PodDisruptionBudget");
    let schema = crate::Catalog::builtin().schema(&budget).expect("a schema");
    let original = value!({"spec": {"selector": {"matchLabels": {"a": "b"}}, "minAvailable": 1}});
    let patch = value!({"spec": {"selector": {"matchLabels": {"c": "d"}}}});
    let patched = strategic_merge_patch(&original, &patch, schema.root()).unwrap();
    assert_eq!(patched, value!({"spec": {"selector": {"matchLabels": {"c": "d"}}, "minAvailable": 1}}));
    assert_eq!(strategic_merge_patch(&original, &Value::Null, schema.root()), Ok(original));
}
