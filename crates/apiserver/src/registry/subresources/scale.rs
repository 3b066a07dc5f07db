//! `scale`: replicas, of whatever kind, as `autoscaling/v1 Scale`.

use std::sync::Arc;

use drydock_client::{PatchType, Reply, Verb};
use drydock_machinery::decode::{self as machinery, FieldValidation};
use drydock_machinery::selector::Selector;
use drydock_machinery::{FieldErrors, FieldPath, GroupVersionKind, Object, ObjectMeta, Status, Value, value};

use super::super::managed::{self, Tracking};
use super::super::update::Updated;
use super::super::{Call, Done, Registry, decode, patch};
use super::put;
use crate::resources::Resource;

const SCALE: GroupVersionKind = GroupVersionKind::new("autoscaling", "v1", "Scale");

/// What Scale a request asks for, given the present object.
type Wanted = Box<dyn Fn(&Object) -> Result<Value, Status> + Send + Sync>;

/// Where a kind keeps what a Scale shows, as dotted paths.
struct Paths {
    spec_replicas: Vec<String>,
    status_replicas: Vec<String>,
    /// None for built-in kinds, whose `spec.selector` is rendered.
    selector: Option<Vec<String>>,
}

impl Registry {
    pub(crate) async fn scale(&self, call: &mut Call) -> Result<Done, Status> {
        if call.request.verb == Verb::Get {
            let object = self.get(call).await?;
            return Ok(Done::ok(Reply::Virtual(scale_of(&call.resource, &object)?)));
        }
        let wanted = self.wanted(call)?;
        let resource = call.resource.clone();
        let now = self.clock.now();
        let apply = call.request.verb == Verb::Patch(PatchType::Apply);
        let make = move |call: &Call, current: &Arc<Object>| {
            let mut old = scale_of(&resource, current)?;
            let paths = paths(&resource)?;
            let path: Vec<&str> = paths.spec_replicas.iter().map(String::as_str).collect();
            let api_version = resource.gvk.api_version();
            let entries = managed::scale_entries(current.value(), &api_version, &path);
            put(&mut old, &["metadata", "managedFields"], Some(entries).filter(|entries| !entries.is_null()));
            let mut scale = wanted(current)?;
            if apply {
                scale = managed::apply_scale(call, &old, &scale, now)?;
            } else {
                managed::on_scale(call, &old, &mut scale, now);
            }
            let mut new = scaled(&resource, current, &scale)?;
            managed::scale_to_object(&mut new, &scale, &api_version, &path);
            Ok(new)
        };
        // The write is to the object itself, whose spec it changes.
        let subresource = std::mem::take(&mut call.request.subresource);
        let updated = self.update_with(call, Tracking::Done, make).await;
        call.request.subresource = subresource;
        match updated? {
            Updated::Absent => Err(call.not_found()),
            Updated::Done(Done { reply: Reply::Object(object), code }) => {
                Ok(Done { reply: Reply::Virtual(scale_of(&call.resource, &object)?), code })
            }
            Updated::Done(Done { reply: Reply::Virtual(value), code }) => {
                let revision = value.resource_version().parse().unwrap_or(0);
                let object = Object::new(value, revision);
                Ok(Done { reply: Reply::Virtual(scale_of(&call.resource, &object)?), code })
            }
            Updated::Done(done) => Ok(done),
        }
    }

    /// What Scale the request asks for, given the present object.
    fn wanted(&self, call: &mut Call) -> Result<Wanted, Status> {
        let resource = call.resource.clone();
        match call.request.verb {
            Verb::Update => {
                let scale = decode::object(call)?;
                let name = call.request.name.clone();
                if scale.name() != name {
                    return Err(Status::bad_request(format!(
                        "the name of the object ({}) does not match the name on the URL ({name})",
                        scale.name()
                    )));
                }
                Ok(Box::new(move |_| Ok(scale.clone())))
            }
            Verb::Patch(PatchType::Apply) => {
                let applied = patch::read_applied(call)?;
                Ok(Box::new(move |_| Ok(applied.clone())))
            }
            Verb::Patch(kind) => {
                let patch = patch::read(call, kind)?.patch;
                let schema = drydock_machinery::Catalog::builtin().schema(&SCALE);
                Ok(Box::new(move |current| {
                    let scale = scale_of(&resource, current)?;
                    let tree = patch::patched(schema.as_ref(), kind, &scale, &patch)?;
                    let Some(schema) = &schema else { return Ok(tree) };
                    machinery::value(&tree, schema.root(), FieldValidation::Ignore)
                        .map(|decoded| decoded.value)
                        .map_err(|error| patch::does_not_fit(kind, &tree, &patch, &error))
                }))
            }
            verb => Err(call.method_not_supported(super::verb_name(verb))),
        }
    }
}

/// `current` with the replicas of `scale`.
fn scaled(resource: &Resource, current: &Object, scale: &Value) -> Result<Value, Status> {
    let replicas = scale.i64_at(&["spec", "replicas"]).unwrap_or(0);
    if replicas < 0 {
        let mut errors = FieldErrors::new();
        let path = FieldPath::new("spec").child("replicas");
        errors.invalid(&path, replicas, "must be greater than or equal to 0");
        return Err(Status::invalid("autoscaling", "Scale", scale.name(), &errors));
    }
    let paths = paths(resource)?;
    let mut new = current.value().clone();
    let path: Vec<&str> = paths.spec_replicas.iter().map(String::as_str).collect();
    put(&mut new, &path, Some(replicas.into()));
    let revision = scale.resource_version();
    if !revision.is_empty() {
        new.set(&["metadata", "resourceVersion"], revision);
    }
    Ok(new)
}

fn scale_of(resource: &Resource, object: &Object) -> Result<Value, Status> {
    let paths = paths(resource)?;
    let integer = |path: &[String]| {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        object.i64_at(&path)
    };
    let mut scale = value!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {"name": object.name()},
        "spec": {}, "status": {"replicas": integer(&paths.status_replicas).unwrap_or(0)},
    });
    for field in ["namespace", "uid", "resourceVersion", "creationTimestamp"] {
        put(&mut scale, &["metadata", field], object.at(&["metadata", field]).cloned());
    }
    let replicas = integer(&paths.spec_replicas).unwrap_or(0);
    if replicas != 0 {
        scale.set(&["spec", "replicas"], replicas);
    }
    let selector = match &paths.selector {
        Some(path) => {
            let path: Vec<&str> = path.iter().map(String::as_str).collect();
            object.str_at(&path).to_owned()
        }
        None => selector_text(object)?,
    };
    if !selector.is_empty() {
        scale.set(&["status", "selector"], selector);
    }
    Ok(scale)
}

fn selector_text(object: &Object) -> Result<String, Status> {
    let selector = object.at(&["spec", "selector"]);
    let selector = match selector {
        // ReplicationControllers have a plain set.
        Some(set) if set.get("matchLabels").is_none() && set.get("matchExpressions").is_none() => {
            set.as_object().map_or_else(Selector::everything, Selector::from_set)
        }
        selector => Selector::from_label_selector(selector).map_err(Status::internal)?,
    };
    Ok(selector.to_string())
}

fn paths(resource: &Resource) -> Result<Paths, Status> {
    let split = |path: &str| path.trim_start_matches('.').split('.').map(str::to_owned).collect();
    let Some(custom) = &resource.custom else {
        return Ok(Paths {
            spec_replicas: split("spec.replicas"),
            status_replicas: split("status.replicas"),
            selector: None,
        });
    };
    let scale = custom.version.at(&["subresources", "scale"]);
    let scale = scale.ok_or_else(|| Status::internal("the resource has no scale subresource"))?;
    let selector = scale.str_at(&["labelSelectorPath"]);
    Ok(Paths {
        spec_replicas: split(scale.str_at(&["specReplicasPath"])),
        status_replicas: split(scale.str_at(&["statusReplicasPath"])),
        selector: Some(if selector.is_empty() { Vec::new() } else { split(selector) }),
    })
}
