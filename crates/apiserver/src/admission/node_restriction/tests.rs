use std::sync::Arc;

use drydock_auth::UserInfo;
use drydock_machinery::{GroupVersionKind, GroupVersionResource, Object, value};

use super::*;

fn check_with(
    (group, resource, subresource): (&'static str, &'static str, &str),
    operation: Operation,
    (old, new): (Value, Value),
    judge: impl Fn(&AdmissionRequest<'_>, &str) -> Refusal,
    expected: Option<&str>,
) {
    let user = UserInfo::node("n1");
    let request = AdmissionRequest {
        operation,
        user: &user,
        kind: &GroupVersionKind::new("", "v1", "Any"),
        resource: &GroupVersionResource::new(group, "v1", resource),
        subresource,
        name: "n1".to_owned(),
        namespace: "ns",
        object: Some(new),
        old_object: Some(Arc::new(Object::new(old, 1))),
        options: &Default::default(),
        dry_run: false,
        warnings: Vec::new(),
        audit: Vec::new(),
        webhooks: Default::default(),
        reinvocation: Default::default(),
    };
    assert_eq!(judge(&request, "n1").as_deref(), expected);
}

#[test]
fn a_node_keeps_its_owners() {
    let old = value!({"metadata": {"name": "n1"}});
    let new = value!({"metadata": {"name": "n1", "ownerReferences": [{"name": "x"}]}});
    let refusal = Some("node \"n1\" is not allowed to modify ownerReferences");
    let update = |new: Value, expected| {
        check_with(("", "nodes", ""), Operation::Update, (old.clone(), new), own_node, expected);
    };
    update(new, refusal);
    update(old.clone(), None);
}

#[test]
fn a_claims_status_is_resized_and_nothing_else() {
    let old = value!({"metadata": {"name": "c", "resourceVersion": "1"}, "status": {"phase": "Bound"}});
    let update = |new: Value, expected| {
        let place = ("", "persistentvolumeclaims", "status");
        check_with(place, Operation::Update, (old.clone(), new), claim_status, expected);
    };
    update(
        value!({"metadata": {"name": "c"}, "status": {"phase": "Bound", "capacity": {"storage": "2Gi"}}}),
        None,
    );
    update(
        value!({"metadata": {"name": "c", "labels": {"a": "b"}}, "status": {"phase": "Bound"}}),
        Some("node \"n1\" is not allowed to update fields other than status.quantity and status.conditions"),
    );
}

#[test]
fn resource_slices_are_the_nodes_own() {
    let slice = |node: &str| value!({"metadata": {"name": "s"}, "spec": {"nodeName": node}});
    let check = |operation, old, new, expected| {
        let place = ("resource.k8s.io", "resourceslices", "");
        check_with(place, operation, (old, new), resource_slice, expected);
    };
    let own = || slice("n1");
    check(Operation::Create, Value::Null, own(), None);
    check(
        Operation::Create,
        Value::Null,
        slice("n2"),
        Some("can only create ResourceSlice with the same NodeName as the requesting node"),
    );
    check(
        Operation::Delete,
        slice("n2"),
        Value::Null,
        Some("can only delete ResourceSlice with the same NodeName as the requesting node"),
    );
}
