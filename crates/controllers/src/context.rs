//! What every controller gets, and the manager that starts them.

use std::sync::Arc;

use drydock_client::{Client, EventRecorder, SharedInformers};
use drydock_runtime::{Clock, Tasks};

use crate::{deployment, endpoints, garbage_collector, namespace, replicaset, root_ca, service_account};

/// What the controller manager needs of its tenant.
#[derive(Clone)]
pub struct ManagerConfig {
    /// A client by controller, named as its service account in `kube-system` upstream: `deployment-controller`, …
    pub client_for: Arc<dyn Fn(&str) -> Client + Send + Sync>,
    /// Shared by all controllers, and with the scheduler and others if they like.
    pub informers: SharedInformers,
    pub tasks: Tasks,
    /// PEM of the cluster's CA, published to every namespace.
    pub root_ca: String,
    /// Controllers that do not run, by name as in `kube-controller-manager --controllers=-name`.
    pub disabled: Vec<String>,
}

/// What one controller works with.
#[derive(Clone)]
pub struct Context {
    pub(crate) client: Client,
    pub(crate) informers: SharedInformers,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
    pub(crate) events: EventRecorder,
}

impl ManagerConfig {
    /// `identity` names the client, `component` the source of events.
    pub(crate) fn context(&self, identity: &str, component: &str) -> Context {
        let client = (self.client_for)(identity);
        Context {
            client: client.clone(),
            informers: self.informers.clone(),
            clock: self.tasks.clock().clone(),
            tasks: self.tasks.clone(),
            events: EventRecorder::new(client, self.tasks.clone(), component),
        }
    }
}

/// Name, identity, event source, and how to start it.
type Entry = (&'static str, &'static str, &'static str, fn(&ManagerConfig, Context));

/// Every controller, by the name that upstream's `--controllers` flag knows.
const CONTROLLERS: &[Entry] = &[
    ("serviceaccount-controller", "service-account-controller", "serviceaccount-controller", |_, ctx| {
        service_account::start(ctx);
    }),
    (
        "root-ca-certificate-publisher-controller",
        "root-ca-cert-publisher",
        "root-ca-cert-publisher",
        |config, ctx| {
            root_ca::start(ctx, config.root_ca.clone());
        },
    ),
    ("namespace-controller", "namespace-controller", "namespace-controller", |_, ctx| namespace::start(ctx)),
    (
        "garbage-collector-controller",
        "generic-garbage-collector",
        "garbage-collector-controller",
        |_, ctx| {
            garbage_collector::start(ctx);
        },
    ),
    ("replicaset-controller", "replicaset-controller", "replicaset-controller", |_, ctx| {
        replicaset::start_replica_sets(ctx);
    }),
    ("replicationcontroller-controller", "replication-controller", "replication-controller", |_, ctx| {
        replicaset::start_replication_controllers(ctx);
    }),
    ("deployment-controller", "deployment-controller", "deployment-controller", |_, ctx| {
        deployment::start(ctx);
    }),
    ("endpoints-controller", "endpoint-controller", "endpoint-controller", |_, ctx| endpoints::start(ctx)),
    ("endpointslice-controller", "endpointslice-controller", "endpoint-slice-controller", |_, ctx| {
        endpoints::start_slices(ctx);
    }),
    (
        "endpointslice-mirroring-controller",
        "endpointslicemirroring-controller",
        "endpoint-slice-mirroring-controller",
        |_, ctx| endpoints::start_mirroring(ctx),
    ),
];

/// Starts controllers; they end with the tasks of the config.
#[derive(Debug)]
pub struct ControllerManager;

impl ControllerManager {
    /// Starts every controller that is not disabled. Returns at once; work begins when informers have synced.
    pub fn start(config: &ManagerConfig) {
        for (name, identity, component, start) in CONTROLLERS {
            if config.disabled.iter().any(|disabled| disabled == name) {
                continue;
            }
            start(config, config.context(identity, component));
        }
    }

    /// The names of all controllers.
    pub fn names() -> impl Iterator<Item = &'static str> {
        CONTROLLERS.iter().map(|(name, ..)| *name)
    }
}
