//! What the kubelet writes into a pod's volumes: config maps, secrets, the downward API, tokens.

use drydock_client::resources::SERVICE_ACCOUNTS;
use drydock_client::{Client, Reply};
use drydock_machinery::{Object, ObjectMeta, Value, value};

use super::environment;

/// A path in a volume, and what it holds.
type Content = Vec<(String, Vec<u8>)>;

/// None for volumes that processes write to, which begin empty.
pub(crate) async fn content(
    client: &Client,
    pod: &Object,
    container: &Value,
    volume: &Value,
) -> Option<Content> {
    if let Some(source) = volume.get("configMap") {
        return Some(keyed(client, pod, source, source.str_at(&["name"]), false).await);
    }
    if let Some(source) = volume.get("secret") {
        return Some(keyed(client, pod, source, source.str_at(&["secretName"]), true).await);
    }
    if let Some(source) = volume.get("downwardAPI") {
        return Some(downward(pod, container, source));
    }
    let sources = volume.at(&["projected", "sources"])?;
    let mut all = Vec::new();
    for source in sources.as_array().unwrap_or_default() {
        if let Some(of) = source.get("configMap") {
            all.extend(keyed(client, pod, of, of.str_at(&["name"]), false).await);
        } else if let Some(of) = source.get("secret") {
            all.extend(keyed(client, pod, of, of.str_at(&["name"]), true).await);
        } else if let Some(of) = source.get("downwardAPI") {
            all.extend(downward(pod, container, of));
        } else if let Some(of) = source.get("serviceAccountToken") {
            let token = token(client, pod, of).await.unwrap_or_default();
            all.push((of.str_at(&["path"]).to_owned(), token.into_bytes()));
        }
    }
    Some(all)
}

/// All keys, or those that the source names, at the paths that it gives them.
async fn keyed(client: &Client, pod: &Object, source: &Value, name: &str, secret: bool) -> Content {
    let all = environment::data(client, pod.namespace(), name, secret).await;
    let items = source.array_at(&["items"]);
    if items.is_empty() {
        return all;
    }
    let find = |item: &Value| {
        let (_, bytes) = all.iter().find(|(key, _)| key == item.str_at(&["key"]))?;
        Some((item.str_at(&["path"]).to_owned(), bytes.clone()))
    };
    items.iter().filter_map(find).collect()
}

fn downward(pod: &Object, container: &Value, source: &Value) -> Content {
    let read = |item: &Value| match item.get("resourceFieldRef") {
        Some(reference) => environment::resource(pod, container, reference),
        None => environment::field(pod, item.str_at(&["fieldRef", "fieldPath"])),
    };
    let items = source.array_at(&["items"]).iter();
    items.map(|item| (item.str_at(&["path"]).to_owned(), read(item).into_bytes())).collect()
}

async fn token(client: &Client, pod: &Object, source: &Value) -> Option<String> {
    let mut request = value!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "metadata": {},
    "spec": {
        "expirationSeconds": source.i64_at(&["expirationSeconds"]).unwrap_or(3600),
        "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": pod.name(), "uid": pod.uid()},
    }});
    if !source.str_at(&["audience"]).is_empty() {
        request.set(&["spec", "audiences"], value!([source.str_at(&["audience"])]));
    }
    let account = pod.str_at(&["spec", "serviceAccountName"]);
    let made = client.create_subresource(&SERVICE_ACCOUNTS, pod.namespace(), account, "token", request).await;
    match made {
        Ok(Reply::Virtual(made)) => Some(made.str_at(&["status", "token"]).to_owned()),
        Ok(Reply::Object(made)) => Some(made.str_at(&["status", "token"]).to_owned()),
        Ok(Reply::List(_)) => None,
        Err(status) => {
            tracing::debug!(%status, pod = pod.name(), "no token for a simulated container");
            None
        }
    }
}
