use drydock_auth::UserInfo;
use drydock_machinery::{GroupVersionKind, value};

use super::*;

fn check_quota(
    kind: GroupVersionKind,
    resource: GroupVersionResource,
    object: Value,
    quota: Value,
    expected: Result<Value, &str>,
) {
    let user = UserInfo::default();
    let request = AdmissionRequest {
        operation: Operation::Create,
        user: &user,
        kind: &kind,
        resource: &resource,
        subresource: "",
        name: object.name().to_owned(),
        namespace: "ns",
        object: Some(object),
        old_object: None,
        options: &Default::default(),
        dry_run: false,
        warnings: Vec::new(),
        audit: Vec::new(),
        webhooks: Default::default(),
        reinvocation: Default::default(),
    };
    let quota = Arc::new(Object::new(quota, 1));
    let charges = check(&request, &[quota]);
    let used = charges.map(|charges| {
        let mut out = Value::object();
        for (name, amount) in charges.iter().flat_map(|charge| &charge.used) {
            out.set(&[name], Value::from(amount));
        }
        out
    });
    assert_eq!(used.map_err(|status| status.message), expected.map_err(str::to_owned));
}

fn check_pod(spec: Value, quota: Value, expected: Result<Value, &str>) {
    let mut pod = value!({"metadata": {"name": "p"}});
    pod.set(&["spec"], spec);
    let kind = GroupVersionKind::new("", "v1", "Pod");
    check_quota(kind, GroupVersionResource::new("", "v1", "pods"), pod, quota, expected);
}

fn compute() -> Value {
    let hard =
        value!({"pods": "3", "requests.cpu": "1", "limits.memory": "1Gi", "requests.example.com/gpu": "1"});
    let used =
        value!({"pods": "0", "requests.cpu": "0", "limits.memory": "0", "requests.example.com/gpu": "0"});
    value!({"metadata": {"name": "compute"}, "status": {"hard": hard, "used": used}})
}

#[test]
fn compute_quotas_want_amounts_and_count_them() {
    check_pod(
        value!({"containers": [{"name": "a"}, {"name": "b", "resources": {"limits": {"memory": "64Mi"}}}]}),
        compute(),
        Err(
            "pods \"p\" is forbidden: failed quota: compute: must specify limits.memory for: a; requests.cpu for: a,b",
        ),
    );
    let container = |cpu: &str, memory: &str| {
        value!([{"name": "a", "resources": {
            "requests": {"cpu": cpu, "example.com/gpu": "1"}, "limits": {"memory": memory, "example.com/gpu": "1"}}}])
    };
    check_pod(
        value!({"containers": container("1500m", "2Gi")}),
        compute(),
        Err(
            "pods \"p\" is forbidden: exceeded quota: compute, requested: limits.memory=2Gi,requests.cpu=1500m, used: \
            limits.memory=0,requests.cpu=0, limited: limits.memory=1Gi,requests.cpu=1",
        ),
    );
    check_pod(
        value!({"containers": container("700m", "512Mi")}),
        compute(),
        Ok(
            value!({"pods": "1", "requests.cpu": "700m", "limits.memory": "512Mi", "requests.example.com/gpu": "1"}),
        ),
    );
}

#[test]
fn scopes_select_pods() {
    let quota = |scopes: &[&str]| {
        value!({"metadata": {"name": "q"}, "spec": {"scopes": scopes},
            "status": {"hard": {"pods": "0"}, "used": {"pods": "0"}}})
    };
    let exceeded =
        "pods \"p\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0";
    let bare = value!({"containers": [{"name": "a"}]});
    check_pod(bare.clone(), quota(&["BestEffort"]), Err(exceeded));
    check_pod(bare.clone(), quota(&["NotBestEffort"]), Ok(value!({})));
    check_pod(bare.clone(), quota(&["Terminating"]), Ok(value!({})));
    check_pod(bare, quota(&["NotTerminating", "BestEffort"]), Err(exceeded));
}

#[test]
fn objects_and_storage_are_counted() {
    let quota = |hard: Value, used: Value| value!({"metadata": {"name": "q"}, "status": {"hard": hard, "used": used}});
    let count = "count/deployments.apps";
    check_quota(
        GroupVersionKind::new("apps", "v1", "Deployment"),
        GroupVersionResource::new("apps", "v1", "deployments"),
        value!({"metadata": {"name": "d"}}),
        quota(value!({count: "1"}), value!({count: "1"})),
        Err(
            "deployments.apps \"d\" is forbidden: exceeded quota: q, requested: count/deployments.apps=1, used: \
            count/deployments.apps=1, limited: count/deployments.apps=1",
        ),
    );
    let gold = "gold.storageclass.storage.k8s.io/requests.storage";
    check_quota(
        GroupVersionKind::new("", "v1", "PersistentVolumeClaim"),
        GroupVersionResource::new("", "v1", "persistentvolumeclaims"),
        value!({"metadata": {"name": "c"}, "spec": {"storageClassName": "gold",
            "resources": {"requests": {"storage": "2Gi"}}}}),
        quota(
            value!({gold: "2Gi", "requests.storage": "10Gi"}),
            value!({gold: "0", "requests.storage": "4Gi"}),
        ),
        Ok(value!({gold: "2Gi", "requests.storage": "6Gi"})),
    );
}

#[test]
fn resource_claims_count_their_devices_by_class() {
    const GOLD: &str = "gold.deviceclass.resource.k8s.io/devices";
    let mut quota = value!({"metadata": {"name": "devices"}, "status": {"hard": {}, "used": {}}});
    quota.set(&["status", "hard", GOLD], "3");
    quota.set(&["status", "used", GOLD], "0");
    let claim = |count: i64| {
        value!({"metadata": {"name": "c"}, "spec": {"devices": {"requests": [
            {"name": "r", "exactly": {"deviceClassName": "gold", "allocationMode": "ExactCount", "count": count}},
            {"name": "s", "firstAvailable": [
                {"name": "x", "deviceClassName": "gold", "allocationMode": "ExactCount", "count": 1},
                {"name": "y", "deviceClassName": "tin", "allocationMode": "All"},
            ]},
        ]}}})
    };
    let kind = || GroupVersionKind::new("resource.k8s.io", "v1", "ResourceClaim");
    let resource = || GroupVersionResource::new("resource.k8s.io", "v1", "resourceclaims");
    let mut used = Value::object();
    used.set(&[GOLD], "3");
    check_quota(kind(), resource(), claim(2), quota.clone(), Ok(used));
    let refused = format!(
        "resourceclaims.resource.k8s.io \"c\" is forbidden: exceeded quota: devices, requested: {GOLD}=4, used: {GOLD}=0, \
         limited: {GOLD}=3"
    );
    check_quota(kind(), resource(), claim(3), quota, Err(&refused));
}
