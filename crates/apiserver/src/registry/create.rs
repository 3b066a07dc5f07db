//! Create: from a request's object to a stored one.

use drydock_auth::Ask as _;
use drydock_client::{Reply, Verb};
use drydock_machinery::status::Reason;
use drydock_machinery::{FieldErrors, Object, ObjectMeta, Status, Value};
use drydock_runtime::clock::rfc3339;

use super::managed::{self, Tracking};
use super::store::WriteError;
use super::{Call, Done, Registry, convert, custom, decode, given, meta};
use crate::admission::Operation;
use crate::definitions;
use crate::local::attributes;

/// How often a generated name that is taken is generated anew.
const NAME_ATTEMPTS: usize = 8;

impl Registry {
    pub(crate) async fn create(&self, call: &mut Call) -> Result<Done, Status> {
        let mut object = decode::object(call)?;
        meta::match_namespace(call, &mut object)?;
        let object = convert::to_working(&call.resource, object);
        self.create_tracked(call, object, Tracking::Changes).await
    }

    /// Creates `object`, which is in the working version.
    pub(crate) async fn create_tracked(
        &self,
        call: &mut Call,
        mut object: Value,
        tracking: Tracking,
    ) -> Result<Done, Status> {
        let generated = object.name().is_empty() && !object.str_at(&["metadata", "generateName"]).is_empty();
        let mut attempts = if generated { NAME_ATTEMPTS } else { 1 };
        loop {
            attempts -= 1;
            // The last attempt has the object to itself, and changes it in place.
            let attempt = if attempts > 0 { object.clone() } else { std::mem::take(&mut object) };
            match self.create_once(call, attempt, tracking).await {
                Err(status) if attempts > 0 && status.is_already_exists() => {}
                done => return done,
            }
        }
    }

    async fn create_once(
        &self,
        call: &mut Call,
        mut object: Value,
        tracking: Tracking,
    ) -> Result<Done, Status> {
        if let Some(custom) = &call.resource.custom
            && custom.terminating
        {
            let why = "create not allowed while custom resource definition is terminating";
            let gvr = &call.resource.gvr;
            return Err(Status::forbidden(&gvr.group, &gvr.resource, object.name(), why));
        }
        let given_revision = object.resource_version().to_owned();
        // What an update or an apply creates keeps what it says of its deletion.
        if call.request.verb == Verb::Create {
            meta::wipe(&mut object);
        }
        object.remove(&["metadata", "selfLink"]);
        if tracking == Tracking::Changes {
            managed::on_create(call, &mut object, self.clock.now());
        }
        let mut object = self.admit(call, Operation::Create, object, None).await?;
        call.warnings.extend(meta::dedup_owners(&mut object, false));
        meta::fill_for_create(&mut object, &rfc3339(self.clock.now()));
        name_requester(call, &mut object);
        let reserved = self.addresses.reserve_for_create(
            &*self.cache,
            &call.resource,
            &mut object,
            call.is_dry_run(),
        )?;
        call.warnings.extend(call.resource.strategy.warnings_before_create(&object));
        self.prepare_for_create(call, &mut object);
        self.validate_create(call, &object).await?;
        self.authorize_create(call).await?;
        self.admission_validate(call, Operation::Create, &object, None).await?;
        if call.is_dry_run() && !given_revision.is_empty() {
            // Nothing is stored that would give it another one.
            object.set(&["metadata", "resourceVersion"], given_revision.as_str());
        } else if given_revision.parse::<u64>().is_ok_and(|revision| revision != 0) {
            // What is no number is no revision.
            let text = "resourceVersion should not be set on objects to be created";
            return Err(Status::new(500, Reason::Unknown, text));
        }
        let done = self.store_new(call, object).await?;
        reserved.keep();
        Ok(done)
    }

    /// A PUT or an apply to what is not there creates it, which is another right than the one the call was let in by.
    /// As upstream, this is asked when the object is known to be good.
    ///
    /// # Errors
    /// 403 when the user may not create it.
    async fn authorize_create(&self, call: &Call) -> Result<(), Status> {
        if call.request.verb == Verb::Create {
            return Ok(());
        }
        let attributes = attributes(&call.user, &call.resource, &call.request, "create");
        self.ask(&attributes).await.into_result(&attributes)
    }

    async fn store_new(&self, call: &Call, mut object: Value) -> Result<Done, Status> {
        given::as_stored(call, &mut object);
        let key = call.key_of(object.name());
        if call.is_dry_run() {
            let taken = self.cache.by_prefix(&call.resource.prefix).get(&key);
            return match taken {
                Some(existing) => Err(already_exists(call, &object, &existing)),
                None => Ok(Done::created(Reply::Virtual(object))),
            };
        }
        let stored = convert::to_stored(&*self.cache, &call.resource, object.clone()).await?;
        match self.put(call, key, 0, stored).await {
            Ok(written) => Ok(Done::written(201, written)),
            Err(WriteError::Lost(Some(existing))) => Err(already_exists(call, &object, &existing)),
            Err(WriteError::Lost(None)) => Err(Status::internal("the store lost track of a key")),
            Err(WriteError::Failed(status)) => Err(status),
        }
    }

    fn prepare_for_create(&self, call: &Call, object: &mut Value) {
        let resource = &call.resource;
        let has_status = resource.custom.is_some() && resource.subresource("status").is_some();
        if has_status {
            object.remove(&["status"]);
        }
        if resource.strategy.has_generation() || resource.custom.is_some() {
            object.set(&["metadata", "generation"], 1);
        }
        resource.strategy.prepare_for_create(&self.strategy_context(""), object);
        if definitions::is_definition(resource) {
            definitions::prepare_create(object);
        }
    }

    async fn validate_create(&self, call: &mut Call, object: &Value) -> Result<(), Status> {
        let resource = call.resource.clone();
        let context = self.strategy_context("");
        let mut errors = meta::validate_namespace(&resource, object);
        errors.append(self.may_create_claim(call, object));
        let given = call.as_given(object);
        errors.append(resource.strategy.validate_create(&context, &given));
        errors = meta::of_custom(&resource, errors, None);
        call.warnings.extend(custom::validate(&mut errors, &resource, &given, None, &context));
        if errors.is_empty() {
            errors = self.may_use_parameters(call, object, None).await;
        }
        invalid(call, object.name(), &errors)?;
        call.warnings.extend(custom::warnings(&resource, object, None));
        call.warnings.extend(resource.strategy.warnings_on_create(&context, object));
        Ok(())
    }
}

/// # Errors
/// 422 that lists `errors`, if there are any.
pub(crate) fn invalid(call: &Call, name: &str, errors: &FieldErrors) -> Result<(), Status> {
    if errors.is_empty() {
        return Ok(());
    }
    // As the stored kind: Events are the core group's in both groups.
    let gvk = &call.resource.storage;
    Err(Status::invalid(&gvk.group, &gvk.kind, name, errors))
}

/// A certificate signing request says who made it, whatever it says itself.
fn name_requester(call: &Call, object: &mut Value) {
    let gvr = &call.resource.gvr;
    if gvr.resource != "certificatesigningrequests"
        || gvr.group != "certificates.k8s.io"
        || call.resource.custom.is_some()
    {
        return;
    }
    let user = call.user.to_value();
    for field in ["username", "uid", "groups", "extra"] {
        super::subresources::put(object, &["spec", field], user.get(field).cloned());
    }
}

fn already_exists(call: &Call, object: &Value, existing: &Object) -> Status {
    let gvr = &call.resource.gvr;
    let mut status = Status::already_exists(&gvr.group, &gvr.resource, existing.name());
    if !object.str_at(&["metadata", "generateName"]).is_empty() {
        status.message.push_str(", the server was not able to generate a unique name for the object");
        if let Some(details) = &mut status.details {
            details.retry_after_seconds = 1;
        }
    }
    if existing.is_deleting() {
        status.message = format!("object is being deleted: {}", status.message);
    }
    status
}
