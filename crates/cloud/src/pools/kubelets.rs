//! The kubelets of a pool's machines: each runs as long as its machine does.

use drydock_client::{DeleteOptions, resources};
use drydock_cloud_api::{Instance, InstanceState, InstanceType};
use drydock_machinery::ObjectMeta;

use super::fleet::{Agent, Machine};
use super::reconciler::Reconciler;
use super::trouble::Cause;
use crate::{AgentSpec, KubeletMode, MachinePhase, PoolSpec, Taint, node_resources};

impl Reconciler {
    /// Starts the agents of machines that run, and stops those of machines that do not.
    pub(super) async fn run_agents(&mut self, spec: &PoolSpec) -> Result<(), Cause> {
        if spec.kubelet == KubeletMode::External {
            return Ok(());
        }
        let up = |m: &Machine| m.state() == Some(InstanceState::Running) && m.agent != Agent::Started;
        let started = |m: &Machine| matches!(m.record.phase, MachinePhase::Launched | MachinePhase::Draining);
        for token in self.tokens_of(&spec.name, |machine| up(machine) && started(machine)) {
            let Some(machine) = self.fleet.get(&token) else { continue };
            let Some(instance) = machine.instance.clone() else { continue };
            let kind = self.instance_type(&instance.instance_type).await?;
            if instance.node_name.is_empty() || self.takes_over_a_name(&instance).await? {
                continue;
            }
            let agent = agent_spec(spec, &instance, &kind, &self.fleet[&token].record.version);
            let outcome = self.config.agents.start(&agent).await;
            outcome.map_err(|error| Cause::new("AgentFailure", error.to_string()))?;
            self.mark_agent(&token, Agent::Started);
        }
        let down = |m: &Machine| {
            matches!(m.state(), Some(InstanceState::Stopping | InstanceState::Stopped))
                && m.agent != Agent::Stopped
        };
        for token in self.tokens_of(&spec.name, down) {
            self.stop_agent(&token).await;
        }
        Ok(())
    }

    /// Whether the Node of this name is that of a machine that is gone: names come from addresses, which are used again. It
    /// is deleted, so that the new machine can register its own.
    async fn takes_over_a_name(&self, instance: &Instance) -> Result<bool, Cause> {
        let Some(node) = self.nodes.get("", &instance.node_name) else { return Ok(false) };
        let provider_id = node.str_at(&["spec", "providerID"]);
        if provider_id.is_empty() || provider_id == instance.provider_id {
            return Ok(false);
        }
        tracing::info!(node = node.name(), provider_id, "deleting the node of a former machine of this name");
        let options = DeleteOptions::of_uid(node.uid());
        match self.config.client.delete(&resources::NODES, "", node.name(), options).await {
            Err(status) if !status.is_not_found() && !status.is_conflict() => {
                Err(Cause::new("AgentFailure", status.message))
            }
            _ => Ok(true),
        }
    }

    /// The machine stands still.
    async fn stop_agent(&mut self, token: &str) {
        let Some(machine) = self.fleet.get(token).filter(|machine| machine.agent != Agent::Stopped) else {
            return;
        };
        self.config.agents.stop(&machine.record.node_name).await;
        self.mark_agent(token, Agent::Stopped);
    }

    /// The machine is gone, or about to be.
    pub(super) async fn remove_agent(&mut self, token: &str) {
        let Some(machine) = self.fleet.get(token).filter(|machine| machine.agent != Agent::Removed) else {
            return;
        };
        if !machine.record.node_name.is_empty() {
            self.config.agents.remove(&machine.record.node_name).await;
        }
        self.mark_agent(token, Agent::Removed);
    }

    fn mark_agent(&mut self, token: &str, agent: Agent) {
        if let Some(machine) = self.fleet.get_mut(token) {
            machine.agent = agent;
        }
    }

    async fn instance_type(&mut self, name: &str) -> Result<InstanceType, Cause> {
        if let Some(known) = self.types.get(name) {
            return Ok(known.clone());
        }
        let region = &self.config.cluster.region;
        let found = self.cloud()?.instance_type(region, name).await.map_err(|error| Cause::from(&error))?;
        self.types.insert(name.to_owned(), found.clone());
        Ok(found)
    }
}

fn agent_spec(spec: &PoolSpec, instance: &Instance, kind: &InstanceType, version: &str) -> AgentSpec {
    let max_pods = spec.max_pods.unwrap_or(kind.max_pods);
    let mut labels = spec.labels.clone();
    labels.insert(crate::NODE_POOL_LABEL.to_owned(), spec.name.clone());
    let uninitialized = Taint {
        key: crate::UNINITIALIZED_TAINT.to_owned(),
        value: "true".to_owned(),
        effect: "NoSchedule".to_owned(),
    };
    let taints = std::iter::once(uninitialized).chain(spec.taints.iter().cloned()).collect();
    AgentSpec {
        node_name: instance.node_name.clone(),
        node_pool: spec.name.clone(),
        instance_id: instance.id.clone(),
        kubelet_version: version.to_owned(),
        labels,
        taints,
        addresses: instance.addresses.clone(),
        resources: node_resources(kind, max_pods, spec.reservation),
        max_pods,
        architecture: kind.architecture.clone(),
    }
}
