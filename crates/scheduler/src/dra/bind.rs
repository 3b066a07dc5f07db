//! Writes allocations and reservations, and takes them back.

use std::sync::Arc;

use drydock_client::events::{EventType, reference};
use drydock_client::resources::{PODS, RESOURCE_CLAIMS};
use drydock_client::{Client, DeleteOptions, PatchType};
use drydock_machinery::{Object, ObjectMeta, Reason, Status, Value, value};
use jiff::Timestamp;

use super::{is_allocated, is_reserved_for};
use crate::pod_info::PodInfo;
use crate::scheduler::Scheduler;

const FINALIZER: &str = "resource.kubernetes.io/delete-protection";
const ATTEMPTS: usize = 5;

/// What has to be written before a pod is bound.
#[derive(Clone, Debug)]
pub struct Reservation {
    pub claims: Vec<ClaimBinding>,
    /// Set when the last claim is still to be created, for extended resources; who gets what of it.
    pub extended_mappings: Option<Vec<Value>>,
}

/// A claim of the pod's, as it was when the node was chosen.
#[derive(Clone, Debug)]
pub struct ClaimBinding {
    pub claim: Arc<Object>,
    /// The devices that it gets.
    pub allocation: Option<Value>,
}

impl PartialEq for Reservation {
    fn eq(&self, other: &Self) -> bool {
        let parts = |of: &Self| -> Vec<(String, Option<Value>)> {
            of.claims.iter().map(|one| (one.claim.uid().to_owned(), one.allocation.clone())).collect()
        };
        parts(self) == parts(other)
    }
}

impl ClaimBinding {
    /// The claim as it will be; None when it has its devices already.
    pub(super) fn as_allocated(&self) -> Option<Value> {
        let mut claim = self.claim.value().clone();
        claim.set(&["status", "allocation"], self.allocation.clone()?);
        Some(claim)
    }
}

/// Whether all devices of a claim say that they are ready.
///
/// # Errors
/// When one says that it cannot get ready.
pub(super) fn readiness(claim: &Value) -> Result<bool, String> {
    let is_true = |condition: &Value| condition.str_at(&["status"]) == "True";
    let mut ready = true;
    for result in claim.array_at(&["status", "allocation", "devices", "results"]) {
        let wanted = result.array_at(&["bindingConditions"]);
        if wanted.is_empty() {
            continue;
        }
        let mut statuses = claim.array_at(&["status", "devices"]).iter();
        let same = |status: &&Value| {
            ["driver", "pool", "device"]
                .iter()
                .all(|field| status.str_at(&[field]) == result.str_at(&[field]))
        };
        let Some(status) = statuses.find(same) else {
            ready = false;
            continue;
        };
        let condition = |name: &Value| {
            let mut conditions = status.array_at(&["conditions"]).iter();
            conditions.find(|condition| Some(condition.str_at(&["type"])) == name.as_str())
        };
        let failures = result.array_at(&["bindingFailureConditions"]).iter().filter_map(condition);
        if let Some(failed) = failures.into_iter().find(|condition| is_true(condition)) {
            let (reason, message) = (failed.str_at(&["reason"]), failed.str_at(&["message"]));
            return Err(format!(
                "device binding failed: claim={}, reason={reason}, message={message:?}",
                claim.name()
            ));
        }
        ready &= wanted.iter().all(|name| condition(name).is_some_and(is_true));
    }
    Ok(ready)
}

/// Claims that were written, to be taken back if something fails later.
#[derive(Debug, Default)]
pub(crate) struct Written(Vec<Arc<Object>>);

impl Scheduler {
    /// Gives the pod its claims' devices and waits until they are ready.
    pub(crate) async fn bind_claims(
        &self,
        pod: &PodInfo,
        node: &str,
        reservation: &Reservation,
        written: &mut Written,
    ) -> Result<(), Status> {
        let last = reservation.claims.len().saturating_sub(1);
        for (i, binding) in reservation.claims.iter().enumerate() {
            if is_reserved_for(&binding.claim, &pod.object) {
                written.0.push(binding.claim.clone());
                continue;
            }
            let mappings = reservation.extended_mappings.as_ref().filter(|_| i == last);
            let claim = match mappings {
                Some(_) => self.create_extended(binding, written).await?,
                None => binding.claim.clone(),
            };
            let claim = reserve(&self.client, &pod.object, claim, binding.allocation.as_ref(), || {
                self.clock.now_rfc3339()
            })
            .await?;
            self.claim_written(&claim);
            written.0.retain(|known| known.uid() != claim.uid());
            written.0.push(claim.clone());
            if let Some(mappings) = mappings {
                self.tell_mappings(&pod.object, &claim, mappings).await?;
            }
        }
        self.claims_ready(pod, node, written).await
    }

    async fn create_extended(
        &self,
        binding: &ClaimBinding,
        written: &mut Written,
    ) -> Result<Arc<Object>, Status> {
        let mut new = binding.claim.value().clone();
        new.remove(&["metadata", "uid"]);
        let created = self.client.create(&RESOURCE_CLAIMS, new).await?;
        written.0.push(created.clone());
        Ok(created)
    }

    async fn tell_mappings(&self, pod: &Object, claim: &Object, mappings: &[Value]) -> Result<(), Status> {
        let told = value!({"resourceClaimName": claim.name(), "requestMappings": mappings.to_vec()});
        let patch = value!({"metadata": {"uid": pod.uid()}, "status": {"extendedResourceClaimStatus": told}});
        let (namespace, name) = (pod.namespace(), pod.name());
        self.client.patch_status(&PODS, namespace, name, PatchType::Strategic, patch).await.map(drop)
    }

    async fn claims_ready(&self, pod: &PodInfo, node: &str, written: &Written) -> Result<(), Status> {
        let waits = |claim: &Arc<Object>| {
            let mut results = claim.array_at(&["status", "allocation", "devices", "results"]).iter();
            results.any(|result| !result.array_at(&["bindingConditions"]).is_empty())
        };
        if !written.0.iter().any(waits) {
            return Ok(());
        }
        let message = format!("waiting for binding conditions for device on node {node}");
        let about = reference(&pod.object);
        let events = self.events(&pod.object);
        events.record(&about, EventType::Normal, "BindingConditionsPending", "Scheduling", message);
        let timeout = self.profile_of(&pod.object).args.devices_timeout;
        let deadline = self.clock.now().saturating_add(timeout).unwrap_or(Timestamp::MAX);
        loop {
            let changed = self.claims_changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let failed = |message| Status::new(500, Reason::InternalError, message);
            if self.are_ready(&written.0).map_err(failed)? {
                return Ok(());
            }
            tokio::select! {
                () = changed => {}
                () = self.clock.sleep_until(deadline) => {
                    self.claims_expired(&written.0);
                    return Err(failed("device binding timeout: context deadline exceeded".to_owned()));
                }
            }
        }
    }

    /// Takes back reservations of a pod that was not bound; what was made for it alone goes.
    pub(crate) async fn release_claims(&self, pod: &Object, reservation: &Reservation, written: Written) {
        for claim in written.0 {
            let outcome = if reservation.extended_mappings.is_some()
                && claim.annotation(super::extended::IS_EXTENDED).is_some()
            {
                delete(&self.client, &claim).await
            } else {
                let entry = value!({"$patch": "delete", "uid": pod.uid()});
                let patch = value!({"metadata": {"uid": claim.uid()}, "status": {"reservedFor": [entry]}});
                let (namespace, name) = (claim.namespace(), claim.name());
                self.client
                    .patch_status(&RESOURCE_CLAIMS, namespace, name, PatchType::Strategic, patch)
                    .await
                    .map(drop)
            };
            if let Err(status) = outcome {
                tracing::debug!(claim = claim.key(), %status, "the claim was not given back");
            }
        }
    }
}

/// Deletes a claim that the scheduler has made.
pub(crate) async fn delete(client: &Client, claim: &Object) -> Result<(), Status> {
    let mut new = claim.value().clone();
    let kept: Vec<Value> = claim.finalizers().filter(|name| *name != FINALIZER).map(Value::from).collect();
    new.set(&["metadata", "finalizers"], kept);
    client.update(&RESOURCE_CLAIMS, new).await?;
    client.delete(&RESOURCE_CLAIMS, claim.namespace(), claim.name(), DeleteOptions::default()).await.map(drop)
}

/// Writes the allocation, if there is one, and the reservation. Changes that came in between are taken in.
async fn reserve(
    client: &Client,
    pod: &Object,
    mut claim: Arc<Object>,
    allocation: Option<&Value>,
    now: impl Fn() -> String,
) -> Result<Arc<Object>, Status> {
    let mut attempt = 1;
    loop {
        match reserve_once(client, pod, &claim, allocation, &now).await {
            Err(status) if status.is_conflict() && attempt < ATTEMPTS => {
                attempt += 1;
                let fresh = client.find(&RESOURCE_CLAIMS, claim.namespace(), claim.name()).await?;
                claim = fresh
                    .ok_or_else(|| Status::not_found("resource.k8s.io", "resourceclaims", claim.name()))?;
            }
            done => return done,
        }
    }
}

async fn reserve_once(
    client: &Client,
    pod: &Object,
    claim: &Object,
    allocation: Option<&Value>,
    now: &impl Fn() -> String,
) -> Result<Arc<Object>, Status> {
    let refused = |what: &str| {
        let message = format!("claim {} got {what} in the meantime", claim.key());
        Status::new(500, Reason::InternalError, message)
    };
    if claim.is_deleting() {
        return Err(refused("deleted"));
    }
    let mut new = claim.value().clone();
    if let Some(allocation) = allocation {
        if is_allocated(claim) {
            return Err(refused("allocated elsewhere"));
        }
        if !claim.finalizers().any(|name| name == FINALIZER) {
            let mut finalizers: Vec<Value> = claim.finalizers().map(Value::from).collect();
            finalizers.push(FINALIZER.into());
            new.set(&["metadata", "finalizers"], finalizers);
            new = client.update(&RESOURCE_CLAIMS, new).await?.value().clone();
        }
        new.set(&["status", "allocation"], allocation.clone());
    } else if !is_allocated(claim) {
        return Err(refused("deallocated elsewhere"));
    }
    if new.str_at(&["status", "allocation", "allocationTimestamp"]).is_empty() {
        new.set(&["status", "allocation", "allocationTimestamp"], now());
    }
    let mut consumers = new.array_at(&["status", "reservedFor"]).to_vec();
    consumers.push(value!({"resource": "pods", "name": pod.name(), "uid": pod.uid()}));
    new.set(&["status", "reservedFor"], consumers);
    client.update_status(&RESOURCE_CLAIMS, new).await
}
