//! The built-in resources that components work with, by name, in the version they are stored in.

use drydock_machinery::GroupVersionResource;

const fn resource(group: &'static str, version: &'static str, name: &'static str) -> GroupVersionResource {
    GroupVersionResource::new(group, version, name)
}

pub const PODS: GroupVersionResource = resource("", "v1", "pods");
pub const SERVICES: GroupVersionResource = resource("", "v1", "services");
pub const ENDPOINTS: GroupVersionResource = resource("", "v1", "endpoints");
pub const NAMESPACES: GroupVersionResource = resource("", "v1", "namespaces");
pub const NODES: GroupVersionResource = resource("", "v1", "nodes");
pub const EVENTS: GroupVersionResource = resource("", "v1", "events");
pub const CONFIG_MAPS: GroupVersionResource = resource("", "v1", "configmaps");
pub const SECRETS: GroupVersionResource = resource("", "v1", "secrets");
pub const SERVICE_ACCOUNTS: GroupVersionResource = resource("", "v1", "serviceaccounts");
pub const REPLICATION_CONTROLLERS: GroupVersionResource = resource("", "v1", "replicationcontrollers");
pub const RESOURCE_QUOTAS: GroupVersionResource = resource("", "v1", "resourcequotas");
pub const LIMIT_RANGES: GroupVersionResource = resource("", "v1", "limitranges");
pub const PERSISTENT_VOLUMES: GroupVersionResource = resource("", "v1", "persistentvolumes");
pub const PERSISTENT_VOLUME_CLAIMS: GroupVersionResource = resource("", "v1", "persistentvolumeclaims");
pub const POD_TEMPLATES: GroupVersionResource = resource("", "v1", "podtemplates");

pub const DEPLOYMENTS: GroupVersionResource = resource("apps", "v1", "deployments");
pub const REPLICA_SETS: GroupVersionResource = resource("apps", "v1", "replicasets");
pub const DAEMON_SETS: GroupVersionResource = resource("apps", "v1", "daemonsets");
pub const STATEFUL_SETS: GroupVersionResource = resource("apps", "v1", "statefulsets");
pub const CONTROLLER_REVISIONS: GroupVersionResource = resource("apps", "v1", "controllerrevisions");

pub const JOBS: GroupVersionResource = resource("batch", "v1", "jobs");
pub const CRON_JOBS: GroupVersionResource = resource("batch", "v1", "cronjobs");

pub const ENDPOINT_SLICES: GroupVersionResource = resource("discovery.k8s.io", "v1", "endpointslices");

pub const POD_DISRUPTION_BUDGETS: GroupVersionResource = resource("policy", "v1", "poddisruptionbudgets");

pub const LEASES: GroupVersionResource = resource("coordination.k8s.io", "v1", "leases");

pub const CLUSTER_ROLES: GroupVersionResource = resource("rbac.authorization.k8s.io", "v1", "clusterroles");
pub const CLUSTER_ROLE_BINDINGS: GroupVersionResource =
    resource("rbac.authorization.k8s.io", "v1", "clusterrolebindings");
pub const ROLES: GroupVersionResource = resource("rbac.authorization.k8s.io", "v1", "roles");
pub const ROLE_BINDINGS: GroupVersionResource = resource("rbac.authorization.k8s.io", "v1", "rolebindings");

pub const CERTIFICATE_SIGNING_REQUESTS: GroupVersionResource =
    resource("certificates.k8s.io", "v1", "certificatesigningrequests");

pub const STORAGE_CLASSES: GroupVersionResource = resource("storage.k8s.io", "v1", "storageclasses");
pub const CSI_NODES: GroupVersionResource = resource("storage.k8s.io", "v1", "csinodes");
pub const CSI_DRIVERS: GroupVersionResource = resource("storage.k8s.io", "v1", "csidrivers");
pub const CSI_STORAGE_CAPACITIES: GroupVersionResource =
    resource("storage.k8s.io", "v1", "csistoragecapacities");
pub const VOLUME_ATTRIBUTES_CLASSES: GroupVersionResource =
    resource("storage.k8s.io", "v1", "volumeattributesclasses");
pub const VOLUME_ATTACHMENTS: GroupVersionResource = resource("storage.k8s.io", "v1", "volumeattachments");

pub const SERVICE_CIDRS: GroupVersionResource = resource("networking.k8s.io", "v1", "servicecidrs");
pub const IP_ADDRESSES: GroupVersionResource = resource("networking.k8s.io", "v1", "ipaddresses");
pub const INGRESSES: GroupVersionResource = resource("networking.k8s.io", "v1", "ingresses");

pub const CUSTOM_RESOURCE_DEFINITIONS: GroupVersionResource =
    resource("apiextensions.k8s.io", "v1", "customresourcedefinitions");

pub const API_SERVICES: GroupVersionResource = resource("apiregistration.k8s.io", "v1", "apiservices");

pub const HORIZONTAL_POD_AUTOSCALERS: GroupVersionResource =
    resource("autoscaling", "v2", "horizontalpodautoscalers");

pub const PRIORITY_CLASSES: GroupVersionResource = resource("scheduling.k8s.io", "v1", "priorityclasses");

pub const RUNTIME_CLASSES: GroupVersionResource = resource("node.k8s.io", "v1", "runtimeclasses");

pub const RESOURCE_CLAIMS: GroupVersionResource = resource("resource.k8s.io", "v1", "resourceclaims");
pub const RESOURCE_SLICES: GroupVersionResource = resource("resource.k8s.io", "v1", "resourceslices");
pub const RESOURCE_CLAIM_TEMPLATES: GroupVersionResource =
    resource("resource.k8s.io", "v1", "resourceclaimtemplates");
