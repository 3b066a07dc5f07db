//! What a kubelet serves: logs, and streams to its containers, their ports and itself.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use drydock_client::Client;
use drydock_client::dialer::{DialError, ExecOptions, ExecStreams, LogOptions, NodeDialer, Stream};
use drydock_machinery::{Object, ObjectMeta, Reason, Status};

use crate::agents::{BY_ADDRESS, NodeAgents};
use crate::container;
use crate::kubelet;
use crate::log_reader::{self, Lines};

#[async_trait]
impl NodeDialer for NodeAgents {
    async fn logs(&self, pod: &Object, options: LogOptions) -> Result<Lines, Status> {
        let node = pod.str_at(&["spec", "nodeName"]);
        if self.node(node).is_none() {
            return Err(unreachable(node));
        }
        log_reader::read(&self.clock, &self.pods, pod, options)
    }

    async fn exec(&self, pod: &Object, options: ExecOptions) -> Result<ExecStreams, DialError> {
        let (client, pod) = self.running_pod(pod)?;
        let name = options.container.clone();
        let refused = |text: String| DialError::Refused { code: 500, text };
        let running = container::find(&pod, &name)
            .filter(|(_, status)| status.at(&["state", "running", "startedAt"]).is_some());
        let Some((spec, status)) = running else {
            if options.command.is_none() {
                let (name, pod, namespace) = (&name, pod.name(), pod.namespace());
                return Err(refused(format!("container {name} not found in pod {pod}_{namespace}")));
            }
            return Err(refused(format!("container not found ({name:?})")));
        };
        if options.command.is_none() {
            let log =
                LogOptions { container: name, follow: true, tail_lines: Some(0), ..LogOptions::default() };
            let lines = self.logs(&pod, log).await.map_err(|status| refused(status.message))?;
            return Ok(container::attach(lines, &options));
        }
        let restarts = status.i64_at(&["restartCount"]).unwrap_or(0).to_string();
        let (spec, scratch) = (spec.clone(), self.scratch.clone());
        Ok(container::exec(client, self.clock.clone(), scratch, pod, spec, restarts, options))
    }

    async fn forwardable(&self, pod: &Object) -> Result<(), DialError> {
        let (_, pod) = self.running_pod(pod)?;
        if !container::port::has_sandbox(&pod) {
            let text = format!("pod not found (\"{}_{}\")", pod.name(), pod.namespace());
            return Err(DialError::Refused { code: 500, text });
        }
        Ok(())
    }

    async fn port_forward(&self, pod: &Object, port: u16) -> Result<Box<dyn Stream>, String> {
        let gone = |_| format!("error forwarding port {port} to pod {}: the node is gone", pod.name());
        let (_, pod) = self.running_pod(pod).map_err(gone)?;
        if container::port::listens(&pod, port) {
            return Ok(container::port::serve(&self.config.tasks, &self.clock, pod, port));
        }
        let id = crate::seed::digest(&[pod.uid(), "sandbox"]);
        let namespace = crate::seed::uuid(&[pod.uid(), "network"]);
        Err(format!(
            "error forwarding port {port} to pod {id}, uid : failed to execute portforward in network namespace \
             \"/var/run/netns/cni-{namespace}\": failed to connect to localhost:{port} inside namespace {id:?}, IPv4: \
             dial tcp4 127.0.0.1:{port}: connect: connection refused IPv6 dial tcp6 [::1]:{port}: connect: connection \
             refused "
        ))
    }

    async fn pod_network(&self, address: IpAddr, port: u16) -> Option<Result<Box<dyn Stream>, String>> {
        let pods = self.pods.by_index(BY_ADDRESS, &address.to_string());
        let mut pods = pods.into_iter().filter(|pod| container::port::has_sandbox(pod)).peekable();
        pods.peek()?;
        let shown = std::net::SocketAddr::new(address, port);
        let mut why = "connect: connection refused";
        for pod in pods {
            if self.node(pod.str_at(&["spec", "nodeName"])).is_none() {
                why = "connect: no route to host";
            } else if container::port::listens(&pod, port) {
                return Some(Ok(container::port::serve(&self.config.tasks, &self.clock, pod, port)));
            }
        }
        Some(Err(format!("dial tcp {shown}: {why}")))
    }

    async fn kubelet(&self, node: &str) -> Result<Box<dyn Stream>, DialError> {
        let (spec, _) = self.node(node).ok_or_else(|| unreachable_node(node))?;
        Ok(kubelet::serve(self, spec))
    }
}

impl NodeAgents {
    /// The pod as its kubelet knows it, and the kubelet's client.
    fn running_pod(&self, pod: &Object) -> Result<(Client, Arc<Object>), DialError> {
        let node = pod.str_at(&["spec", "nodeName"]);
        let (_, client) = self.node(node).ok_or_else(|| unreachable_node(node))?;
        let known = self
            .pods
            .get_key(&pod.key())
            .filter(|known| known.uid() == pod.uid() && !known.str_at(&["status", "startTime"]).is_empty());
        let none = || DialError::Refused { code: 404, text: "pod does not exist".to_owned() };
        Ok((client, known.ok_or_else(none)?))
    }
}

fn unreachable(node: &str) -> Status {
    let message = format!("dial tcp: lookup {node}: no such host");
    Status::new(500, Reason::InternalError, message)
}

fn unreachable_node(node: &str) -> DialError {
    DialError::Unreachable(format!("dial tcp: lookup {node}: no such host"))
}
