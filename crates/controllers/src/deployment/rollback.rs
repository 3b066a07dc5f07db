//! Going back to an earlier template by annotation, as clients of the first deployments asked for it.

use std::sync::Arc;

use drydock_client::resources::DEPLOYMENTS;
use drydock_machinery::{Object, ObjectMeta, Status, Value};

use super::replica_sets::{HASH_LABEL, Missing, same_template};
use super::{Deployments, annotations};

/// Its value is the revision to go back to; 0 is the last one before the present.
pub(super) const ROLLBACK_TO: &str = "deprecated.deployment.rollback.to";

/// The revision that is asked for. What is no number is ignored.
pub(super) fn wanted(deployment: &Object) -> Option<i64> {
    deployment.annotation(ROLLBACK_TO)?.parse().ok()
}

impl Deployments {
    /// Gives the deployment the template of a revision, and takes the wish away, whether or not it could be met.
    pub(super) async fn roll_back(
        &self,
        deployment: &Arc<Object>,
        sets: Vec<Arc<Object>>,
        wanted: i64,
    ) -> Result<(), Status> {
        let (deployment, sets) = self.split(deployment, sets, Missing::Create).await?;
        let revision = if wanted == 0 { last_revision(sets.all()) } else { wanted };
        let mut new = deployment.value().clone();
        let found = sets.all().find(|set| revision != 0 && annotations::revision(set) == revision);
        let not_found = "DeploymentRollbackRevisionNotFound";
        let refusal = match found {
            None if revision == 0 => Some((not_found, "Unable to find last revision.".to_owned())),
            None => Some((not_found, "Unable to find the revision to rollback to.".to_owned())),
            Some(set) if same_template(&deployment, set) => {
                let name = deployment.name();
                let message = format!(
                    "The rollback revision contains the same template as current deployment {name:?}"
                );
                Some(("DeploymentRollbackTemplateUnchanged", message))
            }
            Some(set) => {
                take_over(&mut new, set);
                None
            }
        };
        if let Some((reason, message)) = &refusal {
            self.ctx.events.warning(&deployment, reason, message.clone());
        }
        new.remove(&["metadata", "annotations", ROLLBACK_TO]);
        self.ctx.client.update(&DEPLOYMENTS, new).await?;
        if refusal.is_none() {
            let message = format!("Rolled back deployment {:?} to revision {revision}", deployment.name());
            self.ctx.events.normal(&deployment, "DeploymentRollback", message);
        }
        Ok(())
    }
}

/// The second highest revision; 0 when there is none.
fn last_revision<'a>(sets: impl Iterator<Item = &'a Arc<Object>>) -> i64 {
    let (mut highest, mut second) = (0, 0);
    for revision in sets.map(|set| annotations::revision(set)) {
        if revision >= highest {
            (highest, second) = (revision, highest);
        } else {
            second = second.max(revision);
        }
    }
    second
}

/// The set's template becomes the deployment's, and so do the annotations that it had then.
fn take_over(deployment: &mut Value, set: &Object) {
    let mut template = set.at(&["spec", "template"]).cloned().unwrap_or_default();
    template.remove(&["metadata", "labels", HASH_LABEL]);
    deployment.set(&["spec", "template"], template);
    annotations::set_from_replica_set(deployment, set);
}
