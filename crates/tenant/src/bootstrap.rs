//! What every cluster has from the first moment: namespaces, the RBAC policy, priority classes, the `kubernetes` service.
//!
//! What is missing is made on every start, as upstream's API server does; what is there is left as it is.

use drydock_apiserver::ApiServer;
use drydock_apiserver::admission::Reader as _;
use drydock_auth::bootstrap::policy;
use drydock_auth::pki::ClusterPki;
use drydock_client::{Client, resources};
use drydock_machinery::{GroupVersionResource, ObjectMeta as _, Status, Value, value};
use futures::StreamExt as _;

use crate::pki::SERVICE_IP;
use crate::{Config, components};

/// Creates that run side by side: they share the store's syncs.
const CONCURRENCY: usize = 32;

struct Wanted {
    resource: GroupVersionResource,
    object: Value,
}

pub(crate) async fn run(server: &ApiServer, pki: &ClusterPki, config: &Config) -> Result<(), Status> {
    let client = server.client(components::masters("system:apiserver"));
    // Namespaces first: the others live in them.
    create(server, &client, namespaces()).await?;
    create(server, &client, rest(pki, config)).await
}

async fn create(server: &ApiServer, client: &Client, wanted: Vec<Wanted>) -> Result<(), Status> {
    let cache = server.cache();
    let missing = wanted.into_iter().filter(|Wanted { resource, object }| {
        cache.get(&resource.group, &resource.resource, object.namespace(), object.name()).is_none()
    });
    let creates = missing.map(|wanted| async move {
        match client.create(&wanted.resource, wanted.object).await {
            Err(status) if !status.is_already_exists() => Err(status),
            _ => Ok(()),
        }
    });
    let mut creates = futures::stream::iter(creates).buffer_unordered(CONCURRENCY);
    while let Some(created) = creates.next().await {
        created?;
    }
    Ok(())
}

fn namespaces() -> Vec<Wanted> {
    ["default", "kube-system", "kube-public", "kube-node-lease"]
        .into_iter()
        .map(|name| Wanted {
            resource: resources::NAMESPACES,
            object: value!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}),
        })
        .collect()
}

fn rest(pki: &ClusterPki, config: &Config) -> Vec<Wanted> {
    let mut wanted: Vec<Wanted> = policy()
        .iter()
        .map(|part| Wanted {
            resource: GroupVersionResource::new("rbac.authorization.k8s.io", "v1", part.resource),
            object: part.object.clone(),
        })
        .collect();
    wanted.extend(priority_classes());
    wanted.extend(kubernetes_service(config));
    wanted.push(Wanted { resource: resources::CONFIG_MAPS, object: client_ca(pki) });
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
    .map(|(name, priority, description)| Wanted {
        resource: resources::PRIORITY_CLASSES,
        object: value!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": name},
            "value": priority, "description": description}),
    })
}

/// The API server as a service in its own cluster.
fn kubernetes_service(config: &Config) -> Vec<Wanted> {
    let (host, port) = config.address.rsplit_once(':').unwrap_or((&config.address, "443"));
    let port: i64 = port.parse().unwrap_or(443);
    let labels = value!({"component": "apiserver", "provider": "kubernetes"});
    // Endpoints may not be on the loopback range; a cluster's pods would not reach it there either.
    let ip = if host.starts_with("127.") || host == "localhost" || host.contains(':') {
        "192.0.2.1"
    } else {
        host
    };
    vec![
        Wanted {
            resource: resources::SERVICES,
            object: value!({"apiVersion": "v1", "kind": "Service",
                "metadata": {"name": "kubernetes", "namespace": "default", "labels": labels},
                "spec": {"clusterIP": SERVICE_IP, "clusterIPs": [SERVICE_IP], "type": "ClusterIP",
                    "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
                    "ports": [{"name": "https", "protocol": "TCP", "port": 443, "targetPort": port}]}}),
        },
        Wanted {
            resource: resources::ENDPOINTS,
            object: value!({"apiVersion": "v1", "kind": "Endpoints",
                "metadata": {"name": "kubernetes", "namespace": "default",
                    "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}},
                "subsets": [{"addresses": [{"ip": ip}],
                    "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}]}),
        },
        Wanted {
            resource: resources::ENDPOINT_SLICES,
            object: value!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {"name": "kubernetes", "namespace": "default",
                    "labels": {"kubernetes.io/service-name": "kubernetes"}},
                "addressType": "IPv4",
                "endpoints": [{"addresses": [ip], "conditions": {"ready": true}}],
                "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}),
        },
        Wanted {
            resource: resources::SERVICE_CIDRS,
            object: value!({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
                "metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.96.0.0/12"]}}),
        },
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
