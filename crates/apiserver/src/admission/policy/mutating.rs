//! MutatingAdmissionPolicy: expressions that make patches.
//!
//! Policies are asked in the order of their names and see what those before them made. One that wants to is asked again
//! when something changed the object after it.

use std::sync::Arc;

use async_trait::async_trait;
use drydock_cel::declare::KubernetesVersion;
use drydock_cel::value::Value as CelValue;
use drydock_kinds::expression::{Compiler, Returns, Scope};
use drydock_machinery::decode::{self, DecodeError, FieldValidation};
use drydock_machinery::status::{Reason, StatusCause};
use drydock_machinery::{Catalog, GroupVersionKind, Object, ObjectMeta, Schema, Status, Value};

use super::hooks::{Bound, Relevant, relevant};
use super::snapshot::{Compile, Hook, Snapshots};
use super::{may_be_guarded, namespace, patch};
use crate::admission::expression::{Asker, BUDGET, Composition, Conditions, Expression, Inputs, Session};
use crate::admission::versions::{Versioned, settle};
use crate::admission::{AdmissionContext, AdmissionPlugin, AdmissionRequest, Operation};
use crate::registry::other_kind;

#[derive(Default)]
pub(in crate::admission) struct MutatingAdmissionPolicy(Snapshots<Compiled>);

/// A policy, compiled.
pub(super) struct Compiled {
    ignores_failure: bool,
    reinvoked: bool,
    composition: Arc<Composition>,
    conditions: Conditions,
    mutations: Vec<Mutation>,
}

enum Mutation {
    Apply(Expression),
    Patch(Expression),
}

impl Compile for Compiled {
    const POLICIES: &'static str = "mutatingadmissionpolicies";
    const BINDINGS: &'static str = "mutatingadmissionpolicybindings";

    fn compile(policy: &Value, version: KubernetesVersion) -> Self {
        let spec = policy.get("spec").unwrap_or(&Value::Null);
        let params = spec.get("paramKind").is_some_and(|kind| !kind.is_null());
        let mut compiler = Compiler::composed(version);
        let composition = Composition::new(&mut compiler, spec, Scope::condition(params));
        let mutation = |mutation: &Value| {
            let scope = Scope::mutation(params);
            let compile = |field: &str, returns| {
                Expression::new(&compiler, mutation.str_at(&[field, "expression"]), scope, returns)
            };
            match mutation.str_at(&["patchType"]) {
                "JSONPatch" => Mutation::Patch(compile("jsonPatch", Returns::Patches)),
                _ => Mutation::Apply(compile("applyConfiguration", Returns::Object)),
            }
        };
        Self {
            ignores_failure: spec.str_at(&["failurePolicy"]) == "Ignore",
            reinvoked: spec.str_at(&["reinvocationPolicy"]) == "IfNeeded",
            conditions: Conditions::new(&compiler, spec, Scope::condition(params)),
            mutations: spec.array_at(&["mutations"]).iter().map(mutation).collect(),
            composition: Arc::new(composition),
        }
    }
}

#[async_trait]
impl AdmissionPlugin for MutatingAdmissionPolicy {
    fn name(&self) -> &'static str {
        "MutatingAdmissionPolicy"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        request.operation != Operation::Delete && may_be_guarded(request)
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
        let mut refusal = Refusal::default();
        let mut bound = Vec::new();
        for relevant in relevant(context, request, &hooks).await {
            match relevant {
                Relevant::Misconfigured(wrong) => refusal.add(wrong.hook, wrong.binding, &wrong.why, None),
                Relevant::Bound(found) => bound.push(found),
            }
        }
        if !bound.is_empty() {
            let again = request.reinvocation.is_running();
            if again && request.reinvocation.policies.is_outdated(request.object.as_ref()) {
                request.reinvocation.policies.changed();
            }
            let invoked = invoke_all(context, request, &asker, &bound, &mut refusal).await;
            request.reinvocation.policies.leave(request.object.as_ref());
            invoked?;
        }
        refusal.into_result(request)
    }
}

async fn invoke_all(
    context: &AdmissionContext<'_>,
    request: &mut AdmissionRequest<'_>,
    asker: &Arc<Asker>,
    bound: &[Bound<'_, Compiled>],
    refusal: &mut Refusal,
) -> Result<(), Status> {
    let namespace = namespace(context, request)?;
    for bound in bound {
        for params in &bound.params {
            let namespace = namespace.as_ref().map(|namespace| namespace.value());
            invoke(context, request, asker, bound, params.as_deref(), namespace, refusal).await?;
            // Policies may take a while: others are let in between.
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

/// Asks one policy by one binding with one parameter.
async fn invoke(
    context: &AdmissionContext<'_>,
    request: &mut AdmissionRequest<'_>,
    asker: &Arc<Asker>,
    bound: &Bound<'_, Compiled>,
    params: Option<&Object>,
    namespace: Option<&Value>,
    refusal: &mut Refusal,
) -> Result<(), Status> {
    let compiled = &bound.hook.compiled;
    let versioned = Versioned::new(context, request, &bound.matched.kind).await?;
    let inputs = Inputs::new(request, &bound.matched, &versioned)
        .with_namespace(namespace)
        .with_params(params.map(|params| params.value()))
        .with_authorizer(request, asker);
    match compiled.conditions.hold(&inputs, Some(&compiled.composition), compiled.ignores_failure).await {
        Ok(true) => {}
        Ok(false) => return Ok(()),
        Err(why) => {
            refusal.add(bound.hook, Some(bound.binding), &why, Some(Reason::Invalid));
            return Ok(());
        }
    }
    let key = key(bound, params);
    // The second time none is asked that was not asked before.
    if request.reinvocation.is_running() && !request.reinvocation.policies.is_again(&key) {
        return Ok(());
    }
    if let Some(object) = versioned.object {
        mutate(context, request, bound, &versioned.kind, object, &inputs, refusal).await?;
    }
    if compiled.reinvoked {
        request.reinvocation.policies.wait(key);
    }
    Ok(())
}

fn key(bound: &Bound<'_, Compiled>, params: Option<&Object>) -> String {
    let params = params.map(|params| format!("{}/{}", params.namespace(), params.name())).unwrap_or_default();
    format!("{}/{}/{params}", bound.hook.policy.name(), bound.binding.name())
}

/// Applies a policy's mutations one after the other. One that fails leaves the object as it is.
async fn mutate(
    context: &AdmissionContext<'_>,
    request: &mut AdmissionRequest<'_>,
    bound: &Bound<'_, Compiled>,
    kind: &GroupVersionKind,
    object: Value,
    inputs: &Inputs,
    refusal: &mut Refusal,
) -> Result<(), Status> {
    let schema = schema(context, request, kind)?;
    let mut object = object;
    for mutation in &bound.hook.compiled.mutations {
        let made = match made(bound, mutation, inputs.clone().with_object(&object), &object, &schema).await {
            Ok(made) => made,
            Err(why) => {
                refusal.add(bound.hook, Some(bound.binding), &why, Some(Reason::Invalid));
                continue;
            }
        };
        if made == object {
            continue;
        }
        if matches!(mutation, Mutation::Patch(_)) {
            check_known(&made, kind)?;
        }
        let Some(before) = request.object.clone() else { return Ok(()) };
        let settled = settle(context, request, &before, made).await?;
        if settled != before {
            request.object = Some(settled);
            request.reinvocation.policies.changed();
            request.reinvocation.want();
            let versioned = Versioned::new(context, request, kind).await?;
            object = versioned.object.unwrap_or(object);
        }
    }
    Ok(())
}

/// A JSON patch of a built-in kind's object may not make another kind's, or fields that the kind does not have, whatever
/// the policy says of failures.
fn check_known(made: &Value, kind: &GroupVersionKind) -> Result<(), Status> {
    let Some(schema) = Catalog::builtin().schema(kind) else { return Ok(()) };
    if made.gvk() != *kind {
        let why = other_kind(kind, made.api_version(), made.kind());
        return Err(Status::internal(format!("failed to convert object: {why}")));
    }
    match decode::value(made, schema.root(), FieldValidation::Strict) {
        Err(error @ DecodeError::Strict(_)) => Err(Status::internal(error)),
        _ => Ok(()),
    }
}

/// The object as the mutation makes it.
async fn made(
    bound: &Bound<'_, Compiled>,
    mutation: &Mutation,
    inputs: Inputs,
    object: &Value,
    schema: &Schema,
) -> Result<Value, String> {
    let (Mutation::Apply(expression) | Mutation::Patch(expression)) = mutation;
    if let Err(why) = &expression.program {
        return Err(why.to_string());
    }
    let mut session = Session::new(inputs, Some(bound.hook.compiled.composition.clone()), BUDGET);
    let value: CelValue = session.evaluate(expression).await.map_err(|why| why.0)??;
    match mutation {
        Mutation::Apply(_) => patch::applied(object, &value, schema.root()),
        Mutation::Patch(_) => patch::patched(object, &value),
    }
}

/// # Errors
/// 503 when nobody knows the kind.
fn schema(
    context: &AdmissionContext<'_>,
    request: &AdmissionRequest<'_>,
    kind: &GroupVersionKind,
) -> Result<Schema, Status> {
    let table = context.resources.table();
    let own = table.find(&kind.group, &kind.version, &request.resource.resource);
    let custom = own.filter(|own| own.gvk == *kind).and_then(|own| own.custom.as_ref());
    let known =
        custom.map(|custom| custom.compiled.schema.clone()).or_else(|| Catalog::builtin().schema(kind));
    known.ok_or_else(|| {
        Status::new(
            503,
            Reason::ServiceUnavailable,
            format!(
                "Resource kind {}, Kind={} not found. There can be a delay between when CustomResourceDefinitions are \
                 created and when they are available.",
                kind.api_version(),
                kind.kind
            ),
        )
    })
}

/// What policies that do not ignore failures failed for.
#[derive(Default)]
struct Refusal {
    messages: Vec<String>,
    /// Of the first.
    reason: Option<Reason>,
}

impl Refusal {
    fn add(
        &mut self,
        hook: &Hook<Compiled>,
        binding: Option<&Arc<Object>>,
        why: &str,
        reason: Option<Reason>,
    ) {
        if hook.compiled.ignores_failure {
            tracing::debug!(policy = hook.policy.name(), why, "a policy failed and is passed over");
            return;
        }
        let policy = hook.policy.name();
        let message = match binding {
            Some(binding) => {
                format!("policy '{policy}' with binding '{}' denied request: {why}", binding.name())
            }
            None => format!("policy {policy:?} denied request: {why}"),
        };
        if self.messages.is_empty() {
            self.reason = reason;
        }
        self.messages.push(message);
    }

    fn into_result(self, request: &AdmissionRequest<'_>) -> Result<(), Status> {
        let Some(first) = self.messages.first() else { return Ok(()) };
        let mut status = request.forbidden("admission request denied by policy");
        status.message.clone_from(first);
        if let Some(reason) = self.reason {
            status.reason = reason;
        }
        let mut details = status.details.take().unwrap_or_default();
        let cause = |message| StatusCause { message, ..StatusCause::default() };
        details.causes.extend(self.messages.into_iter().map(cause));
        status.details = Some(details);
        Err(status)
    }
}
