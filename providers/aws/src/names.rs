//! Names and tags of what a cluster has.

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{Filter, ResourceType, Tag, TagSpecification};
use drydock_cloud_api::ClusterRef;

/// The owner, unique over time.
pub(crate) const CLUSTER_UID: &str = "drydock:cluster-uid";
/// What the instance was launched with.
pub(crate) const CLIENT_TOKEN: &str = "drydock:client-token";
pub(crate) const NODEGROUP: &str = "eks:nodegroup-name";

pub(crate) fn security_group(cluster: &ClusterRef) -> String {
    let mut name = format!("eks-cluster-sg-{}-{}", cluster.name, cluster.uid);
    name.truncate(255);
    name
}

/// At most 128 characters of `[a-zA-Z0-9().\-/_]`.
pub(crate) fn launch_template(cluster: &ClusterRef, node_pool: &str) -> String {
    let clean = |text: &str, most: usize| -> String {
        let kept = text.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '-' });
        kept.take(most).collect()
    };
    format!("eks-{}-{}-{}", clean(&cluster.name, 16), clean(node_pool, 63), clean(&cluster.uid, 40))
}

/// Tags that mark the owner, and the user's.
pub(crate) fn tags(
    cluster: &ClusterRef,
    node_pool: Option<&str>,
    own: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut out = own.clone();
    out.insert(CLUSTER_UID.into(), cluster.uid.clone());
    out.insert(format!("kubernetes.io/cluster/{}", cluster.name), "owned".into());
    out.insert("eks:cluster-name".into(), cluster.name.clone());
    if let Some(node_pool) = node_pool {
        out.insert(NODEGROUP.into(), node_pool.to_owned());
        out.entry("Name".into()).or_insert_with(|| format!("{}-{node_pool}", cluster.name));
    }
    out
}

pub(crate) fn tag_specification(kind: ResourceType, tags: &BTreeMap<String, String>) -> TagSpecification {
    let tags = tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build()).collect();
    TagSpecification::builder().resource_type(kind).set_tags(Some(tags)).build()
}

pub(crate) fn filter(name: impl Into<String>, values: &[&str]) -> Filter {
    let values = values.iter().map(|&value| value.to_owned()).collect();
    Filter::builder().name(name).set_values(Some(values)).build()
}

/// What the cluster owns.
pub(crate) fn owned_by(cluster: &ClusterRef) -> Filter {
    filter(format!("tag:{CLUSTER_UID}"), &[&cluster.uid])
}
