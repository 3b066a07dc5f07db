//! Type checking of ValidatingAdmissionPolicies: what would go wrong with the objects that a policy names, as warnings in
//! its status. It changes nothing about what the policy does.
//!
//! Upstream has a controller for it in the controller manager. It is here because it needs what this crate knows at
//! hand: which kinds resources have, custom ones included, and their schemas. As the naming of definitions, it writes
//! through the registry.

mod types;

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use drydock_cel::declare::KubernetesVersion;
use drydock_client::{PatchType, Verb};
use drydock_kinds::expression::{SchemaTypes, type_check};
use drydock_machinery::{GroupVersionKind, Object, ObjectMeta, Status, Value, value};
use drydock_runtime::Tasks;

use crate::cache::{ResourceCache, key_prefix};
use crate::registry::{Body, Registry};
use crate::resources::{Resource, ResourceTable};
use crate::server::Core;

const GROUP: &str = "admissionregistration.k8s.io";
const PLURAL: &str = "validatingadmissionpolicies";
const MANAGER: &str = "validatingadmissionpolicy-status";

/// Of one rule, no more kinds are checked than this.
const MOST_KINDS: usize = 10;
/// When a status that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Checks policies that were not checked since they were changed, then follows them in a task.
pub(crate) fn start(core: &Arc<Core>, tasks: &Tasks) {
    let cache = core.registry.cache.by_prefix(&key_prefix(GROUP, PLURAL));
    let mut changed = cache.subscribe();
    let core: Weak<Core> = Arc::downgrade(core);
    let clock = tasks.clock().clone();
    tasks.spawn("validating-policy-status", async move {
        loop {
            changed.borrow_and_update();
            let Some(core) = core.upgrade() else { return };
            let pending = sync(&core.registry, &cache).await;
            drop(core);
            let retry =
                async { if pending { clock.sleep(RETRY).await } else { std::future::pending().await } };
            tokio::select! {
                changed = changed.changed() => if changed.is_err() { return },
                () = retry => {}
            }
        }
    });
}

/// Answers whether something is to be tried again.
async fn sync(registry: &Registry, cache: &ResourceCache) -> bool {
    let mut pending = false;
    for policy in cache.snapshot().objects.values() {
        let observed = policy.i64_at(&["status", "observedGeneration"]).unwrap_or(0);
        if policy.is_deleting() || observed >= policy.generation() {
            continue;
        }
        let warnings =
            check(policy, &registry.resources.table(), KubernetesVersion::of_minor(registry.minor_version));
        match write(registry, policy, warnings).await {
            Err(status) if !status.is_not_found() => {
                tracing::debug!(error = %status, name = policy.name(), "a policy's status was not written");
                pending = true;
            }
            _ => {}
        }
        tokio::task::yield_now().await;
    }
    pending
}

async fn write(registry: &Registry, policy: &Object, warnings: Vec<Value>) -> Result<(), Status> {
    let Some(mut call) = registry.own_call(GROUP, PLURAL, "", policy.name()) else { return Ok(()) };
    let mut applied = value!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": policy.name(), "uid": policy.uid()},
        "status": {"observedGeneration": policy.generation(), "typeChecking": {}},
    });
    if !warnings.is_empty() {
        applied.set(&["status", "typeChecking", "expressionWarnings"], warnings);
    }
    call.request.verb = Verb::Patch(PatchType::Apply);
    call.request.subresource = "status".to_owned();
    call.request.options.force = Some(true);
    call.request.options.field_manager = MANAGER.to_owned();
    call.body = Body::Value(applied);
    registry.call(&mut call).await.map(drop)
}

/// The warnings about a policy's validations and their messages.
fn check(policy: &Value, table: &ResourceTable, version: KubernetesVersion) -> Vec<Value> {
    let spec = policy.get("spec").unwrap_or(&Value::Null);
    let kinds: Vec<(GroupVersionKind, Arc<dyn SchemaTypes>)> = kinds(spec, table)
        .into_iter()
        .filter_map(|resource| Some((resource.gvk.clone(), types::of(&resource, "object")?)))
        .collect();
    let params = spec.get("paramKind").filter(|kind| !kind.is_null());
    let param_types = params.and_then(|kind| {
        let kind = GroupVersionKind::from_api_version(kind.str_at(&["apiVersion"]), kind.str_at(&["kind"]));
        types::of(table.find_kind(&kind.group, &kind.version, &kind.kind)?, "params")
    });
    let variables = spec.array_at(&["variables"]).iter();
    let variables: Vec<(&str, &str)> =
        variables.map(|variable| (variable.str_at(&["name"]), variable.str_at(&["expression"]))).collect();
    let mut warnings = Vec::new();
    for (i, validation) in spec.array_at(&["validations"]).iter().enumerate() {
        for field in ["expression", "messageExpression"] {
            let text = validation.str_at(&[field]);
            if text.is_empty() {
                continue;
            }
            let found: Vec<String> = kinds
                .iter()
                .filter_map(|(kind, object)| {
                    let checked =
                        type_check(version, text, &variables, object, param_types.as_ref(), params.is_some());
                    let why = checked.err()?;
                    Some(format!("{}/{}, Kind={}: {why}\n", kind.group, kind.version, kind.kind))
                })
                .collect();
            if !found.is_empty() {
                warnings.push(value!({
                    "fieldRef": format!("spec.validations[{i}].{field}"), "warning": found.join("\n"),
                }));
            }
        }
    }
    warnings
}

/// The resources whose kinds a policy's rules name, in the order of groups, versions and kinds. Rules with wildcards name
/// none.
fn kinds(spec: &Value, table: &ResourceTable) -> Vec<Arc<Resource>> {
    let mut found: Vec<Arc<Resource>> = Vec::new();
    let mut known: BTreeSet<(String, String, String)> = BTreeSet::new();
    for rule in spec.array_at(&["matchConstraints", "resourceRules"]) {
        let texts = |field: &str| -> Vec<&str> {
            let mut texts: Vec<&str> = rule.array_at(&[field]).iter().filter_map(Value::as_str).collect();
            texts.sort_unstable();
            texts
        };
        let (groups, versions) = (texts("apiGroups"), texts("apiVersions"));
        if groups.iter().chain(&versions).any(|text| text.contains('*')) {
            continue;
        }
        let resources = texts("resources");
        let resources = resources.iter().filter(|name| !name.contains(['*', '/']));
        let named = resources.flat_map(|name| {
            let of_name = table.iter().filter(move |resource| resource.gvr.resource == **name);
            of_name.filter(|resource| {
                // No group is any group, where resources are looked up by name.
                let group = groups.iter().any(|group| group.is_empty() || *group == &*resource.gvr.group);
                group && versions.contains(&&*resource.gvr.version)
            })
        });
        for resource in named.take(MOST_KINDS) {
            let GroupVersionKind { group, version, kind } = &resource.gvk;
            if known.insert((group.to_string(), version.to_string(), kind.to_string())) {
                found.push(resource.clone());
            }
        }
    }
    let key = |resource: &Resource| {
        let GroupVersionKind { group, version, kind } = &resource.gvk;
        (group.to_string(), version.to_string(), kind.to_string())
    };
    found.sort_by_cached_key(|resource| key(resource));
    found
}

#[cfg(test)]
mod tests;
