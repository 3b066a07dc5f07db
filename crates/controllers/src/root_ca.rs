//! Every active namespace has a config map `kube-root-ca.crt` with the cluster's CA, which pods mount to check the API
//! server's certificate.

use std::sync::Arc;

use drydock_client::resources::{CONFIG_MAPS, NAMESPACES};
use drydock_client::{Change, Controller, WorkQueue};
use drydock_machinery::{Key, ObjectMeta, Status, Value, value};

use crate::Context;
use crate::util::pod_control::is_namespace_terminating;

const NAME: &str = "kube-root-ca.crt";
const DESCRIPTION: &str = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such \
     as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.";

pub(crate) fn start(ctx: Context, root_ca: String) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let (namespaces, maps) = (ctx.informers.informer(&NAMESPACES), ctx.informers.informer(&CONFIG_MAPS));
    let to = queue.clone();
    namespaces.on_change(move |change| {
        if !matches!(change, Change::Deleted(_)) {
            to.add(change.object().name());
        }
    });
    let to = queue.clone();
    maps.on_change(move |change| {
        if !matches!(change, Change::Added(_)) && change.object().name() == NAME {
            to.add(change.object().namespace());
        }
    });
    let root_ca = Arc::new(root_ca);
    let tasks = ctx.tasks.clone();
    Controller::new("root-ca", queue).needs([namespaces, maps]).start(&tasks, move |key| {
        let (ctx, root_ca) = (ctx.clone(), root_ca.clone());
        async move { sync(&ctx, &root_ca, &key).await }
    });
}

async fn sync(ctx: &Context, root_ca: &str, namespace: &Key) -> Result<(), Status> {
    let Some(found) = ctx.informers.informer(&NAMESPACES).get_key(namespace) else { return Ok(()) };
    if found.is_deleting() || found.str_at(&["status", "phase"]) == "Terminating" {
        return Ok(());
    }
    let data = value!({"ca.crt": root_ca});
    let outcome = match ctx.informers.informer(&CONFIG_MAPS).get(namespace, NAME) {
        None => ctx.client.create(&CONFIG_MAPS, config_map(namespace, data)).await,
        Some(map)
            if map.get("data") == Some(&data) && map.annotation("kubernetes.io/description").is_some() =>
        {
            return Ok(());
        }
        Some(map) => {
            let mut map = map.value().clone();
            map.set(&["data"], data);
            map.set(&["metadata", "annotations", "kubernetes.io/description"], DESCRIPTION);
            ctx.client.update(&CONFIG_MAPS, map).await
        }
    };
    match outcome {
        Ok(_) => Ok(()),
        Err(status) if status.is_already_exists() || is_namespace_terminating(&status) => Ok(()),
        Err(status) => Err(status),
    }
}

fn config_map(namespace: &str, data: Value) -> Value {
    let mut map = value!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {
            "name": NAME, "namespace": namespace, "annotations": {"kubernetes.io/description": DESCRIPTION},
        },
    });
    map.set(&["data"], data);
    map
}
