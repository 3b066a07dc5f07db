//! The Recreate strategy: all old pods go before the first new one comes.

use std::sync::Arc;

use drydock_machinery::{Object, Status};

use super::replica_sets::{Missing, Sets};
use super::rolling::is_complete;
use super::{Deployments, replicas};
use crate::util::{owner, pod};

impl Deployments {
    pub(super) async fn roll_recreate(
        &self,
        deployment: &Arc<Object>,
        all: Vec<Arc<Object>>,
    ) -> Result<(), Status> {
        let (deployment, sets) = self.split(deployment, all.clone(), Missing::Leave).await?;
        let mut scaled_down = false;
        for set in sets.active_old() {
            scaled_down |= self.scale_and_record(&deployment, &set, 0).await?;
        }
        if scaled_down || self.old_pods_running(&sets) {
            return self.sync_rollout_status(&deployment, &sets).await;
        }
        let (deployment, sets) = match sets.new {
            Some(_) => (deployment, sets),
            None => self.split(&deployment, all, Missing::Create).await?,
        };
        if let Some(new) = &sets.new {
            self.scale_and_record(&deployment, new, replicas(&deployment)).await?;
        }
        if is_complete(&deployment, &deployment) {
            self.clean_up(&deployment, &sets.old).await?;
        }
        self.sync_rollout_status(&deployment, &sets).await
    }

    fn old_pods_running(&self, sets: &Sets) -> bool {
        let mut pods = sets.old.iter().flat_map(|set| owner::controlled(&self.pods, set));
        pods.any(|pod| !pod::is_finished(&pod))
    }
}
