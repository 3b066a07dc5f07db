//! What webhooks did, for the audit log.
//!
//! Webhooks are named by their place among all of their kind, and by the round: the second is the reinvocation.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drydock_machinery::Value;
use drydock_machinery::value::write_json_string;

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
    let said = json(hook, &[("mutated", Value::Bool(mutated))]);
    request.audit.push((format!("mutation.webhook.admission.k8s.io/{place}"), said));
    let patch = patch.filter(|_| mutated).and_then(|patch| STANDARD.decode(patch).ok());
    if let Some(patch) = patch.and_then(|patch| Value::from_json(&patch).ok()) {
        let said = json(hook, &[("patch", patch), ("patchType", Value::from("JSONPatch"))]);
        request.audit.push((format!("{PATCH_ANNOTATION}{place}"), said));
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

/// Names the webhook, then says the rest, in the order of upstream's structs.
fn json(hook: &Hook, rest: &[(&str, Value)]) -> String {
    let mut out = Vec::with_capacity(128);
    out.extend_from_slice(b"{\"configuration\":");
    write_json_string(hook.configuration_name(), &mut out);
    out.extend_from_slice(b",\"webhook\":");
    write_json_string(hook.name(), &mut out);
    for (name, value) in rest {
        out.push(b',');
        write_json_string(name, &mut out);
        out.push(b':');
        value.write_json(&mut out);
    }
    out.push(b'}');
    String::from_utf8_lossy(&out).into_owned()
}
