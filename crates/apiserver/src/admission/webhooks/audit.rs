//! What webhooks did, for the audit log.
//!
//! Webhooks are named by their place among all of their kind, and by the round: the second is the reinvocation.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drydock_machinery::{Value, value};

use super::hooks::Hook;
use crate::admission::AdmissionRequest;
use crate::audit::PATCH_ANNOTATION;

/// That a mutating webhook was asked, whether it changed the object and by which patch.
pub(super) fn mutation(
    request: &mut AdmissionRequest<'_>,
    index: usize,
    hook: &Hook,
    mutated: bool,
    patch: Option<&str>,
) {
    let place = place(request, index);
    let mut said = named(hook);
    said.set(&["mutated"], mutated);
    request.audit.push((format!("mutation.webhook.admission.k8s.io/{place}"), json(&said)));
    let patch = patch.filter(|_| mutated).and_then(|patch| STANDARD.decode(patch).ok());
    if let Some(patch) = patch.and_then(|patch| Value::from_json(&patch).ok()) {
        let mut said = named(hook);
        said.set(&["patch"], patch);
        said.set(&["patchType"], "JSONPatch");
        request.audit.push((format!("{PATCH_ANNOTATION}{place}"), json(&said)));
    }
}

/// That a webhook failed and did not keep the request from going on.
pub(super) fn passed_over(request: &mut AdmissionRequest<'_>, kind: &str, index: usize, hook: &Hook) {
    let place = place(request, index);
    request
        .audit
        .push((format!("failed-open.{kind}.webhook.admission.k8s.io/{place}"), hook.name().to_owned()));
}

fn place(request: &AdmissionRequest<'_>, index: usize) -> String {
    format!("round_{}_index_{index}", u8::from(request.reinvocation.is_running()))
}

fn named(hook: &Hook) -> Value {
    value!({"configuration": hook.configuration_name(), "webhook": hook.name()})
}

fn json(said: &Value) -> String {
    String::from_utf8_lossy(&said.to_json()).into_owned()
}
