use jiff::Timestamp;

use super::*;
use crate::names::GroupVersionKind;
use crate::schema::Schema;
use crate::status::Status;
use crate::test_schema::pod_like;
use crate::value;
use crate::value::Value;

/// One object, changed by one request after the other.
struct Server {
    schema: Schema,
    kind: GroupVersionKind,
    object: Option<Value>,
    /// Seconds of the Unix epoch; one more with each request.
    now: i64,
}

impl Server {
    fn new() -> Self {
        let kind = GroupVersionKind::new("", "v1", "Thing");
        Self { schema: pod_like(), kind, object: None, now: 0 }
    }

    fn with_manager<T>(&self, subresource: &str, run: impl FnOnce(FieldManager<'_>) -> T) -> T {
        let versions = OneVersion { api_version: "v1", schema: &self.schema };
        let reset_fields = FieldSet::default();
        let kind = &self.kind;
        run(FieldManager { kind, subresource, versions: &versions, reset_fields: &reset_fields })
    }

    fn time(&mut self) -> Timestamp {
        self.now += 1;
        Timestamp::from_second(self.now).unwrap()
    }

    /// What the server adds to what a client sends.
    fn store(&mut self, mut object: Value) {
        object.set(&["metadata", "uid"], "u");
        self.object = Some(object);
    }

    fn with_kind(mut object: Value) -> Value {
        object.set(&["apiVersion"], "v1");
        object.set(&["kind"], "Thing");
        object
    }

    fn update(&mut self, manager: &str, object: Value) {
        let now = self.time();
        let mut object = Self::with_kind(object);
        object.set(&["metadata", "uid"], "u");
        self.with_manager("", |fields| fields.update(self.object.as_ref(), &mut object, manager, now));
        self.store(object);
    }

    fn try_apply(&mut self, manager: &str, object: Value, force: bool) -> Result<(), Status> {
        let now = self.time();
        let object = Self::with_kind(object);
        let result =
            self.with_manager("", |fields| fields.apply(self.object.as_ref(), &object, manager, force, now));
        self.store(result?);
        Ok(())
    }

    fn apply(&mut self, manager: &str, object: Value) {
        self.try_apply(manager, object, false).unwrap();
    }

    fn refuse(&mut self, manager: &str, object: Value, expect: &str) {
        assert_eq!(self.try_apply(manager, object, false).unwrap_err().message, expect);
    }

    fn expect_spec(&self, expect: Value) {
        assert_eq!(self.object.as_ref().unwrap().get("spec").cloned().unwrap_or_default(), expect);
    }

    /// Managers, as `manager operation` or `manager operation time`, and their fields.
    fn expect_managers(&self, expect: &[(&str, Value)]) {
        let entries = self.object.as_ref().unwrap().array_at(&["metadata", "managedFields"]);
        let got: Vec<(String, Value)> = entries
            .iter()
            .map(|entry| {
                let seconds = entry.get("time").and_then(Value::as_str).map_or(String::new(), |time| {
                    format!(" {}", time.parse::<Timestamp>().unwrap().as_second())
                });
                let who = format!("{} {}{seconds}", entry.str_at(&["manager"]), entry.str_at(&["operation"]));
                (who, entry.get("fieldsV1").cloned().unwrap_or_default())
            })
            .collect();
        let expect: Vec<(String, Value)> =
            expect.iter().map(|(who, fields)| ((*who).to_owned(), fields.clone())).collect();
        assert_eq!(got, expect);
    }
}

fn containers(containers: Value) -> Value {
    let mut object = Value::object();
    object.set(&["spec", "containers"], containers);
    object
}

#[test]
fn a_creation_belongs_to_its_manager() {
    let mut server = Server::new();
    server.update(
        "maker",
        value!({"metadata": {"name": "t", "labels": {"a": "b"}},
        "spec": {"replicas": 1, "nodeSelector": {"disk": "ssd"}, "containers": [
            {"name": "a", "args": ["x"], "ports": [{"containerPort": 80}]}]}}),
    );
    server.expect_managers(
        &[(
            "maker Update 1",
            value!({"f:metadata": {".": {}, "f:labels": {".": {}, "f:a": {}}}, "f:spec": {".": {},
            "f:replicas": {}, "f:nodeSelector": {}, "f:containers": {".": {}, "k:{\"name\":\"a\"}": {".": {},
                "f:name": {}, "f:args": {}, "f:ports": {".": {},
                    "k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}}}}}}),
        )]
        .map(|(who, mut fields)| {
            // The test schema has no structs by value, but metadata itself is never managed.
            fields.remove(&["f:metadata", "."]);
            (who, fields)
        }),
    );
}

#[test]
fn an_update_takes_what_it_changes() {
    let mut server = Server::new();
    server.apply("maker", value!({"metadata": {"name": "t", "labels": {"a": "b"}}, "spec": {"replicas": 1}}));
    server.update(
        "patcher",
        value!({"metadata": {"name": "t", "labels": {"a": "b", "c": "d"}}, "spec": {"replicas": 2}}),
    );
    let labels = value!({"f:metadata": {"f:labels": {"f:a": {}}}});
    server.expect_managers(&[
        ("maker Apply 1", labels.clone()),
        ("patcher Update 2", value!({"f:metadata": {"f:labels": {"f:c": {}}}, "f:spec": {"f:replicas": {}}})),
    ]);
    server.update(
        "patcher",
        value!({"metadata": {"name": "t", "labels": {"a": "b"}}, "spec": {"replicas": 2}}),
    );
    server.expect_managers(&[
        ("maker Apply 1", labels),
        ("patcher Update 2", value!({"f:spec": {"f:replicas": {}}})),
    ]);
}

#[test]
fn an_apply_that_wants_others_fields_conflicts() {
    let mut server = Server::new();
    server.apply(
        "alpha",
        containers(value!([{"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}]}])),
    );
    server.update("editor", {
        let mut object = server.object.clone().unwrap();
        object.set(&["spec", "replicas"], 3);
        object
    });
    server.refuse(
        "beta",
        containers(value!([{"name": "a", "image": "a:2"}])),
        "Apply failed with 1 conflict: conflict with \"alpha\": .spec.containers[name=\"a\"].image",
    );
    let mut several =
        containers(value!([{"name": "a", "image": "a:2", "env": [{"name": "X", "value": "2"}]}]));
    several.set(&["spec", "replicas"], 5);
    server.refuse(
        "beta",
        several.clone(),
        "Apply failed with 3 conflicts: conflicts with \"alpha\":\n- .spec.containers[name=\"a\"].image\n\
         - .spec.containers[name=\"a\"].env[name=\"X\"].value\nconflicts with \"editor\" using v1:\n- .spec.replicas",
    );
    server.try_apply("beta", several, true).unwrap();
    server.expect_managers(&[
        ("alpha Apply 1", value!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {".": {}, "f:name": {},
            "f:env": {"k:{\"name\":\"X\"}": {".": {}, "f:name": {}}}}}}})),
        ("beta Apply 5", value!({"f:spec": {"f:replicas": {}, "f:containers": {"k:{\"name\":\"a\"}": {".": {},
            "f:image": {}, "f:name": {}, "f:env": {"k:{\"name\":\"X\"}": {".": {}, "f:name": {}, "f:value": {}}}}}}})),
    ]);
}

#[test]
fn what_is_no_longer_applied_goes_unless_others_manage_it() {
    let mut server = Server::new();
    server.apply(
        "alpha",
        containers(value!([{"name": "a", "image": "a:1", "ports": [{"containerPort": 80}]}])),
    );
    server.apply(
        "beta",
        containers(
            value!([{"name": "side", "image": "s:1"}, {"name": "a", "env": [{"name": "Y", "value": "2"}]}]),
        ),
    );
    server.expect_spec(value!({"containers": [{"name": "side", "image": "s:1"},
        {"name": "a", "image": "a:1", "ports": [{"containerPort": 80}], "env": [{"name": "Y", "value": "2"}]}]}));
    server.apply("alpha", containers(value!([{"name": "a", "image": "a:2"}])));
    server.expect_spec(value!({"containers": [{"name": "side", "image": "s:1"},
        {"name": "a", "image": "a:2", "env": [{"name": "Y", "value": "2"}]}]}));
    server.apply("beta", value!({}));
    server.expect_spec(value!({"containers": [{"name": "a", "image": "a:2"}]}));
    server.apply("alpha", value!({}));
    server.expect_spec(value!(null));
}

#[test]
fn what_held_only_removed_fields_stays_without_them() {
    let mut server = Server::new();
    server.apply("alpha", value!({"spec": {"securityContext": {"runAsUser": 1}}}));
    server.apply("alpha", value!({"spec": {"securityContext": {}}}));
    server.expect_spec(value!({"securityContext": {}}));
}

#[test]
fn sets_and_atomic_fields_are_owned_by_element_and_as_a_whole() {
    let mut server = Server::new();
    server
        .apply("alpha", value!({"metadata": {"finalizers": ["x/a"]}, "spec": {"nodeSelector": {"a": "b"}}}));
    server.apply("beta", value!({"metadata": {"finalizers": ["x/b"]}}));
    let finalizers = server.object.as_ref().unwrap().at(&["metadata", "finalizers"]).cloned();
    assert_eq!(finalizers, Some(value!(["x/a", "x/b"])));
    server.expect_managers(&[
        (
            "alpha Apply 1",
            value!({"f:metadata": {"f:finalizers": {"v:\"x/a\"": {}}}, "f:spec": {"f:nodeSelector": {}}}),
        ),
        ("beta Apply 2", value!({"f:metadata": {"f:finalizers": {"v:\"x/b\"": {}}}})),
    ]);
    server.refuse(
        "beta",
        value!({"spec": {"nodeSelector": {"c": "d"}}}),
        "Apply failed with 1 conflict: conflict with \"alpha\": .spec.nodeSelector",
    );
}

#[test]
fn an_apply_that_changes_nothing_keeps_the_time() {
    let mut server = Server::new();
    server.apply("alpha", value!({"spec": {"replicas": 1}}));
    server.apply("alpha", value!({"spec": {"replicas": 1}}));
    server.expect_managers(&[("alpha Apply 1", value!({"f:spec": {"f:replicas": {}}}))]);
    // A new manager that changes nothing has no time at all.
    server.apply("beta", value!({"spec": {"replicas": 1}}));
    server.expect_managers(&[
        ("beta Apply", value!({"f:spec": {"f:replicas": {}}})),
        ("alpha Apply 1", value!({"f:spec": {"f:replicas": {}}})),
    ]);
}

#[test]
fn an_object_without_managers_belongs_to_before_first_apply() {
    let mut server = Server::new();
    server.store(Server::with_kind(value!({"spec": {"replicas": 1}})));
    server.refuse(
        "alpha",
        value!({"spec": {"replicas": 2}}),
        "Apply failed with 1 conflict: conflict with \"before-first-apply\" using v1: .spec.replicas",
    );
    server.apply("alpha", value!({"spec": {"replicas": 1}}));
    server.expect_managers(&[
        ("alpha Apply", value!({"f:spec": {"f:replicas": {}}})),
        ("before-first-apply Update 2", value!({"f:spec": {".": {}, "f:replicas": {}}})),
    ]);
}

#[test]
fn managed_fields_can_be_reset_and_set() {
    let mut server = Server::new();
    server.apply("alpha", value!({"spec": {"replicas": 1}}));
    server.update("x", value!({"metadata": {"managedFields": [{}]}, "spec": {"replicas": 1}}));
    server.expect_managers(&[]);
    server.update("x", value!({"spec": {"replicas": 2}}));
    server.expect_managers(&[]);
    server.update(
        "x",
        value!({"metadata": {"managedFields": [{"manager": "q", "operation": "Apply",
        "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]},
        "spec": {"replicas": 2}}),
    );
    server.expect_managers(&[("q Apply", value!({"f:spec": {"f:replicas": {}}}))]);
    server.apply("q", value!({}));
    server.expect_managers(&[]);
    server.expect_spec(value!(null));
}

#[test]
fn kubectl_takes_over_from_client_side_apply() {
    const LAST: &str = "kubectl.kubernetes.io/last-applied-configuration";
    let annotated = |data: Value, last: &str| {
        let mut object = value!({"metadata": {"name": "t", "annotations": {}}});
        object.set(&["metadata", "annotations", LAST], last);
        object.set(&["spec"], data);
        object
    };
    let last = r#"{"apiVersion":"v1","kind":"Thing","metadata":{"name":"t"},"spec":{"replicas":1}}"#;
    let mut server = Server::new();
    server.update("kubectl-client-side-apply", annotated(value!({"replicas": 1}), last));
    server.apply("kubectl", value!({"metadata": {"name": "t"}, "spec": {"replicas": 9}}));
    server.expect_spec(value!({"replicas": 9}));
    let annotation = server.object.as_ref().unwrap().str_at(&["metadata", "annotations", LAST]);
    let expect = "{\"apiVersion\":\"v1\",\"kind\":\"Thing\",\"metadata\":{\"name\":\"t\"},\"spec\":{\"replicas\":9}}\n";
    assert_eq!(annotation, expect);
    // Somebody else does not.
    let mut server = Server::new();
    server.update("kubectl-client-side-apply", annotated(value!({"replicas": 1}), last));
    server.refuse(
        "gitops",
        value!({"spec": {"replicas": 9}}),
        "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using v1: .spec.replicas",
    );
}

#[test]
fn old_updates_are_put_together() {
    let mut server = Server::new();
    for i in 0..12 {
        let mut object = server.object.clone().unwrap_or_else(|| value!({"metadata": {"labels": {}}}));
        object.set(&["metadata", "labels", &format!("l{i}")], "x");
        server.update(&format!("m{i}"), object);
    }
    let entries = server.object.as_ref().unwrap().array_at(&["metadata", "managedFields"]);
    let managers: Vec<&str> = entries.iter().map(|entry| entry.str_at(&["manager"])).collect();
    assert_eq!(managers, ["ancient-changes", "m3", "m4", "m5", "m6", "m7", "m8", "m9", "m10", "m11"]);
}

#[test]
fn null_takes_nothing_away_but_is_owned() {
    let mut server = Server::new();
    server.apply("alpha", value!({"metadata": {"labels": {"a": "b"}}, "spec": {"replicas": 1}}));
    server.apply("beta", value!({"metadata": {"labels": null, "annotations": {}}}));
    let labels = server.object.as_ref().unwrap().at(&["metadata", "labels"]).cloned();
    assert_eq!(labels, Some(value!({"a": "b"})));
    server.expect_managers(&[
        ("alpha Apply 1", value!({"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:replicas": {}}})),
        ("beta Apply 2", value!({"f:metadata": {"f:labels": {}, "f:annotations": {}}})),
    ]);
}

#[test]
fn what_is_not_of_its_type_is_refused_as_upstream_does() {
    let mut server = Server::new();
    let what = "failed to create typed patch object (/t; /v1, Kind=Thing): ";
    for (spec, expect) in [
        (value!({"replica": 1}), ".spec.replica: field not declared in schema"),
        (value!({"replicas": "one"}), ".spec.replicas: expected numeric (int or float), got string"),
        (value!({"containers": {"name": "a"}}), ".spec.containers: expected list, got &{map[name:a]}"),
        (
            value!({"nodeSelector": {"a": true}}),
            ".spec.nodeSelector.a: expected string, got &value.valueUnstructured{Value:true}",
        ),
        (
            value!({"containers": [{"name": "a"}, {"name": "a"}]}),
            ".spec.containers: duplicate entries for key [name=\"a\"]",
        ),
        (
            value!({"containers": [{"image": "a"}]}),
            ".spec.containers: element 0: associative list with keys has an element that omits all key fields \
             [\"name\"] (and doesn't have default values for any key fields)",
        ),
    ] {
        let mut object = value!({"metadata": {"name": "t"}});
        object.set(&["spec"], spec);
        server.refuse("m", object, &format!("{what}{expect}"));
    }
    let other = server.with_manager("", |fields| {
        fields.apply(None, &value!({"apiVersion": "v2", "kind": "Thing"}), "m", false, Timestamp::UNIX_EPOCH)
    });
    assert_eq!(other.unwrap_err().message, "invalid object type: /v2, Kind=Thing");
}

#[test]
fn a_list_follows_the_order_that_is_applied() {
    let mut server = Server::new();
    let names = |server: &Server| {
        let items = server.object.as_ref().unwrap().array_at(&["spec", "containers"]).iter();
        items.map(|item| item.str_at(&["name"]).to_owned()).collect::<Vec<_>>().join("")
    };
    let of = |names: &str| {
        containers(Value::from(names.chars().map(|c| value!({"name": c.to_string()})).collect::<Vec<_>>()))
    };
    server.apply("alpha", of("abcd"));
    for (applied, expect) in [("ca", "bcda"), ("x", "bcdax"), ("dxa", "bcdxa")] {
        let before = server.object.clone();
        server.apply("beta", of(applied));
        assert_eq!(names(&server), expect, "{applied} over {before:?}");
    }
}

#[test]
fn scale_shares_the_replicas_of_its_parent() {
    let fields: ScaleFields<'_> = &[("apps/v1", &["spec", "replicas"])];
    let entry = |manager: &str, api_version: &str, fields: Value| {
        let mut entry = value!({"manager": manager, "operation": "Apply", "fieldsType": "FieldsV1"});
        entry.set(&["apiVersion"], api_version);
        entry.set(&["fieldsV1"], fields);
        entry
    };
    let object = |entries: Vec<Value>| {
        let mut object = Value::object();
        object.set(&["metadata", "managedFields"], entries);
        object
    };
    let replicas = value!({"f:spec": {"f:replicas": {}}});
    let both = value!({"f:spec": {"f:replicas": {}, "f:paused": {}}});
    let parent = object(vec![entry("a", "apps/v1", both)]);
    let scale = scale_to_subresource(&parent, fields);
    assert_eq!(scale, Value::from(vec![entry("a", "autoscaling/v1", replicas.clone())]));
    let mut taken = entry("b", "autoscaling/v1", replicas.clone());
    taken.set(&["subresource"], "scale");
    let after = scale_to_parent(&parent, &object(vec![taken]), "apps/v1", fields);
    let mut of_scale = entry("b", "apps/v1", replicas);
    of_scale.set(&["subresource"], "scale");
    assert_eq!(
        after,
        Value::from(vec![entry("a", "apps/v1", value!({"f:spec": {"f:paused": {}}})), of_scale])
    );
}

#[test]
fn the_manager_is_the_parameter_or_the_user_agent() {
    assert_eq!(manager_or_user_agent("m", "kubectl/v1"), "m");
    assert_eq!(manager_or_user_agent("", "my-tool/v1.2 (linux)"), "my-tool");
    assert_eq!(manager_or_user_agent("", &"a".repeat(200)).len(), 128);
}

#[test]
fn fields_under_preserved_ones_are_owned_at_any_depth() {
    let inner = value!({"type": "object", "properties": {"t": {"type": "string"}}});
    let list = value!({"type": "array", "items": (inner.clone())});
    let preserved = value!({
        "type": "object", "x-kubernetes-preserve-unknown-fields": true,
        "properties": {"inner": (inner.clone()), "list": (list)},
    });
    let spec = value!({"type": "object", "properties": {"preserved": (preserved), "plain": (inner)}});
    let whole = value!({"type": "object", "properties": {"spec": (spec)}});
    let schema = crate::crd::CustomResource::compile(&whole, 36).schema;
    let mut server = Server { schema, ..Server::new() };
    let object = |spec: Value| value!({"metadata": {"name": "a"}, "spec": (spec)});
    server.apply("one", object(value!({"preserved": {"inner": {"t": "1", "zz": 2}, "list": [{"u": 1}]}})));
    let owned = server.object.as_ref().unwrap().array_at(&["metadata", "managedFields"])[0]
        .at(&["fieldsV1", "f:spec", "f:preserved", "f:inner"])
        .cloned();
    assert_eq!(owned, Some(value!({"f:t": {}, "f:zz": {}})));
    let refused = server.try_apply("one", object(value!({"plain": {"zz": 2}})), false).unwrap_err();
    assert!(refused.message.ends_with(".spec.plain.zz: field not declared in schema"), "{}", refused.message);
}
