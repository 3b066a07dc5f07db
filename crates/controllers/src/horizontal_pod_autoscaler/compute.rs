//! One metric of an autoscaler: reading it, and what it proposes.

use std::collections::BTreeMap;

use drydock_client::Client;
use drydock_machinery::quantity::{Format, Quantity};
use drydock_machinery::selector::Selector;
use drydock_machinery::{GroupVersionResource, ObjectMeta, Value, value};

use super::metrics;
use super::replicas::{Fleet, Proposal, Target};

/// What a metric proposes, how messages call it, and its entry in `status.currentMetrics`.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub(super) replicas: i64,
    pub(super) name: String,
    pub(super) status: Value,
}

/// Why a metric proposes nothing: the reason of condition and event, their message, and the message of the whole.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) whole: String,
}

/// The autoscaler's surroundings in one pass.
pub(super) struct Computation<'a> {
    pub(super) client: &'a Client,
    pub(super) autoscaler: &'a Value,
    pub(super) selector: &'a Selector,
    pub(super) fleet: &'a Fleet<'a>,
    /// `status.replicas` of the target.
    pub(super) status_replicas: i64,
    /// Resources by group and kind, for objects that metrics are about.
    pub(super) resources: &'a BTreeMap<(String, String), GroupVersionResource>,
}

/// How a resource metric reads, and which part of each pod it is about.
struct ResourceSource<'a> {
    resource: &'a str,
    container: &'a str,
    target: &'a Value,
}

fn quantity(source: &Value, field: &str) -> Option<i64> {
    let value = source.at(&["target", field]).filter(|value| !value.is_null())?;
    Some(Quantity::of(Some(value)).milli_value())
}

/// Memory in binary form, everything else in decimal.
fn shown_usage(resource: &str, milli: i64) -> Value {
    let quantity = if resource == "memory" && milli % 1000 == 0 {
        Quantity::new(milli / 1000, Format::BinarySi)
    } else {
        Quantity::from_milli(milli)
    };
    Value::from(quantity.to_string())
}

/// As Go prints a pointer to a selector.
fn shown_selector(selector: Option<&Value>) -> String {
    let selector = selector.filter(|selector| !selector.is_null());
    selector.map_or_else(|| "nil".to_owned(), drydock_machinery::go_text::label_selector)
}

/// `metric` as a status names it.
fn identifier(source: &Value) -> Value {
    let mut metric = value!({"name": source.str_at(&["metric", "name"])});
    if let Some(selector) = source.at(&["metric", "selector"]).filter(|selector| !selector.is_null()) {
        metric.set(&["selector"], selector.clone());
    }
    metric
}

fn decimal(milli: i64) -> Value {
    Value::from(Quantity::from_milli(milli).to_string())
}

impl Computation<'_> {
    /// # Errors
    /// Why the metric proposes nothing.
    pub(super) async fn compute(&self, spec: &Value) -> Result<Offer, Refusal> {
        let of = |field: &str| spec.get(field).cloned().unwrap_or_default();
        match spec.str_at(&["type"]) {
            "Resource" => self.resource(&of("resource"), None).await,
            "ContainerResource" => {
                let source = of("containerResource");
                let container = source.str_at(&["container"]).to_owned();
                self.resource(&source, Some(&container)).await
            }
            "Pods" => self.pods(&of("pods")).await,
            "Object" => self.object(&of("object")).await,
            "External" => self.external(&of("external")).await,
            other => {
                let message = format!("unknown metric source type {other:?}");
                Err(Refusal { reason: "InvalidMetricSourceType", whole: message.clone(), message })
            }
        }
    }

    async fn resource(&self, source: &Value, container: Option<&str>) -> Result<Offer, Refusal> {
        let resource = source.str_at(&["name"]);
        let target = source.get("target").cloned().unwrap_or_default();
        let asked = ResourceSource { resource, container: container.unwrap_or(""), target: &target };
        let (reason, of) = match container {
            None => ("FailedGetResourceMetric", format!("{resource} resource")),
            Some(container) => ("FailedGetContainerResourceMetric", format!("{container} container")),
        };
        let (proposal, current) = self.usage(&asked).await.map_err(|message| Refusal {
            reason,
            whole: format!("failed to get {of} metric value: {message}"),
            message,
        })?;
        let name = match (target.i64_at(&["averageUtilization"]), container) {
            _ if quantity(source, "averageValue").is_some() => format!("{resource} resource"),
            (_, None) => format!("{resource} resource utilization (percentage of request)"),
            (_, Some(_)) => format!("{resource} container resource utilization (percentage of request)"),
        };
        let mut status = match container {
            None => value!({"type": "Resource", "resource": {"name": resource}}),
            Some(container) => {
                value!({"type": "ContainerResource", "containerResource": {"name": resource, "container": container}})
            }
        };
        let field = if container.is_none() { "resource" } else { "containerResource" };
        status.set(&[field, "current"], current);
        Ok(Offer { replicas: proposal.replicas, name, status })
    }

    async fn usage(&self, asked: &ResourceSource<'_>) -> Result<(Proposal, Value), String> {
        let ResourceSource { resource, container, target } = asked;
        let average = target.get("averageValue").filter(|value| !value.is_null());
        let (target, what) = match (average, target.i64_at(&["averageUtilization"])) {
            (Some(value), _) => (Target::Average(Quantity::of(Some(value)).milli_value()), "usage"),
            (None, Some(percent)) => (Target::Utilization(percent), "utilization"),
            (None, None) => {
                return Err(
                    "invalid resource metric source: neither an average utilization target nor an average \
                            value (usage) target was set"
                        .to_owned(),
                );
            }
        };
        let namespace = self.autoscaler.namespace();
        let samples = metrics::of_resource(self.client, resource, namespace, self.selector, container).await;
        let samples = samples.map_err(|why| format!("unable to get metrics for resource {resource}: {why}"));
        let proposal =
            samples.and_then(|samples| self.fleet.by_samples(samples, target, resource, container));
        let proposal = proposal.map_err(|why| format!("failed to get {resource} {what}: {why}"))?;
        let mut current = value!({});
        if let Target::Utilization(_) = target {
            current.set(&["averageUtilization"], proposal.utilization);
        }
        current.set(&["averageValue"], shown_usage(resource, proposal.usage));
        Ok((proposal, current))
    }

    async fn pods(&self, source: &Value) -> Result<Offer, Refusal> {
        let name = source.str_at(&["metric", "name"]);
        let target = Target::Average(quantity(source, "averageValue").unwrap_or(0));
        let samples = metrics::of_pods(self.client, name, self.autoscaler.namespace(), self.selector).await;
        let samples = samples.map_err(|why| format!("unable to get metric {name}: {why}"));
        let proposal = samples.and_then(|samples| self.fleet.by_samples(samples, target, "", ""));
        let proposal = proposal.map_err(|message| Refusal {
            reason: "FailedGetPodsMetric",
            whole: format!("failed to get pods metric value: {message}"),
            message,
        })?;
        let mut status =
            value!({"type": "Pods", "pods": {"current": {"averageValue": decimal(proposal.usage)}}});
        status.set(&["pods", "metric"], identifier(source));
        Ok(Offer { replicas: proposal.replicas, name: format!("pods metric {name}"), status })
    }

    async fn object(&self, source: &Value) -> Result<Offer, Refusal> {
        let outcome = self.object_proposal(source).await;
        let (proposal, field, name) = outcome.map_err(|message| Refusal {
            reason: "FailedGetObjectMetric",
            whole: match source.str_at(&["target", "type"]) {
                "AverageValue" => {
                    let metric = source.str_at(&["metric", "name"]);
                    format!(
                        "failed to get object metric value: failed to get {metric} object metric: {message}"
                    )
                }
                _ => format!("failed to get object metric value: {message}"),
            },
            message,
        })?;
        let mut status = value!({"type": "Object", "object": {}});
        status
            .set(&["object", "describedObject"], source.get("describedObject").cloned().unwrap_or_default());
        status.set(&["object", "metric"], identifier(source));
        status.set(&["object", "current", field], decimal(proposal.usage));
        Ok(Offer { replicas: proposal.replicas, name, status })
    }

    async fn object_proposal(&self, source: &Value) -> Result<(Proposal, &'static str, String), String> {
        let metric = source.str_at(&["metric", "name"]);
        let selector = source.at(&["metric", "selector"]);
        match (
            source.str_at(&["target", "type"]),
            quantity(source, "value"),
            quantity(source, "averageValue"),
        ) {
            ("Value", Some(target), _) => {
                let usage = self.object_value(source).await?;
                let kind = source.str_at(&["describedObject", "kind"]);
                Ok((self.fleet.by_total(usage, target)?, "value", format!("{kind} metric {metric}")))
            }
            ("AverageValue", _, Some(target)) => {
                let usage = self.object_value(source).await?;
                let name = format!("external metric {metric}({})", shown_selector(selector));
                Ok((self.fleet.by_share(usage, target, self.status_replicas), "averageValue", name))
            }
            _ => Err(
                "invalid object metric source: neither a value target nor an average value target was set"
                    .to_owned(),
            ),
        }
    }

    async fn object_value(&self, source: &Value) -> Result<i64, String> {
        let about = source.get("describedObject").cloned().unwrap_or_default();
        let (kind, name) = (about.str_at(&["kind"]), about.str_at(&["name"]));
        let (group, _) = drydock_machinery::names::split_api_version(about.str_at(&["apiVersion"]));
        let (namespace, metric) = (self.autoscaler.namespace(), source.str_at(&["metric", "name"]));
        let value = match self.resources.get(&(group.to_owned(), kind.to_owned())) {
            Some(resource) => {
                metrics::of_object(self.client, metric, namespace, &resource.group_resource(), name).await
            }
            None => Err(format!(
                "unable to fetch metrics from custom metrics API: no matches for kind {kind:?} in group {group:?}"
            )),
        };
        // Upstream puts them in this order, too.
        value.map_err(|why| format!("unable to get metric {metric}: {kind} on {namespace} {name}/{why}"))
    }

    async fn external(&self, source: &Value) -> Result<Offer, Refusal> {
        let metric = source.str_at(&["metric", "name"]);
        let selector = source.at(&["metric", "selector"]);
        let outcome = self.external_proposal(source).await;
        let (proposal, field) = outcome.map_err(|message| Refusal {
            reason: "FailedGetExternalMetric",
            whole: match (quantity(source, "averageValue"), quantity(source, "value")) {
                (Some(_), _) => {
                    format!("failed to get {metric} external metric value: failed to get {metric} external metric: {message}")
                }
                (None, Some(_)) => {
                    format!("failed to get {metric} external metric value: failed to get external metric {metric}: {message}")
                }
                (None, None) => format!("failed to get {metric} external metric value: {message}"),
            },
            message,
        })?;
        let mut status = value!({"type": "External", "external": {}});
        status.set(&["external", "metric"], identifier(source));
        status.set(&["external", "current", field], decimal(proposal.usage));
        let name = format!("external metric {metric}({})", shown_selector(selector));
        Ok(Offer { replicas: proposal.replicas, name, status })
    }

    async fn external_proposal(&self, source: &Value) -> Result<(Proposal, &'static str), String> {
        if let Some(target) = quantity(source, "averageValue") {
            let usage = self.external_total(source).await?;
            return Ok((self.fleet.by_share(usage, target, self.status_replicas), "averageValue"));
        }
        let Some(target) = quantity(source, "value") else {
            return Err(
                "invalid external metric source: neither a value target nor an average value target was set"
                    .to_owned(),
            );
        };
        let usage = self.external_total(source).await?;
        Ok((self.fleet.by_total(usage, target)?, "value"))
    }

    async fn external_total(&self, source: &Value) -> Result<i64, String> {
        let (namespace, metric) = (self.autoscaler.namespace(), source.str_at(&["metric", "name"]));
        let given = source.at(&["metric", "selector"]).filter(|selector| !selector.is_null());
        let selector = match given {
            None => Selector::everything(),
            Some(_) => Selector::from_label_selector(given).map_err(|error| error.to_string())?,
        };
        let values = metrics::external(self.client, metric, namespace, &selector).await.map_err(|why| {
            format!("unable to get external metric {namespace}/{metric}/{}: {why}", shown_selector(given))
        })?;
        Ok(values.into_iter().fold(0, i64::saturating_add))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_and_usage_are_shown_as_upstream_does() {
        assert_eq!(shown_selector(None), "nil");
        let selector = value!({"matchLabels": {"a": "b"}});
        assert_eq!(
            shown_selector(Some(&selector)),
            "&LabelSelector{MatchLabels:map[string]string{a: b,},MatchExpressions:[]LabelSelectorRequirement{},}"
        );
        assert_eq!(shown_usage("memory", 2 * 1024 * 1024 * 1000), Value::from("2Mi"));
        assert_eq!(shown_usage("cpu", 250), Value::from("250m"));
    }
}
