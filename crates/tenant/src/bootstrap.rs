//! What every cluster has from the first moment: namespaces, the RBAC policy, priority classes, the `kubernetes` service.
//!
//! What is missing is made on every start, as upstream's API server does; what is there is left as it is.

use drydock_apiserver::ApiServer;
use drydock_apiserver::FLOW_SCHEMA_CONDITIONS;
use drydock_apiserver::admission::Reader as _;
use drydock_auth::bootstrap::policy;
use drydock_auth::pki::ClusterPki;
use drydock_client::{CallResult, Client, Options, Request, Verb, resources};
use drydock_controllers::AGGREGATION_MANAGER;
use drydock_machinery::{GroupVersionResource, Object, ObjectMeta as _, Status, Value, value};
use drydock_runtime::Clock;
use futures::StreamExt as _;

use crate::{Config, api_services, components, flow_control};

/// Creates that run side by side: they share the store's syncs.
const CONCURRENCY: usize = 32;

struct Wanted {
    resource: GroupVersionResource,
    object: Value,
    /// Written after the object: a create ignores it.
    status: Option<Value>,
    /// The sum of an aggregating role, applied after the object, as a controller does elsewhere: so a new cluster's
    /// users have their rights from the first request.
    rules: Option<Value>,
    managers: Managers,
}

impl Wanted {
    fn new(resource: GroupVersionResource, object: Value) -> Self {
        Self { resource, object, status: None, rules: None, managers: Managers::SERVER }
    }

    fn status(mut self, status: Value) -> Self {
        self.status = Some(status);
        self
    }

    fn role(resource: GroupVersionResource, mut object: Value) -> Self {
        let aggregates = object.get("aggregationRule").is_some();
        let rules = if aggregates { object.remove(&["rules"]) } else { None };
        Self { rules, ..Self::new(resource, object) }
    }

    fn by(mut self, managers: Managers) -> Self {
        self.managers = managers;
        self
    }
}

/// Who managed fields say has written an object.
#[derive(Clone, Copy)]
struct Managers {
    /// "": whom the client is.
    object: &'static str,
    /// Who applied the status; None when it was updated.
    status: Option<&'static str>,
}

impl Managers {
    const SERVER: Self = Self { object: "", status: None };
    /// The two parts of priority and fairness.
    const FLOW_CONTROL: Self =
        Self { object: "api-priority-and-fairness-config-producer-v1", status: Some(FLOW_SCHEMA_CONDITIONS) };
}

const FLOW_SCHEMAS: GroupVersionResource =
    GroupVersionResource::new("flowcontrol.apiserver.k8s.io", "v1", "flowschemas");
const PRIORITY_LEVELS: GroupVersionResource =
    GroupVersionResource::new("flowcontrol.apiserver.k8s.io", "v1", "prioritylevelconfigurations");

pub(crate) async fn run(
    server: &ApiServer,
    clock: &Clock,
    pki: &ClusterPki,
    config: &Config,
) -> Result<(), Status> {
    let client = server.client(components::masters("system:apiserver"));
    // Namespaces first: the others live in them.
    create(server, &client, namespaces()).await?;
    let mut rest = rest(pki, config);
    rest.extend(with_status(server, clock, config));
    create(server, &client, rest).await
}

async fn create(server: &ApiServer, client: &Client, wanted: Vec<Wanted>) -> Result<(), Status> {
    let cache = server.cache();
    let missing = wanted.into_iter().filter(|Wanted { resource, object, .. }| {
        cache.get(&resource.group, &resource.resource, object.namespace(), object.name()).is_none()
    });
    let creates = missing.map(|wanted| async move {
        let Wanted { resource, object, status, rules, managers } = wanted;
        let created = match create_by(client, &resource, object, managers.object).await {
            Err(status) if status.is_already_exists() => return Ok(()),
            created => created?,
        };
        if let Some(rules) = rules {
            let mut sum = named_as(&created);
            sum.set(&["rules"], rules);
            client.apply(&resource, AGGREGATION_MANAGER, sum).await?;
        }
        let Some(status) = status else { return Ok(()) };
        let Some(manager) = managers.status else {
            let mut object = created.value().clone();
            object.set(&["status"], status);
            return client.update_status(&resource, object).await.map(drop);
        };
        let mut object = named_as(&created);
        object.set(&["metadata", "uid"], created.uid());
        object.set(&["status"], status);
        client.apply_status(&resource, manager, object).await.map(drop)
    });
    let mut creates = futures::stream::iter(creates).buffer_unordered(CONCURRENCY);
    while let Some(created) = creates.next().await {
        created?;
    }
    Ok(())
}

/// What an apply to the object begins with.
fn named_as(object: &Object) -> Value {
    value!({"apiVersion": object.api_version(), "kind": object.kind(), "metadata": {"name": object.name()}})
}

async fn create_by(
    client: &Client,
    resource: &GroupVersionResource,
    object: Value,
    manager: &str,
) -> CallResult {
    let options = Options { field_manager: manager.to_owned(), ..Options::default() };
    let request = Request::new(Verb::Create, resource, object.namespace(), "").options(options);
    client.object(request.body(object)).await
}

fn namespaces() -> Vec<Wanted> {
    ["default", "kube-system", "kube-public", "kube-node-lease"]
        .into_iter()
        .map(|name| {
            let object = value!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            Wanted::new(resources::NAMESPACES, object)
        })
        .collect()
}

fn rest(pki: &ClusterPki, config: &Config) -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = policy()
        .iter()
        .map(|part| {
            let resource = GroupVersionResource::new("rbac.authorization.k8s.io", "v1", part.resource);
            Wanted::role(resource, part.object.clone())
        })
        .collect();
    wanted.extend(priority_classes());
    wanted.extend(kubernetes_service(config));
    wanted.push(Wanted::new(resources::CONFIG_MAPS, client_ca(pki)));
    wanted
}

fn priority_classes() -> impl Iterator<Item = Wanted> {
    [
        ("system-node-critical", 2_000_001_000_i64, "Used for system critical pods that must not be moved from their current node."),
        (
            "system-cluster-critical",
            2_000_000_000,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
    ]
    .into_iter()
    .map(|(name, priority, description)| {
        let class = value!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass",
            "metadata": {"name": name}, "value": priority, "description": description});
        Wanted::new(resources::PRIORITY_CLASSES, class)
    })
}

/// Objects whose status somebody in the API server writes upstream. Nothing of it changes later.
fn with_status(server: &ApiServer, clock: &Clock, config: &Config) -> Vec<Wanted> {
    let now = clock.now_rfc3339();
    let mut wanted: Vec<Wanted> = flow_control::priority_levels()
        .into_iter()
        .map(|level| Wanted::new(PRIORITY_LEVELS, level).by(Managers::FLOW_CONTROL))
        .collect();
    wanted.extend(
        flow_control::flow_schemas(&now).into_iter().map(|(object, status)| {
            Wanted::new(FLOW_SCHEMAS, object).status(status).by(Managers::FLOW_CONTROL)
        }),
    );
    wanted.extend(
        api_services::all(server)
            .into_iter()
            .map(|object| Wanted::new(resources::API_SERVICES, object).status(api_services::available(&now))),
    );
    let ready = value!({"type": "Ready", "status": "True", "reason": "", "lastTransitionTime": now.as_str(),
        "message": "Kubernetes Service CIDR is ready"});
    let range = value!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
        "metadata": {"name": "kubernetes"}, "spec": {"cidrs": [config.service_range.to_string()]}});
    let status = value!({"conditions": [ready]});
    wanted.push(Wanted::new(resources::SERVICE_CIDRS, range).status(status));
    let since = now.get(..10).unwrap_or_default();
    wanted.push(Wanted::new(
        resources::CONFIG_MAPS,
        value!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"since": since}, "metadata":
            {"name": "kube-apiserver-legacy-service-account-token-tracking", "namespace": "kube-system"}}),
    ));
    wanted
}

/// The API server as a service in its own cluster.
fn kubernetes_service(config: &Config) -> Vec<Wanted> {
    let (host, port) = config.address.rsplit_once(':').unwrap_or((&config.address, "443"));
    let port: i64 = port.parse().unwrap_or(443);
    let labels = value!({"component": "apiserver", "provider": "kubernetes"});
    let service_ip = config.service_range.first_address().to_string();
    // Endpoints may not be on the loopback range; a cluster's pods would not reach it there either.
    let ip = if host.starts_with("127.") || host == "localhost" || host.contains(':') {
        "192.0.2.1"
    } else {
        host
    };
    let service = value!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
        "spec": {"clusterIP": service_ip.as_str(), "type": "ClusterIP", "ipFamilyPolicy": "SingleStack",
            "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": port}]}});
    let endpoints = value!({"apiVersion": "v1", "kind": "Endpoints",
        "metadata": {"name": "kubernetes", "namespace": "default",
            "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
        "subsets": [{"addresses": [{"ip": ip}], "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}]});
    let slice = value!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "kubernetes", "namespace": "default",
            "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [ip], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}]});
    vec![
        Wanted::new(resources::SERVICES, service),
        Wanted::new(resources::ENDPOINTS, endpoints),
        Wanted::new(resources::ENDPOINT_SLICES, slice),
    ]
}

/// What extension API servers read to authenticate clients.
fn client_ca(pki: &ClusterPki) -> Value {
    value!({"apiVersion": "v1", "kind": "ConfigMap",
    "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"},
    "data": {
        "client-ca-file": pki.cluster.certificate_pem(),
        "requestheader-client-ca-file": pki.front_proxy.certificate_pem(),
        "requestheader-allowed-names": "[\"front-proxy-client\"]",
        "requestheader-username-headers": "[\"X-Remote-User\"]",
        "requestheader-uid-headers": "[\"X-Remote-Uid\"]",
        "requestheader-group-headers": "[\"X-Remote-Group\"]",
        "requestheader-extra-headers-prefix": "[\"X-Remote-Extra-\"]",
    }})
}
