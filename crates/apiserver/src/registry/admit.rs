//! From a call to what admission sees of it, and back.

use std::sync::Arc;

use drydock_client::Verb;
use drydock_machinery::{GroupVersionKind, Object, ObjectMeta, Status, Value, value};

use super::{Call, Registry};
use crate::admission::{AdmissionRequest, Operation};

impl Registry {
    /// Runs the mutating plugins; answers the object as they leave it.
    ///
    /// # Errors
    /// A plugin's refusal.
    pub(crate) async fn admit(
        &self,
        call: &mut Call,
        operation: Operation,
        object: Value,
        old: Option<&Arc<Object>>,
    ) -> Result<Value, Status> {
        let about = About::of(call, operation);
        // What one connects with, or asks of an object, need have no name; it is the object's.
        let is_asked_of = operation == Operation::Connect || !call.request.subresource.is_empty();
        let named = if is_asked_of { &call.request.name } else { object.name() };
        let mut request = about.request(operation, named.to_owned(), old);
        request.object = Some(object);
        let admitted = self.admission.admit(&self.admission_context(), &mut request).await;
        let AdmissionRequest { object, warnings, audit, .. } = request;
        call.warnings.extend(warnings);
        annotate(call, audit);
        admitted?;
        object.ok_or_else(|| Status::internal("an admission plugin removed the object"))
    }

    /// Runs the validating plugins. Of deletes, `object` does not count.
    ///
    /// # Errors
    /// A plugin's refusal.
    pub(crate) async fn admission_validate(
        &self,
        call: &mut Call,
        operation: Operation,
        object: &Value,
        old: Option<&Arc<Object>>,
    ) -> Result<(), Status> {
        let about = About::of(call, operation);
        let name = match object.name() {
            // Whoever deletes a collection names none of its objects.
            _ if call.request.verb == Verb::DeleteCollection => String::new(),
            "" => call.request.name.clone(),
            name => name.to_owned(),
        };
        let mut request = about.request(operation, name, old);
        request.object = (operation != Operation::Delete).then(|| object.clone());
        let validated = self.admission.validate(&self.admission_context(), &mut request).await;
        let AdmissionRequest { warnings, audit, .. } = request;
        call.warnings.extend(warnings);
        annotate(call, audit);
        validated
    }
}

/// What an admission request borrows, beside the call.
struct About {
    user: Arc<drydock_auth::UserInfo>,
    resource: Arc<crate::resources::Resource>,
    kind: GroupVersionKind,
    subresource: String,
    namespace: String,
    options: Value,
    dry_run: bool,
}

impl About {
    fn of(call: &Call, operation: Operation) -> Self {
        let subresource = call.request.subresource.clone();
        let kind = match call.resource.subresource(&subresource) {
            Some(sub) => sub.kind.clone(),
            None => call.resource.gvk.clone(),
        };
        Self {
            user: call.user.clone(),
            resource: call.resource.clone(),
            kind,
            subresource,
            namespace: call.request.namespace.clone(),
            options: options(call, operation),
            dry_run: call.is_dry_run(),
        }
    }

    fn request<'a>(
        &'a self,
        operation: Operation,
        name: String,
        old: Option<&Arc<Object>>,
    ) -> AdmissionRequest<'a> {
        AdmissionRequest {
            operation,
            user: &self.user,
            kind: &self.kind,
            resource: &self.resource.gvr,
            subresource: &self.subresource,
            name,
            namespace: &self.namespace,
            object: None,
            old_object: old.cloned(),
            options: &self.options,
            dry_run: self.dry_run,
            warnings: Vec::new(),
            audit: Vec::new(),
            reinvocation: Default::default(),
        }
    }
}

/// The operation's options as an object: what a patch gives counts as an update's.
fn options(call: &Call, operation: Operation) -> Value {
    let given = &call.request.options;
    let kind = match operation {
        Operation::Create => "CreateOptions",
        Operation::Update => "UpdateOptions",
        Operation::Delete => "DeleteOptions",
        Operation::Connect => return Value::Null,
    };
    let mut options = value!({"kind": kind, "apiVersion": "meta.k8s.io/v1"});
    if !given.dry_run.is_empty() {
        options.set(&["dryRun"], given.dry_run.clone());
    }
    if operation == Operation::Delete {
        if let Some(seconds) = given.grace_period_seconds {
            options.set(&["gracePeriodSeconds"], seconds);
        }
        if let Some(policy) = &given.propagation_policy {
            options.set(&["propagationPolicy"], policy.as_str());
        }
        if let Some(orphan) = given.orphan_dependents {
            options.set(&["orphanDependents"], orphan);
        }
        let preconditions = &given.preconditions;
        for (field, text) in
            [("uid", &preconditions.uid), ("resourceVersion", &preconditions.resource_version)]
        {
            if let Some(text) = text {
                options.set(&["preconditions", field], text.as_str());
            }
        }
        return options;
    }
    for (field, text) in
        [("fieldManager", &given.field_manager), ("fieldValidation", &given.field_validation)]
    {
        if !text.is_empty() {
            options.set(&[field], text.as_str());
        }
    }
    options
}

/// What admission plugins had to say to the audit event, whether or not they let the request pass.
fn annotate(call: &Call, annotations: Vec<(String, String)>) {
    if let Some(event) = &call.audit {
        for (key, text) in annotations {
            event.annotate(key, text);
        }
    }
}
