//! Calls within the process: no HTTP and no encoding, but everything else.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use drydock_auth::audit::Stage;
use drydock_auth::user::USER_API_SERVER;
use drydock_auth::{Ask, Attributes, Decision, UserInfo};
use drydock_client::{ApiResource, Reply, Request, Transport, Verb, WatchEvent, WatchStream};
use drydock_machinery::{Reason, Status};
use futures::{FutureExt, StreamExt, stream};

use crate::audit::{self, Event};
use crate::cache::{Cache, ChangeKind, Step, Watcher};
use crate::registry::{self, Body, Call};
use crate::resources::Resource;
use crate::server::Core;

/// An identity's way to the API server in this process.
pub(crate) struct Local {
    core: Handle,
    user: Arc<UserInfo>,
    manager: String,
}

enum Handle {
    Strong(Arc<Core>),
    Weak(Weak<Core>),
}

impl Local {
    pub(crate) fn new(core: Arc<Core>, user: UserInfo) -> Self {
        Self { core: Handle::Strong(core), manager: manager(&user), user: Arc::new(user) }
    }

    /// As part of `program`, which managed fields and audit events name instead of the user.
    pub(crate) fn of_program(core: Arc<Core>, user: UserInfo, program: &str) -> Self {
        Self { manager: program.to_owned(), ..Self::new(core, user) }
    }

    /// The server's own client, which does not keep the server alive.
    pub(crate) fn loopback(core: &Arc<Core>, user: UserInfo) -> Self {
        Self { core: Handle::Weak(Arc::downgrade(core)), manager: manager(&user), user: Arc::new(user) }
    }

    fn core(&self) -> Result<Arc<Core>, Status> {
        let core = match &self.core {
            Handle::Strong(core) => Some(core.clone()),
            Handle::Weak(core) => core.upgrade(),
        };
        core.filter(|core| !core.tasks.is_closed())
            .ok_or_else(|| Status::new(503, Reason::ServiceUnavailable, "the API server was stopped"))
    }

    async fn prepare(&self, core: &Core, mut request: Request, watch: bool) -> Result<Call, Status> {
        let name = &request.resource;
        let found = core.registry.resources.find(&name.group, &name.version, &name.resource);
        let resource = found.ok_or_else(no_such_resource)?;
        let verb = if watch { "watch" } else { verb(request.verb) };
        check_served(&resource, &request, verb)?;
        let attributes = attributes(&self.user, &resource, &request, verb);
        let event = core.auditor.begin(&attributes, || self.head(&request, watch));
        if let Some(event) = &event {
            event.stage(Stage::RequestReceived).await;
        }
        let authorized = core.authorize(&attributes, event.as_deref()).await;
        if let (Err(status), Some(event)) = (&authorized, &event) {
            event.failed(status);
            event.stage(Stage::ResponseComplete).await;
        }
        authorized?;
        let body = Body::Value(request.body.take().unwrap_or_default());
        Ok(Call {
            user: self.user.clone(),
            resource,
            request,
            body,
            default_manager: self.manager.clone(),
            warnings: Vec::new(),
            audit: event,
            elsewhere: Arc::default(),
            emptied: Default::default(),
        })
    }

    /// As the request would come by HTTP.
    fn head(&self, request: &Request, watch: bool) -> audit::Head {
        let resource = &request.resource;
        let mut uri = match resource.group.as_ref() {
            "" => format!("/api/{}", resource.version),
            group => format!("/apis/{group}/{}", resource.version),
        };
        if !request.namespace.is_empty() {
            uri.push_str("/namespaces/");
            uri.push_str(&request.namespace);
        }
        for part in [&resource.resource[..], &request.name, &request.subresource] {
            if !part.is_empty() {
                uri.push('/');
                uri.push_str(part);
            }
        }
        if watch {
            uri.push_str("?watch=true");
        }
        audit::Head {
            audit_id: uuid::Uuid::new_v4().to_string(),
            uri,
            source_ips: vec!["127.0.0.1".to_owned()],
            user_agent: self.manager.clone(),
            long_running: watch,
        }
    }
}

/// What came of a call, for its audit event.
async fn conclude(event: &Event, done: &Result<registry::Done, Status>, resource: &Resource) {
    match done {
        Ok(done) => {
            if event.wants_response() {
                event.response_object(&crate::http::shown(resource, &done.reply));
            }
            event.code(done.code);
        }
        Err(status) => event.failed(status),
    }
    event.stage(Stage::ResponseComplete).await;
}

impl Core {
    /// Asks the authorizers about a request that `event` is of, and notes what they say.
    ///
    /// # Errors
    /// 403 when they do not allow it.
    pub(crate) async fn authorize(
        &self,
        attributes: &Attributes<'_>,
        event: Option<&Event>,
    ) -> Result<(), Status> {
        let decision = self.authorizer.decide(&*self.registry.cache, attributes).await;
        if let Some(event) = event {
            event.decided(&decision);
        }
        decision.into_result(attributes)
    }
}

#[async_trait]
impl Ask for Core {
    async fn ask(&self, attributes: &Attributes<'_>) -> Decision {
        self.authorizer.decide(&*self.registry.cache, attributes).await
    }
}

#[async_trait]
impl Transport for Local {
    async fn call(&self, request: Request) -> Result<Reply, Status> {
        let core = self.core()?;
        if let Some(answer) = crate::aggregation::read(&core, &self.user, &request).await {
            return answer;
        }
        let mut call = self.prepare(&core, request, false).await?;
        let done = AssertUnwindSafe(core.registry.call(&mut call)).catch_unwind().await;
        let done = done.unwrap_or_else(|_| Err(Status::internal("the request panicked")));
        if let Some(event) = &call.audit {
            conclude(event, &done, &call.resource).await;
        }
        Ok(done?.reply)
    }

    async fn watch(&self, request: Request) -> Result<WatchStream, Status> {
        let core = self.core()?;
        let call = self.prepare(&core, request, true).await?;
        let watcher = registry::watch(&core.registry, &call).await;
        if let (Err(status), Some(event)) = (&watcher, &call.audit) {
            event.failed(status);
            event.stage(Stage::ResponseComplete).await;
        }
        let watcher = watcher?;
        let events = events(core.registry.cache.clone(), watcher, call.resource.clone());
        let Some(event) = call.audit else { return Ok(events) };
        event.code(200);
        event.stage(Stage::ResponseStarted).await;
        let end = audit::ended(event);
        let noted = events.inspect(move |_| {
            // Moved in here, it lives as long as the watch does.
            let _ = &end;
        });
        Ok(noted.boxed())
    }

    async fn discover(&self) -> Result<Vec<ApiResource>, Status> {
        let table = self.core()?.registry.resources.table();
        let mut found: Vec<ApiResource> = Vec::new();
        for resource in table.iter() {
            let preferred = table.find_any_version(&resource.gvr.group, &resource.gvr.resource);
            if preferred.is_some_and(|preferred| Arc::ptr_eq(preferred, resource)) {
                let verbs: Vec<&str> = resource.verbs.iter().map(String::as_str).collect();
                let scalable = resource.subresource("scale").is_some();
                let described =
                    ApiResource::new(resource.gvr.clone(), &resource.gvk.kind, resource.namespaced, &verbs);
                found.push(ApiResource { scalable, ..described });
            }
        }
        Ok(found)
    }
}

fn events(cache: Arc<Cache>, watcher: Watcher, resource: Arc<Resource>) -> WatchStream {
    let steps = stream::unfold(Some((watcher, cache, resource)), |state| async move {
        let (mut watcher, cache, resource) = state?;
        let step = watcher.next().await?;
        let step = registry::convert::step(&*cache, &resource, step).await;
        let over = matches!(step, Step::Error(_));
        Some((step, (!over).then_some((watcher, cache, resource))))
    });
    steps.flat_map(|step| stream::iter(step_events(step))).boxed()
}

fn step_events(step: Step) -> Vec<WatchEvent> {
    match step {
        Step::Changes(changes) => changes
            .into_iter()
            .map(|(kind, object)| match kind {
                ChangeKind::Added => WatchEvent::Added(object),
                ChangeKind::Modified => WatchEvent::Modified(object),
                ChangeKind::Deleted => WatchEvent::Deleted(object),
            })
            .collect(),
        Step::Bookmark { revision, initial_events_end } => {
            vec![WatchEvent::Bookmark { resource_version: revision.to_string(), initial_events_end }]
        }
        Step::Error(status) => vec![WatchEvent::Error(status)],
    }
}

/// # Errors
/// 404 or 405 when the resource does not take the verb.
pub(crate) fn check_served(resource: &Resource, request: &Request, verb: &str) -> Result<(), Status> {
    // What is only asked, such as an access review, is never found by a name.
    let is_read_or_written = matches!(verb, "get" | "update" | "patch" | "delete");
    if is_read_or_written && !["get", "update", "patch", "delete"].iter().any(|verb| resource.has_verb(verb))
    {
        return Err(no_such_resource());
    }
    let served = if request.subresource.is_empty() {
        resource.has_verb(verb)
    } else {
        let sub = resource.subresource(&request.subresource).ok_or_else(no_such_resource)?;
        sub.verbs.iter().any(|own| own == verb)
    };
    // A list that cannot be watched says so itself.
    let is_list = verb == "watch" && resource.has_verb("list");
    match served {
        true => Ok(()),
        false if resource.custom.is_some() || is_list => {
            Err(Status::method_not_supported(&resource.gvr.group, &resource.gvr.resource, verb))
        }
        false => Err(method_not_allowed()),
    }
}

pub(crate) fn no_such_resource() -> Status {
    Status::new(404, Reason::NotFound, "the server could not find the requested resource")
        .with_details(Default::default())
}

pub(crate) fn method_not_allowed() -> Status {
    Status::new(
        405,
        Reason::MethodNotAllowed,
        "the server does not allow this method on the requested resource",
    )
    .with_details(Default::default())
}

pub(crate) fn attributes<'a>(
    user: &'a UserInfo,
    resource: &'a Resource,
    request: &'a Request,
    verb: &'a str,
) -> Attributes<'a> {
    Attributes {
        version: &resource.gvr.version,
        subresource: &request.subresource,
        name: &request.name,
        namespace: &request.namespace,
        field_selector: &request.options.field_selector,
        label_selector: &request.options.label_selector,
        ..Attributes::resource(user, verb, &resource.gvr.group, &resource.gvr.resource)
    }
}

pub(crate) fn verb(verb: Verb) -> &'static str {
    registry::verb_name(verb)
}

/// A component's field manager is the name of the program that it is a part of upstream.
fn manager(user: &UserInfo) -> String {
    let manager = match user.as_service_account() {
        Some(("kube-system", name)) if name.starts_with("cloud-") => "cloud-controller-manager",
        Some(("kube-system", _)) => "kube-controller-manager",
        _ if user.name == USER_API_SERVER => "kube-apiserver",
        _ => user.name.rsplit(':').next().unwrap_or(""),
    };
    manager.to_owned()
}
