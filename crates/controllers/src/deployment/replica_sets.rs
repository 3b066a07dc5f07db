//! Finding the replica sets of a deployment's templates, and making the one of the newest.

use std::sync::Arc;

use drydock_client::resources::{DEPLOYMENTS, REPLICA_SETS};
use drydock_client::{CallResult, DeleteOptions};
use drydock_machinery::{Object, ObjectMeta, Status, Value, semantic, value};

use super::rolling::{max_surge, new_set_replicas};
use super::{Deployments, annotations, conditions, count_at, has_progress_deadline, replicas};
use crate::util::hash::template_hash;
use crate::util::owner::{controller_ref, is_controlled_by};
use crate::util::pod_control::is_namespace_terminating;

pub(super) const HASH_LABEL: &str = "pod-template-hash";

/// A deployment's replica sets: the one of the present template, and the others.
#[derive(Clone, Debug)]
pub(super) struct Sets {
    pub(super) new: Option<Arc<Object>>,
    pub(super) old: Vec<Arc<Object>>,
}

impl Sets {
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Object>> {
        self.old.iter().chain(&self.new)
    }

    /// The old ones that have or want pods.
    pub(super) fn active_old(&self) -> Vec<Arc<Object>> {
        self.old.iter().filter(|set| replicas(set) > 0).cloned().collect()
    }
}

/// Whether to make the replica set of the present template when there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    Create,
    Leave,
}

impl Deployments {
    /// Splits the deployment's sets, keeps revisions current, and makes the new one if told to. Answers the newest
    /// version of the deployment, too: its revision annotation may have been written.
    pub(super) async fn split(
        &self,
        deployment: &Arc<Object>,
        sets: Vec<Arc<Object>>,
        missing: Missing,
    ) -> Result<(Arc<Object>, Sets), Status> {
        let new = find_new(deployment, &sets);
        let is_new = |set: &Object| new.as_ref().is_some_and(|new| new.uid() == set.uid());
        let old: Vec<_> = sets.iter().filter(|set| !is_new(set)).cloned().collect();
        let revision = old.iter().map(|set| annotations::revision(set)).max().unwrap_or(0) + 1;
        match (new, missing) {
            (Some(new), _) => {
                let (deployment, new) = self.refresh_new(deployment, new, revision).await?;
                Ok((deployment, Sets { new: Some(new), old }))
            }
            (None, Missing::Leave) => Ok((deployment.clone(), Sets { new: None, old })),
            (None, Missing::Create) => {
                let (deployment, new) = self.create_new(deployment, &old, revision).await?;
                Ok((deployment, Sets { new, old }))
            }
        }
    }

    async fn refresh_new(
        &self,
        deployment: &Arc<Object>,
        set: Arc<Object>,
        revision: i64,
    ) -> Result<(Arc<Object>, Arc<Object>), Status> {
        let mut copy = set.value().clone();
        let annotated = annotations::set_new_replica_set(deployment, &mut copy, revision, true);
        let min_ready = count_at(deployment, &["spec", "minReadySeconds"], 0);
        let min_ready_differs = count_at(&copy, &["spec", "minReadySeconds"], 0) != min_ready;
        let set = if annotated || min_ready_differs {
            crate::util::set_count(&mut copy, &["spec", "minReadySeconds"], min_ready);
            self.ctx.client.update(&REPLICA_SETS, copy).await?
        } else {
            set
        };
        // In the same sync, so that no status tells of the new set's pods under the old revision.
        let mut new = deployment.value().clone();
        let mut changed = annotations::set_deployment_revision(
            &mut new,
            set.annotation(annotations::REVISION).unwrap_or(""),
        );
        if has_progress_deadline(deployment) && conditions::condition(deployment, "Progressing").is_none() {
            let message = format!("Found new replica set {:?}", set.name());
            self.set_condition(&mut new, "Progressing", "True", "FoundNewReplicaSet", &message);
            changed = true;
        }
        let deployment = if changed {
            self.ctx.client.update_status(&DEPLOYMENTS, new).await?
        } else {
            deployment.clone()
        };
        Ok((deployment, set))
    }

    async fn create_new(
        &self,
        deployment: &Arc<Object>,
        old: &[Arc<Object>],
        revision: i64,
    ) -> Result<(Arc<Object>, Option<Arc<Object>>), Status> {
        let hash = template_hash(template(deployment), deployment.i64_at(&["status", "collisionCount"]));
        let mut set = replica_set(deployment, &hash);
        annotations::set_new_replica_set(deployment, &mut set, revision, false);
        let count = new_set_replicas(deployment, old, &set);
        set.set(&["spec", "replicas"], count);
        let name = set.name().to_owned();
        let (created, existed) = match self.ctx.client.create(&REPLICA_SETS, set).await {
            Ok(created) => (created, false),
            Err(status) if status.is_already_exists() => {
                (self.resolve_collision(deployment, &name, status).await?, true)
            }
            Err(status) if is_namespace_terminating(&status) => return Err(status),
            Err(status) => return Err(self.note_create_failure(deployment, &name, status).await),
        };
        if !existed && count > 0 {
            let message = format!("Scaled up replica set {name} from 0 to {count}");
            self.ctx.events.normal(deployment, "ScalingReplicaSet", message);
        }
        let mut new = deployment.value().clone();
        let revision = created.annotation(annotations::REVISION).unwrap_or("");
        let mut changed = annotations::set_deployment_revision(&mut new, revision);
        if !existed && has_progress_deadline(deployment) {
            let message = format!("Created new replica set {name:?}");
            self.set_condition(&mut new, "Progressing", "True", "NewReplicaSetCreated", &message);
            changed = true;
        }
        let deployment = if changed {
            self.ctx.client.update_status(&DEPLOYMENTS, new).await?
        } else {
            deployment.clone()
        };
        Ok((deployment, Some(created)))
    }

    /// The name is taken: by the very set we want (the informer lags), or by another one, and then the hash needs
    /// another collision count.
    async fn resolve_collision(&self, deployment: &Arc<Object>, name: &str, taken: Status) -> CallResult {
        let set = self.ctx.client.get(&REPLICA_SETS, deployment.namespace(), name).await?;
        if is_controlled_by(&set, deployment) && same_template(deployment, &set) {
            return Ok(set);
        }
        let mut new = deployment.value().clone();
        let collisions = count_at(deployment, &["status", "collisionCount"], 0);
        new.set(&["status", "collisionCount"], collisions + 1);
        self.ctx.client.update_status(&DEPLOYMENTS, new).await?;
        Err(taken)
    }

    async fn note_create_failure(&self, deployment: &Arc<Object>, name: &str, status: Status) -> Status {
        let message = format!("Failed to create new replica set {name:?}: {status}");
        self.ctx.events.warning(deployment, "ReplicaSetCreateError", message.clone());
        if has_progress_deadline(deployment) {
            let mut new = deployment.value().clone();
            self.set_condition(&mut new, "Progressing", "False", "ReplicaSetCreateError", &message);
            if let Err(error) = self.ctx.client.update_status(&DEPLOYMENTS, new).await {
                tracing::debug!(%error, "failure was not noted in the deployment");
            }
        }
        status
    }

    /// Deletes old sets without pods beyond `revisionHistoryLimit`, oldest revision first.
    pub(super) async fn clean_up(&self, deployment: &Object, old: &[Arc<Object>]) -> Result<(), Status> {
        let Some(limit) = deployment.i64_at(&["spec", "revisionHistoryLimit"]) else { return Ok(()) };
        let mut cleanable: Vec<_> = old.iter().filter(|set| !set.is_deleting()).collect();
        let surplus = (cleanable.len() as i64).saturating_sub(limit);
        if limit >= i64::from(i32::MAX) || surplus <= 0 {
            return Ok(());
        }
        cleanable.sort_by_key(|set| annotations::revision(set));
        for set in cleanable.into_iter().take(usize::try_from(surplus).unwrap_or(0)) {
            let idle = count_at(set, &["status", "replicas"], 0) == 0 && replicas(set) == 0;
            let observed = set.generation() <= count_at(set, &["status", "observedGeneration"], 0);
            if !idle || !observed {
                continue;
            }
            let (namespace, name) = (set.namespace(), set.name());
            match self.ctx.client.delete(&REPLICA_SETS, namespace, name, DeleteOptions::default()).await {
                Err(status) if !status.is_not_found() => return Err(status),
                _ => {}
            }
        }
        Ok(())
    }
}

fn template(object: &Value) -> &Value {
    object.at(&["spec", "template"]).unwrap_or(&Value::Null)
}

fn replica_set(deployment: &Object, hash: &str) -> Value {
    let mut template = template(deployment).clone();
    template.set(&["metadata", "labels", HASH_LABEL], hash);
    let mut set = value!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{}-{hash}", deployment.name()),
            "namespace": deployment.namespace(),
            "annotations": {},
        },
        "spec": {},
    });
    set.set(&["metadata", "labels"], template.object_at(&["metadata", "labels"]).clone());
    set.set(&["metadata", "ownerReferences"], vec![controller_ref(deployment)]);
    crate::util::set_count(
        &mut set,
        &["spec", "minReadySeconds"],
        count_at(deployment, &["spec", "minReadySeconds"], 0),
    );
    set.set(&["spec", "selector"], deployment.at(&["spec", "selector"]).cloned().unwrap_or_default());
    set.set(&["spec", "selector", "matchLabels", HASH_LABEL], hash);
    set.set(&["spec", "template"], template);
    set
}

/// Equal but for the hash label.
pub(super) fn same_template(deployment: &Value, set: &Value) -> bool {
    let stripped = |object: &Value| {
        let mut template = template(object).clone();
        template.remove(&["metadata", "labels", HASH_LABEL]);
        template.remove(&["metadata", "creationTimestamp"]);
        if template.object_at(&["metadata", "labels"]).is_empty() {
            template.remove(&["metadata", "labels"]);
        }
        template
    };
    let (wanted, had) = (stripped(deployment), stripped(set));
    semantic::equal_named("io.k8s.api.core.v1.PodTemplateSpec", Some(&wanted), Some(&had))
}

/// The oldest set of the present template.
pub(super) fn find_new(deployment: &Object, sets: &[Arc<Object>]) -> Option<Arc<Object>> {
    let mut candidates: Vec<_> = sets.iter().filter(|set| same_template(deployment, set)).collect();
    candidates.sort_by_key(|set| (set.creation_timestamp().to_owned(), set.name().to_owned()));
    candidates.first().map(|set| Arc::clone(set))
}

/// What replica sets may have in total.
pub(super) fn max_total(deployment: &Value) -> i64 {
    replicas(deployment) + max_surge(deployment)
}

/// The sum of `spec.replicas`.
pub(super) fn wanted<'a>(sets: impl IntoIterator<Item = &'a Arc<Object>>) -> i64 {
    sets.into_iter().map(|set| replicas(set)).sum()
}

/// The sum of a count in the sets' status.
pub(super) fn observed<'a>(sets: impl IntoIterator<Item = &'a Arc<Object>>, count: &str) -> i64 {
    sets.into_iter().map(|set| count_at(set, &["status", count], 0)).sum()
}
