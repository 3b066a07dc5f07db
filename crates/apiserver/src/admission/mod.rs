//! Admission: what may change or refuse a write after authorization and before it is stored.
//!
//! The registry calls the [`AdmissionChain`] once per attempt to write: first every plugin's [`AdmissionPlugin::admit`] (which may
//! change the object), then, after the strategy's validation, every plugin's [`AdmissionPlugin::validate`]. The order
//! is the order of the chain. An attempt that lost a race with another writer is admitted again. When a webhook or a
//! policy changed the object, all plugins see it once more ([`Reinvocation`]).
//!
//! Plugins read other objects through [`AdmissionContext::reader`], which is the watch cache: no await, no copy.
//! Plugins that write (quota) use [`AdmissionContext::client`].

mod certificates;
mod chain;
mod defaults;
mod escalation;
mod expression;
mod limit_ranger;
mod matching;
mod namespace_lifecycle;
mod node_restriction;
mod options;
mod pod_resize;
mod pod_security;
mod pod_topology;
mod policy;
mod priority;
mod protection;
mod references;
mod refusal;
mod reinvocation;
mod resource_quota;
mod resources;
mod runtime_class;
mod service_account;
mod versions;
mod volume_resize;
mod webhooks;

use std::sync::Arc;

use async_trait::async_trait;
use drydock_auth::{Ask, Attributes, Decision, UserInfo};
use drydock_client::{Client, Options};
use drydock_machinery::{GroupVersionKind, GroupVersionResource, Object, Status, Value};
use drydock_runtime::Clock;

use crate::cache::Cache;
use crate::resources::Resources;
use crate::seams::Authorizer;

pub use chain::default_plugins;
pub use drydock_auth::Reader;
pub use reinvocation::Reinvocation;

/// What a request does to the object, as admission sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    Create,
    Update,
    Delete,
    /// `exec`, `attach`, `portforward`, `proxy`.
    Connect,
}

impl Operation {
    /// `CREATE`, as rules and reviews name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// One write on its way to the store.
#[derive(Debug)]
pub struct AdmissionRequest<'a> {
    pub operation: Operation,
    pub user: &'a UserInfo,
    /// What the request's version calls the object; of a subresource the kind that it takes. The object itself may be
    /// in the version that is stored.
    pub kind: &'a GroupVersionKind,
    pub resource: &'a GroupVersionResource,
    /// "" for the main resource.
    pub subresource: &'a str,
    /// "" when the server is still to make it up from generateName.
    pub name: String,
    /// "" for cluster-scoped resources.
    pub namespace: &'a str,
    /// The object to be written; of a subresource what it takes (a Binding, a TokenRequest). None for deletes.
    pub object: Option<Value>,
    /// The stored object, for updates and deletes.
    pub old_object: Option<Arc<Object>>,
    pub options: &'a Options,
    pub dry_run: bool,
    /// For the answer's warning headers; without code and agent.
    pub warnings: Vec<String>,
    /// What plugins have to say to an audit log, by key. The registry hands it on with the call.
    pub audit: Vec<(String, String)>,
    /// How long webhooks were waited for.
    pub webhooks: std::time::Duration,
    pub reinvocation: Reinvocation,
}

/// What a plugin may use besides the request.
#[derive(Clone, Copy)]
pub struct AdmissionContext<'a> {
    pub reader: &'a dyn Reader,
    /// Calls this API server as `system:apiserver`.
    pub client: &'a Client,
    pub clock: &'a Clock,
    /// The whole chain; the context itself can be asked, too.
    pub authorizer: &'a Arc<dyn Authorizer>,
    /// What `reader` reads, for those who must own it.
    pub cache: &'a Arc<Cache>,
    pub resources: &'a Resources,
    /// Of Kubernetes 1.
    pub minor_version: u32,
}

#[async_trait]
impl Ask for AdmissionContext<'_> {
    async fn ask(&self, attributes: &Attributes<'_>) -> Decision {
        self.authorizer.decide(self.reader, attributes).await
    }
}

/// One admission plugin. Stateless, or with its own bounded state.
#[async_trait]
pub trait AdmissionPlugin: Send + Sync + 'static {
    /// Upstream's name of it, such as `LimitRanger`.
    fn name(&self) -> &'static str;

    /// Asked first, for every write: cheap, and false for what the plugin does not care about.
    fn handles(&self, request: &AdmissionRequest<'_>) -> bool;

    /// May change `request.object`.
    ///
    /// # Errors
    /// The refusal, as the client sees it.
    async fn admit(
        &self,
        _context: &AdmissionContext<'_>,
        _request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        Ok(())
    }

    /// Sees the object as it will be stored. May add warnings, must not change the object.
    ///
    /// # Errors
    /// The refusal, as the client sees it.
    async fn validate(
        &self,
        _context: &AdmissionContext<'_>,
        _request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        Ok(())
    }
}

/// The plugins of one API server, in order. Cheap to clone.
#[derive(Clone, Default)]
pub struct AdmissionChain {
    plugins: Arc<[Arc<dyn AdmissionPlugin>]>,
}

impl AdmissionChain {
    pub fn new(plugins: Vec<Arc<dyn AdmissionPlugin>>) -> Self {
        Self { plugins: plugins.into() }
    }

    /// The plugins that are on by default upstream. Those that ask for rights ask `authorizer`.
    pub fn upstream(authorizer: &Arc<drydock_auth::Authorizer>) -> Self {
        Self::new(default_plugins(authorizer))
    }

    /// # Errors
    /// The first plugin's refusal.
    pub async fn admit(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        self.admit_once(context, request).await?;
        if request.reinvocation.begin() {
            self.admit_once(context, request).await?;
        }
        Ok(())
    }

    async fn admit_once(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        for plugin in self.plugins.iter() {
            if plugin.handles(request) {
                plugin.admit(context, request).await?;
            }
        }
        Ok(())
    }

    /// # Errors
    /// The first plugin's refusal.
    pub async fn validate(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        for plugin in self.plugins.iter() {
            if plugin.handles(request) {
                plugin.validate(context, request).await?;
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for AdmissionChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.plugins.iter().map(|plugin| plugin.name())).finish()
    }
}
