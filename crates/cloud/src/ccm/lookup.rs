//! Which machine is behind a Node.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use drydock_cloud_api::{CloudError, CloudErrorKind, CloudProvider, ClusterRef, Instance, Instances};
use drydock_machinery::{Object, ObjectMeta};
use drydock_runtime::Clock;
use jiff::Timestamp;
use parking_lot::Mutex;

/// How long an answer is good for, so that a thousand Nodes that register at once do not list a thousand times.
const FRESH_FOR: Duration = Duration::from_secs(5);

/// Finds machines by Node, from a list that is asked for anew when it is old or lacks the Node's.
pub(super) struct Lookup {
    cluster: ClusterRef,
    provider: Arc<dyn CloudProvider>,
    instances: Arc<dyn Instances>,
    clock: Clock,
    cached: Mutex<Option<(Timestamp, Arc<Listed>)>>,
}

#[derive(Default)]
struct Listed {
    by_provider_id: HashMap<String, Arc<Instance>>,
    by_node_name: HashMap<String, Arc<Instance>>,
}

impl Lookup {
    pub(super) fn new(
        cluster: ClusterRef,
        provider: Arc<dyn CloudProvider>,
        instances: Arc<dyn Instances>,
        clock: Clock,
    ) -> Self {
        Self { cluster, provider, instances, clock, cached: Mutex::default() }
    }

    /// The Node's machine: by its providerID, or by its name while it has none. None when there is none (any more).
    ///
    /// # Errors
    /// What the cloud answered, and `InvalidRequest` for a Node of another cloud.
    pub(super) async fn find(&self, node: &Object) -> Result<Option<Arc<Instance>>, CloudError> {
        let provider_id = node.str_at(&["spec", "providerID"]);
        self.check_scheme(provider_id)?;
        let listed = match self.fresh() {
            Some(listed) if provider_id.is_empty() && listed.find(provider_id, node.name()).is_none() => {
                // Nobody else could be asked about a name: it may have come since.
                self.list().await?
            }
            Some(listed) => listed,
            None => self.list().await?,
        };
        if let Some(found) = listed.find(provider_id, node.name()) {
            return Ok(Some(found));
        }
        // Not listed: terminated, or not yet visible. Only the cloud's word on this very machine counts.
        match self.provider.instance_id(provider_id) {
            Some(id) => Ok(self.instances.get(&self.cluster, &id).await?.map(Arc::new)),
            None => Ok(None),
        }
    }

    /// What was listed, unless that is too long ago.
    fn fresh(&self) -> Option<Arc<Listed>> {
        let (at, listed) = self.cached.lock().clone()?;
        let stale_at = at.saturating_add(FRESH_FOR).unwrap_or(Timestamp::MAX);
        (self.clock.now() < stale_at).then_some(listed)
    }

    fn check_scheme(&self, provider_id: &str) -> Result<(), CloudError> {
        let scheme = self.provider.provider_id_scheme();
        if provider_id.is_empty()
            || provider_id.strip_prefix(scheme).is_some_and(|rest| rest.starts_with("://"))
        {
            return Ok(());
        }
        let message = format!("invalid providerID {provider_id:?}: not of {scheme}");
        Err(CloudError::new(CloudErrorKind::InvalidRequest, "InstanceExists", message))
    }

    async fn list(&self) -> Result<Arc<Listed>, CloudError> {
        let mut listed = Listed::default();
        for instance in self.instances.list(&self.cluster).await? {
            let instance = Arc::new(instance);
            listed.by_node_name.insert(instance.node_name.clone(), instance.clone());
            listed.by_provider_id.insert(instance.provider_id.clone(), instance);
        }
        let listed = Arc::new(listed);
        *self.cached.lock() = Some((self.clock.now(), listed.clone()));
        Ok(listed)
    }

    /// Forgets what was listed.
    pub(super) fn invalidate(&self) {
        *self.cached.lock() = None;
    }
}

impl Listed {
    fn find(&self, provider_id: &str, node_name: &str) -> Option<Arc<Instance>> {
        if provider_id.is_empty() {
            return self.by_node_name.get(node_name).cloned();
        }
        self.by_provider_id.get(provider_id).cloned()
    }
}
