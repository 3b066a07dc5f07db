//! Kubernetes client (in-process and HTTP), informers and work queues.
//!
//! [`Transport`] is the one way to reach an API server. The API server implements it in process, where a call passes
//! `Arc`ed objects and skips HTTP and encoding but not authorization, admission or validation; over HTTP it goes as JSON. Controllers, the scheduler, cloud controllers and node agents hold a [`Client`] and know nothing else.
//!
//! What is built on it: calls by resource (`ops`), [`resources`] by name, shared [`informer`]s, the [`queue`] and the
//! [`controller`] that runs a reconcile function over it, and [`events`]. All of them wait on the Clock only, and cost
//! a parked task or less while nothing happens.

mod conditions;
pub mod controller;
pub mod dialer;
pub mod discovery;
pub mod events;
pub mod informer;
mod ops;
pub mod queue;
mod reflector;
pub mod resources;
pub mod scheduling;
pub mod testing;

use std::sync::Arc;

pub use conditions::status_with_conditions;
pub use controller::Controller;
pub use dialer::NodeDialer;
pub use discovery::ApiResource;
pub use events::{EventRecorder, EventType};
pub use informer::{Change, Informer, SharedInformers};
pub use ops::{CallResult, DeleteOptions, Propagation};
pub use queue::WorkQueue;

use async_trait::async_trait;
use drydock_machinery::{GroupVersionResource, Object, Status, Value};
use futures::stream::BoxStream;

/// A request to an API server about a resource.
#[derive(Clone, Debug)]
pub struct Request {
    pub verb: Verb,
    pub resource: GroupVersionResource,
    /// "" for cluster-scoped resources, and for lists and watches across namespaces.
    pub namespace: String,
    /// "" for list, watch, create (the name is in the body) and delete-collection.
    pub name: String,
    /// "" for the resource itself, else `status`, `scale`, `binding`, `eviction`, `token`, …
    pub subresource: String,
    pub options: Options,
    /// The object of create and update, the patch of patch, the DeleteOptions of delete.
    pub body: Option<Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    Get,
    List,
    Create,
    Update,
    Patch(PatchType),
    Delete,
    DeleteCollection,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PatchType {
    Json,
    Merge,
    Strategic,
    Apply,
}

/// The query parameters of all verbs together; each verb reads its own. See `metav1.ListOptions` and its siblings.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub label_selector: String,
    pub field_selector: String,
    pub resource_version: String,
    pub resource_version_match: String,
    pub limit: u64,
    pub continue_token: String,
    pub timeout_seconds: Option<u64>,
    pub allow_watch_bookmarks: bool,
    pub send_initial_events: Option<bool>,
    pub dry_run: Vec<String>,
    pub field_manager: String,
    /// `Strict`, `Warn`, `Ignore`, or "" for the server's default.
    pub field_validation: String,
    pub force: Option<bool>,
    pub propagation_policy: Option<String>,
    pub grace_period_seconds: Option<i64>,
    pub orphan_dependents: Option<bool>,
    pub preconditions: Preconditions,
    /// An in-process agent's heartbeat: need not be on disk when acknowledged. Ignored over HTTP.
    pub volatile: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preconditions {
    pub uid: Option<String>,
    pub resource_version: Option<String>,
}

/// What an API server answers.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The object read or written. For deletes of an object that is gone at once, its last state.
    Object(Arc<Object>),
    /// An object that is not stored: a Scale, a TokenReview, a Status of success, …
    Virtual(Value),
    List(ObjectList),
}

#[derive(Clone, Debug, Default)]
pub struct ObjectList {
    pub items: Vec<Arc<Object>>,
    /// The revision at which the list is consistent; watch from here.
    pub resource_version: String,
    /// To go on with; "" at the end.
    pub continue_token: String,
    pub remaining_item_count: Option<u64>,
}

/// A watch event. Objects are shared with the server's cache when in process.
#[derive(Clone, Debug)]
pub enum WatchEvent {
    Added(Arc<Object>),
    Modified(Arc<Object>),
    /// The object's last state, with the resourceVersion of the deletion.
    Deleted(Arc<Object>),
    /// All events up to this resourceVersion were sent; the flag marks the end of initial events.
    Bookmark {
        resource_version: String,
        initial_events_end: bool,
    },
    /// The watch is over.
    Error(Status),
}

pub type WatchStream = BoxStream<'static, WatchEvent>;

/// The way to an API server, with an identity.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// # Errors
    /// The [`Status`] that the server answered; transport failures read as 503 or 504.
    async fn call(&self, request: Request) -> Result<Reply, Status>;

    /// Watches; `request.verb` is [`Verb::List`]. The stream ends after an error, a timeout or the server's close.
    ///
    /// # Errors
    /// As [`Transport::call`].
    async fn watch(&self, request: Request) -> Result<WatchStream, Status>;

    /// Every resource that the server serves, in its preferred version, without subresources.
    ///
    /// # Errors
    /// As [`Transport::call`]; 503 from a transport that cannot tell.
    async fn discover(&self) -> Result<Vec<ApiResource>, Status> {
        Err(Status::new(503, drydock_machinery::Reason::ServiceUnavailable, "discovery is not available"))
    }
}

/// A handle for components. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    transport: Arc<dyn Transport>,
}

impl Client {
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self { transport }
    }

    pub fn transport(&self) -> &Arc<dyn Transport> {
        &self.transport
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Client")
    }
}
