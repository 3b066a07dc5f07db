//! Metrics of pods, objects and the world outside, from the three metrics APIs.
//!
//! Errors are texts, which upstream chains into conditions and events.

use std::collections::BTreeMap;

use drydock_client::{Client, Options, Request, Verb};
use drydock_machinery::quantity::Quantity;
use drydock_machinery::selector::Selector;
use drydock_machinery::{GroupVersionResource, ObjectMeta, Status, Value};
use jiff::{SignedDuration, Timestamp};

use crate::util::time_at;

const POD_METRICS: GroupVersionResource = GroupVersionResource::new("metrics.k8s.io", "v1beta1", "pods");
const CUSTOM_METRICS: &str = "custom.metrics.k8s.io";
/// As discovery lists what the custom metrics API of either version has.
const CUSTOM_VERSIONS: [&str; 2] = ["v1beta2", "v1beta1"];
/// What a sample is about when it does not say so.
const DEFAULT_WINDOW: SignedDuration = SignedDuration::from_secs(60);

/// A pod's value, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) value: i64,
    pub(super) at: Option<Timestamp>,
    pub(super) window: SignedDuration,
}

impl Sample {
    /// A value that was not measured.
    pub(super) fn assumed(value: i64) -> Self {
        Self { value, at: None, window: SignedDuration::ZERO }
    }
}

/// By the pod's name.
pub(super) type Samples = BTreeMap<String, Sample>;

/// How a resource is used by the pods that `selector` matches, or by their containers of one name.
pub(super) async fn of_resource(
    client: &Client,
    resource: &str,
    namespace: &str,
    selector: &Selector,
    container: &str,
) -> Result<Samples, String> {
    let options = Options { label_selector: selector.to_string(), ..Options::default() };
    let list = client.list(&POD_METRICS, namespace, options).await.map_err(|status| {
        let why = unserved(&status, "pods.metrics.k8s.io");
        format!("unable to fetch metrics from resource metrics API: {why}")
    })?;
    if list.items.is_empty() {
        return Err("no metrics returned from resource metrics API".to_owned());
    }
    let samples = list.items.iter().filter_map(|pod| {
        let value = usage(pod, resource, container)?;
        let window = pod.str_at(&["window"]).parse().unwrap_or(SignedDuration::ZERO);
        Some((pod.name().to_owned(), Sample { value, at: time_at(pod, &["timestamp"]), window }))
    });
    Ok(samples.collect())
}

/// The usage of all containers together, or of one; None when any of them does not tell.
fn usage(pod: &Value, resource: &str, container: &str) -> Option<i64> {
    let containers = pod.array_at(&["containers"]).iter();
    let mut concerned =
        containers.filter(|one| container.is_empty() || one.str_at(&["name"]) == container).peekable();
    concerned.peek()?;
    concerned.map(|one| Some(Quantity::of(Some(one.at(&["usage", resource])?)).milli_value())).sum()
}

/// A custom metric of the pods that `selector` matches.
pub(super) async fn of_pods(
    client: &Client,
    metric: &str,
    namespace: &str,
    selector: &Selector,
) -> Result<Samples, String> {
    let options = Options { label_selector: selector.to_string(), ..Options::default() };
    let values = custom(client, "pods", namespace, "*", metric, options).await?;
    if values.is_empty() {
        return Err("no metrics returned from custom metrics API".to_owned());
    }
    let samples = values.iter().map(|value| {
        let window = value.i64_at(&["windowSeconds"]).map_or(DEFAULT_WINDOW, SignedDuration::from_secs);
        let sample = Sample { value: milli(value), at: time_at(value, &["timestamp"]), window };
        (value.str_at(&["describedObject", "name"]).to_owned(), sample)
    });
    Ok(samples.collect())
}

/// A custom metric of one object, in thousandths. `resource` is the plural of its kind, with the group.
pub(super) async fn of_object(
    client: &Client,
    metric: &str,
    namespace: &str,
    resource: &str,
    name: &str,
) -> Result<i64, String> {
    let values = if resource == "namespaces" {
        custom(client, "metrics", namespace, metric, "", Options::default()).await?
    } else {
        custom(client, resource, namespace, name, metric, Options::default()).await?
    };
    match &values[..] {
        [value] => Ok(milli(value)),
        _ => {
            let count = values.len();
            let why = format!(
                "the custom metrics API server returned {count} results when we asked for exactly one"
            );
            Err(format!("unable to fetch metrics from custom metrics API: {why}"))
        }
    }
}

/// The values of an external metric, in thousandths.
pub(super) async fn external(
    client: &Client,
    metric: &str,
    namespace: &str,
    selector: &Selector,
) -> Result<Vec<i64>, String> {
    let resource = GroupVersionResource {
        group: "external.metrics.k8s.io".into(),
        version: "v1beta1".into(),
        resource: metric.to_owned().into(),
    };
    let options = Options { label_selector: selector.to_string(), ..Options::default() };
    let list = client.list(&resource, namespace, options).await.map_err(|status| {
        let why = unserved(&status, &resource.group_resource());
        format!("unable to fetch metrics from external metrics API: {why}")
    })?;
    if list.items.is_empty() {
        return Err("no metrics returned from external metrics API".to_owned());
    }
    Ok(list.items.iter().map(|value| milli(value)).collect())
}

async fn custom(
    client: &Client,
    resource: &str,
    namespace: &str,
    name: &str,
    metric: &str,
    options: Options,
) -> Result<Vec<Value>, String> {
    for version in CUSTOM_VERSIONS {
        let resource = GroupVersionResource {
            group: CUSTOM_METRICS.into(),
            version: version.into(),
            resource: resource.to_owned().into(),
        };
        let request = Request::new(Verb::Get, &resource, namespace, name).subresource(metric);
        match client.object(request.options(options.clone())).await {
            Ok(list) => return Ok(list.array_at(&["items"]).to_vec()),
            // Not a missing metric, but nobody to ask.
            Err(status) if is_unserved(&status) => {}
            Err(status) => return Err(format!("unable to fetch metrics from custom metrics API: {status}")),
        }
    }
    let why = format!("no custom metrics API ({CUSTOM_METRICS}) registered");
    Err(format!("unable to fetch metrics from custom metrics API: {why}"))
}

fn milli(value: &Value) -> i64 {
    Quantity::of(value.get("value")).milli_value()
}

/// The server knows no such resource at all.
fn is_unserved(status: &Status) -> bool {
    status.code == 404 && status.details.as_ref().is_none_or(|details| details.name.is_empty())
}

/// What a client says, with the resource that it wanted to get when the server has not said a word of it.
fn unserved(status: &Status, resource: &str) -> String {
    if is_unserved(status) || (status.code == 503 && status.details.is_none()) {
        return format!("{status} (get {resource})");
    }
    status.to_string()
}

#[cfg(test)]
mod tests {
    use drydock_machinery::value;

    use super::*;

    #[test]
    fn usage_is_the_sum_of_all_containers_or_that_of_one() {
        let pod = value!({"containers": [
            {"name": "a", "usage": {"cpu": "100m", "memory": "1Mi"}},
            {"name": "b", "usage": {"cpu": "1"}},
        ]});
        assert_eq!(usage(&pod, "cpu", ""), Some(1100));
        assert_eq!(usage(&pod, "cpu", "b"), Some(1000));
        assert_eq!(usage(&pod, "memory", ""), None);
        assert_eq!(usage(&pod, "cpu", "c"), None);
    }
}
