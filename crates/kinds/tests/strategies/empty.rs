//! Empty lists and maps that are given are as good as absent ones, but where upstream tells them apart.

use std::collections::BTreeSet;

use drydock_kinds::strategy;
use drydock_machinery::catalog::Catalog;
use drydock_machinery::decode::{self, FieldValidation};
use drydock_machinery::schema::{Presence, Shape, TypeRef};
use drydock_machinery::{Value, defaults, value};

use crate::common::{context, create_errors};

/// A field, by the name of its type and its own.
type Place = (String, String);

/// Where upstream's defaulting or validation asks for nil rather than for a length.
const TOLD: [(&str, &str); 13] = [
    // Shown as they were given.
    ("ObjectMeta", "labels"),
    ("PersistentVolumeSpec", "capacity"),
    ("IngressSpec", "rules"),
    ("ResourceQuotaSpec", "scopes"),
    ("HPAScalingRules", "policies"),
    // Of a pod's own resources; a container's are not told apart.
    ("ResourceRequirements", "claims"),
    ("ResourceSliceSpec", "sharedCounters"),
    // Of what claims are made from, which may have none of them.
    ("ObjectMeta", "finalizers"),
    ("ObjectMeta", "ownerReferences"),
    ("ObjectMeta", "managedFields"),
    // What an ephemeral container may not have, it may not have empty.
    ("EphemeralContainer", "ports"),
    ("EphemeralContainer", "resizePolicy"),
    ("EphemeralContainer", "restartPolicyRules"),
];

/// Adds an empty value for each field that Go would leave out, if `wanted` says so.
fn fill(value: &mut Value, ty: TypeRef<'_>, wanted: &mut dyn FnMut(Place) -> bool) {
    match (value, ty.shape()) {
        (Value::Object(map), Shape::Struct(fields)) => {
            let owner = ty.ty().name.rsplit('.').next().unwrap_or_default().to_owned();
            for field in &fields.fields {
                let of = ty.with(field.ty);
                let empty = match of.shape() {
                    Shape::List { .. } => value!([]),
                    Shape::Map { .. } => value!({}),
                    _ => Value::Null,
                };
                match map.get_mut(&field.name) {
                    Some(own) => fill(own, of, wanted),
                    None if empty.is_null() || field.presence != Presence::OmitEmpty => {}
                    None => {
                        if wanted((owner.clone(), field.name.to_string())) {
                            map.insert(field.name.clone(), empty);
                        }
                    }
                }
            }
        }
        (Value::Object(map), Shape::Map { value: of, .. }) => {
            map.iter_mut().for_each(|(_, value)| fill(value, ty.with(*of), wanted));
        }
        (Value::Array(items), Shape::List { item, .. }) => {
            items.make_mut().iter_mut().for_each(|value| fill(value, ty.with(*item), wanted));
        }
        _ => {}
    }
}

/// The errors of creating an object, whose defaults and validation see it as it was given.
fn errors_as_given((group, version, resource): (&str, &str, &str), object: &Value) -> Vec<String> {
    let catalog = Catalog::builtin();
    let known = catalog.resource(group, version, resource).expect("a built-in resource");
    let schema = catalog.schema(&known.kind).expect("a schema");
    let decoded = decode::value(object, schema.root(), FieldValidation::Ignore).expect("decodable");
    let (mut object, mut emptied) = (decoded.value, decoded.emptied);
    emptied.iter().for_each(|emptied| emptied.put_back(&mut object));
    defaults::drop_nulls(&mut object, schema.root());
    defaults::apply_defaults(&mut object, schema.root());
    object.set(&["apiVersion"], known.kind.api_version());
    object.set(&["kind"], &*known.kind.kind);
    object.set(&["metadata", "uid"], "11111111-2222-3333-4444-555555555555");
    let strategy = strategy(group, resource);
    strategy.set_defaults(&mut object);
    emptied.retain(|emptied| emptied.take_out(&mut object));
    strategy.prepare_for_create(&context(""), &mut object);
    emptied.iter().for_each(|emptied| emptied.put_back(&mut object));
    let errors = strategy.validate_create(&context(""), &object);
    errors.iter().map(|error| format!("{}: {}", error.field, error.body())).collect()
}

#[test]
fn an_empty_value_is_as_good_as_none_but_where_it_is_told_apart() {
    let mut told = BTreeSet::new();
    for line in include_str!("data/invalid.jsonl").lines() {
        let case = Value::from_json(line.as_bytes()).unwrap();
        let text = |field: &str| case.str_at(&[field]);
        let kind = (text("group"), text("version"), text("resource"));
        let schema =
            Catalog::builtin().schema(&Catalog::builtin().resource(kind.0, kind.1, kind.2).unwrap().kind);
        let schema = schema.unwrap();
        let given = case.get("object").unwrap();
        let filled = |wanted: &mut dyn FnMut(Place) -> bool| {
            let mut object = given.clone();
            fill(&mut object, schema.root(), wanted);
            object
        };
        let expected = create_errors(kind, given);
        let mut places = BTreeSet::new();
        let is_told = |place: &Place| TOLD.contains(&(place.0.as_str(), place.1.as_str()));
        let whole = filled(&mut |place| {
            let wanted = !is_told(&place);
            places.insert(place);
            wanted
        });
        if errors_as_given(kind, &whole) != expected {
            let differs =
                |place: &&Place| errors_as_given(kind, &filled(&mut |other| other == **place)) != expected;
            told.extend(
                places
                    .iter()
                    .filter(|place| !is_told(place))
                    .filter(differs)
                    .map(|place| (text("case").to_owned(), place.clone())),
            );
        }
    }
    assert!(told.is_empty(), "{told:#?}");
}

#[test]
fn what_upstream_tells_apart_is_told_apart() {
    let autoscaler = value!({
        "metadata": {"name": "a", "namespace": "ns"},
        "spec": {
            "maxReplicas": 2, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"},
            "behavior": {"scaleUp": {"policies": []}},
        },
    });
    let errors = errors_as_given(("autoscaling", "v2", "horizontalpodautoscalers"), &autoscaler);
    assert_eq!(errors, ["spec.behavior.scaleUp.policies: Required value: must specify at least one Policy"]);
    let pod = value!({
        "metadata": {"name": "p", "namespace": "ns"},
        "spec": {
            "containers": [{"name": "c", "image": "i", "resources": {"claims": []}}],
            "resources": {"claims": [], "limits": {"cpu": "1"}},
        },
    });
    let errors = errors_as_given(("", "v1", "pods"), &pod);
    assert_eq!(
        errors,
        ["spec.resources.claims: Forbidden: claims may not be set for Resources at pod-level"]
    );
    let deployment = value!({
        "metadata": {"name": "d", "namespace": "ns"},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    });
    let errors = errors_as_given(("apps", "v1", "deployments"), &deployment);
    let text = "Invalid value: {}: `selector` does not match template `labels`";
    assert_eq!(errors, [format!("spec.template.metadata.labels: {text}")]);
    let slice = value!({
        "metadata": {"name": "s"},
        "spec": {
            "driver": "d.example.com", "nodeName": "n", "pool": {"name": "p", "resourceSliceCount": 1},
            "devices": [{"name": "d"}], "sharedCounters": [],
        },
    });
    let errors = errors_as_given(("resource.k8s.io", "v1", "resourceslices"), &slice);
    assert_eq!(errors, ["spec: Invalid value: \"\": only one of `sharedCounters` or `devices` is allowed"]);
}
