//! Update: an object replaced by a newer version of itself, decided again when another writer was faster.

use std::sync::Arc;

use drydock_client::{Reply, Verb};
use drydock_machinery::status::Reason;
use drydock_machinery::{FieldErrors, FieldPath, Object, ObjectMeta, Status, Value};

use super::create::invalid;
use super::managed::{self, Tracking};
use super::store::{OPTIMISTIC_LOCK, WriteError};
use super::{Call, Done, Registry, convert, custom, decode, given, meta, subresources};
use crate::admission::Operation;
use crate::definitions;

/// How often a decision is made anew before the client is told of the conflict.
pub(super) const ATTEMPTS: usize = 32;

/// What an update found.
pub(crate) enum Updated {
    Done(Done),
    /// There is no such object.
    Absent,
}

impl Registry {
    pub(crate) async fn update(&self, call: &mut Call) -> Result<Done, Status> {
        let mut object = decode::object(call)?;
        match_name(call, &object)?;
        meta::match_namespace(call, &mut object)?;
        let object = convert::to_working(&call.resource, object);
        let uid = object.uid().to_owned();
        let given = object.clone();
        let make = move |call: &Call, current: &Arc<Object>| {
            check_stored(call, current, &uid, "")?;
            Ok(given.clone())
        };
        match self.update_with(call, Tracking::Changes, make).await? {
            Updated::Done(done) => Ok(done),
            Updated::Absent
                if call.resource.strategy.allow_create_on_update() && call.request.subresource.is_empty() =>
            {
                self.create_on_update(call, object).await
            }
            Updated::Absent => Err(call.not_found()),
        }
    }

    /// Changes an object on the server's own behalf. One that is gone is no error.
    pub(crate) async fn update_silently(
        &self,
        call: &mut Call,
        mut change: impl FnMut(&Object) -> Value + Send,
    ) -> Result<(), Status> {
        self.update_with(call, Tracking::OwnChanges, |_, current| Ok(change(current))).await.map(drop)
    }

    async fn create_on_update(&self, call: &mut Call, mut object: Value) -> Result<Done, Status> {
        given_revision(&object)?;
        object.remove(&["metadata", "resourceVersion"]);
        if !object.uid().is_empty() {
            return Err(invalid_object(call, &precondition_failed("UID", object.uid(), "")));
        }
        self.create_tracked(call, object, Tracking::Changes).await
    }

    /// Replaces the object that the call names by what `make` makes of it, in the working version. `make` may be
    /// called several times.
    pub(crate) async fn update_with(
        &self,
        call: &mut Call,
        tracking: Tracking,
        mut make: impl FnMut(&Call, &Arc<Object>) -> Result<Value, Status> + Send,
    ) -> Result<Updated, Status> {
        let mut current = self.current(call);
        for _ in 0..ATTEMPTS {
            let Some(stored) = current else { return Ok(Updated::Absent) };
            let old = convert::working(&*self.cache, &call.resource, stored.clone()).await?;
            let new = make(call, &old)?;
            match self.update_once(call, tracking, &stored, &old, new).await {
                Ok(done) => return Ok(Updated::Done(done)),
                Err(WriteError::Failed(status)) => return Err(status),
                Err(WriteError::Lost(newer)) => current = newer,
            }
        }
        Err(call.conflict(OPTIMISTIC_LOCK))
    }

    /// One attempt to replace `stored`, which is `old` in the working version, by `new`.
    pub(super) async fn update_once(
        &self,
        call: &mut Call,
        tracking: Tracking,
        stored: &Arc<Object>,
        old: &Arc<Object>,
        new: Value,
    ) -> Result<Done, WriteError> {
        let (mut object, reserved) =
            self.decide_update(call, tracking, old, new).await.map_err(WriteError::Failed)?;
        given::as_stored(call, &mut object);
        let deletes = deletes(call, &object);
        if call.is_dry_run() {
            return Ok(Done::ok(Reply::Virtual(object)));
        }
        let key = call.key_of(old.name());
        if deletes {
            let revision = self.remove(call, key, old.revision()).await?;
            self.addresses.release_object(&call.resource, old.value());
            return Ok(Done::ok(Reply::Object(Arc::new(Object::new(object, revision)))));
        }
        let object = convert::to_stored(&*self.cache, &call.resource, object).await;
        let object = object.map_err(WriteError::Failed)?;
        // What is stored in an older version, or without a default, is not the same.
        if object == *stored.value() {
            return Ok(Done::ok(Reply::Object(old.clone())));
        }
        let written = self.put(call, key, old.revision(), object).await?;
        reserved.keep();
        self.addresses.release_difference(&call.resource, old.value(), Some(written.object.value()));
        Ok(Done::written(200, written))
    }

    /// The object as it would be stored in place of `old`.
    async fn decide_update(
        &self,
        call: &mut Call,
        tracking: Tracking,
        old: &Arc<Object>,
        mut new: Value,
    ) -> Result<(Value, super::allocate::Reserved), Status> {
        meta::keep_absent_uid(&mut new, old.value());
        if matches!(tracking, Tracking::Changes | Tracking::OwnChanges) {
            managed::on_update(call, old.value(), &mut new, self.clock.now());
        }
        if matches!(tracking, Tracking::Own | Tracking::OwnChanges) {
            return Ok((new, self.addresses.nothing()));
        }
        let admitted = tracking == Tracking::Admitted;
        if !admitted {
            new = self.admit(call, Operation::Update, new, Some(old)).await?;
        }
        self.check_revision(call, &mut new, old)?;
        let is_patch = matches!(call.request.verb, Verb::Patch(_));
        call.warnings.extend(meta::dedup_owners(&mut new, is_patch));
        meta::keep_on_update(&mut new, old.value());
        subresources::narrow(&call.resource, &call.request.subresource, &mut new, old.value());
        let subresource = call.request.subresource.clone();
        let context = self.strategy_context(&subresource);
        let strategy = call.resource.strategy;
        let reserved = self.addresses.reserve_for_update(
            &*self.cache,
            &call.resource,
            &mut new,
            old.value(),
            call.is_dry_run(),
        )?;
        strategy.prepare_for_update(&context, &mut new, old.value());
        if definitions::is_definition(&call.resource) && subresource.is_empty() {
            drydock_machinery::crd::definition::add_stored_versions(&mut new);
        }
        count_generation(call, &mut new, old.value());
        let mut errors = self.may_change_claim(call, &new, old.value()).await;
        let given = call.as_given(&new);
        errors.append(strategy.validate_update(&context, &given, old.value()));
        errors = meta::of_custom(&call.resource, errors, Some((&new, old.value())));
        let resource = call.resource.clone();
        let warnings = custom::validate(&mut errors, &resource, &given, Some(old.value()), &context);
        call.warnings.extend(warnings);
        if errors.is_empty() {
            errors = self.may_use_parameters(call, &new, Some(old.value())).await;
        }
        invalid(call, old.name(), &errors)?;
        call.warnings.extend(custom::warnings(&call.resource, &new, Some(old.value())));
        call.warnings.extend(strategy.warnings_on_update(&context, &new, old.value()));
        if !admitted {
            self.admission_validate(call, Operation::Update, &new, Some(old)).await?;
        }
        Ok((new, reserved))
    }

    /// An update without a resourceVersion overwrites, if the kind lets it.
    fn check_revision(&self, call: &Call, new: &mut Value, old: &Object) -> Result<(), Status> {
        let given = given_revision(new)?;
        if given != 0 && given != old.revision() {
            return Err(call.conflict(OPTIMISTIC_LOCK));
        }
        if given == 0 {
            let conditional =
                !call.resource.strategy.allow_unconditional_update() || call.resource.custom.is_some();
            if conditional && matches!(call.request.verb, Verb::Update) {
                let mut errors = FieldErrors::new();
                let path = FieldPath::new("metadata").child("resourceVersion");
                errors.invalid(&path, 0, "must be specified for an update");
                let gvr = &call.resource.gvr;
                return Err(Status::invalid(&gvr.group, &gvr.resource, old.name(), &errors));
            }
            new.set(&["metadata", "resourceVersion"], old.resource_version());
        }
        Ok(())
    }
}

/// The resourceVersion that an object is to be replaced at; 0 for any.
///
/// # Errors
/// 500 when it is no number.
fn given_revision(object: &Value) -> Result<u64, Status> {
    match object.resource_version() {
        "" => Ok(0),
        text => text.parse().map_err(|_| {
            let message = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
            Status::new(500, Reason::Unknown, message)
        }),
    }
}

/// # Errors
/// 400 when the object has another name than the URL.
pub(crate) fn match_name(call: &Call, object: &Value) -> Result<(), Status> {
    let asked = &call.request.name;
    match object.name() {
        "" => Err(Status::bad_request(format!(
            "the name of the object ({asked} based on URL) was undeterminable: name must be provided"
        ))),
        own if own != asked => Err(Status::bad_request(format!(
            "the name of the object ({own}) does not match the name on the URL ({asked})"
        ))),
        _ => Ok(()),
    }
}

/// What a write says of the object that it is for, as the store checks it; "" says nothing.
///
/// # Errors
/// 409 when another object is stored.
pub(super) fn check_stored(call: &Call, current: &Object, uid: &str, revision: &str) -> Result<(), Status> {
    let failed = if !uid.is_empty() && uid != current.uid() {
        precondition_failed("UID", uid, current.uid())
    } else if !revision.is_empty() && revision != current.resource_version() {
        precondition_failed("ResourceVersion", revision, current.resource_version())
    } else {
        return Ok(());
    };
    Err(invalid_object(call, &failed))
}

/// What the store says when an object is not the one that was meant.
fn invalid_object(call: &Call, failed: &str) -> Status {
    call.conflict(&format!(
        "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: {failed}",
        call.shown_key(),
    ))
}

pub(super) fn precondition_failed(what: &str, asked: &str, own: &str) -> String {
    format!("Precondition failed: {what} in precondition: {asked}, {what} in object meta: {own}")
}

fn count_generation(call: &Call, new: &mut Value, old: &Value) {
    let strategy = call.resource.strategy;
    let custom = call.resource.custom.is_some();
    if !(strategy.has_generation() || custom) || call.request.subresource == "status" {
        return;
    }
    let changed = if custom {
        custom_changed(new, old, call.resource.subresource("status").is_some())
    } else {
        let is_spec = |top: &str| !matches!(top, "metadata" | "status");
        strategy.spec_changed(new, old) || (strategy.empty_is_changed() && call.was_emptied(is_spec))
    };
    if changed {
        new.set(&["metadata", "generation"], old.generation() + 1);
    }
}

/// A custom resource's generation counts changes of everything but metadata, and status where that is a subresource.
fn custom_changed(new: &Value, old: &Value, has_status: bool) -> bool {
    let strip = |object: &Value| {
        let mut object = object.clone();
        object.remove(&["metadata"]);
        object.remove(&["apiVersion"]);
        if has_status {
            object.remove(&["status"]);
        }
        object
    };
    strip(new) != strip(old)
}

/// Whether an update that leaves `object` behind is the end of it: it was being deleted and nothing holds it.
fn deletes(call: &Call, object: &Value) -> bool {
    if !object.is_deleting() || object.finalizers().next().is_some() {
        return false;
    }
    if call.resource.gvr.resource == "namespaces" && call.resource.gvr.group.is_empty() {
        return object.array_at(&["spec", "finalizers"]).is_empty();
    }
    object.i64_at(&["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0) == 0
}
