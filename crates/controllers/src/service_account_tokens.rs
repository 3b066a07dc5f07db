//! Token secrets of service accounts that are gone, go.
//!
//! Filling such secrets needs the cluster's signing key and is not done here.

use std::sync::Arc;

use drydock_client::resources::{SECRETS, SERVICE_ACCOUNTS};
use drydock_client::{Change, Controller, DeleteOptions, WorkQueue};
use drydock_machinery::{Key, ObjectMeta, Status};

use crate::Context;
use crate::util::split_key;

const TYPE: &str = "kubernetes.io/service-account-token";
const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let (secrets, accounts) = (ctx.informers.informer(&SECRETS), ctx.informers.informer(&SERVICE_ACCOUNTS));
    secrets.add_index("token-of", |secret| {
        if secret.str_at(&["type"]) != TYPE {
            return Vec::new();
        }
        vec![format!("{}/{}", secret.namespace(), secret.annotation(ACCOUNT_NAME).unwrap_or("")).into()]
    });
    let to = queue.clone();
    secrets.on_change(move |change| {
        let secret = change.object();
        if secret.str_at(&["type"]) == TYPE && !matches!(change, Change::Deleted(_)) {
            to.add_object(secret);
        }
    });
    let (to, tokens) = (queue.clone(), secrets.clone());
    accounts.on_change(move |change| {
        if let Change::Deleted(account) = change {
            for secret in tokens.by_index("token-of", &account.key()) {
                to.add_object(&secret);
            }
        }
    });
    let tasks = ctx.tasks.clone();
    Controller::new("serviceaccount-token", queue).needs([secrets, accounts]).start(&tasks, move |key| {
        let ctx = ctx.clone();
        async move { sync(&ctx, &key).await }
    });
}

async fn sync(ctx: &Context, key: &Key) -> Result<(), Status> {
    let (namespace, name) = split_key(key);
    let Some(secret) = ctx.informers.informer(&SECRETS).get(namespace, name) else { return Ok(()) };
    // The server is asked: an account that was just made may not be in the cache.
    let account = secret.annotation(ACCOUNT_NAME).unwrap_or("");
    let found = ctx.client.find(&SERVICE_ACCOUNTS, namespace, account).await?;
    let uid = secret.annotation(ACCOUNT_UID);
    if found.is_some_and(|found| uid.is_none_or(|uid| uid == found.uid())) {
        return Ok(());
    }
    match ctx.client.delete(&SECRETS, namespace, name, DeleteOptions::of_uid(secret.uid())).await {
        Err(status) if !status.is_not_found() => Err(status),
        _ => Ok(()),
    }
}
