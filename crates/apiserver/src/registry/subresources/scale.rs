//! `scale`: replicas, of whatever kind, as `autoscaling/v1 Scale`.

use std::sync::Arc;

use drydock_client::{PatchType, Reply, Verb};
use drydock_machinery::decode as machinery;
use drydock_machinery::selector::Selector;
use drydock_machinery::{
    FieldErrors, FieldPath, GroupVersionKind, Object, ObjectMeta, Reason, Status, Value, value,
};

use super::super::managed::{self, Tracking};
use super::super::store::{OPTIMISTIC_LOCK, WriteError};
use super::super::update::{ATTEMPTS, check_stored, match_name, precondition_failed};
use super::super::{Call, Done, Registry, convert, decode, meta, patch};
use super::put;
use crate::admission::Operation;
use crate::resources::Resource;

const SCALE: GroupVersionKind = GroupVersionKind::new("autoscaling", "v1", "Scale");

/// The replicas of a Scale whose object says none, which a patch has to change.
const UNSET: i64 = i32::MIN as i64;

/// What comes of an apply to the scale of a custom resource whose replicas nobody manages: upstream takes them over by
/// converting the Scale as if it were the custom resource.
const NO_MANAGER: &str = "failed to create manager for existing fields: failed to convert live object (/; autoscaling/v1, \
                          Kind=Scale) to proper version: request to convert CR to an invalid group/version: \
                          autoscaling/v1";

/// What Scale a request asks for, given the present object, and warnings.
type Wanted = Box<dyn Fn(&Object) -> Result<(Value, Vec<String>), Status> + Send + Sync>;

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
            let object = convert::working(&*self.cache, &call.resource, self.get(call).await?).await?;
            if let Some(path) = unset_replicas(&call.resource, &object)? {
                return Err(Status::internal(format!("the spec replicas field {path:?} does not exist")));
            }
            return Ok(Done::ok(Reply::Virtual(scale_of(&call.resource, &object)?)));
        }
        let wanted = self.wanted(call)?;
        match self.update_scale(call, &wanted).await? {
            Done { reply: Reply::Object(object), code, .. } => {
                let object = convert::working(&*self.cache, &call.resource, object).await?;
                Ok(Done { code, ..Done::ok(Reply::Virtual(scale_of(&call.resource, &object)?)) })
            }
            Done { reply: Reply::Virtual(value), code, .. } => {
                let revision = value.resource_version().parse().unwrap_or(0);
                let object = Object::new(value, revision);
                Ok(Done { code, ..Done::ok(Reply::Virtual(scale_of(&call.resource, &object)?)) })
            }
            done => Ok(done),
        }
    }

    /// Writes the Scale that is wanted, decided again when another writer was faster.
    async fn update_scale(&self, call: &mut Call, wanted: &Wanted) -> Result<Done, Status> {
        let mut current = self.current(call);
        for _ in 0..ATTEMPTS {
            let Some(stored) = current else { return Err(call.not_found()) };
            let old = convert::working(&*self.cache, &call.resource, stored.clone()).await?;
            let new = self.admitted_scale(call, &old, wanted).await?;
            // The write is to the object itself, whose spec it changes.
            let subresource = std::mem::take(&mut call.request.subresource);
            let updated = self.update_once(call, Tracking::Admitted, &stored, &old, new).await;
            call.request.subresource = subresource;
            match updated {
                Ok(done) => return Ok(done),
                Err(WriteError::Failed(status)) => return Err(status),
                Err(WriteError::Lost(newer)) => current = newer,
            }
        }
        Err(call.conflict(OPTIMISTIC_LOCK))
    }

    /// The object with the Scale that is wanted, once admission has seen that.
    async fn admitted_scale(
        &self,
        call: &mut Call,
        current: &Arc<Object>,
        wanted: &Wanted,
    ) -> Result<Value, Status> {
        let resource = call.resource.clone();
        let paths = paths(&resource)?;
        let path: Vec<&str> = paths.spec_replicas.iter().map(String::as_str).collect();
        let api_version = resource.gvk.api_version();
        let entries = managed::scale_entries(current.value(), &api_version, &path);
        let mut old = scale_of(&resource, current)?;
        put(&mut old, &["metadata", "managedFields"], Some(entries).filter(|entries| !entries.is_null()));
        let (mut scale, warnings) = wanted(current)?;
        call.warnings.extend(warnings);
        match_object(call, &mut scale, current)?;
        if call.request.verb == Verb::Patch(PatchType::Apply) {
            if resource.custom.is_some() && old.array_at(&["metadata", "managedFields"]).is_empty() {
                return Err(Status::new(500, Reason::Unknown, NO_MANAGER));
            }
            let given = scale;
            scale = managed::apply_scale(call, &old, &given, self.clock.now())?;
            // What changes nothing does not come as far as that.
            if resource.custom.is_some() && scale != old {
                return Err(not_converted(given.namespace(), &call.request.name));
            }
        } else {
            managed::on_scale(call, &old, &mut scale, self.clock.now());
        }
        let old = Arc::new(Object::new(old, current.revision()));
        let scale = self.admit(call, Operation::Update, scale, Some(&old)).await?;
        let mut new = scaled(&resource, current, &scale)?;
        managed::scale_to_object(&mut new, &scale, &api_version, &path);
        self.admission_validate(call, Operation::Update, &scale, Some(&old)).await?;
        Ok(new)
    }

    /// What Scale the request asks for, given the present object.
    fn wanted(&self, call: &mut Call) -> Result<Wanted, Status> {
        let resource = call.resource.clone();
        match call.request.verb {
            Verb::Update => {
                let mut scale = decode::object(call)?;
                match_name(call, &scale)?;
                meta::match_namespace(call, &mut scale)?;
                Ok(Box::new(move |_| Ok((scale.clone(), Vec::new()))))
            }
            Verb::Patch(PatchType::Apply) => {
                let applied = patch::read_applied(call)?;
                Ok(Box::new(move |_| Ok((applied.clone(), Vec::new()))))
            }
            Verb::Patch(kind) => {
                let patch::Read { patch, strict } = patch::read(call, kind)?;
                let validation = decode::validation(call);
                let schema = drydock_machinery::Catalog::builtin().schema(&SCALE);
                Ok(Box::new(move |current| {
                    let mut scale = scale_of(&resource, current)?;
                    let unset = unset_replicas(&resource, current)?;
                    if unset.is_some() {
                        scale.set(&["spec", "replicas"], UNSET);
                    }
                    let tree = patch::patched(schema.as_ref(), kind, &scale, &patch)?;
                    if let Some(path) = unset.filter(|_| tree.i64_at(&["spec", "replicas"]) == Some(UNSET)) {
                        let why = format!("the spec replicas field {path:?} cannot be empty");
                        return Err(Status::bad_request(why));
                    }
                    let Some(schema) = &schema else { return Ok((tree, Vec::new())) };
                    let decoded = machinery::value(&tree, schema.root(), validation);
                    let decoded = patch::with_strict(decoded, &strict, validation)
                        .map_err(|error| patch::does_not_fit(kind, &tree, &patch, &error))?;
                    Ok((decoded.value, decoded.warnings))
                }))
            }
            verb => Err(call.method_not_supported(super::verb_name(verb))),
        }
    }
}

/// A Scale that is sent is of this very object, and one that comes of a patch is still of the one that the request names.
///
/// # Errors
/// 400 for another name or namespace, 409 for another uid.
fn match_object(call: &Call, scale: &mut Value, current: &Object) -> Result<(), Status> {
    match call.request.verb {
        Verb::Patch(PatchType::Apply) => return Ok(()),
        Verb::Update => return check_stored(call, current, scale.uid(), ""),
        _ => {}
    }
    match_name(call, scale)?;
    meta::match_namespace(call, scale)?;
    if !scale.uid().is_empty() && scale.uid() != current.uid() {
        let gvr = &call.resource.gvr;
        let why = precondition_failed("UID", scale.uid(), current.uid());
        return Err(Status::conflict(&gvr.group, &format!("{}/scale", gvr.resource), current.name(), &why));
    }
    Ok(())
}

/// Upstream cannot apply the Scale of a custom resource: once nothing conflicts it fails to convert the result.
fn not_converted(namespace: &str, name: &str) -> Status {
    let text = format!(
        "failed to convert new object ({namespace}/{name}; autoscaling/v1, Kind=Scale) to proper version: request to convert CR to \
         an invalid group/version: autoscaling/v1"
    );
    Status::new(500, Reason::Unknown, text)
}

/// `current` with the replicas of `scale`.
fn scaled(resource: &Resource, current: &Object, scale: &Value) -> Result<Value, Status> {
    let replicas = scale.i64_at(&["spec", "replicas"]).unwrap_or(0);
    // A custom resource's replicas are validated with it.
    if replicas < 0 && resource.custom.is_none() {
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

/// The path of a custom resource's replicas when there is nothing there.
fn unset_replicas(resource: &Resource, object: &Object) -> Result<Option<String>, Status> {
    if resource.custom.is_none() {
        return Ok(None);
    }
    let path = paths(resource)?.spec_replicas;
    let keys: Vec<&str> = path.iter().map(String::as_str).collect();
    Ok(object.i64_at(&keys).is_none().then(|| format!(".{}", path.join("."))))
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
