//! ServiceAccount: every pod has an account, which must exist; its token and pull secrets come with it.

use std::sync::LazyLock;
use std::time::Duration;

use async_trait::async_trait;
use drydock_machinery::names_validation::{NamePart, name_is_path_segment};
use drydock_machinery::{Object, ObjectMeta, Status, Value, value};
use drydock_runtime::wall;
use rand::Rng as _;

use super::references::{CONTAINERS, secrets};
use super::{AdmissionContext, AdmissionPlugin, AdmissionRequest, Operation};

pub(super) struct ServiceAccount;

/// The account that every namespace has.
const DEFAULT: &str = "default";
/// How often is looked for it, and how long is waited in between.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(150);
const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const VOLUME_PREFIX: &str = "kube-api-access-";
const MIRROR: &str = "kubernetes.io/config.mirror";
const ENFORCE_SECRETS: &str = "kubernetes.io/enforce-mountable-secrets";

#[async_trait]
impl AdmissionPlugin for ServiceAccount {
    fn name(&self) -> &'static str {
        "ServiceAccount"
    }

    fn handles(&self, request: &AdmissionRequest<'_>) -> bool {
        request.is_create_of("", "pods")
            || request.operation == Operation::Update
                && request.is_of("", "pods")
                && request.subresource == "ephemeralcontainers"
    }

    async fn admit(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        if request.operation != Operation::Create {
            return Ok(());
        }
        if request.object().annotation(MIRROR).is_some() {
            return check_mirror(request);
        }
        if let Some(pod) = &mut request.object {
            name_account(pod);
        }
        let account = account_of(context, request).await?;
        let Some(pod) = &mut request.object else { return Ok(()) };
        if mounts_token(&account, pod) {
            mount_token(pod);
        }
        if pod.array_at(&["spec", "imagePullSecrets"]).is_empty() {
            let secrets = account.array_at(&["imagePullSecrets"]);
            if !secrets.is_empty() {
                pod.set(&["spec", "imagePullSecrets"], secrets.to_vec());
            }
        }
        Ok(())
    }

    async fn validate(
        &self,
        context: &AdmissionContext<'_>,
        request: &mut AdmissionRequest<'_>,
    ) -> Result<(), Status> {
        if request.object().annotation(MIRROR).is_some() {
            return check_mirror(request);
        }
        let account = account_of(context, request).await?;
        if account.annotation(ENFORCE_SECRETS) == Some("true") {
            check_secrets(request, &account)?;
        }
        Ok(())
    }
}

/// Both of the account's fields are set, the old one and the new.
fn name_account(pod: &mut Value) {
    let name = match (pod.str_at(&["spec", "serviceAccountName"]), pod.str_at(&["spec", "serviceAccount"])) {
        ("", "") => DEFAULT,
        ("", name) | (name, _) => name,
    };
    let name = name.to_owned();
    pod.set(&["spec", "serviceAccountName"], name.clone());
    pod.set(&["spec", "serviceAccount"], name);
}

/// The pod's account. A namespace's own is awaited for a moment: its controller may be about to make it.
async fn account_of(
    context: &AdmissionContext<'_>,
    request: &AdmissionRequest<'_>,
) -> Result<std::sync::Arc<Object>, Status> {
    let (namespace, name) = (request.namespace, request.object().str_at(&["spec", "serviceAccountName"]));
    let attempts = if name == DEFAULT { ATTEMPTS } else { 1 };
    for attempt in 0..attempts {
        if attempt > 0 {
            wall::sleep(PAUSE).await;
        }
        if let Some(account) = context.reader.get("", "serviceaccounts", namespace, name) {
            return Ok(account);
        }
    }
    let why = match name_is_path_segment(name, NamePart::Whole) {
        bad if bad.is_empty() => format!("serviceaccount {name:?} not found"),
        bad => format!("invalid resource name {name:?}: [{}]", bad.join(" ")),
    };
    Err(request.forbidden(&format!("error looking up service account {namespace}/{name}: {why}")))
}

fn check_mirror(request: &AdmissionRequest<'_>) -> Result<(), Status> {
    let pod = request.object();
    if !pod.str_at(&["spec", "serviceAccountName"]).is_empty() {
        return Err(request.forbidden("a mirror pod may not reference service accounts"));
    }
    if !secrets(pod).is_empty() {
        return Err(request.forbidden("a mirror pod may not reference secrets"));
    }
    let projects_token = |volume: &Value| {
        volume
            .array_at(&["projected", "sources"])
            .iter()
            .any(|source| source.get("serviceAccountToken").is_some())
    };
    if pod.array_at(&["spec", "volumes"]).iter().any(projects_token) {
        return Err(request.forbidden("a mirror pod may not use ServiceAccountToken volume projections"));
    }
    Ok(())
}

/// The pod decides, else its account, else yes.
fn mounts_token(account: &Object, pod: &Value) -> bool {
    let said = |holder: Option<&Value>| holder.and_then(Value::as_bool);
    said(pod.at(&["spec", "automountServiceAccountToken"]))
        .or_else(|| said(account.get("automountServiceAccountToken")))
        .unwrap_or(true)
}

/// Mounts the token in every container that has nothing at its path, and adds the volume if any is mounted.
fn mount_token(pod: &mut Value) {
    let volumes = pod.array_at(&["spec", "volumes"]);
    let names = || volumes.iter().map(|volume| volume.str_at(&["name"]));
    let existing = names().find(|name| name.starts_with(VOLUME_PREFIX)).map(str::to_owned);
    let is_new = existing.is_none();
    let name = existing.unwrap_or_else(|| {
        loop {
            let name = format!("{VOLUME_PREFIX}{}", random_suffix());
            if names().all(|other| other != name) {
                break name;
            }
        }
    });

    let mut mount = Value::object();
    mount.set(&["name"], name.as_str());
    mount.set(&["readOnly"], true);
    mount.set(&["mountPath"], TOKEN_PATH);
    let mut mounted = false;
    for list in &CONTAINERS[..2] {
        if pod.array_at(&["spec", list]).is_empty() {
            continue;
        }
        let containers = pod.at_mut(&["spec", list]).as_array_mut();
        for container in containers.into_iter().flat_map(|containers| containers.make_mut()) {
            let mounts = container.array_at(&["volumeMounts"]);
            if mounts.iter().any(|mount| mount.str_at(&["mountPath"]) == TOKEN_PATH) {
                continue;
            }
            let mut mounts = mounts.to_vec();
            mounts.push(mount.clone());
            container.set(&["volumeMounts"], mounts);
            mounted = true;
        }
    }
    if mounted && is_new {
        let mut volumes = pod.array_at(&["spec", "volumes"]).to_vec();
        volumes.push(token_volume(&name));
        pod.set(&["spec", "volumes"], volumes);
    }
}

fn token_volume(name: &str) -> Value {
    // All pods share it.
    static PROJECTED: LazyLock<Value> = LazyLock::new(|| {
        value!({"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [
                {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
            ]}},
        ]})
    });
    let mut volume = Value::object();
    volume.set(&["name"], name);
    volume.set(&["projected"], PROJECTED.clone());
    volume
}

/// Five letters of upstream's alphabet, which spells no words.
fn random_suffix() -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut rng = rand::rng();
    (0..5).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect()
}

/// An account that says so lets its pods use only the secrets that it lists.
fn check_secrets(request: &AdmissionRequest<'_>, account: &Object) -> Result<(), Status> {
    let listed = |field: &str, name: &str| {
        account.array_at(&[field]).iter().any(|secret| secret.str_at(&["name"]) == name)
    };
    let pod = request.object();
    for volume in pod.array_at(&["spec", "volumes"]) {
        let name = volume.str_at(&["secret", "secretName"]);
        if !name.is_empty() && !listed("secrets", name) {
            return Err(request.forbidden(&format!(
                "volume with secret.secretName={name:?} is not allowed because service account {} does not reference \
                 that secret",
                account.name()
            )));
        }
    }
    for (what, name) in container_secrets(pod) {
        if !listed("secrets", name) {
            return Err(request.forbidden(&format!(
                "{what} referencing secret.secretName=\"{name}\" is not allowed because service account {} does not \
                 reference that secret",
                account.name()
            )));
        }
    }
    for (i, secret) in pod.array_at(&["spec", "imagePullSecrets"]).iter().enumerate() {
        let name = secret.str_at(&["name"]);
        if !listed("imagePullSecrets", name) {
            return Err(request.forbidden(&format!(
                "imagePullSecrets[{i}].name=\"{name}\" is not allowed because service account {} does not reference \
                 that imagePullSecret",
                account.name()
            )));
        }
    }
    Ok(())
}

/// The secrets that containers take their environment from, and what takes them.
fn container_secrets(pod: &Value) -> Vec<(String, &str)> {
    let mut found = Vec::new();
    for (list, kind) in [("initContainers", "init container"), ("containers", "container")] {
        for container in pod.array_at(&["spec", list]) {
            let name = container.str_at(&["name"]);
            for env in container.array_at(&["env"]) {
                let secret = env.str_at(&["valueFrom", "secretKeyRef", "name"]);
                found.push((format!("{kind} {name} with envVar {}", env.str_at(&["name"])), secret));
            }
            for source in container.array_at(&["envFrom"]) {
                found.push((format!("{kind} {name} with envFrom"), source.str_at(&["secretRef", "name"])));
            }
        }
    }
    found.retain(|(_, secret)| !secret.is_empty());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_mounted_where_nothing_else_is() {
        let mut pod = value!({"spec": {
            "initContainers": [{"name": "i"}],
            "containers": [{"name": "a"}, {"name": "b", "volumeMounts": [{"name": "own", "mountPath": TOKEN_PATH}]}],
            "volumes": [{"name": "own", "emptyDir": {}}],
        }});
        mount_token(&mut pod);
        let volumes = pod.array_at(&["spec", "volumes"]);
        assert_eq!(volumes.len(), 2);
        let name = volumes[1].str_at(&["name"]);
        assert!(name.starts_with(VOLUME_PREFIX));
        let mount =
            |list: &str, i: usize| pod.array_at(&["spec", list])[i].array_at(&["volumeMounts"]).to_vec();
        assert_eq!(mount("initContainers", 0)[0].str_at(&["name"]), name);
        assert_eq!(mount("containers", 0)[0].str_at(&["name"]), name);
        assert_eq!(mount("containers", 1).len(), 1);
    }
}
