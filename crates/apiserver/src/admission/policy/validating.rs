//! ValidatingAdmissionPolicy: expressions that must hold.

use std::sync::Arc;

use async_trait::async_trait;
use drydock_cel::declare::KubernetesVersion;
use drydock_cel::value::Value as CelValue;
use drydock_kinds::expression::{Compiler, Returns, Scope};
use drydock_machinery::status::{Reason, StatusCause};
use drydock_machinery::{Object, ObjectMeta, Status, Value, value};

use super::hooks::{Bound, Relevant, relevant};
use super::snapshot::{Compile, Snapshots};
use super::{may_be_guarded, namespace};
use crate::admission::expression::{Asker, BUDGET, Composition, Conditions, Expression, Inputs, Session};
use crate::admission::versions::Versioned;
use crate::admission::{AdmissionContext, AdmissionPlugin, AdmissionRequest};

/// The longest message that an expression may make.
const LONGEST_MESSAGE: usize = 5 * 1024;
/// The longest value of an audit annotation.
const LONGEST_ANNOTATION: usize = 10 * 1024;

#[derive(Default)]
pub(in crate::admission) struct ValidatingAdmissionPolicy(Snapshots<Compiled>);

/// A policy, compiled.
pub(super) struct Compiled {
    ignores_failure: bool,
    composition: Arc<Composition>,
    conditions: Conditions,
    validations: Vec<Validation>,
    annotations: Vec<Annotation>,
}

struct Validation {
    expression: Expression,
    message_expression: Option<Expression>,
    message: String,
    reason: String,
}

struct Annotation {
    key: String,
    expression: Expression,
}

impl Compile for Compiled {
    const POLICIES: &'static str = "validatingadmissionpolicies";
    const BINDINGS: &'static str = "validatingadmissionpolicybindings";

    fn compile(policy: &Value, version: KubernetesVersion) -> Self {
        let spec = policy.get("spec").unwrap_or(&Value::Null);
        let params = spec.get("paramKind").is_some_and(|kind| !kind.is_null());
        let scope = Scope::condition(params);
        let mut compiler = Compiler::composed(version);
        let composition = Composition::new(&mut compiler, spec, scope);
        let validation = |validation: &Value| {
            let text = |field: &str| validation.str_at(&[field]);
            let message = Some(text("messageExpression")).filter(|text| !text.is_empty());
            Validation {
                expression: Expression::new(&compiler, text("expression"), scope, Returns::Bool),
                message_expression: message
                    .map(|text| Expression::new(&compiler, text, Scope::message(params), Returns::String)),
                message: text("message").trim().to_owned(),
                reason: text("reason").to_owned(),
            }
        };
        let annotation = |annotation: &Value| {
            let text = annotation.str_at(&["valueExpression"]);
            let expression = Expression::new(&compiler, text, scope, Returns::StringOrNull);
            Annotation { key: annotation.str_at(&["key"]).to_owned(), expression }
        };
        Self {
            ignores_failure: spec.str_at(&["failurePolicy"]) == "Ignore",
            conditions: Conditions::new(&compiler, spec, scope),
            validations: spec.array_at(&["validations"]).iter().map(validation).collect(),
            annotations: spec.array_at(&["auditAnnotations"]).iter().map(annotation).collect(),
            composition: Arc::new(composition),
        }
    }
}

/// A validation that does not let the request pass.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Denial {
    /// Which of the policy's validations.
    index: usize,
    message: String,
    /// "" where the policy failed rather than decided.
    reason: String,
}

/// What came of a policy with one parameter.
#[derive(Debug, Default)]
struct Outcome {
    denials: Vec<Denial>,
    annotations: Vec<(String, String)>,
    /// What went wrong with annotations.
    failures: Vec<String>,
}

#[async_trait]
impl AdmissionPlugin for ValidatingAdmissionPolicy {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionPolicy"
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
        let mut verdict = Verdict::default();
        for relevant in relevant(context, request, &hooks).await {
            match relevant {
                Relevant::Misconfigured(wrong) => {
                    if !wrong.hook.compiled.ignores_failure {
                        let binding = wrong.binding.map(|binding| binding.name());
                        verdict.deny(wrong.hook.policy.name(), binding, &wrong.why, "");
                    }
                }
                Relevant::Bound(bound) => {
                    if let Err(why) = decide(context, request, &asker, &bound, &mut verdict).await? {
                        let binding = Some(bound.binding.name());
                        verdict.deny(bound.hook.policy.name(), binding, &why, "");
                    }
                }
            }
        }
        verdict.publish(request);
        verdict.into_result(request)
    }
}

/// Asks one policy by one binding, once for each parameter. The inner error is one of configuration.
async fn decide(
    context: &AdmissionContext<'_>,
    request: &mut AdmissionRequest<'_>,
    asker: &Arc<Asker>,
    bound: &Bound<'_, Compiled>,
    verdict: &mut Verdict,
) -> Result<Result<(), String>, Status> {
    if bound.params.is_empty() {
        return Ok(Ok(()));
    }
    let compiled = &bound.hook.compiled;
    let versioned = match Versioned::new(context, request, &bound.matched.kind).await {
        Ok(versioned) => versioned,
        Err(_) if compiled.ignores_failure => return Ok(Ok(())),
        Err(status) => {
            let why = format!("failed to convert object version: {}", status.message);
            return Ok(Err(format!("failed to configure binding: {why}")));
        }
    };
    let namespace = namespace(context, request)?;
    let inputs = Inputs::new(request, &bound.matched, &versioned)
        .with_namespace(namespace.as_ref().map(|namespace| namespace.value()))
        .with_authorizer(request, asker);
    for params in &bound.params {
        let inputs = inputs.clone().with_params(params.as_ref().map(|params| params.value()));
        let outcome = compiled.evaluate(&inputs).await;
        verdict.take(request, bound, outcome);
        // Policies may take a while: others are let in between.
        tokio::task::yield_now().await;
    }
    Ok(Ok(()))
}

impl Compiled {
    async fn evaluate(&self, inputs: &Inputs) -> Outcome {
        match self.conditions.hold(inputs, Some(&self.composition), self.ignores_failure).await {
            Ok(true) => self.evaluate_validations(inputs).await.unwrap_or_else(|why| self.failed(why)),
            Ok(false) => Outcome::default(),
            Err(why) => self.failed(why),
        }
    }

    /// The policy as a whole could not be evaluated.
    fn failed(&self, message: String) -> Outcome {
        let denial = Denial { index: 0, message, reason: String::new() };
        let denials = if self.ignores_failure { Vec::new() } else { vec![denial] };
        Outcome { denials, ..Outcome::default() }
    }

    /// # Errors
    /// When the budget is spent.
    async fn evaluate_validations(&self, inputs: &Inputs) -> Result<Outcome, String> {
        let session = |budget: u64| Session::new(inputs.clone(), Some(self.composition.clone()), budget);
        let mut validating = session(BUDGET);
        let mut results = Vec::with_capacity(self.validations.len());
        for validation in &self.validations {
            results.push(validating.evaluate(&validation.expression).await.map_err(|why| why.0)?);
        }
        let messages = self.messages(session(validating.left())).await;
        let mut outcome = Outcome::default();
        for (index, (validation, result)) in self.validations.iter().zip(results).enumerate() {
            let denial = |message: String, reason: &str| Denial { index, message, reason: reason.to_owned() };
            match (result, &messages) {
                (Err(_), _) | (Ok(_), Err(_)) if self.ignores_failure => {}
                (Err(why), _) => outcome.denials.push(denial(why, "")),
                (Ok(_), Err(why)) => {
                    outcome.denials.push(denial(format!("failed messageExpression: {why}"), ""));
                }
                (Ok(CelValue::Bool(true)), Ok(_)) => {}
                (Ok(_), Ok(messages)) => {
                    let message = validation.message(messages.get(index).and_then(Option::as_deref));
                    let reason = if validation.reason.is_empty() { "Invalid" } else { &validation.reason };
                    outcome.denials.push(denial(message, reason));
                }
            }
        }
        self.annotate(session(BUDGET), &mut outcome).await?;
        Ok(outcome)
    }

    /// The messages that expressions make, by validation. All are made, as upstream does: they share a budget.
    async fn messages(&self, mut session: Session) -> Result<Vec<Option<String>>, String> {
        let mut messages = Vec::with_capacity(self.validations.len());
        for validation in &self.validations {
            let message = match &validation.message_expression {
                None => None,
                Some(expression) => match session.evaluate(expression).await.map_err(|why| why.0)? {
                    Ok(value) => value.as_str().map(|text| text.trim().to_owned()),
                    Err(why) => {
                        tracing::debug!(why, "a message expression failed");
                        None
                    }
                },
            };
            messages.push(message);
        }
        Ok(messages)
    }

    async fn annotate(&self, mut session: Session, outcome: &mut Outcome) -> Result<(), String> {
        for annotation in &self.annotations {
            match session.evaluate(&annotation.expression).await.map_err(|why| why.0)? {
                Ok(CelValue::String(text)) => {
                    let text = text.trim();
                    if !text.is_empty() {
                        outcome.annotations.push((annotation.key.clone(), cut(text).to_owned()));
                    }
                }
                Ok(CelValue::Null) => {}
                Ok(other) => outcome.failures.push(format!(
                    "valueExpression '{}' resulted in unsupported return type: {}. Return type must be either \
                     string or null.",
                    annotation.expression.text,
                    other.type_name()
                )),
                Err(_) if self.ignores_failure => {}
                Err(why) => outcome.failures.push(why),
            }
        }
        Ok(())
    }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(LONGEST_ANNOTATION);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

impl Validation {
    /// What a client is told: the expression's message if it is fit to show, the policy's own, or the expression.
    fn message(&self, made: Option<&str>) -> String {
        let made = made.filter(|text| text.len() <= LONGEST_MESSAGE && !text.contains('\n'));
        match made.filter(|text| !text.is_empty()) {
            Some(made) => made.to_owned(),
            None if !self.message.is_empty() => self.message.clone(),
            None => format!("failed expression: {}", self.expression.text.trim()),
        }
    }
}

/// What all policies came to.
#[derive(Default)]
struct Verdict {
    /// The first denial's text and reason.
    denied: Option<(String, String)>,
    /// By policy and key; the same value of several bindings counts once.
    annotations: Vec<(String, Vec<String>)>,
}

impl Verdict {
    fn deny(&mut self, policy: &str, binding: Option<&str>, message: &str, reason: &str) {
        let with = binding.map(|binding| format!(" with binding '{binding}'")).unwrap_or_default();
        let text = format!("ValidatingAdmissionPolicy '{policy}'{with} denied request: {message}");
        self.denied.get_or_insert_with(|| (text, reason.to_owned()));
    }

    fn take(&mut self, request: &mut AdmissionRequest<'_>, bound: &Bound<'_, Compiled>, outcome: Outcome) {
        let (policy, binding) = (bound.hook.policy.name(), bound.binding.name());
        for denial in outcome.denials {
            for action in bound.binding.array_at(&["spec", "validationActions"]).iter() {
                match action.as_str() {
                    Some("Deny") => self.deny(policy, Some(binding), &denial.message, &denial.reason),
                    Some("Audit") => request.audit.push(failure(bound.binding, policy, &denial)),
                    Some("Warn") => request.warnings.push(format!(
                        "Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{binding}': {}",
                        denial.message
                    )),
                    _ => {}
                }
            }
        }
        for (key, value) in outcome.annotations {
            let key = format!("{policy}/{key}");
            match self.annotations.iter_mut().find(|(known, _)| *known == key) {
                Some((_, values)) if values.contains(&value) => {}
                Some((_, values)) => values.push(value),
                None => self.annotations.push((key, vec![value])),
            }
        }
        for why in outcome.failures {
            self.deny(policy, Some(binding), &why, "");
        }
    }

    fn publish(&mut self, request: &mut AdmissionRequest<'_>) {
        let annotations = std::mem::take(&mut self.annotations);
        request.audit.extend(annotations.into_iter().map(|(key, values)| (key, values.join(", "))));
    }

    fn into_result(self, request: &AdmissionRequest<'_>) -> Result<(), Status> {
        let Some((message, reason)) = self.denied else { return Ok(()) };
        let mut status = request.forbidden(&message);
        (status.code, status.reason) = match reason.as_str() {
            "Forbidden" => (403, Reason::Forbidden),
            "Unauthorized" => (401, Reason::Unauthorized),
            "RequestEntityTooLarge" => (413, Reason::RequestEntityTooLarge),
            _ => (422, Reason::Invalid),
        };
        let mut details = status.details.take().unwrap_or_default();
        details.causes.push(StatusCause { message, ..StatusCause::default() });
        status.details = Some(details);
        Err(status)
    }
}

/// The audit annotation of a denial.
fn failure(binding: &Object, policy: &str, denial: &Denial) -> (String, String) {
    let mut failure = value!({
        "message": denial.message.as_str(), "policy": policy, "binding": binding.name(),
        "expressionIndex": denial.index,
    });
    failure.set(&["validationActions"], binding.array_at(&["spec", "validationActions"]).to_vec());
    let list = Value::from(vec![failure]);
    let text = String::from_utf8_lossy(&list.to_json()).into_owned();
    ("validation.policy.admission.k8s.io/validation_failure".to_owned(), text)
}
