//! CRUD, written once for all kinds.
//!
//! A [`Call`] is an authorized request about one resource. [`Registry::call`] runs it: read from the watch cache, or
//! decode, default, admit, prepare, validate, and commit to the store. The order of steps is upstream's
//! `registry/generic` store; what a kind adds is its strategy's.
//!
//! Writers hold no lock. A commit checks the revision the decision was based on; when another writer was faster the
//! decision is made anew on the newer object.
//!
//! State: the watch cache owns objects; [`allocate`] owns which addresses are taken. Nothing else is kept.

mod admit;
pub(crate) mod allocate;
mod claims;
mod collection;
mod components;
mod connect;
pub(crate) mod convert;
mod create;
mod custom;
mod decode;
mod delete;
mod delete_options;
mod given;
mod legacy;
mod list;
mod managed;
mod meta;
mod options;
mod paging;
mod parameters;
mod patch;
mod select;
mod store;
mod subresources;
mod update;
mod virtuals;
mod watch;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use drydock_auth::UserInfo;
use drydock_client::{Client, Reply, Request, Verb};
use drydock_kinds::Context;
use drydock_machinery::decode::Emptied;
use drydock_machinery::json::Unversioned;
use drydock_machinery::{Object, Reason, Status, Value};
use drydock_runtime::Clock;
use parking_lot::Mutex;

use self::store::Written;
use crate::admission::{AdmissionChain, AdmissionContext};
use crate::audit::Event;
use crate::cache::{Cache, object_key};
use crate::metrics::Elsewhere;
use crate::resources::{Resource, Resources, Source};
use crate::seams::{Authorizer, TokenIssuer};

pub(crate) use decode::{internal_group, other_kind};
pub(crate) use select::Selection;
pub(crate) use store::commits;
pub(crate) use virtuals::verb_name;
pub(crate) use watch::watch;

/// One tenant's registry.
pub(crate) struct Registry {
    pub(crate) cache: Arc<Cache>,
    pub(crate) clock: Clock,
    pub(crate) resources: Resources,
    pub(crate) admission: AdmissionChain,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) tokens: Arc<dyn TokenIssuer>,
    pub(crate) addresses: allocate::Allocators,
    pub(crate) minor_version: u32,
    /// The client that admission plugins use; set right after construction.
    pub(crate) loopback: OnceLock<Client>,
    /// How long commits to the store took.
    pub(crate) commits: parking_lot::Mutex<crate::metrics::Histogram>,
    /// The last commit did not reach the store.
    pub(crate) store_fails: std::sync::atomic::AtomicBool,
}

/// An authorized request about one resource.
pub(crate) struct Call {
    pub(crate) user: Arc<UserInfo>,
    pub(crate) resource: Arc<Resource>,
    pub(crate) request: Request,
    pub(crate) body: Body,
    /// The field manager when the request names none: the user agent's first word.
    pub(crate) default_manager: String,
    /// For the answer's warning headers; without code and agent.
    pub(crate) warnings: Vec<String>,
    /// The request's audit event, if it has one.
    pub(crate) audit: Option<Arc<Event>>,
    /// What of the request's time is not the server's.
    pub(crate) elsewhere: Arc<Elsewhere>,
    /// Empty lists and maps that were given and are not written.
    pub(crate) emptied: Mutex<Vec<Emptied>>,
}

/// What objects may be written as.
pub(crate) const MEDIA_TYPES: [&str; 3] =
    ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// The 415 of a body in another form.
pub(crate) fn unknown_format(accepted: &[&str]) -> Status {
    let text = format!(
        "the body of the request was in an unknown format - accepted media types include: {}",
        accepted.join(", ")
    );
    Status::new(415, Reason::UnsupportedMediaType, text)
}

/// What a request carries.
#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// Already a tree: in-process calls.
    Value(Value),
    Json(Bytes),
    Yaml(Bytes),
    /// In its envelope.
    Protobuf(Bytes),
    /// In a form that nobody reads, which is said once the options were found good.
    Other,
}

impl Body {
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Value(value) => value.is_null(),
            Self::Json(bytes) | Self::Yaml(bytes) | Self::Protobuf(bytes) => bytes.is_empty(),
            Self::Other => false,
        }
    }
}

/// What came of a call, and with which HTTP status code.
pub(crate) struct Done {
    pub(crate) reply: Reply,
    pub(crate) code: u16,
    /// The reply's JSON, when it is an object that was just written.
    pub(crate) json: Option<Unversioned>,
}

impl Done {
    pub(crate) fn ok(reply: Reply) -> Self {
        Self { reply, code: 200, json: None }
    }

    pub(crate) fn created(reply: Reply) -> Self {
        Self { reply, code: 201, json: None }
    }

    pub(crate) fn written(code: u16, written: Written) -> Self {
        Self { reply: Reply::Object(written.object), code, json: written.json }
    }
}

impl Registry {
    /// Runs a call that was authorized.
    ///
    /// # Errors
    /// As the client sees it.
    pub(crate) async fn call(&self, call: &mut Call) -> Result<Done, Status> {
        // A delete's options may be in its body.
        if !matches!(call.request.verb, Verb::Delete | Verb::DeleteCollection) {
            options::check(&call.request)?;
        }
        if matches!(call.request.name.as_str(), "." | "..") {
            let name = &call.request.name;
            return Err(Status::bad_request(format!(
                "Name parameter invalid: {name:?}: may not be '{name}'"
            )));
        }
        let done = match call.resource.source {
            Source::Components => return self.component_statuses(call),
            Source::Request => Box::pin(self.call_virtual(call)).await?,
            Source::Store if call.request.subresource.is_empty() => self.call_main(call).await?,
            Source::Store => Box::pin(self.call_subresource(call)).await?,
        };
        if !convert::is_needed(&call.resource) {
            return Ok(done);
        }
        let reply = convert::reply(&*self.cache, &call.resource, done.reply).await?;
        Ok(Done { reply, json: None, ..done })
    }

    async fn call_main(&self, call: &mut Call) -> Result<Done, Status> {
        match call.request.verb {
            Verb::Get => Ok(Done::ok(Reply::Object(self.get(call).await?))),
            Verb::List => Ok(Done::ok(Reply::List(self.list(call).await?))),
            Verb::Create => self.create(call).await,
            Verb::Update => self.update(call).await,
            Verb::Patch(kind) => self.patch(call, kind).await,
            Verb::Delete => self.delete(call).await,
            Verb::DeleteCollection => Box::pin(self.delete_collection(call)).await,
        }
    }

    /// The stored object that the request names, as it is now or not older than asked for.
    async fn get(&self, call: &Call) -> Result<Arc<Object>, Status> {
        let asked = &call.request.options.resource_version;
        if !asked.is_empty() {
            let revision = options::revision_of_one(asked)?;
            self.reach(revision).await?;
        }
        self.current(call).ok_or_else(|| call.not_found())
    }

    fn current(&self, call: &Call) -> Option<Arc<Object>> {
        self.cache.by_prefix(&call.resource.prefix).get(&call.key())
    }

    /// Waits, for a while, until the cache has reached `revision`.
    ///
    /// # Errors
    /// 504 when it did not.
    pub(crate) async fn reach(&self, revision: u64) -> Result<(), Status> {
        if self.cache.revision() >= revision {
            return Ok(());
        }
        let newest = self.cache.store().revision().await.map_err(Status::internal)?;
        if revision <= newest {
            self.cache.wait_applied(revision).await;
            return Ok(());
        }
        Err(options::too_large(revision, self.cache.revision()))
    }

    /// A call of the server's own, about one object.
    pub(crate) fn own_call(&self, group: &str, resource: &str, namespace: &str, name: &str) -> Option<Call> {
        let resource = self.resources.table().find_storage_version(group, resource)?.clone();
        Some(Self::own_call_of(resource, namespace, name))
    }

    /// As [`Registry::own_call`], of a resource that need not be served.
    pub(crate) fn own_call_of(resource: Arc<Resource>, namespace: &str, name: &str) -> Call {
        let request = Request {
            verb: Verb::Update,
            resource: resource.gvr.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: String::new(),
            options: Default::default(),
            body: None,
        };
        Call {
            user: Arc::new(UserInfo::api_server()),
            resource,
            request,
            body: Body::Value(Value::Null),
            default_manager: "kube-apiserver".to_owned(),
            warnings: Vec::new(),
            audit: None,
            elsewhere: Arc::default(),
            emptied: Default::default(),
        }
    }

    pub(crate) fn admission_context(&self) -> AdmissionContext<'_> {
        let client = self.loopback.get().expect("set when the API server was made");
        AdmissionContext {
            reader: &*self.cache,
            client,
            clock: &self.clock,
            authorizer: &self.authorizer,
            cache: &self.cache,
            resources: &self.resources,
            minor_version: self.minor_version,
        }
    }

    pub(crate) fn strategy_context<'a>(&self, subresource: &'a str) -> Context<'a> {
        Context { now: self.clock.now(), subresource, minor_version: self.minor_version }
    }
}

impl Call {
    pub(crate) fn key(&self) -> String {
        object_key(&self.resource.prefix, &self.request.namespace, &self.request.name)
    }

    /// The key as upstream would have it, for messages that show one.
    pub(crate) fn shown_key(&self) -> String {
        let gvr = &self.resource.gvr;
        let place = match (&*gvr.group, &*gvr.resource) {
            ("", "nodes") => "minions".to_owned(),
            ("", "replicationcontrollers") => "controllers".to_owned(),
            ("", "services") => "services/specs".to_owned(),
            ("", "endpoints") => "services/endpoints".to_owned(),
            ("networking.k8s.io", "ingresses") => "ingress".to_owned(),
            (group, resource) if self.resource.custom.is_some() || is_extension(group) => {
                format!("{group}/{resource}")
            }
            (_, resource) => resource.to_owned(),
        };
        object_key(&format!("/registry/{place}/"), &self.request.namespace, &self.request.name)
    }

    pub(crate) fn key_of(&self, name: &str) -> Arc<str> {
        object_key(&self.resource.prefix, &self.request.namespace, name).into()
    }

    pub(crate) fn not_found(&self) -> Status {
        let gvr = &self.resource.gvr;
        Status::not_found(&gvr.group, &gvr.resource, &self.request.name)
    }

    pub(crate) fn conflict(&self, why: &str) -> Status {
        let gvr = &self.resource.gvr;
        Status::conflict(&gvr.group, &gvr.resource, &self.request.name, why)
    }

    pub(crate) fn is_dry_run(&self) -> bool {
        !self.request.options.dry_run.is_empty()
    }

    pub(crate) fn manager(&self) -> &str {
        match self.request.options.field_manager.as_str() {
            "" => &self.default_manager,
            named => named,
        }
    }

    pub(crate) fn method_not_supported(&self, verb: &str) -> Status {
        Status::method_not_supported(&self.resource.gvr.group, &self.resource.gvr.resource, verb)
    }
}

/// Whether upstream serves the group from a server of its own within the process: its keys and messages differ.
pub(crate) fn is_extension(group: &str) -> bool {
    matches!(group, "apiextensions.k8s.io" | "apiregistration.k8s.io")
}
