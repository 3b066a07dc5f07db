//! The entry points: managed fields on update, and apply.

use std::sync::{Arc, LazyLock};

use jiff::Timestamp;

use super::conflict::Conflicts;
use super::created::{self, Exempt};
use super::empty::empty_object;
use super::field_set::field_set;
use super::managed::{Managed, ManagerId, Operation};
use super::pool;
use super::set::FieldSet;
use super::typed::Ty;
use super::updater::{Force, Updater};
use super::validate::{Given, TypeErrors, validate};
use super::versions::Versions;
use crate::names::GroupVersionKind;
use crate::names_validation::TOTAL_ANNOTATION_SIZE_LIMIT;
use crate::object::ObjectMeta as _;
use crate::patch::go_format::go_json;
use crate::status::{Reason, Status};
use crate::value::Value;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
const ANCIENT_CHANGES: &str = "ancient-changes";
/// The most entries of updates that an object keeps; older ones are put together.
const MAX_UPDATE_MANAGERS: usize = 10;

/// Keeps `metadata.managedFields` of one resource's objects.
#[derive(Clone, Copy)]
pub struct FieldManager<'a> {
    /// What the request is about, in the request's version.
    pub kind: &'a GroupVersionKind,
    /// "" for the object itself.
    pub subresource: &'a str,
    pub versions: &'a dyn Versions,
    /// The strategy's reset fields: `status` for the object itself, `spec` for its status, and so on.
    pub reset_fields: &'a FieldSet,
}

/// Why an apply failed before it became an answer.
enum ApplyError {
    Conflicts(Conflicts),
    Status(Status),
}

impl From<Status> for ApplyError {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl FieldManager<'_> {
    /// Writes managed fields into `new`, which replaces `live` (None on creation). Both are in the request's version.
    ///
    /// A `manager` of "" is `unknown`; see [`manager_or_user_agent`].
    pub fn update(&self, live: Option<&Value>, new: &mut Value, manager: &str, now: Timestamp) {
        let managed = self.decode_live_or_new(live, new);
        new.remove(&["metadata", "managedFields"]);
        let is_create = live.is_none_or(|live| live.uid().is_empty());
        if managed.managers.is_empty() && !is_create {
            return;
        }
        let is_first = live.is_none() && managed.managers.is_empty();
        let live = live.cloned().unwrap_or_else(|| self.empty());
        if is_first && let Some(known) = self.created_alike(&live, new) {
            let id = self.manager_id(manager, Operation::Update);
            new.set(&["metadata", "managedFields"], vec![id.entry(&known.tree, Some(timestamp(now)))]);
            return;
        }
        if let Ok(managed) = self.track_update(&live, new, managed, manager, now) {
            managed.write_to(new);
            if let (true, [own]) = (is_first, &managed.managers.values().collect::<Vec<_>>()[..]) {
                pool::note_created(self.kind, &own.set);
            }
        }
    }

    /// The fields that the creator of `new` comes to own, if the creator of one of the last objects of its kind came to
    /// own just these.
    fn created_alike(&self, empty: &Value, new: &Value) -> Option<Arc<pool::Known>> {
        let schema = self.versions.schema(&self.kind.api_version())?;
        // A custom resource's schema may change, and need not have been kept to.
        if schema.ty().source.is_some() {
            return None;
        }
        let exempt = Exempt { reset: Some(self.reset_fields), never: Some(never_managed()) };
        let mut known = pool::created(self.kind).into_iter();
        known.find(|known| created::owns(&known.set, empty, new, Ty::new(schema), exempt))
    }

    /// Lays `applied` over `live` (None on creation); the answer has its managed fields.
    ///
    /// # Errors
    /// Conflicts with other managers unless `force`; and an `applied` that is not of the request's kind or type.
    pub fn apply(
        &self,
        live: Option<&Value>,
        applied: &Value,
        manager: &str,
        force: bool,
        now: Timestamp,
    ) -> Result<Value, Status> {
        let force = if force { Force::Yes } else { Force::No };
        let live = live.cloned().unwrap_or_else(|| self.empty());
        let managed =
            Managed::of(&live).map_err(|e| other(format!("failed to decode managed fields: {e}")))?;
        let kind = applied.gvk();
        if kind != *self.kind {
            return Err(Status::bad_request(format!("invalid object type: {}", go_kind(&kind))));
        }
        let result = self.apply_with_last_applied(&live, applied, &managed, manager, force, now);
        let (mut object, managed) = result.map_err(|error| match error {
            ApplyError::Conflicts(conflicts) => Status::from(&conflicts),
            ApplyError::Status(status) => status,
        })?;
        if manager == "kubectl" && object.annotation(LAST_APPLIED).is_some_and(|text| !text.is_empty()) {
            set_last_applied(&mut object, applied);
        }
        managed.write_to(&mut object);
        Ok(object)
    }

    fn empty(&self) -> Value {
        match self.versions.schema(&self.kind.api_version()) {
            Some(schema) => empty_object(self.kind, schema),
            None => Value::object(),
        }
    }

    /// The managed fields to start from: those sent, if they are any good, or else the live object's.
    fn decode_live_or_new(&self, live: Option<&Value>, new: &Value) -> Managed {
        let of_live = || live.and_then(|live| Managed::of(live).ok()).unwrap_or_default();
        if !self.subresource.is_empty() {
            return of_live();
        }
        if is_reset(new) {
            return Managed::default();
        }
        match Managed::of(new) {
            Ok(managed) if !managed.managers.is_empty() => managed,
            _ => of_live(),
        }
    }

    /// Gives `manager` what differs between `live` and `new`.
    fn track_update(
        &self,
        live: &Value,
        new: &Value,
        mut managed: Managed,
        manager: &str,
        now: Timestamp,
    ) -> Result<Managed, TypeErrors> {
        let version = self.kind.api_version();
        if let Some(schema) = self.versions.schema(&version) {
            validate(new, Ty::new(schema), Given::Object)?;
            if schema.ty().source.is_some() {
                // A custom resource's schema may have changed; what is stored of built-in kinds fits.
                validate(live, Ty::new(schema), Given::Object)?;
            }
        }
        // A name of its own tells whether this operation changed anything.
        let operation = ManagerId::new("current-operation", Operation::Update, "", "");
        self.updater().update(live, new, &version, &mut managed.managers, &operation);
        self.strip(&mut managed, &operation);
        if let Some(mut changed) = managed.managers.remove(&operation) {
            let id = self.manager_id(manager, Operation::Update);
            if let Some(previous) = managed.managers.get(&id) {
                changed.set = changed.set.joined(previous.set.clone());
            }
            managed.times.insert(id.clone(), timestamp(now));
            managed.managers.insert(id, changed);
        }
        cap_managers(&mut managed);
        Ok(managed)
    }

    /// kubectl may take what its own client-side apply applied before.
    fn apply_with_last_applied(
        &self,
        live: &Value,
        applied: &Value,
        managed: &Managed,
        manager: &str,
        force: Force,
        now: Timestamp,
    ) -> Result<(Value, Managed), ApplyError> {
        let result = self.apply_tracked(live, applied, managed.clone(), manager, force, now);
        let conflicts = match result {
            Err(ApplyError::Conflicts(conflicts)) if manager == "kubectl" => conflicts,
            result => return result,
        };
        let Some(allowed) = self.last_applied_fields(live) else {
            return Err(ApplyError::Conflicts(conflicts));
        };
        let rest = conflicts.without(&allowed);
        if !rest.0.is_empty() {
            return Err(ApplyError::Conflicts(rest));
        }
        self.apply_tracked(live, applied, managed.clone(), manager, Force::Yes, now)
    }

    /// An object that nobody managed so far belongs to `before-first-apply`.
    fn apply_tracked(
        &self,
        live: &Value,
        applied: &Value,
        mut managed: Managed,
        manager: &str,
        force: Force,
        now: Timestamp,
    ) -> Result<(Value, Managed), ApplyError> {
        let mut live = live.clone();
        live.remove(&["metadata", "managedFields"]);
        if managed.managers.is_empty() {
            managed =
                self.track_update(&self.empty(), &live, managed, BEFORE_FIRST_APPLY, now).map_err(|e| {
                    let what = described(&live);
                    let why = format!("failed to convert new object ({what}) to smd typed: {e}");
                    other(format!("failed to create manager for existing fields: {why}"))
                })?;
        }
        let id = self.manager_id(manager, Operation::Apply);
        let merged = self.merge(&live, applied, &mut managed, &id, force)?;
        self.strip(&mut managed, &id);
        if merged.is_some() {
            managed.times.insert(id, timestamp(now));
        }
        Ok((merged.unwrap_or(live), managed))
    }

    fn merge(
        &self,
        live: &Value,
        applied: &Value,
        managed: &mut Managed,
        id: &ManagerId,
        force: Force,
    ) -> Result<Option<Value>, ApplyError> {
        let version = self.kind.api_version();
        if applied.at(&["metadata", "managedFields"]).is_some_and(|fields| !fields.is_null()) {
            return Err(Status::bad_request("metadata.managedFields must be nil").into());
        }
        let Some(schema) = self.versions.schema(&version) else {
            return Err(other(format!("no corresponding type for {}", go_kind(self.kind))).into());
        };
        let ty = Ty::new(schema);
        validate(applied, ty, Given::Applied).map_err(|e| {
            other(format!("failed to create typed patch object ({}): {e}", described(applied)))
        })?;
        validate(live, ty, Given::Object)
            .map_err(|e| other(format!("failed to create typed live object ({}): {e}", described(live))))?;
        self.updater()
            .apply(live, applied, &version, &mut managed.managers, id, force)
            .map_err(ApplyError::Conflicts)
    }

    fn updater(&self) -> Updater<'_> {
        Updater { versions: self.versions, reset_fields: self.reset_fields }
    }

    fn manager_id(&self, manager: &str, operation: Operation) -> ManagerId {
        let manager = if manager.is_empty() { "unknown" } else { manager };
        ManagerId::new(manager, operation, &self.kind.api_version(), self.subresource)
    }

    /// Nobody manages what identifies an object, nor what the server sets.
    fn strip(&self, managed: &mut Managed, id: &ManagerId) {
        let Some(versioned) = managed.managers.get_mut(id) else { return };
        versioned.set = std::mem::take(&mut versioned.set).difference(never_managed());
        if versioned.set.is_empty() {
            managed.managers.remove(id);
        }
    }

    /// What client-side apply applied last and still is so.
    fn last_applied_fields(&self, live: &Value) -> Option<FieldSet> {
        let text = live.annotation(LAST_APPLIED).filter(|text| !text.is_empty())?;
        let last = Value::from_json(text.as_bytes()).ok()?;
        let version = self.kind.api_version();
        if last.api_version() != version || last.kind() != self.kind.kind {
            return None;
        }
        let ty = Ty::new(self.versions.schema(&version)?);
        validate(live, ty, Given::Applied).ok()?;
        validate(&last, ty, Given::Applied).ok()?;
        let differs = super::compare::compare(&last, live, ty);
        let set = field_set(&last, ty);
        Some(set.difference(&differs.modified).difference(&differs.added).difference(&differs.removed))
    }
}

/// The field manager of a request: the parameter, or the user agent up to its slash.
pub fn manager_or_user_agent(manager: &str, user_agent: &str) -> String {
    const MAX_LENGTH: usize = 128;
    if !manager.is_empty() {
        return manager.to_owned();
    }
    let mut out = String::new();
    for c in user_agent.split('/').next().unwrap_or("").chars().filter(|c| !c.is_control()) {
        if out.len() + c.len_utf8() > MAX_LENGTH {
            break;
        }
        out.push(c);
    }
    out
}

fn never_managed() -> &'static FieldSet {
    static FIELDS: LazyLock<FieldSet> = LazyLock::new(|| {
        FieldSet::of_fields(&[
            &["apiVersion"],
            &["kind"],
            &["metadata"],
            &["metadata", "name"],
            &["metadata", "namespace"],
            &["metadata", "creationTimestamp"],
            &["metadata", "selfLink"],
            &["metadata", "uid"],
            &["metadata", "clusterName"],
            &["metadata", "generation"],
            &["metadata", "managedFields"],
            &["metadata", "resourceVersion"],
        ])
    });
    &FIELDS
}

/// An empty list, or a list of one empty entry, asks for managed fields to be forgotten.
fn is_reset(object: &Value) -> bool {
    match object.at(&["metadata", "managedFields"]).and_then(Value::as_array) {
        Some([]) => true,
        Some([Value::Object(entry)]) => entry.is_empty(),
        Some([Value::Null]) => true,
        _ => false,
    }
}

/// Puts the oldest updates of each version together when there are too many.
fn cap_managers(managed: &mut Managed) {
    let updaters = managed.managers.iter().filter(|(_, versioned)| !versioned.applied);
    let mut updaters: Vec<ManagerId> = updaters.map(|(id, _)| id.clone()).collect();
    let mut left = updaters.len();
    updaters.sort_by_cached_key(|id| (managed.seconds(id), id.clone()));
    let mut first_of_version: std::collections::BTreeMap<_, ManagerId> = std::collections::BTreeMap::new();
    for id in updaters {
        if left <= MAX_UPDATE_MANAGERS {
            return;
        }
        let Some(versioned) = managed.managers.get(&id).cloned() else { continue };
        let Some(first) = first_of_version.get(&versioned.api_version) else {
            first_of_version.insert(versioned.api_version, id);
            continue;
        };
        let bucket = ManagerId::new(ANCIENT_CHANGES, Operation::Update, &versioned.api_version, "");
        if !managed.managers.contains_key(&bucket)
            && let Some(first) = managed.managers.remove(first)
        {
            managed.managers.insert(bucket.clone(), first);
        }
        managed.managers.remove(&id);
        if let Some(together) = managed.managers.get_mut(&bucket) {
            together.set = versioned.set.union(&together.set);
        }
        if let Some(time) = managed.times.get(&id).cloned() {
            managed.times.insert(bucket, time);
        }
        left -= 1;
    }
}

/// Records what kubectl applied where client-side apply will look for it; not if it is too large.
fn set_last_applied(object: &mut Value, applied: &Value) {
    let mut applied = applied.clone();
    applied.remove(&["metadata", "annotations", LAST_APPLIED]);
    object.set(&["metadata", "annotations", LAST_APPLIED], format!("{}\n", go_json(&applied)));
    let size: usize =
        object.annotations().iter().map(|(k, v)| k.len() + v.as_str().map_or(0, str::len)).sum();
    if size > TOTAL_ANNOTATION_SIZE_LIMIT {
        object.remove(&["metadata", "annotations", LAST_APPLIED]);
    }
}

/// An error that upstream gives no status to.
fn other(message: String) -> Status {
    Status::new(500, Reason::Unknown, message)
}

/// `namespace/name; group/version, Kind=kind`
fn described(object: &Value) -> String {
    format!("{}/{}; {}", object.namespace(), object.name(), go_kind(&object.gvk()))
}

/// Go's form of a kind, which has a slash also in the core group.
fn go_kind(kind: &GroupVersionKind) -> String {
    format!("{}/{}, Kind={}", kind.group, kind.version, kind.kind)
}

fn timestamp(now: Timestamp) -> ecow::EcoString {
    ecow::eco_format!("{now:.0}")
}
