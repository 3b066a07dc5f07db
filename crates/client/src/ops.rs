//! Calls by resource: what a component says instead of filling in a [`Request`].

use std::sync::Arc;

use drydock_machinery::{GroupVersionResource, Object, ObjectMeta, Status, Value};

use crate::{
    ApiResource, Client, ObjectList, Options, PatchType, Preconditions, Reply, Request, Verb, WatchStream,
};

/// An object read or written, or what the server had against it.
pub type CallResult = Result<Arc<Object>, Status>;

/// `metav1.DeletionPropagation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    Background,
    Foreground,
    Orphan,
}

impl Propagation {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Background => "Background",
            Self::Foreground => "Foreground",
            Self::Orphan => "Orphan",
        }
    }
}

/// `metav1.DeleteOptions`; the default leaves every choice to the server.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    pub propagation: Option<Propagation>,
    pub grace_period_seconds: Option<i64>,
    pub preconditions: Preconditions,
}

impl DeleteOptions {
    /// Deletes only the object with this uid, not another of the same name.
    pub fn of_uid(uid: &str) -> Self {
        let preconditions = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
        Self { preconditions, ..Self::default() }
    }

    #[must_use]
    pub fn propagation(mut self, propagation: Propagation) -> Self {
        self.propagation = Some(propagation);
        self
    }

    #[must_use]
    pub fn grace(mut self, seconds: i64) -> Self {
        self.grace_period_seconds = Some(seconds);
        self
    }

    fn into_options(self) -> Options {
        Options {
            propagation_policy: self.propagation.map(|policy| policy.as_str().to_owned()),
            grace_period_seconds: self.grace_period_seconds,
            preconditions: self.preconditions,
            ..Options::default()
        }
    }
}

impl Request {
    /// A request for the object or, with an empty name, the collection.
    pub fn new(verb: Verb, resource: &GroupVersionResource, namespace: &str, name: &str) -> Self {
        Self {
            verb,
            resource: resource.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            subresource: String::new(),
            options: Options::default(),
            body: None,
        }
    }

    #[must_use]
    pub fn subresource(mut self, subresource: &str) -> Self {
        subresource.clone_into(&mut self.subresource);
        self
    }

    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    #[must_use]
    pub fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// Need not be on disk when acknowledged: a heartbeat.
    #[must_use]
    pub fn volatile(mut self) -> Self {
        self.options.volatile = true;
        self
    }
}

/// Every call fails with the [`Status`] that the server answers.
impl Client {
    /// Sends `request` and expects an object back.
    ///
    /// # Errors
    /// The server's [`Status`].
    pub async fn object(&self, request: Request) -> CallResult {
        match self.transport().call(request).await? {
            Reply::Object(object) => Ok(object),
            Reply::Virtual(value) => {
                // A Scale has the revision of what it is of.
                let revision = value.resource_version().parse().unwrap_or(0);
                Ok(Arc::new(Object::new(value, revision)))
            }
            Reply::List(_) => Err(Status::internal("a list was answered where an object was asked for")),
        }
    }

    /// # Errors
    /// The server's [`Status`].
    pub async fn call(&self, request: Request) -> Result<Reply, Status> {
        self.transport().call(request).await
    }

    /// # Errors
    /// The server's [`Status`].
    pub async fn get(&self, resource: &GroupVersionResource, namespace: &str, name: &str) -> CallResult {
        self.object(Request::new(Verb::Get, resource, namespace, name)).await
    }

    /// As [`Client::get`], with None for an object that does not exist.
    ///
    /// # Errors
    /// The server's [`Status`], other than 404.
    pub async fn find(
        &self,
        resource: &GroupVersionResource,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Arc<Object>>, Status> {
        match self.get(resource, namespace, name).await {
            Ok(object) => Ok(Some(object)),
            Err(status) if status.is_not_found() => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// Lists in one namespace, or in all when it is "".
    ///
    /// # Errors
    /// The server's [`Status`].
    pub async fn list(
        &self,
        resource: &GroupVersionResource,
        namespace: &str,
        options: Options,
    ) -> Result<ObjectList, Status> {
        let request = Request::new(Verb::List, resource, namespace, "").options(options);
        match self.transport().call(request).await? {
            Reply::List(list) => Ok(list),
            _ => Err(Status::internal("an object was answered where a list was asked for")),
        }
    }

    /// # Errors
    /// The server's [`Status`].
    pub async fn watch(
        &self,
        resource: &GroupVersionResource,
        namespace: &str,
        options: Options,
    ) -> Result<WatchStream, Status> {
        self.transport().watch(Request::new(Verb::List, resource, namespace, "").options(options)).await
    }

    /// Creates `object` in the namespace that it names.
    ///
    /// # Errors
    /// The server's [`Status`].
    pub async fn create(&self, resource: &GroupVersionResource, object: Value) -> CallResult {
        let namespace = object.namespace().to_owned();
        self.object(Request::new(Verb::Create, resource, &namespace, "").body(object)).await
    }

    /// POST to a subresource, such as `binding` or `eviction`.
    ///
    /// # Errors
    /// The server's [`Status`].
    pub async fn create_subresource(
        &self,
        resource: &GroupVersionResource,
        namespace: &str,
        name: &str,
        subresource: &str,
        body: Value,
    ) -> Result<Reply, Status> {
        let request = Request::new(Verb::Create, resource, namespace, name);
        self.call(request.subresource(subresource).body(body)).await
    }

    /// Replaces the object with `object`'s namespace and name; its resourceVersion, when set, must be current.
    ///
    /// # Errors
    /// The server's [`Status`].
    pub async fn update(&self, resource: &GroupVersionResource, object: Value) -> CallResult {
        self.object(put(resource, object)).await
    }

    /// As [`Client::update`], but only the status is written.
    ///
    /// # Errors
    /// The server's [`Status`].
    pub async fn update_status(&self, resource: &GroupVersionResource, object: Value) -> CallResult {
        self.object(put(resource, object).subresource("status")).await
    }

    /// # Errors
    /// The server's [`Status`].
    pub async fn patch(
        &self,
        resource: &GroupVersionResource,
        namespace: &str,
        name: &str,
        kind: PatchType,
        patch: Value,
    ) -> CallResult {
        self.object(Request::new(Verb::Patch(kind), resource, namespace, name).body(patch)).await
    }

    /// # Errors
    /// The server's [`Status`].
    pub async fn patch_status(
        &self,
        resource: &GroupVersionResource,
        namespace: &str,
        name: &str,
        kind: PatchType,
        patch: Value,
    ) -> CallResult {
        let request = Request::new(Verb::Patch(kind), resource, namespace, name);
        self.object(request.subresource("status").body(patch)).await
    }

    /// Server-side apply, taking over fields of other managers.
    ///
    /// # Errors
    /// The server's [`Status`].
    pub async fn apply(&self, resource: &GroupVersionResource, manager: &str, object: Value) -> CallResult {
        self.object(forced_apply(resource, manager, object)).await
    }

    /// Server-side apply of the status subresource, taking over fields of other managers.
    ///
    /// # Errors
    /// The server's [`Status`].
    pub async fn apply_status(
        &self,
        resource: &GroupVersionResource,
        manager: &str,
        object: Value,
    ) -> CallResult {
        self.object(forced_apply(resource, manager, object).subresource("status")).await
    }

    /// # Errors
    /// The server's [`Status`].
    pub async fn delete(
        &self,
        resource: &GroupVersionResource,
        namespace: &str,
        name: &str,
        options: DeleteOptions,
    ) -> Result<(), Status> {
        let request = Request::new(Verb::Delete, resource, namespace, name).options(options.into_options());
        self.call(request).await.map(drop)
    }

    /// Deletes what the selectors of `options` match.
    ///
    /// # Errors
    /// The server's [`Status`].
    pub async fn delete_collection(
        &self,
        resource: &GroupVersionResource,
        namespace: &str,
        options: Options,
    ) -> Result<(), Status> {
        let request = Request::new(Verb::DeleteCollection, resource, namespace, "").options(options);
        self.call(request).await.map(drop)
    }

    /// # Errors
    /// The server's [`Status`].
    pub async fn discover(&self) -> Result<Vec<ApiResource>, Status> {
        self.transport().discover().await
    }
}

fn put(resource: &GroupVersionResource, object: Value) -> Request {
    Request::new(Verb::Update, resource, object.namespace(), object.name()).body(object.clone())
}

fn forced_apply(resource: &GroupVersionResource, manager: &str, object: Value) -> Request {
    let options = Options { field_manager: manager.to_owned(), force: Some(true), ..Options::default() };
    let (namespace, name) = (object.namespace().to_owned(), object.name().to_owned());
    Request::new(Verb::Patch(PatchType::Apply), resource, &namespace, &name).options(options).body(object)
}
