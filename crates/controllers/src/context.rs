//! What every controller gets, and the manager that starts them.

use std::sync::Arc;

use drydock_client::{Client, EventRecorder, SharedInformers};
use drydock_runtime::{Clock, Tasks};

use crate::certificates::CertificateSigner;
use crate::service_account_tokens::SecretTokens;
use crate::{
    bootstrap_tokens, certificates, cluster_role_aggregation, cron_job, daemon_set, deployment,
    device_taint_eviction, disruption, endpoints, garbage_collector, horizontal_pod_autoscaler, job,
    legacy_tokens, namespace, node, replicaset, resource_claim, resource_quota, root_ca, service_account,
    service_account_tokens, service_cidr, stateful_set, ttl_after_finished, volume,
};

/// What the controller manager needs of its tenant.
#[derive(Clone)]
pub struct ManagerConfig {
    /// A client by controller, named as its service account in `kube-system` upstream: `deployment-controller`, …; and
    /// one of the manager itself, under the name [`MANAGER`].
    pub client_for: Arc<dyn Fn(&str) -> Client + Send + Sync>,
    /// Shared by all controllers, and with the scheduler and others if they like.
    pub informers: SharedInformers,
    pub tasks: Tasks,
    /// PEM of the cluster's CA, published to every namespace.
    pub root_ca: String,
    /// The pods' network, of which each node gets a /24: `10.244.0.0/16`. None when the cloud routes pods by itself.
    pub cluster_cidr: Option<String>,
    /// Signs certificates that were approved; None when requests wait for somebody else's signer.
    pub signer: Option<Arc<dyn CertificateSigner>>,
    /// Makes the tokens of token secrets; None when such secrets wait for somebody else's controller.
    pub secret_tokens: Option<Arc<dyn SecretTokens>>,
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
    /// All controllers, and pods' addresses from the shared address space (RFC 6598), which no cloud's own networks use.
    pub fn new(
        client_for: Arc<dyn Fn(&str) -> Client + Send + Sync>,
        informers: SharedInformers,
        tasks: Tasks,
        root_ca: String,
    ) -> Self {
        let cluster_cidr = Some("100.64.0.0/10".to_owned());
        Self {
            client_for,
            informers,
            tasks,
            root_ca,
            cluster_cidr,
            signer: None,
            secret_tokens: None,
            disabled: Vec::new(),
        }
    }

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

/// The identity of the manager itself: not a service account, but the user `system:kube-controller-manager`.
pub const MANAGER: &str = "kube-controller-manager";

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
    ("daemonset-controller", "daemon-set-controller", "daemonset-controller", |_, ctx| {
        daemon_set::start(ctx)
    }),
    ("statefulset-controller", "statefulset-controller", "statefulset-controller", |_, ctx| {
        stateful_set::start(ctx);
    }),
    ("disruption-controller", "disruption-controller", "controllermanager", |_, ctx| disruption::start(ctx)),
    (
        "clusterrole-aggregation-controller",
        "clusterrole-aggregation-controller",
        "clusterrole-aggregation-controller",
        |_, ctx| cluster_role_aggregation::start(ctx),
    ),
    ("node-lifecycle-controller", "node-controller", "node-controller", |_, ctx| node::start_lifecycle(ctx)),
    ("taint-eviction-controller", "node-controller", "taint-eviction-controller", |_, ctx| {
        node::start_taint_eviction(ctx);
    }),
    (
        "device-taint-eviction-controller",
        "device-taint-eviction-controller",
        "device-taint-eviction-controller",
        |_, ctx| device_taint_eviction::start(ctx),
    ),
    ("pod-garbage-collector-controller", "pod-garbage-collector", "pod-garbage-collector", |_, ctx| {
        node::start_pod_gc(ctx);
    }),
    ("node-ipam-controller", "node-controller", "cidrAllocator", |config, ctx| {
        if let Some(cidr) = &config.cluster_cidr {
            node::start_ipam(ctx, cidr);
        }
    }),
    ("job-controller", "job-controller", "job-controller", |_, ctx| job::start(ctx)),
    ("cronjob-controller", "cronjob-controller", "cronjob-controller", |_, ctx| cron_job::start(ctx)),
    (
        "ttl-after-finished-controller",
        "ttl-after-finished-controller",
        "ttl-after-finished-controller",
        |_, ctx| {
            ttl_after_finished::start(ctx);
        },
    ),
    ("resourcequota-controller", "resourcequota-controller", "resourcequota-controller", |_, ctx| {
        resource_quota::start(ctx);
    }),
    (
        "certificatesigningrequest-signing-controller",
        "certificate-controller",
        "certificate-controller",
        |config, ctx| {
            if let Some(signer) = &config.signer {
                certificates::start(ctx, signer.clone());
            }
        },
    ),
    (
        "persistentvolume-binder-controller",
        "persistent-volume-binder",
        "persistentvolume-controller",
        |_, ctx| {
            volume::start_binder(ctx);
        },
    ),
    (
        "persistentvolumeclaim-protection-controller",
        "pvc-protection-controller",
        "pvc-protection-controller",
        |_, ctx| volume::start_claim_protection(ctx),
    ),
    (
        "persistentvolume-protection-controller",
        "pv-protection-controller",
        "pv-protection-controller",
        |_, ctx| volume::start_volume_protection(ctx),
    ),
    (
        "volumeattributesclass-protection-controller",
        "volumeattributesclass-protection-controller",
        "volumeattributesclass-protection-controller",
        |_, ctx| volume::start_attributes_class_protection(ctx),
    ),
    ("ephemeral-volume-controller", "ephemeral-volume-controller", "ephemeral_volume", |_, ctx| {
        volume::start_ephemeral(ctx);
    }),
    ("resourceclaim-controller", "resource-claim-controller", "resource_claim", |_, ctx| {
        resource_claim::start(ctx);
    }),
    (
        "horizontal-pod-autoscaler-controller",
        "horizontal-pod-autoscaler",
        "horizontal-pod-autoscaler",
        |_, ctx| horizontal_pod_autoscaler::start(ctx),
    ),
    // It works as the manager itself, as upstream: who needs no token cannot depend on one.
    ("serviceaccount-token-controller", MANAGER, "serviceaccount-token-controller", |config, ctx| {
        service_account_tokens::start(ctx, &config.root_ca, config.secret_tokens.clone())
    }),
    ("ttl-controller", "ttl-controller", "ttl-controller", |_, ctx| node::start_ttl(ctx)),
    (
        "persistentvolume-attach-detach-controller",
        "attachdetach-controller",
        "attachdetach-controller",
        |_, ctx| volume::start_attach_detach(ctx),
    ),
    ("persistentvolume-expander-controller", "expand-controller", "volume_expand", |_, ctx| {
        volume::start_expander(ctx);
    }),
    ("service-cidr-controller", "service-cidrs-controller", "service-cidr-controller", |_, ctx| {
        service_cidr::start(ctx);
    }),
    ("token-cleaner-controller", "token-cleaner", "token-cleaner", |_, ctx| {
        bootstrap_tokens::start_cleaner(ctx);
    }),
    ("bootstrap-signer-controller", "bootstrap-signer", "bootstrap-signer", |_, ctx| {
        bootstrap_tokens::start_signer(ctx);
    }),
    (
        "legacy-serviceaccount-token-cleaner-controller",
        "legacy-service-account-token-cleaner",
        "legacy-service-account-token-cleaner",
        |_, ctx| legacy_tokens::start(ctx),
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
