//! `metadata.managedFields` of writes. Who owns what is machinery's to compute; here it is said over which versions and
//! which fields.

use std::sync::OnceLock;

use drydock_machinery::apply::{
    FieldManager, FieldSet, OneVersion, Versions, revert_timestamps_of_no_change, scale_to_parent,
    scale_to_subresource,
};
use drydock_machinery::schema::TypeRef;
use drydock_machinery::{Catalog, GroupVersionKind, Status, Value};
use jiff::Timestamp;

use super::{Call, convert};
use crate::resources::Resource;

/// How an update's fields come to their managers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tracking {
    /// What changed belongs to the request's manager.
    Changes,
    /// Already done: the object comes from an apply.
    Done,
    /// As [`Tracking::Done`], and admission has seen the write in another form.
    Admitted,
    /// The server's own doing (a binding), which is nobody's and needs no validation.
    Own,
    /// As [`Tracking::Own`], by a part of the server that has a name.
    OwnChanges,
}

/// A new object's fields belong to its creator.
pub(crate) fn on_create(call: &Call, object: &mut Value, now: Timestamp) {
    track(call, None, object, now);
}

/// What an update changed belongs to who changed it.
pub(crate) fn on_update(call: &Call, old: &Value, object: &mut Value, now: Timestamp) {
    track(call, Some(old), object, now);
    revert_timestamps_of_no_change(old, object);
}

fn track(call: &Call, old: Option<&Value>, object: &mut Value, now: Timestamp) {
    let resource = &call.resource;
    let versions = OfResource(resource);
    let manager = field_manager(call, &versions);
    let mut shown = match call.with_emptied_in_atomic_lists(object) {
        Some(shown) => shown,
        None if resource.gvk == *resource.working_kind() => {
            manager.update(old, object, call.manager(), now);
            return;
        }
        // Fields are tracked in the request's version.
        None => convert::from_working(resource, object.clone()),
    };
    let old = old.map(|old| convert::from_working(resource, old.clone()));
    manager.update(old.as_ref(), &mut shown, call.manager(), now);
    match shown.at(&["metadata", "managedFields"]) {
        Some(managed) => object.set(&["metadata", "managedFields"], managed.clone()),
        None => {
            object.remove(&["metadata", "managedFields"]);
        }
    }
}

/// Where managed fields are.
pub(crate) const PATH: [&str; 2] = ["metadata", "managedFields"];

/// An empty list of managed fields asks for them to be forgotten, which decoding would lose.
pub(crate) fn keep_reset(given: &Value, object: &mut Value) {
    let Some(Value::Array(entries)) = given.at(&PATH) else { return };
    let empty = |entry: &Value| entry.as_object().is_some_and(drydock_machinery::Map::is_empty);
    if entries.is_empty() || (entries.len() == 1 && empty(&entries[0])) {
        object.set(&PATH, Value::Array(Default::default()));
    }
}

/// As [`on_create`], of an object that the server makes by itself.
pub(crate) fn on_own(kind: &GroupVersionKind, object: &mut Value, now: Timestamp) {
    of_kind(kind, "", object, "kube-apiserver", now);
}

/// As [`on_create`], of an object that is not stored and of another kind than the resource's: a review, a TokenRequest.
pub(crate) fn on_virtual(call: &Call, kind: &GroupVersionKind, object: &mut Value, now: Timestamp) {
    of_kind(kind, &call.request.subresource, object, call.manager(), now);
}

fn of_kind(kind: &GroupVersionKind, subresource: &str, object: &mut Value, manager: &str, now: Timestamp) {
    let Some(schema) = Catalog::builtin().schema(kind) else { return };
    let api_version = kind.api_version();
    let versions = &OneVersion { api_version: &api_version, schema: &schema };
    let fields = FieldManager { kind, subresource, versions, reset_fields: nothing() };
    fields.update(None, object, manager, now);
}

/// The scaled object's replicas as the Scale shows who manages them.
pub(crate) fn scale_entries(object: &Value, api_version: &str, path: &[&str]) -> Value {
    scale_to_subresource(object, &[(api_version, path)])
}

/// As [`Registry::update_with`] of the Scale itself: tracks what changed between two Scales, and writes it to the object.
///
/// [`Registry::update_with`]: super::Registry::update_with
pub(crate) fn on_scale(call: &Call, old: &Value, new: &mut Value, now: Timestamp) {
    with_scale_manager(|manager| manager.update(Some(old), new, call.manager(), now));
}

/// Lays a Scale over the present one.
///
/// # Errors
/// Conflicts with other managers.
pub(crate) fn apply_scale(
    call: &Call,
    old: &Value,
    applied: &Value,
    now: Timestamp,
) -> Result<Value, Status> {
    let force = call.request.options.force == Some(true);
    with_scale_manager(|manager| manager.apply(Some(old), applied, call.manager(), force, now))
}

/// The object's managed fields after `scale` was written to it.
pub(crate) fn scale_to_object(object: &mut Value, scale: &Value, api_version: &str, path: &[&str]) {
    let entries = scale_to_parent(object, scale, api_version, &[(api_version, path)]);
    super::subresources::put(
        object,
        &["metadata", "managedFields"],
        Some(entries).filter(|entries| !entries.is_null()),
    );
}

fn with_scale_manager<T>(f: impl FnOnce(&FieldManager<'_>) -> T) -> T {
    const KIND: GroupVersionKind = GroupVersionKind::new("autoscaling", "v1", "Scale");
    let schema = Catalog::builtin().schema(&KIND).expect("Scale is in the catalog");
    f(&FieldManager {
        kind: &KIND,
        subresource: "scale",
        versions: &OneVersion { api_version: "autoscaling/v1", schema: &schema },
        reset_fields: nothing(),
    })
}

/// Lays `applied` over `live`; both, and the answer, in the request's version.
///
/// # Errors
/// Conflicts with other managers, and what is wrong with `applied`.
pub(crate) fn apply(
    call: &Call,
    live: Option<&Value>,
    applied: &Value,
    now: Timestamp,
) -> Result<Value, Status> {
    let versions = OfResource(&call.resource);
    let force = call.request.options.force == Some(true);
    field_manager(call, &versions).apply(live, applied, call.manager(), force, now)
}

fn field_manager<'a>(call: &'a Call, versions: &'a OfResource<'a>) -> FieldManager<'a> {
    FieldManager {
        kind: &call.resource.gvk,
        subresource: &call.request.subresource,
        versions,
        reset_fields: reset_fields(&call.resource, &call.request.subresource),
    }
}

/// What a write through a path cannot change, and so nobody owns by it.
fn reset_fields(resource: &Resource, subresource: &str) -> &'static FieldSet {
    static CUSTOM: OnceLock<FieldSet> = OnceLock::new();
    static STATUS: OnceLock<FieldSet> = OnceLock::new();
    static REQUEST: OnceLock<[FieldSet; 3]> = OnceLock::new();
    let has_status = resource.subresource("status").is_some();
    if &*resource.gvr.resource == "certificatesigningrequests" && resource.custom.is_none() {
        // What is requested never changes, and the parts of the status have a path each.
        let of = |status: &[&str]| FieldSet::of_fields(&[&["spec"], status]);
        let sets = REQUEST
            .get_or_init(|| [of(&["status"]), of(&["status", "conditions"]), of(&["status", "certificate"])]);
        return match subresource {
            "status" => &sets[1],
            "approval" => &sets[2],
            _ => &sets[0],
        };
    }
    match subresource {
        "status" if resource.custom.is_some() => {
            CUSTOM.get_or_init(|| FieldSet::of_fields(&[&["spec"], &["metadata"]]))
        }
        "" if has_status => STATUS.get_or_init(|| FieldSet::of_fields(&[&["status"]])),
        "status" => resource.strategy.status_reset_fields(),
        _ => nothing(),
    }
}

fn nothing() -> &'static FieldSet {
    static NOTHING: OnceLock<FieldSet> = OnceLock::new();
    NOTHING.get_or_init(FieldSet::default)
}

/// The version that a request is about, and the others; of a custom resource those that nobody needs to be asked about.
struct OfResource<'a>(&'a Resource);

impl OfResource<'_> {
    fn kind_in(&self, api_version: &str) -> GroupVersionKind {
        GroupVersionKind::from_api_version(api_version, &self.0.gvk.kind)
    }
}

impl Versions for OfResource<'_> {
    fn schema(&self, api_version: &str) -> Option<TypeRef<'_>> {
        let schema = self.0.schema.as_ref()?;
        if api_version == self.0.gvk.api_version() {
            return Some(schema.root());
        }
        match &self.0.custom {
            Some(custom) => Some(custom.conversion.schema(api_version)?.root()),
            None => {
                let kind = self.kind_in(api_version);
                // Upstream knows nothing of another group's Events here.
                Catalog::builtin().kind(&kind).filter(|_| kind.group == self.0.gvk.group)
            }
        }
    }

    fn convert(&self, object: &Value, api_version: &str) -> Option<Value> {
        match &self.0.custom {
            Some(custom) => custom.conversion.without_asking(object, api_version),
            None => {
                let mut object = object.clone();
                drydock_kinds::convert(&mut object, &self.kind_in(api_version));
                Some(object)
            }
        }
    }
}
