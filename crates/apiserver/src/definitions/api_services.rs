//! An APIService for every group version that definitions serve: upstream's registration of definitions with the
//! aggregator.
//!
//! Those that are made here carry a label. They are brought back when somebody removes or changes them, and go when no
//! definition serves their version any more. APIServices without the label are their makers' own.

use std::collections::BTreeSet;
use std::sync::Arc;

use drydock_client::Verb;
use drydock_machinery::{Object, ObjectMeta, Status, Value, value};

use crate::admission::Reader as _;
use crate::aggregation::report_available;
use crate::registry::{Body, Registry};

const GROUP: &str = "apiregistration.k8s.io";
const PLURAL: &str = "apiservices";
const LABEL: &str = "kube-aggregator.kubernetes.io/automanaged";

/// What upstream's priority of custom groups is, and of their versions, which are told apart by name.
const GROUP_PRIORITY: i64 = 1000;
const VERSION_PRIORITY: i64 = 100;

/// Makes what is missing, corrects what differs, removes what no definition serves.
///
/// # Errors
/// What one of the writes came to; the others are done.
pub(super) async fn sync(registry: &Registry, definitions: &[Arc<Object>]) -> Result<(), Status> {
    let wanted = wanted(definitions);
    let mut outcome = Ok(());
    for (group, version) in &wanted {
        let synced = sync_one(registry, group, version).await;
        outcome = outcome.and(synced);
    }
    for service in registry.cache.list(GROUP, PLURAL, "") {
        let spec = (service.str_at(&["spec", "group"]), service.str_at(&["spec", "version"]));
        if service.label(LABEL) == Some("true") && !wanted.contains(&(spec.0.to_owned(), spec.1.to_owned())) {
            outcome = outcome.and(remove(registry, service).await);
        }
    }
    outcome
}

/// Group and version of everything served.
fn wanted(definitions: &[Arc<Object>]) -> BTreeSet<(String, String)> {
    let versions = definitions.iter().flat_map(|definition| {
        let group = definition.str_at(&["spec", "group"]);
        let versions = definition.array_at(&["spec", "versions"]).iter();
        let served = versions.filter(|version| version.bool_at(&["served"]));
        served.map(move |version| (group.to_owned(), version.str_at(&["name"]).to_owned()))
    });
    versions.collect()
}

async fn sync_one(registry: &Registry, group: &str, version: &str) -> Result<(), Status> {
    let name = format!("{version}.{group}");
    let spec = value!({"group": group, "version": version,
        "groupPriorityMinimum": GROUP_PRIORITY, "versionPriority": VERSION_PRIORITY});
    let Some(service) = registry.cache.get(GROUP, PLURAL, "", &name) else {
        create(registry, &name, spec).await?;
        return report_available(registry, &name).await;
    };
    if service.label(LABEL) != Some("true") {
        return Ok(());
    }
    if service.get("spec") != Some(&spec) {
        let Some(mut call) = registry.own_call(GROUP, PLURAL, "", &name) else { return Ok(()) };
        let change = |current: &Object| {
            let mut new = current.value().clone();
            new.set(&["spec"], spec.clone());
            new
        };
        registry.update_silently(&mut call, change).await?;
    }
    report_available(registry, &name).await
}

async fn create(registry: &Registry, name: &str, spec: Value) -> Result<(), Status> {
    let Some(mut call) = registry.own_call(GROUP, PLURAL, "", "") else { return Ok(()) };
    let mut service = value!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
        "metadata": {"name": name, "labels": {LABEL: "true"}}});
    service.set(&["spec"], spec);
    call.request.verb = Verb::Create;
    call.body = Body::Value(service);
    match registry.call(&mut call).await {
        Err(status) if !status.is_already_exists() => Err(status),
        _ => Ok(()),
    }
}

async fn remove(registry: &Registry, service: Arc<Object>) -> Result<(), Status> {
    let Some(mut call) = registry.own_call(GROUP, PLURAL, "", service.name()) else { return Ok(()) };
    match registry.delete_object(&mut call, service).await {
        Err(status) if !status.is_not_found() => Err(status),
        _ => Ok(()),
    }
}
