//! Every active namespace has a service account `default`.

use std::sync::Arc;

use drydock_client::resources::{NAMESPACES, SERVICE_ACCOUNTS};
use drydock_client::{Change, Controller, WorkQueue};
use drydock_machinery::{Key, ObjectMeta, Status, value};

use crate::Context;
use crate::util::pod_control::is_namespace_terminating;

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let (namespaces, accounts) =
        (ctx.informers.informer(&NAMESPACES), ctx.informers.informer(&SERVICE_ACCOUNTS));
    let to = queue.clone();
    namespaces.on_change(move |change| {
        if !matches!(change, Change::Deleted(_)) {
            to.add(change.object().name());
        }
    });
    let to = queue.clone();
    accounts.on_change(move |change| {
        if let Change::Deleted(account) = change {
            to.add(account.namespace());
        }
    });
    let tasks = ctx.tasks.clone();
    Controller::new("serviceaccount", queue).needs([namespaces, accounts]).start(&tasks, move |key| {
        let ctx = ctx.clone();
        async move { sync(&ctx, &key).await }
    });
}

async fn sync(ctx: &Context, namespace: &Key) -> Result<(), Status> {
    let Some(found) = ctx.informers.informer(&NAMESPACES).get_key(namespace) else { return Ok(()) };
    let there = ctx.informers.informer(&SERVICE_ACCOUNTS).get(namespace, "default").is_some();
    if there || found.is_deleting() || found.str_at(&["status", "phase"]) == "Terminating" {
        return Ok(());
    }
    let account = value!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": namespace.as_str()},
    });
    match ctx.client.create(&SERVICE_ACCOUNTS, account).await {
        Ok(_) => Ok(()),
        Err(status) if status.is_already_exists() || is_namespace_terminating(&status) => Ok(()),
        Err(status) => Err(status),
    }
}
