//! ResourceQuota: a namespace's quotas bound how many objects it has and how much its pods and claims ask for.
//!
//! What a write adds is charged to the quotas' `status.used` before the write happens, by an update that fails if the
//! quota changed meanwhile; so two writers never both take the last of a quota. A write that fails afterwards leaves
//! the charge to the quota controller, which recounts.
//!
//! Only quotas whose status the controller has filled in count, as upstream.

mod scopes;
mod usage;

use std::collections::HashSet;
use std::hash::{Hash as _, Hasher as _};
use std::sync::Arc;

use async_trait::async_trait;
use drydock_machinery::quantity::Quantity;
use drydock_machinery::{GroupVersionResource, Object, ObjectMeta, Status, Value};

use super::resources::{Amounts, add, amounts};
use super::{AdmissionContext, AdmissionPlugin, AdmissionRequest, Operation};

/// The plugin. Charges of one namespace are made one after another.
#[derive(Default)]
pub(super) struct ResourceQuota {
    /// Each is of those namespaces whose names hash to it.
    charging: [tokio::sync::Mutex<()>; 32],
}

impl ResourceQuota {
    fn charging(&self, namespace: &str) -> &tokio::sync::Mutex<()> {
        let mut hasher = std::hash::DefaultHasher::new();
        namespace.hash(&mut hasher);
        let lock = usize::try_from(hasher.finish() % self.charging.len() as u64);
        &self.charging[lock.unwrap_or_default()]
    }
}

/// How often a charge that lost against the quota controller is tried again.
const ATTEMPTS: usize = 10;

#[async_trait]
impl AdmissionPlugin for ResourceQuota {
    fn name(&self) -> &'static str {
        "ResourceQuota"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        if request.namespace.is_empty() || request.is_of("", "namespaces") {
            return false;
        }
        match request.operation {
            Operation::Create => request.subresource.is_empty(),
            Operation::Update => usage::grows_on_update(request),
            _ => false,
        }
    }

    async fn validate(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        if context.reader.list("", "resourcequotas", request.namespace).is_empty() {
            return Ok(());
        }
        let _one_at_a_time = self.charging(request.namespace).lock().await;
        let mut charged = HashSet::new();
        for _ in 0..ATTEMPTS {
            let mut quotas = context.reader.list("", "resourcequotas", request.namespace);
            quotas.retain(|quota| !charged.contains(quota.uid()));
            let charges = check(request, &quotas)?;
            if request.dry_run || charges.is_empty() {
                return Ok(());
            }
            match charge(context, charges, &mut charged).await {
                Err(status) if status.is_conflict() => {}
                done => return done,
            }
        }
        Err(Status::internal("the quota's usage could not be updated: it changes too fast"))
    }
}

/// A quota with the usage it would have.
struct Charge {
    quota: Arc<Object>,
    used: Amounts,
}

/// What each quota would be charged for the request.
fn check(request: &AdmissionRequest<'_>, quotas: &[Arc<Object>]) -> Result<Vec<Charge>, Status> {
    let object = request.object();
    let mut matching = Vec::new();
    for quota in quotas {
        let hard = amounts(quota.at(&["status", "hard"]));
        let counted: Vec<&str> =
            hard.keys().map(String::as_str).filter(|name| usage::counts(request, name)).collect();
        if counted.is_empty() || !scopes::match_all(quota, request, object) {
            continue;
        }
        if let Some(missing) = usage::unspecified(request, &counted) {
            return Err(request.forbidden(&format!("failed quota: {}: must specify {missing}", quota.name())));
        }
        let used = amounts(quota.at(&["status", "used"]));
        let unknown: Vec<&str> = counted.iter().copied().filter(|name| !used.contains_key(*name)).collect();
        if !unknown.is_empty() {
            let names = unknown.join(",");
            return Err(
                request.forbidden(&format!("status unknown for quota: {}, resources: {names}", quota.name()))
            );
        }
        matching.push((quota, hard, used));
    }

    let mut charges = Vec::new();
    for (quota, hard, mut used) in matching {
        // An update may bring an object into a quota's scopes.
        let counted =
            request.operation == Operation::Update && scopes::match_all(quota, request, request.old());
        let added = usage::added(request, counted);
        let requested: Amounts = added
            .iter()
            .filter(|(name, _)| hard.contains_key(*name))
            .map(|(n, a)| (n.clone(), a.clone()))
            .collect();
        if requested.is_empty() {
            continue;
        }
        let before = used.clone();
        add(&mut used, &requested);
        let exceeded: Vec<&String> = requested.keys().filter(|name| used[*name] > hard[*name]).collect();
        if !exceeded.is_empty() {
            return Err(request.forbidden(&format!(
                "exceeded quota: {}, requested: {}, used: {}, limited: {}",
                quota.name(),
                shown(&requested, &exceeded),
                shown(&before, &exceeded),
                shown(&hard, &exceeded)
            )));
        }
        charges.push(Charge { quota: quota.clone(), used });
    }
    Ok(charges)
}

/// `cpu=1,pods=2`
fn shown(amounts: &Amounts, names: &[&String]) -> String {
    let zero = Quantity::ZERO;
    let parts: Vec<String> =
        names.iter().map(|name| format!("{name}={}", amounts.get(*name).unwrap_or(&zero))).collect();
    parts.join(",")
}

/// Makes the charges, and notes the UIDs of the quotas that have theirs.
async fn charge(
    context: &AdmissionContext<'_>,
    charges: Vec<Charge>,
    charged: &mut HashSet<String>,
) -> Result<(), Status> {
    const QUOTAS: GroupVersionResource = GroupVersionResource::new("", "v1", "resourcequotas");
    for Charge { quota, used } in charges {
        let mut body = quota.value().clone();
        for (name, amount) in &used {
            body.set(&["status", "used", name], Value::from(amount));
        }
        context.client.update_status(&QUOTAS, body).await?;
        charged.insert(quota.uid().to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
