//! Deleting a cluster: nothing of it is left in the cloud. Needs no API server.

use std::collections::BTreeSet;

use drydock_cloud_api::{CloudError, InstanceState};

use super::Desired;
use super::fleet::Machine;
use super::reconciler::Reconciler;
use super::trouble::{Cause, Trouble};
use crate::MachinePhase;

impl Reconciler {
    /// One pass towards nothing left. Comes after a look at the cloud, which also ended what is on no record.
    pub(super) async fn release_pass(&mut self, desired: &Desired) {
        let now = self.clock.now();
        if self.release_trouble.as_ref().is_some_and(|trouble| trouble.next_attempt() > now) {
            return;
        }
        match self.release_steps(desired).await {
            Ok(released) => {
                self.release_trouble = None;
                self.released = released;
            }
            Err(cause) => {
                tracing::info!(cluster = %self.config.cluster.name, ?cause, "cluster is not yet released");
                let before = self.release_trouble.take();
                self.release_trouble = Some(Trouble::again(before.as_ref(), cause, &self.clock));
            }
        }
    }

    async fn release_steps(&mut self, desired: &Desired) -> Result<bool, Cause> {
        self.end_machines().await?;
        if !self.fleet.is_empty() || self.clock.now() < self.settled_at {
            return Ok(false);
        }
        let cause = |error: CloudError| Cause::from(&error);
        let cloud = self.cloud()?;
        let cluster = self.config.cluster.clone();
        if !cloud.list(&cluster).await.map_err(cause)?.is_empty() {
            return Ok(false);
        }
        if let Some(balancers) = self.config.provider.load_balancers() {
            for balancer in balancers.list(&cluster).await.map_err(cause)? {
                balancers.delete(&cluster, &balancer.name).await.map_err(cause)?;
            }
        }
        if let Some(routes) = self.config.provider.routes() {
            for route in routes.list(&cluster).await.map_err(cause)? {
                routes.delete(&cluster, &route).await.map_err(cause)?;
            }
        }
        for pool in desired.pools.keys().filter(|pool| !self.deleted.contains(*pool)) {
            cloud.release_pool(&cluster, pool).await.map_err(cause)?;
        }
        cloud.release_cluster(&cluster).await.map_err(cause)?;
        Ok(true)
    }

    async fn end_machines(&mut self) -> Result<(), Cause> {
        let wanted: Vec<String> = self.tokens(|machine| machine.record.phase == MachinePhase::Wanted);
        self.drop_wanted(&wanted).await?;
        let mut ending = Vec::new();
        for machine in self.fleet.values().filter(|m| m.record.phase != MachinePhase::Terminating) {
            let mut record = machine.record.clone();
            record.phase = MachinePhase::Terminating;
            ending.push(record);
        }
        self.write(ending).await?;
        for token in self.tokens(|_| true) {
            self.remove_agent(&token).await;
            self.terminate(&token).await?;
        }
        let gone = self.tokens(|machine| machine.state() == Some(InstanceState::Terminated));
        self.forget_records(&gone).await
    }

    fn tokens(&self, pick: impl Fn(&Machine) -> bool) -> Vec<String> {
        let picked: BTreeSet<String> =
            self.fleet.iter().filter(|(_, machine)| pick(machine)).map(|(token, _)| token.clone()).collect();
        picked.into_iter().collect()
    }
}
