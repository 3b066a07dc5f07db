//! Bootstrap tokens: those that have expired are deleted, and each that may sign signs `cluster-info`, so that whoever
//! holds one can tell that it is this cluster's.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use drydock_client::resources::{CONFIG_MAPS, SECRETS};
use drydock_client::{Change, Controller, DeleteOptions, Informer, WorkQueue};
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::Context;
use crate::util::{between, split_key};

const TYPE: &str = "bootstrap.kubernetes.io/token";
const NAMESPACE: &str = "kube-system";
const INFO: (&str, &str) = ("kube-public", "cluster-info");
const SIGNATURE: &str = "jws-kubeconfig-";

fn is_token(secret: &Object) -> bool {
    secret.namespace() == NAMESPACE && secret.str_at(&["type"]) == TYPE
}

/// A value of the secret's data, decoded.
fn data(secret: &Value, key: &str) -> String {
    let bytes = STANDARD.decode(secret.str_at(&["data", key])).unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

fn expiration(secret: &Value) -> Option<Timestamp> {
    match data(secret, "expiration").as_str() {
        "" => None,
        // One that cannot be read is long over.
        text => Some(text.parse().unwrap_or(Timestamp::UNIX_EPOCH)),
    }
}

pub(crate) fn start_cleaner(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let secrets = ctx.informers.informer(&SECRETS);
    let to = queue.clone();
    secrets.on_change(move |change| {
        if is_token(change.object()) && !matches!(change, Change::Deleted(_)) {
            to.add_object(change.object());
        }
    });
    let tasks = ctx.tasks.clone();
    let again = queue.clone();
    Controller::new("token-cleaner", queue).needs([secrets.clone()]).start(&tasks, move |key| {
        let (ctx, again, secrets) = (ctx.clone(), again.clone(), secrets.clone());
        async move { clean(&ctx, &again, &secrets, &key).await }
    });
}

async fn clean(ctx: &Context, queue: &WorkQueue, secrets: &Informer, key: &Key) -> Result<(), Status> {
    let (namespace, name) = split_key(key);
    let Some(secret) = secrets.get(namespace, name).filter(|secret| is_token(secret)) else { return Ok(()) };
    let Some(at) = expiration(&secret) else { return Ok(()) };
    let now = ctx.clock.now();
    if at > now {
        queue.add_after(key.clone(), between(now, at));
        return Ok(());
    }
    match ctx.client.delete(&SECRETS, namespace, name, DeleteOptions::of_uid(secret.uid())).await {
        Err(status) if !status.is_not_found() && !status.is_conflict() => Err(status),
        _ => Ok(()),
    }
}

pub(crate) fn start_signer(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let (secrets, maps) = (ctx.informers.informer(&SECRETS), ctx.informers.informer(&CONFIG_MAPS));
    let to = queue.clone();
    secrets.on_change(move |change| {
        if is_token(change.object()) {
            to.add(INFO.1);
        }
    });
    let to = queue.clone();
    maps.on_change(move |change| {
        if (change.object().namespace(), change.object().name()) == INFO {
            to.add(INFO.1);
        }
    });
    let tasks = ctx.tasks.clone();
    Controller::new("bootstrap-signer", queue).needs([secrets.clone(), maps.clone()]).start(
        &tasks,
        move |_| {
            let (ctx, secrets, maps) = (ctx.clone(), secrets.clone(), maps.clone());
            async move { sign(&ctx, &secrets, &maps).await }
        },
    );
}

async fn sign(ctx: &Context, secrets: &Informer, maps: &Informer) -> Result<(), Status> {
    let Some(info) = maps.get(INFO.0, INFO.1) else { return Ok(()) };
    let Some(content) = info.at(&["data", "kubeconfig"]).and_then(Value::as_str) else { return Ok(()) };
    let now = ctx.clock.now();
    let mut signatures: BTreeMap<String, String> = BTreeMap::new();
    for secret in secrets.list_in(NAMESPACE).iter().filter(|secret| is_token(secret)) {
        let (id, token) = (data(secret, "token-id"), data(secret, "token-secret"));
        let may_sign =
            data(secret, "usage-bootstrap-signing") == "true" && expiration(secret).is_none_or(|at| at > now);
        if may_sign && !token.is_empty() && secret.name() == format!("bootstrap-token-{id}") {
            signatures.insert(format!("{SIGNATURE}{id}"), detached_signature(content, &id, &token));
        }
    }
    let mut new = info.value().clone();
    for (key, _) in info.object_at(&["data"]).iter().filter(|(key, _)| key.as_str().starts_with(SIGNATURE)) {
        new.remove(&["data", key]);
    }
    for (key, signature) in signatures {
        new.set(&["data", &key], signature);
    }
    if new.get("data") == info.get("data") {
        return Ok(());
    }
    ctx.client.update(&CONFIG_MAPS, new).await.map(drop)
}

/// A JSON web signature (HS256) without its content.
fn detached_signature(content: &str, id: &str, token: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(format!("{{\"alg\":\"HS256\",\"kid\":\"{id}\"}}"));
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(content));
    format!("{header}..{}", URL_SAFE_NO_PAD.encode(hmac(token.as_bytes(), signed.as_bytes())))
}

/// HMAC-SHA256 (RFC 2104).
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    const BLOCK: usize = 64;
    let mut padded = [0u8; BLOCK];
    if key.len() > BLOCK {
        padded[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        padded[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(padded.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(padded.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    #[test]
    fn the_signature_is_hmac_sha256() {
        // RFC 4231, test case 2.
        let mac = hmac(b"Jefe", b"what do ya want for nothing?");
        let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
        let signature = detached_signature("content", "abcdef", "0123456789abcdef");
        assert!(signature.starts_with("eyJhbGciOiJIUzI1NiIsImtpZCI6ImFiY2RlZiJ9.."));
    }

    #[test]
    fn a_token_without_a_readable_end_is_over() {
        let secret = |text: &str| value!({"data": {"expiration": STANDARD.encode(text)}});
        assert_eq!(expiration(&value!({})), None);
        assert_eq!(expiration(&secret("2026-01-01T00:00:00Z")), "2026-01-01T00:00:00Z".parse().ok());
        assert_eq!(expiration(&secret("soon")), Some(Timestamp::UNIX_EPOCH));
    }
}
