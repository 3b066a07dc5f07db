//! Admission webhooks: MutatingAdmissionWebhook and ValidatingAdmissionWebhook.
//!
//! Mutating webhooks are called one after another, in the order of their configurations' names, and once more if something
//! changed the object that they want to see again. Validating webhooks are called side by side. A webhook that cannot
//! be reached fails the request, or is passed over if it says so. Every call has a deadline, so a hung webhook slows the
//! requests it is asked about, and nobody else's.

mod audit;
mod hooks;
mod review;

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drydock_machinery::patch::json_patch;
use drydock_machinery::{Status, Value};
use drydock_runtime::wall::Stopwatch;
use futures::future::join_all;

use super::expression::Asker;
use super::versions::{Matched, Versioned, settle};
use super::{AdmissionContext, AdmissionPlugin, AdmissionRequest, Operation};
use hooks::{Hook, Hooks};
use review::Answer;

const GROUP: &str = "admissionregistration.k8s.io";

pub(super) struct MutatingAdmissionWebhook(Hooks);

pub(super) struct ValidatingAdmissionWebhook(Hooks);

impl MutatingAdmissionWebhook {
    pub(super) fn new() -> Self {
        Self(Hooks::new("mutatingwebhookconfigurations"))
    }
}

impl ValidatingAdmissionWebhook {
    pub(super) fn new() -> Self {
        Self(Hooks::new("validatingwebhookconfigurations"))
    }
}

/// Webhooks cannot guard what would be needed to get rid of them, nor reviews.
fn may_be_guarded(request: &AdmissionRequest<'_>) -> bool {
    !matches!(&*request.resource.group, GROUP | "authorization.k8s.io" | "authentication.k8s.io")
}

#[async_trait]
impl AdmissionPlugin for MutatingAdmissionWebhook {
    fn name(&self) -> &'static str {
        "MutatingAdmissionWebhook"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        may_be_guarded(request)
    }

    async fn admit(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        let hooks = self.0.now(context);
        if hooks.is_empty() {
            return Ok(());
        }
        let asker = Asker::new(context, request);
        let again = request.reinvocation.is_running();
        if again && request.reinvocation.webhooks.is_outdated(request.object.as_ref()) {
            request.reinvocation.webhooks.changed();
        }
        let mut outcome = Ok(());
        for (index, hook) in hooks.iter().enumerate() {
            outcome = mutate(context, request, &asker, hook, index).await;
            if outcome.is_err() {
                break;
            }
        }
        request.reinvocation.webhooks.leave(request.object.as_ref());
        outcome
    }

    /// Deletes pass through validation only.
    async fn validate(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        if request.operation != Operation::Delete {
            return Ok(());
        }
        self.admit(context, request).await
    }
}

#[async_trait]
impl AdmissionPlugin for ValidatingAdmissionWebhook {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionWebhook"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        may_be_guarded(request)
    }

    async fn validate(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        let hooks = self.0.now(context);
        if hooks.is_empty() {
            return Ok(());
        }
        let asker = Asker::new(context, request);
        let asked = hooks.iter().map(|hook| validate(context, request, &asker, hook));
        let asking = Stopwatch::start();
        let answers = join_all(asked).await;
        // They are asked at the same time.
        request.webhooks += asking.elapsed();
        for (index, (hook, answer)) in hooks.iter().zip(answers).enumerate() {
            match answer? {
                Asked::Answered(answer) => answer.tell(hook.name(), request),
                Asked::PassedOver => audit::passed_over(request, "validating", index, hook),
                Asked::No => {}
            }
        }
        Ok(())
    }
}

/// What came of a webhook.
enum Asked {
    Answered(Answer),
    /// It failed, which its policy ignores.
    PassedOver,
    /// It is not about the request.
    No,
}

/// Asks a mutating webhook, the one at `index`, and applies its patch.
async fn mutate(
    context: &AdmissionContext<'_>,
    request: &mut AdmissionRequest<'_>,
    asker: &Arc<Asker>,
    hook: &Hook,
    index: usize,
) -> Result<(), Status> {
    let Some((matched, versioned)) = hook.sees(context, request, asker).await? else { return Ok(()) };
    // The second time none is asked that was not asked before.
    if request.reinvocation.is_running() && !request.reinvocation.webhooks.is_again(&hook.key) {
        return Ok(());
    }
    let asking = Stopwatch::start();
    let answered = ask(context, request, hook, &matched, &versioned).await;
    request.webhooks += asking.elapsed();
    match answered? {
        Asked::Answered(answer) => {
            let patch = answer.patch.clone();
            let changed = apply_answer(context, request, hook, &versioned, answer).await?;
            if changed {
                request.reinvocation.webhooks.changed();
                request.reinvocation.want();
            }
            audit::mutation(request, index, hook, changed, patch.as_deref());
        }
        Asked::PassedOver => audit::passed_over(request, "mutation", index, hook),
        Asked::No => {}
    }
    if hook.webhook().str_at(&["reinvocationPolicy"]) == "IfNeeded" {
        request.reinvocation.webhooks.wait(hook.key.clone());
    }
    Ok(())
}

/// Answers whether the object was changed.
async fn apply_answer(
    context: &AdmissionContext<'_>,
    request: &mut AdmissionRequest<'_>,
    hook: &Hook,
    versioned: &Versioned,
    answer: Answer,
) -> Result<bool, Status> {
    let patch = answer.patch.clone();
    answer.tell(hook.name(), request);
    let Some(patch) = patch else { return Ok(false) };
    let (Some(object), Some(before)) = (&versioned.object, &request.object) else {
        return Err(Status::internal(format!(
            "admission webhook {:?} attempted to modify the object, which is not supported for this operation",
            hook.name()
        )));
    };
    let patched = apply(object, &patch).map_err(Status::internal)?;
    if patched == *object {
        return Ok(false);
    }
    let settled = settle(context, request, before, patched).await?;
    let changed = settled != *before;
    request.object = Some(settled);
    Ok(changed)
}

fn apply(object: &Value, patch: &str) -> Result<Value, String> {
    let patch = STANDARD.decode(patch).map_err(|why| why.to_string())?;
    let patch = Value::from_json(&patch).map_err(|why| why.to_string())?;
    json_patch(object, &patch).map_err(|why| why.to_string())
}

async fn validate(
    context: &AdmissionContext<'_>,
    request: &AdmissionRequest<'_>,
    asker: &Arc<Asker>,
    hook: &Hook,
) -> Result<Asked, Status> {
    match hook.sees(context, request, asker).await? {
        Some((matched, versioned)) => ask(context, request, hook, &matched, &versioned).await,
        None => Ok(Asked::No),
    }
}

/// Asks a webhook that is about the request.
async fn ask(
    context: &AdmissionContext<'_>,
    request: &AdmissionRequest<'_>,
    hook: &Hook,
    matched: &Matched,
    versioned: &Versioned,
) -> Result<Asked, Status> {
    let webhook = hook.webhook();
    let quiet = matches!(webhook.str_at(&["sideEffects"]), "None" | "NoneOnDryRun");
    if request.dry_run && !quiet {
        return Err(Status::bad_request(format!(
            "admission webhook {:?} does not support dry run",
            hook.name()
        )));
    }
    let body = review::request(request, matched, versioned, version_of(webhook));
    let seconds = webhook.i64_at(&["timeoutSeconds"]).and_then(|s| u64::try_from(s).ok()).unwrap_or(10);
    let client_config = webhook.get("clientConfig").unwrap_or(&Value::Null);
    let answer = crate::webhook::call(context.reader, client_config, seconds, &body).await;
    let answer = answer.map_err(|why| format!("failed to call webhook: {why}")).and_then(|answer| {
        review::read(&answer, &body).map_err(|why| format!("received invalid webhook response: {why}"))
    });
    match answer {
        Ok(answer) if answer.allowed => Ok(Asked::Answered(answer)),
        Ok(answer) => Err(answer.into_status(hook.name())),
        Err(why) if webhook.str_at(&["failurePolicy"]) == "Ignore" => {
            tracing::warn!(webhook = hook.name(), why, "a webhook failed and is passed over");
            Ok(Asked::PassedOver)
        }
        Err(why) => Err(Status::internal(format!("failed calling webhook {:?}: {why}", hook.name()))),
    }
}

/// The first version of AdmissionReview that both sides speak.
fn version_of(webhook: &Value) -> &'static str {
    let versions = webhook.array_at(&["admissionReviewVersions"]).iter().filter_map(Value::as_str);
    versions
        .filter_map(|version| ["v1", "v1beta1"].into_iter().find(|own| *own == version))
        .next()
        .unwrap_or("v1")
}

#[cfg(test)]
mod tests;
