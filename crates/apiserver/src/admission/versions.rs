//! The same object in another version: what a rule that names one version sees of a request in another.

use drydock_machinery::decode::{self, FieldValidation};
use drydock_machinery::{
    Catalog, GroupVersionKind, GroupVersionResource, ObjectMeta, Schema, Status, Value, defaults,
};

use super::{AdmissionContext, AdmissionRequest};
use crate::resources::{Resource, ResourceTable};

/// The resource and the kind that a rule was found to be about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Matched {
    pub(super) resource: GroupVersionResource,
    pub(super) kind: GroupVersionKind,
}

/// The other versions of a request's resource that have its subresource too.
pub(super) fn equivalents(
    table: &ResourceTable,
    resource: &GroupVersionResource,
    subresource: &str,
) -> Vec<Matched> {
    let Some(own) = table.find(&resource.group, &resource.version, &resource.resource) else {
        return Vec::new();
    };
    // Events are the same objects in two groups.
    let groups: &[&str] =
        if &*own.prefix == "/core/events/" { &["", "events.k8s.io"] } else { &[&*resource.group] };
    let versions = groups.iter().filter_map(|group| table.group(group)).flat_map(|group| {
        let versions = group.versions.iter();
        versions.filter_map(|info| table.find(&group.name, &info.version, &resource.resource))
    });
    versions
        .filter(|other| other.gvr != *resource && other.prefix == own.prefix)
        .filter_map(|other| Some(Matched { resource: other.gvr.clone(), kind: kind_of(other, subresource)? }))
        .collect()
}

/// The kind that a resource, or a subresource of it, takes.
fn kind_of(resource: &Resource, subresource: &str) -> Option<GroupVersionKind> {
    match subresource {
        "" => Some(resource.gvk.clone()),
        name => resource.subresource(name).map(|sub| sub.kind.clone()),
    }
}

/// A request's objects in one version.
#[derive(Clone, Debug)]
pub(super) struct Versioned {
    pub(super) kind: GroupVersionKind,
    pub(super) object: Option<Value>,
    pub(super) old: Option<Value>,
}

impl Versioned {
    /// # Errors
    /// When a custom resource's webhook does not convert it.
    pub(super) async fn new(
        context: &AdmissionContext<'_>,
        request: &AdmissionRequest<'_>,
        kind: &GroupVersionKind,
    ) -> Result<Self, Status> {
        let object = match &request.object {
            Some(object) => Some(convert(context, request.resource, object, kind).await?),
            None => None,
        };
        let old = match &request.old_object {
            Some(old) => Some(convert(context, request.resource, old.value(), kind).await?),
            None => None,
        };
        Ok(Self { kind: kind.clone(), object, old })
    }
}

/// An object of `resource`, or of a subresource of it, as `kind`.
///
/// # Errors
/// When a custom resource's webhook does not convert it.
pub(super) async fn convert(
    context: &AdmissionContext<'_>,
    resource: &GroupVersionResource,
    object: &Value,
    kind: &GroupVersionKind,
) -> Result<Value, Status> {
    let own = object.gvk();
    if own == *kind || own.kind != kind.kind {
        return Ok(object.clone());
    }
    let table = context.resources.table();
    let target = table.find(&kind.group, &kind.version, &resource.resource);
    if let Some(custom) = target.and_then(|target| target.custom.as_ref()) {
        let api_version = kind.api_version();
        let converted = custom.conversion.convert(context.reader, vec![object.clone()], &api_version).await?;
        let mut converted = converted.into_iter().next().unwrap_or_default();
        fit(&mut converted, &custom.compiled.schema, custom.preserve_unknown);
        return Ok(converted);
    }
    let mut converted = object.clone();
    drydock_kinds::convert(&mut converted, kind);
    Ok(converted)
}

/// What a webhook or a policy made of an object, given `before` as it was: in the version that is worked on, typed, with
/// defaults.
///
/// # Errors
/// When it is no object of its kind any more.
pub(super) async fn settle(
    context: &AdmissionContext<'_>,
    request: &AdmissionRequest<'_>,
    before: &Value,
    made: Value,
) -> Result<Value, Status> {
    let typed = decoded(context, request.resource, made)?;
    let worked_on = before.gvk();
    let mut object = convert(context, request.resource, &typed, &worked_on).await?;
    let table = context.resources.table();
    let resource = table.find(&worked_on.group, &worked_on.version, &request.resource.resource);
    if let Some(resource) = resource.filter(|resource| resource.custom.is_none() && resource.gvk == worked_on)
    {
        resource.strategy.set_defaults(&mut object);
    }
    object.share_with(before);
    Ok(object)
}

/// An object that somebody else made, by the schema of what it says it is.
fn decoded(
    context: &AdmissionContext<'_>,
    resource: &GroupVersionResource,
    mut made: Value,
) -> Result<Value, Status> {
    let kind = made.gvk();
    let table = context.resources.table();
    let own = table.find(&kind.group, &kind.version, &resource.resource);
    if let Some(own) = own.filter(|own| own.gvk == kind)
        && let Some(custom) = &own.custom
    {
        fit(&mut made, &custom.compiled.schema, custom.preserve_unknown);
        return Ok(made);
    }
    let Some(schema) = Catalog::builtin().schema(&kind) else { return Ok(made) };
    let decoded = decode::value(&made, schema.root(), FieldValidation::Ignore).map_err(Status::internal)?;
    let mut object = decoded.value;
    defaults::apply_defaults(&mut object, schema.root());
    object.set(&["apiVersion"], kind.api_version());
    object.set(&["kind"], &*kind.kind);
    Ok(object)
}

fn fit(object: &mut Value, schema: &Schema, preserve_unknown: bool) {
    if !preserve_unknown {
        decode::prune(object, schema.root());
    }
    defaults::apply_defaults(object, schema.root());
}
