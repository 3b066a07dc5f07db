//! Token secrets: those of service accounts get a token, those of accounts that are gone, go.
//!
//! How a token is made is the cluster's matter ([`SecretTokens`]); without it secrets stay as they are.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drydock_client::resources::{SECRETS, SERVICE_ACCOUNTS};
use drydock_client::{Change, Controller, DeleteOptions, WorkQueue};
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value};

use crate::Context;
use crate::util::split_key;

const TYPE: &str = "kubernetes.io/service-account-token";
const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

/// The cluster's issuer of tokens, as far as secrets need it.
pub trait SecretTokens: Send + Sync + 'static {
    /// A token that is good for as long as the secret holds it.
    ///
    /// # Errors
    /// When signing fails.
    fn token(&self, service_account: &Value, secret_name: &str) -> Result<String, Status>;
}

/// What is written into token secrets.
#[derive(Clone)]
struct Fill {
    tokens: Option<Arc<dyn SecretTokens>>,
    /// PEM.
    root_ca: Arc<str>,
}

pub(crate) fn start(ctx: Context, root_ca: &str, tokens: Option<Arc<dyn SecretTokens>>) {
    let fill = Fill { tokens, root_ca: root_ca.into() };
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
        let (ctx, fill) = (ctx.clone(), fill.clone());
        async move { sync(&ctx, &fill, &key).await }
    });
}

async fn sync(ctx: &Context, fill: &Fill, key: &Key) -> Result<(), Status> {
    let (namespace, name) = split_key(key);
    let Some(secret) = ctx.informers.informer(&SECRETS).get(namespace, name) else { return Ok(()) };
    // The server is asked: an account that was just made may not be in the cache.
    let account = secret.annotation(ACCOUNT_NAME).unwrap_or("");
    let found = ctx.client.find(&SERVICE_ACCOUNTS, namespace, account).await?;
    let uid = secret.annotation(ACCOUNT_UID);
    if let Some(found) = found.filter(|found| uid.is_none_or(|uid| uid == found.uid())) {
        return fill.secret(ctx, &secret, &found).await;
    }
    match ctx.client.delete(&SECRETS, namespace, name, DeleteOptions::of_uid(secret.uid())).await {
        Err(status) if !status.is_not_found() => Err(status),
        _ => Ok(()),
    }
}

impl Fill {
    async fn secret(&self, ctx: &Context, secret: &Object, account: &Value) -> Result<(), Status> {
        let Some(tokens) = &self.tokens else { return Ok(()) };
        let mut new = secret.value().clone();
        let mut set = |path: &[&str], text: String| {
            if new.str_at(path).is_empty() {
                new.set(path, text);
            }
        };
        set(&["metadata", "annotations", ACCOUNT_UID], account.uid().to_owned());
        set(&["data", "ca.crt"], STANDARD.encode(&*self.root_ca));
        set(&["data", "namespace"], STANDARD.encode(secret.namespace()));
        if secret.str_at(&["data", "token"]).is_empty() {
            set(&["data", "token"], STANDARD.encode(tokens.token(account, secret.name())?));
        }
        if new == *secret.value() {
            return Ok(());
        }
        match ctx.client.update(&SECRETS, new).await {
            // Gone, or changed meanwhile: then its change comes here again.
            Err(status) if !status.is_not_found() && !status.is_conflict() => Err(status),
            _ => Ok(()),
        }
    }
}
