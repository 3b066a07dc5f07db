//! Delete: at once, after a grace period, or once all finalizers are gone.

use std::sync::Arc;

use drydock_client::{Options, Reply};
use drydock_kinds::Propagation;
use drydock_machinery::{Object, ObjectMeta, Status, Value, value};
use drydock_runtime::clock::rfc3339;

use super::store::{OPTIMISTIC_LOCK, WriteError};
use super::{Call, Done, Registry, convert, delete_options};
use crate::admission::Operation;
use crate::definitions;

const ATTEMPTS: usize = 32;
const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

/// Says what a kind wants said when the options name no propagation policy.
pub(super) fn warn_of_default(call: &mut Call) {
    let options = &call.request.options;
    if options.propagation_policy.is_none() && options.orphan_dependents.is_none() {
        call.warnings.extend(call.resource.strategy.warnings_on_delete());
    }
}

/// Whether upstream marks objects of the kind as deleted by itself, before its store comes to see them.
fn has_own_deletion(call: &Call) -> bool {
    let gvr = &call.resource.gvr;
    definitions::is_definition(&call.resource) || (gvr.group.is_empty() && gvr.resource == "namespaces")
}

fn check_own_preconditions(call: &Call, old: &Object) -> Result<(), Status> {
    let wanted = &call.request.options.preconditions;
    let wrong = |asked: &Option<String>, own: &str| asked.as_deref().is_some_and(|asked| asked != own);
    let failed = |what: &str, asked: &Option<String>, own: &str| {
        let asked = asked.as_deref().unwrap_or_default();
        Err(call.conflict(&super::update::precondition_failed(what, asked, own)))
    };
    if wrong(&wanted.uid, old.uid()) {
        return failed("UID", &wanted.uid, old.uid());
    }
    if wrong(&wanted.resource_version, old.resource_version()) {
        return failed("ResourceVersion", &wanted.resource_version, old.resource_version());
    }
    Ok(())
}

/// An object marked as being deleted.
struct Mark {
    object: Value,
    /// Nothing holds it and it has no time left: once its watchers could see that, it goes.
    is_last: bool,
}

impl Registry {
    pub(crate) async fn delete(&self, call: &mut Call) -> Result<Done, Status> {
        delete_options::read(call)?;
        super::options::check(&call.request)?;
        warn_of_default(call);
        let current = self.current(call).ok_or_else(|| call.not_found())?;
        refuse_system_priority(call)?;
        self.delete_object(call, current).await
    }

    /// Deletes the object that `current` is a version of, with the call's options.
    pub(crate) async fn delete_object(&self, call: &mut Call, current: Arc<Object>) -> Result<Done, Status> {
        self.delete_current(call, current, true).await
    }

    /// As [`Registry::delete_object`], unseen by admission: what was asked for was something else, and was admitted.
    pub(crate) async fn delete_silently(
        &self,
        call: &mut Call,
        current: Arc<Object>,
    ) -> Result<Done, Status> {
        self.delete_current(call, current, false).await
    }

    async fn delete_current(
        &self,
        call: &mut Call,
        current: Arc<Object>,
        is_admitted: bool,
    ) -> Result<Done, Status> {
        let mut current = Some(current);
        for _ in 0..ATTEMPTS {
            let Some(stored) = current else { return Err(call.not_found()) };
            let old = convert::working(&*self.cache, &call.resource, stored).await?;
            self.check_preconditions(call, &old)?;
            if is_admitted {
                self.admission_validate(call, Operation::Delete, &Value::Null, Some(&old)).await?;
            }
            match self.delete_once(call, &old).await {
                Ok(done) => return Ok(done),
                Err(WriteError::Failed(status)) => return Err(status),
                Err(WriteError::Lost(newer)) => current = newer,
            }
        }
        Err(call.conflict(OPTIMISTIC_LOCK))
    }

    async fn delete_once(&self, call: &Call, old: &Arc<Object>) -> Result<Done, WriteError> {
        let Some(Mark { object: mut marked, is_last }) = self.mark(call, old) else {
            return self.delete_now(call, old).await;
        };
        marked.remove(&["metadata", "resourceVersion"]);
        if call.is_dry_run() {
            marked.set(&["metadata", "resourceVersion"], old.resource_version());
            return Ok(Done::ok(Reply::Virtual(marked)));
        }
        let mut unchanged = old.value().clone();
        unchanged.remove(&["metadata", "resourceVersion"]);
        let kept = if marked == unchanged {
            old.clone()
        } else {
            let marked = convert::to_stored(&*self.cache, &call.resource, marked).await;
            let marked = marked.map_err(WriteError::Failed)?;
            self.put(call, call.key_of(old.name()), old.revision(), marked).await?.object
        };
        if is_last {
            match self.remove(call, call.key_of(old.name()), kept.revision()).await {
                // A kubelet that saw the mark was faster: it is gone, as was asked for.
                Ok(_) | Err(WriteError::Lost(None)) => {}
                Err(error) => return Err(error),
            }
            self.addresses.release_object(&call.resource, old.value());
            return Ok(Done::ok(if returns_object(call) { Reply::Object(kept) } else { gone(call, old) }));
        }
        // The old way of asking for a cascade is told that it is under way; a propagation policy is not.
        let code = if call.request.options.orphan_dependents == Some(false) { 202 } else { 200 };
        Ok(Done { code, ..Done::ok(Reply::Object(kept)) })
    }

    async fn delete_now(&self, call: &Call, old: &Arc<Object>) -> Result<Done, WriteError> {
        if !call.is_dry_run() {
            self.remove(call, call.key_of(old.name()), old.revision()).await?;
            self.addresses.release_object(&call.resource, old.value());
        }
        let reply =
            if returns_object(call) { Reply::Object(self.last_state(call, old)) } else { gone(call, old) };
        Ok(Done::ok(reply))
    }

    /// What the answer shows of an object that is gone. One that could have had a grace period had none.
    fn last_state(&self, call: &Call, old: &Arc<Object>) -> Arc<Object> {
        let requested = call.request.options.grace_period_seconds;
        if call.resource.strategy.grace_period_seconds(old.value(), requested).is_none() {
            return old.clone();
        }
        let mut last = old.value().clone();
        if !old.is_deleting() {
            last.set(&["metadata", "deletionTimestamp"], rfc3339(self.clock.now()));
            if old.generation() > 0 {
                last.set(&["metadata", "generation"], old.generation() + 1);
            }
        }
        last.set(&["metadata", "deletionGracePeriodSeconds"], 0);
        Arc::new(Object::new(last, old.revision()))
    }

    /// The object marked as being deleted; None when it goes at once.
    fn mark(&self, call: &Call, old: &Object) -> Option<Mark> {
        let options = &call.request.options;
        let mut marked = old.value().clone();
        if definitions::is_definition(&call.resource) && !old.is_deleting() {
            // Its objects go first, whatever becomes of what they own.
            definitions::mark_deleted(&mut marked, &self.clock.now_rfc3339());
        } else {
            set_finalizers(&mut marked, &finalizers(call, old));
        }
        let holds = marked.finalizers().next().is_some();
        let namespace = call.resource.gvr.resource == "namespaces" && call.resource.gvr.group.is_empty();
        let namespace_holds = namespace && !old.array_at(&["spec", "finalizers"]).is_empty();
        let grace = self.grace(call, old, options);
        let is_last = !holds && !namespace_holds && grace == 0;
        if is_last && !self.ends_grace(call, old) {
            return None;
        }
        if !old.is_deleting() {
            let at = self.clock.now().saturating_add(std::time::Duration::from_secs(grace.unsigned_abs()));
            marked.set(&["metadata", "deletionTimestamp"], rfc3339(at.unwrap_or(self.clock.now())));
            marked.set(&["metadata", "deletionGracePeriodSeconds"], grace);
            let counts = call.resource.strategy.has_generation() || call.resource.custom.is_some();
            if counts && old.generation() > 0 && !has_own_deletion(call) {
                marked.set(&["metadata", "generation"], old.generation() + 1);
            }
            if has_own_deletion(call) {
                marked.remove(&["metadata", "deletionGracePeriodSeconds"]);
            }
            if namespace {
                marked.set(&["status", "phase"], "Terminating");
            }
        } else if !namespace {
            self.shorten(&mut marked, old, grace);
        }
        Some(Mark { object: marked, is_last })
    }

    /// Whether a deletion without a grace period is of an object that could have one, or whose own is not over.
    fn ends_grace(&self, call: &Call, old: &Object) -> bool {
        let requested = call.request.options.grace_period_seconds;
        if call.resource.strategy.grace_period_seconds(old.value(), requested).is_none() {
            return false;
        }
        let running = old.i64_at(&["metadata", "deletionGracePeriodSeconds"]);
        !old.is_deleting() || running.is_some_and(|seconds| seconds > 0)
    }

    /// The grace period that this deletion has; 0 for none.
    fn grace(&self, call: &Call, old: &Object, options: &Options) -> i64 {
        let requested = options.grace_period_seconds;
        let strategy = call.resource.strategy;
        let Some(grace) = strategy.grace_period_seconds(old.value(), requested) else { return 0 };
        match old.i64_at(&["metadata", "deletionGracePeriodSeconds"]) {
            // A deletion under way only gets shorter, and only when that was asked for.
            Some(running) if old.is_deleting() && (requested.is_none() || grace >= running) => running,
            _ => grace.max(0),
        }
    }

    fn shorten(&self, marked: &mut Value, old: &Object, grace: i64) {
        let running = old.i64_at(&["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0);
        if grace >= running {
            return;
        }
        let started = old.deletion_timestamp().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        if let Some(at) =
            started.and_then(|at| at.checked_sub(jiff::SignedDuration::from_secs(running - grace)).ok())
        {
            marked.set(&["metadata", "deletionTimestamp"], rfc3339(at));
        }
        marked.set(&["metadata", "deletionGracePeriodSeconds"], grace);
    }

    /// # Errors
    /// 409 when the object is not the one that the delete is for.
    pub(super) fn check_preconditions(&self, call: &Call, old: &Object) -> Result<(), Status> {
        let wanted = &call.request.options.preconditions;
        if has_own_deletion(call) {
            return check_own_preconditions(call, old);
        }
        let gvk = &call.resource.storage;
        let conflict = |why: &str| Err(Status::conflict(&gvk.group, &gvk.kind, old.name(), why));
        if let Some(uid) = &wanted.uid
            && uid != old.uid()
        {
            return conflict(&format!(
                "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been deleted and then recreated",
                old.uid()
            ));
        }
        if let Some(revision) = &wanted.resource_version
            && revision != old.resource_version()
        {
            return conflict(&format!(
                "the ResourceVersion in the precondition ({revision}) does not match the ResourceVersion in record ({}). The object might have been modified",
                old.resource_version()
            ));
        }
        Ok(())
    }
}

/// The two priority classes that every cluster has stay.
fn refuse_system_priority(call: &Call) -> Result<(), Status> {
    let system = matches!(call.request.name.as_str(), "system-node-critical" | "system-cluster-critical");
    let gvr = &call.resource.gvr;
    if system && gvr.resource == "priorityclasses" && gvr.group == "scheduling.k8s.io" {
        let why = "this is a system priority class and cannot be deleted";
        return Err(Status::forbidden(&gvr.group, &gvr.resource, &call.request.name, why));
    }
    Ok(())
}

/// The finalizers after this deletion was asked for: the garbage collector's are added as the policy says.
fn finalizers(call: &Call, old: &Object) -> Vec<String> {
    let mut kept: Vec<String> =
        old.finalizers().filter(|name| *name != FOREGROUND && *name != ORPHAN).map(str::to_owned).collect();
    let policy = policy(call, old);
    match policy {
        Propagation::Orphan => kept.push(ORPHAN.to_owned()),
        Propagation::Foreground => kept.push(FOREGROUND.to_owned()),
        Propagation::Background => {}
    }
    kept
}

fn policy(call: &Call, old: &Object) -> Propagation {
    let options = &call.request.options;
    // Events and the like have no dependents that anyone looks for.
    if &*call.resource.prefix == "/core/events/" {
        return Propagation::Background;
    }
    match (options.orphan_dependents, options.propagation_policy.as_deref()) {
        (Some(true), _) | (_, Some("Orphan")) => Propagation::Orphan,
        (_, Some("Foreground")) => Propagation::Foreground,
        (Some(false), _) | (_, Some("Background")) => Propagation::Background,
        _ => {
            let has = |finalizer: &str| old.finalizers().any(|name| name == finalizer);
            if has(ORPHAN) {
                Propagation::Orphan
            } else if has(FOREGROUND) {
                Propagation::Foreground
            } else {
                call.resource.strategy.default_propagation()
            }
        }
    }
}

fn set_finalizers(object: &mut Value, finalizers: &[String]) {
    if finalizers.is_empty() {
        object.remove(&["metadata", "finalizers"]);
    } else if !object.finalizers().eq(finalizers.iter().map(String::as_str)) {
        object.set(&["metadata", "finalizers"], finalizers.to_vec());
    }
}

/// Upstream answers with the object where its storage says `ReturnDeletedObject`, else with a Status.
fn returns_object(call: &Call) -> bool {
    const CORE: &[&str] = &[
        "namespaces",
        "persistentvolumeclaims",
        "persistentvolumes",
        "pods",
        "podtemplates",
        "resourcequotas",
        "serviceaccounts",
        "services",
    ];
    let gvr = &call.resource.gvr;
    match &*gvr.group {
        "" => CORE.contains(&&*gvr.resource),
        "resource.k8s.io" => true,
        "storage.k8s.io" => gvr.resource != "csistoragecapacities",
        _ => false,
    }
}

fn gone(call: &Call, old: &Object) -> Reply {
    let gvr = &call.resource.gvr;
    let mut details = value!({"name": old.name(), "kind": &*gvr.resource, "uid": old.uid()});
    if !gvr.group.is_empty() {
        details.set(&["group"], &*gvr.group);
    }
    let mut status = value!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
    status.set(&["details"], details);
    Reply::Virtual(status)
}
