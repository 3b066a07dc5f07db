//! Admission webhooks: MutatingAdmissionWebhook and ValidatingAdmissionWebhook.
//!
//! Mutating webhooks are called one after another, in the order of their configurations' names, and once more if a later
//! one changed what they want to see again. Validating webhooks are called side by side. A webhook that cannot be
//! reached fails the request, or is passed over if it says so. Every call has a deadline, so a hung webhook slows the
//! requests it is asked about, and nobody else's.
//!
//! Absent: match conditions (they are expressions; a webhook that has some is called whenever its rules match), and
//! conversion of the object to the version a webhook's rules name.

mod call;
mod matching;
mod review;

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drydock_machinery::patch::json_patch;
use drydock_machinery::{Object, Status, Value};
use futures::future::join_all;

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
        let mut again: Vec<&Value> = Vec::new();
        for webhook in webhooks(&configurations) {
            let before = request.object.clone();
            if !mutate(context, request, webhook).await? {
                continue;
            }
            // Those asked before see what this one changed, if they want to.
            if request.object == before && webhook.str_at(&["reinvocationPolicy"]) == "IfNeeded" {
                again.push(webhook);
            } else if request.object != before {
                let earlier = std::mem::take(&mut again);
                for webhook in earlier {
                    mutate(context, request, webhook).await?;
                }
            }
        }
        Ok(())
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
        let asked = webhooks(&configurations).map(|webhook| ask(context, request, webhook));
        let answers = join_all(asked).await;
        for answer in answers {
            if let Some(answer) = answer? {
                request.warnings.extend(answer.warnings);
            }
        }
        Ok(())
    }
}

fn webhooks(configurations: &[Arc<Object>]) -> impl Iterator<Item = &Value> {
    configurations.iter().flat_map(|configuration| configuration.array_at(&["webhooks"]))
}

/// Asks a mutating webhook and applies its patch. Answers whether it was asked.
async fn mutate(
    context: &AdmissionContext<'_>,
    request: &mut AdmissionRequest<'_>,
    webhook: &Value,
) -> Result<bool, Status> {
    let Some(answer) = ask(context, request, webhook).await? else { return Ok(false) };
    request.warnings.extend(answer.warnings);
    if let (Some(patch), Some(object)) = (&answer.patch, &request.object) {
        let patched = apply(object, patch).map_err(|why| {
            Status::internal(format!("webhook {:?} sent a patch that does not apply: {why}", name(webhook)))
        })?;
        request.object = Some(patched);
    }
    Ok(true)
}

fn apply(object: &Value, patch: &str) -> Result<Value, String> {
    let patch = STANDARD.decode(patch).map_err(|why| why.to_string())?;
    let patch = Value::from_json(&patch).map_err(|why| why.to_string())?;
    json_patch(object, &patch).map_err(|why| why.to_string())
}

/// Asks a webhook, if it is for this request. None when it is not, or cannot be reached and may be ignored.
async fn ask(
    context: &AdmissionContext<'_>,
    request: &AdmissionRequest<'_>,
    webhook: &Value,
) -> Result<Option<Answer>, Status> {
    if !matching::matches(context.reader, request, webhook)? {
        return Ok(None);
    }
    let quiet = matches!(webhook.str_at(&["sideEffects"]), "None" | "NoneOnDryRun");
    if request.dry_run && !quiet {
        return Err(Status::bad_request(format!(
            "admission webhook {:?} does not support dry run",
            name(webhook)
        )));
    }
    let body = review::request(request, version_of(webhook));
    match call::call(context.reader, webhook, &body).await.and_then(|answer| review::read(&answer, &body)) {
        Ok(answer) if answer.allowed => Ok(Some(answer)),
        Ok(answer) => Err(answer.into_status(name(webhook))),
        Err(why) if webhook.str_at(&["failurePolicy"]) == "Ignore" => {
            tracing::warn!(webhook = name(webhook), why, "a webhook failed and is passed over");
            Ok(None)
        }
        Err(why) => Err(Status::internal(format!(
            "failed calling webhook {:?}: failed to call webhook: {why}",
            name(webhook)
        ))),
    }
}

fn name(webhook: &Value) -> &str {
    webhook.str_at(&["name"])
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
