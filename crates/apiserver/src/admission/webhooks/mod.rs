//! Admission webhooks: MutatingAdmissionWebhook and ValidatingAdmissionWebhook.
//!
//! Mutating webhooks are called one after another, in the order of their configurations' names, and once more if something
//! changed the object that they want to see again. Validating webhooks are called side by side. A webhook that cannot
//! be reached fails the request, or is passed over if it says so. Every call has a deadline, so a hung webhook slows the
//! requests it is asked about, and nobody else's.

mod review;

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drydock_machinery::patch::json_patch;
use drydock_machinery::{Object, ObjectMeta as _, Status, Value};
use futures::future::join_all;

use super::matching::Criteria;
use super::versions::{Matched, Versioned, settle};
use super::{AdmissionContext, AdmissionPlugin, AdmissionRequest, Operation};
use review::Answer;

const GROUP: &str = "admissionregistration.k8s.io";

pub(super) struct MutatingAdmissionWebhook;

pub(super) struct ValidatingAdmissionWebhook;

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
        let configurations = context.reader.list(GROUP, "mutatingwebhookconfigurations", "");
        if configurations.is_empty() {
            return Ok(());
        }
        let again = request.reinvocation.is_running();
        if again && request.reinvocation.webhooks.is_outdated(request.object.as_ref()) {
            request.reinvocation.webhooks.changed();
        }
        let mut outcome = Ok(());
        for hook in hooks(&configurations) {
            outcome = mutate(context, request, &hook).await;
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
        let configurations = context.reader.list(GROUP, "validatingwebhookconfigurations", "");
        if configurations.is_empty() {
            return Ok(());
        }
        let hooks: Vec<Hook<'_>> = hooks(&configurations).collect();
        let asked = hooks.iter().map(|hook| validate(context, request, hook));
        let answers = join_all(asked).await;
        for (hook, answer) in hooks.iter().zip(answers) {
            if let Some(answer) = answer? {
                answer.tell(hook.name(), request);
            }
        }
        Ok(())
    }
}

/// One webhook of a configuration.
struct Hook<'a> {
    webhook: &'a Value,
    /// Tells it apart, whatever its name.
    key: String,
}

fn hooks(configurations: &[Arc<Object>]) -> impl Iterator<Item = Hook<'_>> {
    configurations.iter().flat_map(|configuration| {
        let webhooks = configuration.array_at(&["webhooks"]).iter().enumerate();
        webhooks.map(|(i, webhook)| Hook {
            webhook,
            key: format!("{}/{}/{i}", configuration.name(), webhook.str_at(&["name"])),
        })
    })
}

impl Hook<'_> {
    fn name(&self) -> &str {
        self.webhook.str_at(&["name"])
    }

    /// What the request is about to this webhook, and its objects in that version; None when it is not for it.
    async fn sees(
        &self,
        context: &AdmissionContext<'_>,
        request: &AdmissionRequest<'_>,
    ) -> Result<Option<(Matched, Versioned)>, Status> {
        let criteria = Criteria::of_webhook(self.webhook);
        let Some(matched) = criteria.matches(context.reader, context.resources, request)? else {
            return Ok(None);
        };
        let versioned = Versioned::new(context, request, &matched.kind).await?;
        Ok(Some((matched, versioned)))
    }
}

/// Asks a mutating webhook and applies its patch.
async fn mutate(
    context: &AdmissionContext<'_>,
    request: &mut AdmissionRequest<'_>,
    hook: &Hook<'_>,
) -> Result<(), Status> {
    let Some((matched, versioned)) = hook.sees(context, request).await? else { return Ok(()) };
    // The second time none is asked that was not asked before.
    if request.reinvocation.is_running() && !request.reinvocation.webhooks.is_again(&hook.key) {
        return Ok(());
    }
    let answer = ask(context, request, hook, &matched, &versioned).await?;
    if let Some(answer) = answer
        && apply_answer(context, request, hook, &versioned, answer).await?
    {
        request.reinvocation.webhooks.changed();
        request.reinvocation.want();
    }
    if hook.webhook.str_at(&["reinvocationPolicy"]) == "IfNeeded" {
        request.reinvocation.webhooks.wait(hook.key.clone());
    }
    Ok(())
}

/// Answers whether the object was changed.
async fn apply_answer(
    context: &AdmissionContext<'_>,
    request: &mut AdmissionRequest<'_>,
    hook: &Hook<'_>,
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
    hook: &Hook<'_>,
) -> Result<Option<Answer>, Status> {
    match hook.sees(context, request).await? {
        Some((matched, versioned)) => ask(context, request, hook, &matched, &versioned).await,
        None => Ok(None),
    }
}

/// Asks a webhook. None when it cannot be reached and may be ignored.
async fn ask(
    context: &AdmissionContext<'_>,
    request: &AdmissionRequest<'_>,
    hook: &Hook<'_>,
    matched: &Matched,
    versioned: &Versioned,
) -> Result<Option<Answer>, Status> {
    let webhook = hook.webhook;
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
        Ok(answer) if answer.allowed => Ok(Some(answer)),
        Ok(answer) => Err(answer.into_status(hook.name())),
        Err(why) if webhook.str_at(&["failurePolicy"]) == "Ignore" => {
            tracing::warn!(webhook = hook.name(), why, "a webhook failed and is passed over");
            Ok(None)
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
