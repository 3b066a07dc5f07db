//! Deleting what is in a namespace, and telling what is left.

use std::collections::BTreeMap;

use drydock_client::{ApiResource, Client, DeleteOptions, Options, Propagation};
use drydock_machinery::{ObjectMeta, Status};

/// Seconds after which content that a finalizer holds is looked at again.
const FINALIZER_ESTIMATE: u64 = 15;

/// How far the deletion is.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Instances left, by `resource.group`.
    remaining: BTreeMap<String, usize>,
    /// Instances left, by finalizer.
    finalizers: BTreeMap<String, usize>,
    /// Seconds until the slowest pod will have terminated.
    grace: u64,
    discovery_failure: Option<String>,
    pub(super) failure: Option<Status>,
    failed_kinds: usize,
    /// Pods go first, and until they have gone nothing is said of what is left.
    waits_for_pods: bool,
}

pub(super) async fn delete_all(client: &Client, namespace: &str) -> Progress {
    let mut progress = Progress::default();
    let resources = match client.discover().await {
        Ok(resources) => resources,
        Err(status) => {
            progress.discovery_failure = Some(status.message.clone());
            progress.failure = Some(status);
            return progress;
        }
    };
    let deletable = |resource: &&ApiResource| resource.namespaced && resource.has_verb("delete");
    let (pods, others): (Vec<_>, Vec<_>) =
        resources.iter().filter(deletable).partition(|resource| is_pods(resource));
    for resource in pods {
        progress.delete(client, namespace, resource).await;
    }
    if !progress.remaining.is_empty() {
        progress.waits_for_pods = true;
        return progress;
    }
    for resource in others {
        progress.delete(client, namespace, resource).await;
    }
    progress
}

fn is_pods(resource: &ApiResource) -> bool {
    resource.resource.group.is_empty() && resource.resource.resource == "pods"
}

impl Progress {
    async fn delete(&mut self, client: &Client, namespace: &str, resource: &ApiResource) {
        if let Err(status) = self.try_delete(client, namespace, resource).await {
            // 404: the resource went away between discovery and now. 405: it cannot be listed.
            if !matches!(status.code, 404 | 405) {
                self.failed_kinds += 1;
                self.failure.get_or_insert(status);
            }
        }
    }

    async fn try_delete(
        &mut self,
        client: &Client,
        namespace: &str,
        resource: &ApiResource,
    ) -> Result<(), Status> {
        if !resource.has_verb("list") {
            return Ok(());
        }
        let before = client.list(&resource.resource, namespace, Options::default()).await?;
        if before.items.is_empty() {
            return Ok(());
        }
        if resource.has_verb("deletecollection") {
            let options = Options {
                propagation_policy: Some(Propagation::Background.as_str().to_owned()),
                ..Options::default()
            };
            client.delete_collection(&resource.resource, namespace, options).await?;
        } else {
            for item in &before.items {
                let options = DeleteOptions::default().propagation(Propagation::Background);
                match client.delete(&resource.resource, namespace, item.name(), options).await {
                    Err(status) if !status.is_not_found() => return Err(status),
                    _ => {}
                }
            }
        }
        let after = client.list(&resource.resource, namespace, Options::default()).await?;
        if after.items.is_empty() {
            return Ok(());
        }
        // The trailing dot of core resources ("pods.") is upstream's.
        let name = format!("{}.{}", resource.resource.resource, resource.resource.group);
        self.remaining.insert(name, after.items.len());
        for item in &after.items {
            for finalizer in item.finalizers() {
                *self.finalizers.entry(finalizer.to_owned()).or_default() += 1;
            }
            if is_pods(resource) && item.finalizers().next().is_none() {
                let grace = item.i64_at(&["metadata", "deletionGracePeriodSeconds"]);
                let grace = grace.or_else(|| item.i64_at(&["spec", "terminationGracePeriodSeconds"]));
                self.grace = self.grace.max(u64::try_from(grace.unwrap_or(30)).unwrap_or(0));
            }
        }
        Ok(())
    }

    /// When to look again; None when nothing is left.
    pub(super) fn estimate_seconds(&self) -> Option<u64> {
        if self.remaining.is_empty() {
            return None;
        }
        let finalizers = if self.finalizers.is_empty() { 0 } else { FINALIZER_ESTIMATE };
        Some(self.grace.max(finalizers))
    }

    pub(super) fn is_clean(&self) -> bool {
        self.remaining.is_empty() && self.failure.is_none()
    }

    /// Type, status, reason and message of each condition, in upstream's order.
    pub(super) fn conditions(&self) -> [(&'static str, &'static str, &'static str, String); 5] {
        let discovery = match &self.discovery_failure {
            Some(error) => {
                ("True", "DiscoveryFailed", format!("Discovery failed for some groups, 1 failing: {error}"))
            }
            None => ("False", "ResourcesDiscovered", "All resources successfully discovered".to_owned()),
        };
        let content = match &self.failure {
            Some(status) if self.failed_kinds > 0 => (
                "True",
                "ContentDeletionFailed",
                format!("Failed to delete all resource types, {} remaining: {status}", self.failed_kinds),
            ),
            _ => (
                "False",
                "ContentDeleted",
                "All content successfully deleted, may be waiting on finalization".to_owned(),
            ),
        };
        let remaining = if self.remaining.is_empty() || self.waits_for_pods {
            ("False", "ContentRemoved", "All content successfully removed".to_owned())
        } else {
            let each =
                self.remaining.iter().map(|(name, count)| format!("{name} has {count} resource instances"));
            let text = each.collect::<Vec<_>>().join(", ");
            ("True", "SomeResourcesRemain", format!("Some resources are remaining: {text}"))
        };
        let finalizers = if self.finalizers.is_empty() || self.waits_for_pods {
            ("False", "ContentHasNoFinalizers", "All content-preserving finalizers finished".to_owned())
        } else {
            let each =
                self.finalizers.iter().map(|(name, count)| format!("{name} in {count} resource instances"));
            let text = each.collect::<Vec<_>>().join(", ");
            let message = format!("Some content in the namespace has finalizers remaining: {text}");
            ("True", "SomeFinalizersRemain", message)
        };
        let parsed = ("False", "ParsedGroupVersions", "All legacy kube types successfully parsed".to_owned());
        let named = |kind, (status, reason, message)| (kind, status, reason, message);
        [
            named("NamespaceDeletionDiscoveryFailure", discovery),
            named("NamespaceDeletionGroupVersionParsingFailure", parsed),
            named("NamespaceDeletionContentFailure", content),
            named("NamespaceContentRemaining", remaining),
            named("NamespaceFinalizersRemaining", finalizers),
        ]
    }
}
