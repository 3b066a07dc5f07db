//! Deleting a cluster: nothing of it is left in the cloud. Needs no API server.

use drydock_cloud_api::{CloudError, CloudProvider, ClusterRef, InstanceState};

use super::fleet::Machine;
use super::reconciler::Reconciler;
use super::trouble::{Cause, Trouble};
use crate::MachinePhase;

/// Removes what a cluster has at its provider: starts the termination of its machines, and removes load balancers,
/// routes, and what its pools share. For a cluster that has no node pools at work, so that nothing is made meanwhile.
/// Succeeds when nothing is left.
///
/// # Errors
/// `InUse` while machines are shutting down: call again.
pub async fn release_remains(provider: &dyn CloudProvider, cluster: &ClusterRef) -> Result<(), CloudError> {
    let Some(instances) = provider.instances() else { return Ok(()) };
    for instance in instances.list(cluster).await?.iter().filter(|instance| !instance.state.is_ending()) {
        instances.terminate(cluster, &instance.id).await?;
    }
    if let Some(balancers) = provider.load_balancers() {
        for balancer in balancers.list(cluster).await? {
            balancers.delete(cluster, &balancer.name).await?;
        }
    }
    if let Some(routes) = provider.routes() {
        for route in routes.list(cluster).await? {
            routes.delete(cluster, &route).await?;
        }
    }
    instances.release_cluster(cluster).await
}

impl Reconciler {
    /// One pass towards nothing left. Comes after a look at the cloud, which also ended what is on no record.
    pub(super) async fn release_pass(&mut self) {
        let now = self.clock.now();
        if self.release_trouble.as_ref().is_some_and(|trouble| trouble.next_attempt() > now) {
            return;
        }
        match self.release_steps().await {
            Ok(released) => {
                self.release_trouble = None;
                self.released = released;
            }
            Err(cause) if cause.is_waiting() => self.release_trouble = None,
            Err(cause) => {
                let trouble = Trouble::again(self.release_trouble.as_ref(), cause, &self.clock);
                if trouble.is_news(self.release_trouble.as_ref()) {
                    let (cluster, reason) = (&self.config.cluster.name, &trouble.reason.message);
                    tracing::info!(%cluster, reason, "cluster is not yet released");
                }
                self.release_trouble = Some(trouble);
            }
        }
    }

    async fn release_steps(&mut self) -> Result<bool, Cause> {
        self.end_machines().await?;
        if !self.fleet.is_empty() || self.clock.now() < self.settled_at {
            return Ok(false);
        }
        let provider = self.config.provider.clone();
        let outcome = release_remains(&*provider, &self.config.cluster).await;
        outcome.map_err(|error| Cause::from(&error))?;
        Ok(true)
    }

    /// One step of each machine's end. One that cannot be terminated keeps no other from it.
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
        let mut outcome = Ok(());
        for token in self.tokens(|_| true) {
            self.remove_agent(&token).await;
            outcome = outcome.and(self.terminate(&token).await);
        }
        let gone = self.tokens(|machine| machine.state() == Some(InstanceState::Terminated));
        outcome.and(self.forget_records(&gone).await)
    }

    fn tokens(&self, pick: impl Fn(&Machine) -> bool) -> Vec<String> {
        let picked = self.fleet.iter().filter(|(_, machine)| pick(machine));
        picked.map(|(token, _)| token.clone()).collect()
    }
}
