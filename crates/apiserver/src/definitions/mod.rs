//! CustomResourceDefinitions: from a definition to served resources.
//!
//! One task follows the definitions. For each it decides which names are accepted, whether the definition is
//! established, and which resources are served; and of one that is being deleted it removes the objects, then the
//! finalizer. It is the only writer of the tenant's custom resources ([`Resources::set_custom`]).
//!
//! [`hooks`] is what the registry does differently with a definition.
//!
//! [`api_services`] keeps an APIService for every version served.
//!
//! Deliberately absent: what conversion does ([`crate::conversion`]), and CEL.

mod api_services;
mod compile;
mod hooks;
mod names;
mod openapi;

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use drydock_machinery::{Catalog, Object, ObjectMeta, Status, Value};
use drydock_runtime::{CancellationToken, Tasks};

use crate::cache::{ResourceCache, key_prefix};
use crate::registry::Registry;
use crate::resources::Resource;
use crate::server::Core;

pub(crate) use hooks::{is_definition, mark_deleted, prepare_create, validate};

/// Keeps a definition until its objects are gone.
pub(crate) use openapi::v2 as openapi_v2;

pub(crate) const FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";
pub(crate) const GROUP: &str = "apiextensions.k8s.io";
pub(crate) const PLURAL: &str = "customresourcedefinitions";

/// How soon is looked whether the objects of a definition that is being deleted are gone; then less and less often.
const RETRY: Duration = Duration::from_millis(200);
const LONGEST_RETRY: Duration = Duration::from_secs(3);

/// What was made of a definition, kept while the definition is the same.
struct Compiled {
    revision: u64,
    spec: Value,
    resources: Vec<Arc<Resource>>,
    /// Of those resources; see [`Custom::outdated`](crate::resources::Custom::outdated).
    outdated: CancellationToken,
}

impl Drop for Compiled {
    fn drop(&mut self) {
        self.outdated.cancel();
    }
}

struct Registrar {
    core: Weak<Core>,
    compiled: HashMap<String, Compiled>,
}

/// Serves the definitions that there are, then follows them in a task.
pub(crate) async fn start(core: &Arc<Core>, tasks: &Tasks) {
    let cache = core.registry.cache.by_prefix(&key_prefix(GROUP, PLURAL));
    let services = core.registry.cache.by_prefix(&key_prefix("apiregistration.k8s.io", "apiservices"));
    let (mut changed, mut services_changed) = (cache.subscribe(), services.subscribe());
    let mut registrar = Registrar { core: Arc::downgrade(core), compiled: HashMap::new() };
    registrar.publish(core, &cache);
    let clock = tasks.clock().clone();
    tasks.spawn("custom-resource-definitions", async move {
        let mut pause = RETRY;
        loop {
            changed.borrow_and_update();
            services_changed.borrow_and_update();
            let Some(core) = registrar.core.upgrade() else { return };
            let pending = registrar.sync(&core, &cache).await;
            drop(core);
            let retry =
                async { if pending { clock.sleep(pause).await } else { std::future::pending().await } };
            tokio::select! {
                changed = changed.changed() => if changed.is_err() { return },
                changed = services_changed.changed() => if changed.is_err() { return },
                () = retry => {
                    pause = LONGEST_RETRY.min(pause * 2);
                    continue;
                }
            }
            pause = RETRY;
        }
    });
}

impl Registrar {
    /// Brings everything in line with the definitions; answers whether something is to be looked at again.
    async fn sync(&mut self, core: &Core, cache: &ResourceCache) -> bool {
        let definitions = definitions(cache);
        for definition in &definitions {
            if let Some(status) = names::decide(definition, &definitions, &core.registry.clock.now_rfc3339())
                && let Err(error) = self.write_status(core, definition, status).await
            {
                tracing::debug!(%error, name = definition.name(), "the definition's status was not written");
            }
        }
        self.publish(core, cache);
        let mut pending = false;
        if let Err(error) = api_services::sync(&core.registry, &definitions).await {
            tracing::debug!(%error, "the API services of custom resources were not written");
            pending = true;
        }
        for definition in definitions.iter().filter(|definition| definition.is_deleting()) {
            match self.finalize(core, definition).await {
                Ok(done) => pending |= !done,
                Err(error) => {
                    tracing::warn!(%error, name = definition.name(), "the definition was not finalized");
                    pending = true;
                }
            }
        }
        pending
    }

    async fn write_status(&self, core: &Core, definition: &Object, status: Value) -> Result<(), Status> {
        core.registry
            .update_own(GROUP, PLURAL, definition.name(), move |current| {
                let mut new = current.value().clone();
                new.set(&["status"], status.clone());
                new
            })
            .await
    }

    /// Serves the established definitions' versions.
    fn publish(&mut self, core: &Core, cache: &ResourceCache) {
        let definitions = definitions(cache);
        self.compiled.retain(|name, _| definitions.iter().any(|definition| definition.name() == name));
        let mut changed = false;
        for definition in &definitions {
            let known = self.compiled.get(definition.name());
            if known.is_none_or(|known| known.revision != definition.revision()) {
                self.compile(definition, core.version.minor);
                changed = true;
            }
        }
        let served: Vec<Arc<Resource>> = definitions
            .iter()
            .filter_map(|definition| self.compiled.get(definition.name()))
            .flat_map(|compiled| compiled.resources.clone())
            .collect();
        let before = core.registry.resources.table();
        let count = before.iter().filter(|resource| resource.custom.is_some()).count();
        if changed || count != served.len() {
            let catalog = Catalog::of(core.version.minor);
            core.documents.set_custom_openapi(openapi::documents(catalog, &served));
            core.registry.resources.set_custom(served);
        }
    }

    fn compile(&mut self, definition: &Object, minor_version: u32) {
        let spec = definition.get("spec").cloned().unwrap_or_default();
        if let Some(known) = self.compiled.get_mut(definition.name()).filter(|known| known.spec == spec) {
            known.revision = definition.revision();
            known.resources = compile::resources(definition, minor_version, &known.outdated);
            return;
        }
        let outdated = CancellationToken::new();
        let resources = compile::resources(definition, minor_version, &outdated);
        let compiled = Compiled { revision: definition.revision(), spec, resources, outdated };
        self.compiled.insert(definition.name().to_owned(), compiled);
    }

    /// Deletes the objects of a definition that is being deleted; true once none is left and the finalizer is gone.
    async fn finalize(&self, core: &Core, definition: &Object) -> Result<bool, Status> {
        if !definition.finalizers().any(|finalizer| finalizer == FINALIZER) {
            return Ok(true);
        }
        let compiled = self.compiled.get(definition.name());
        let stored = |known: &Compiled| compile::stored(definition, core.version.minor, &known.outdated);
        if let Some(resource) = compiled.and_then(stored)
            && core.registry.delete_all(&resource).await? > 0
        {
            return Ok(false);
        }
        core.registry
            .update_own(GROUP, PLURAL, definition.name(), |current| {
                let kept: Vec<String> =
                    current.finalizers().filter(|name| *name != FINALIZER).map(str::to_owned).collect();
                let mut new = current.value().clone();
                if kept.is_empty() {
                    new.remove(&["metadata", "finalizers"]);
                } else {
                    new.set(&["metadata", "finalizers"], kept);
                }
                new
            })
            .await?;
        Ok(true)
    }
}

/// All definitions, oldest first: who was first has a name.
fn definitions(cache: &ResourceCache) -> Vec<Arc<Object>> {
    let mut all: Vec<Arc<Object>> =
        cache.snapshot().objects.iter().map(|(_, object)| object.clone()).collect();
    all.sort_by(|a, b| (a.creation_timestamp(), a.name()).cmp(&(b.creation_timestamp(), b.name())));
    all
}

impl Registry {
    /// Changes a stored object on the server's own behalf. One that is gone is no error.
    pub(crate) async fn update_own(
        &self,
        group: &'static str,
        plural: &'static str,
        name: &str,
        mut change: impl FnMut(&Object) -> Value + Send,
    ) -> Result<(), Status> {
        let Some(mut call) = self.own_call(group, plural, "", name) else { return Ok(()) };
        call.request.subresource = "status".to_owned();
        self.update_silently(&mut call, |current| change(current)).await
    }

    /// Deletes all objects of a custom resource, which nobody is asked about; answers how many are still there.
    async fn delete_all(&self, resource: &Arc<Resource>) -> Result<usize, Status> {
        let cache = self.cache.by_prefix(&resource.prefix);
        let objects: Vec<Arc<Object>> =
            cache.snapshot().objects.iter().map(|(_, object)| object.clone()).collect();
        for object in objects.iter().filter(|object| !object.is_deleting()) {
            let mut call = Self::own_call_of(resource.clone(), object.namespace(), object.name());
            match self.delete_silently(&mut call, object.clone()).await {
                Err(status) if !status.is_not_found() => return Err(status),
                _ => {}
            }
        }
        Ok(cache.len())
    }
}
