//! What the variables of an expression are for one request.

use std::sync::Arc;

use drydock_cel::library::{AuthorizerValue, ResourceAttributes};
use drydock_cel::value::Value as CelValue;
use drydock_machinery::cel::from_json;
use drydock_machinery::{GroupVersionKind, GroupVersionResource, Map, Value, value};

use super::Asker;
use crate::admission::AdmissionRequest;
use crate::admission::versions::{Matched, Versioned};

/// Cheap to clone: trees are shared.
#[derive(Clone, Debug)]
pub(in crate::admission) struct Inputs {
    object: CelValue,
    old_object: CelValue,
    request: CelValue,
    namespace: CelValue,
    params: CelValue,
    authorizer: Option<Authorizing>,
}

#[derive(Clone, Debug)]
struct Authorizing {
    asker: Arc<Asker>,
    authorizer: CelValue,
    of_request: CelValue,
}

impl Inputs {
    pub(in crate::admission) fn new(
        request: &AdmissionRequest<'_>,
        matched: &Matched,
        versioned: &Versioned,
    ) -> Self {
        let tree = |object: &Option<Value>| object.as_ref().map_or(CelValue::Null, from_json);
        Self {
            object: tree(&versioned.object),
            old_object: tree(&versioned.old),
            request: from_json(&review(request, matched)),
            namespace: CelValue::Null,
            params: CelValue::Null,
            authorizer: None,
        }
    }

    #[must_use]
    pub(in crate::admission) fn with_object(mut self, object: &Value) -> Self {
        self.object = from_json(object);
        self
    }

    /// `namespaceObject`, with what expressions may see of it.
    #[must_use]
    pub(in crate::admission) fn with_namespace(mut self, namespace: Option<&Value>) -> Self {
        self.namespace = namespace.map_or(CelValue::Null, |namespace| from_json(&seen(namespace)));
        self
    }

    #[must_use]
    pub(in crate::admission) fn with_params(mut self, params: Option<&Value>) -> Self {
        self.params = params.map_or(CelValue::Null, from_json);
        self
    }

    /// `authorizer`, and `authorizer.requestResource`.
    #[must_use]
    pub(in crate::admission) fn with_authorizer(
        mut self,
        request: &AdmissionRequest<'_>,
        asker: &Arc<Asker>,
    ) -> Self {
        let authorizer = AuthorizerValue::new(asker.clone());
        let of_request = authorizer.resource(ResourceAttributes {
            group: (&*request.resource.group).into(),
            resource: (&*request.resource.resource).into(),
            subresource: request.subresource.into(),
            namespace: request.shown_namespace().into(),
            name: request.name.as_str().into(),
            ..ResourceAttributes::default()
        });
        let authorizer = CelValue::opaque(authorizer);
        self.authorizer = Some(Authorizing { asker: asker.clone(), authorizer, of_request });
        self
    }

    pub(super) fn asker(&self) -> Option<&Asker> {
        self.authorizer.as_ref().map(|authorizing| &*authorizing.asker)
    }

    pub(super) fn get(&self, name: &str) -> Option<CelValue> {
        Some(match name {
            "object" => self.object.clone(),
            "oldObject" => self.old_object.clone(),
            "request" => self.request.clone(),
            "namespaceObject" => self.namespace.clone(),
            "params" => self.params.clone(),
            "authorizer" => self.authorizer.as_ref()?.authorizer.clone(),
            "authorizer.requestResource" => self.authorizer.as_ref()?.of_request.clone(),
            _ => return None,
        })
    }
}

/// The request, as an AdmissionReview would have it, without the objects.
fn review(request: &AdmissionRequest<'_>, matched: &Matched) -> Value {
    let mut review = value!({"operation": request.operation.as_str(), "dryRun": request.dry_run});
    review.set(&["kind"], kind(&matched.kind));
    review.set(&["resource"], resource(&matched.resource));
    review.set(&["requestKind"], kind(request.kind));
    review.set(&["requestResource"], resource(request.resource));
    review.set(&["userInfo"], request.user.to_value());
    review.set(&["options"], request.options_object());
    for (field, text) in [
        ("name", request.name.as_str()),
        ("namespace", request.shown_namespace()),
        ("subResource", request.subresource),
        ("requestSubResource", request.subresource),
    ] {
        if !text.is_empty() {
            review.set(&[field], text);
        }
    }
    review
}

fn kind(kind: &GroupVersionKind) -> Value {
    value!({"group": kind.group, "version": kind.version, "kind": kind.kind})
}

fn resource(resource: &GroupVersionResource) -> Value {
    value!({"group": resource.group, "version": resource.version, "resource": resource.resource})
}

/// A namespace without what its type in expressions leaves out.
fn seen(namespace: &Value) -> Value {
    const METADATA: [&str; 12] = [
        "annotations",
        "creationTimestamp",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "labels",
        "name",
        "namespace",
        "resourceVersion",
        "uid",
    ];
    let metadata: Map = METADATA
        .into_iter()
        .filter_map(|field| Some((field.into(), namespace.at(&["metadata", field])?.clone())))
        .collect();
    let mut out = Value::object();
    out.set(&["metadata"], Value::Object(metadata));
    for field in ["spec", "status"] {
        out.set(&[field], namespace.get(field).cloned().unwrap_or_else(Value::object));
    }
    out
}
