//! What goes through a pod's kubelet: logs, and connections to its containers and ports.
//!
//! A request is checked as upstream's API server does, then as its kubelet does; only then is the connection taken over
//! from HTTP. From there it is one task of the tenant, which ends with the connection, with what it is connected to, or
//! with the tenant. How many there are at once is bounded, and so is what each of them holds.

mod log;
mod port_forward;
mod remote_command;
mod upgrade;

use std::sync::Arc;
use std::time::Duration;

use drydock_auth::Reader as _;
use drydock_client::{Reply, Verb};
use drydock_machinery::{Object, ObjectMeta as _, Reason, Status, Value, value};
use drydock_streams::handshake::{self, Refused};

use super::handler::Req;
use super::{Answer, body};
use crate::registry::Call;
use crate::seams::{DialError, ExecOptions, NodeDialer};

pub(crate) use log::log;
pub(crate) use upgrade::{Upgrades, take as take_upgrade};

/// After this long without traffic a connection ends: kubelet's `streamingConnectionIdleTimeout`.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4 * 3600);
/// How long a client of SPDY may take to open the streams that it asked for.
const STREAM_CREATION_TIMEOUT: Duration = Duration::from_secs(30);

/// `pods/NAME/exec`, `attach` and `portforward`.
pub(crate) async fn connect(request: &Req, mut call: Call) -> Result<Answer, Status> {
    if request.query.get("dryRun").is_some_and(|value| !value.is_empty()) {
        return Err(Status::bad_request("dryRun is not supported"));
    }
    let options = admitted_options(request, &call);
    request.core.registry.admit_connection(&mut call, options).await?;
    let pod = pod(request, &call).await?;
    if call.request.subresource == "portforward" {
        check_host(request, &pod)?;
        return port_forward::serve(request, pod).await;
    }
    let container = container(&pod, request.query.get("container").unwrap_or(""))?;
    check_host(request, &pod)?;
    let flag = |name: &str| request.query.flag(name).unwrap_or(false);
    let options = ExecOptions {
        container,
        command: (call.request.subresource == "exec")
            .then(|| request.query.all("command").map(str::to_owned).collect()),
        stdin: flag("stdin"),
        stdout: flag("stdout"),
        // A terminal has one output.
        stderr: flag("stderr") && !flag("tty"),
        tty: flag("tty"),
    };
    remote_command::serve(request, pod, options).await
}

/// A PodExecOptions, PodAttachOptions or PodPortForwardOptions, for admission.
fn admitted_options(request: &Req, call: &Call) -> Value {
    let subresource = call.resource.subresource(&call.request.subresource);
    let kind = subresource.map_or("", |subresource| &*subresource.kind.kind);
    let mut options = value!({"kind": kind, "apiVersion": "v1"});
    if call.request.subresource == "portforward" {
        let ports = request.query.all("ports").flat_map(|ports| ports.split(','));
        let ports: Vec<i64> = ports.filter_map(|port| port.parse().ok()).collect();
        options.set(&["ports"], ports);
        return options;
    }
    for name in ["stdin", "stdout", "stderr", "tty"] {
        if request.query.flag(name) == Some(true) {
            options.set(&[name], true);
        }
    }
    if let Some(container) = request.query.get("container") {
        options.set(&["container"], container);
    }
    if call.request.subresource == "exec" {
        options.set(&["command"], request.query.all("command").map(str::to_owned).collect::<Vec<_>>());
    }
    options
}

fn check_host(request: &Req, pod: &Object) -> Result<(), Status> {
    let node = pod.str_at(&["spec", "nodeName"]);
    if node.is_empty() {
        return Err(Status::bad_request(format!("pod {} does not have a host assigned", pod.name())));
    }
    if request.core.registry.cache.get("", "nodes", "", node).is_none() {
        // As upstream's store says it, which takes the resource from the request.
        return Err(Status::not_found("", "pods", node));
    }
    Ok(())
}

/// The container asked for, which must be there; else the only one.
fn container(pod: &Object, asked: &str) -> Result<String, Status> {
    let names = |list: &str| -> Vec<String> {
        let all = pod.array_at(&["spec", list]).iter();
        all.map(|container| container.str_at(&["name"]).to_owned()).collect()
    };
    let lists = ["initContainers", "containers", "ephemeralContainers"];
    if asked.is_empty() {
        if let [only] = names("containers").as_slice() {
            return Ok(only.clone());
        }
        let (name, all) = (pod.name(), lists.map(names).concat().join(" "));
        let text = format!("a container name must be specified for pod {name}, choose one of: [{all}]");
        return Err(Status::bad_request(text));
    }
    if lists.iter().any(|list| names(list).iter().any(|name| name == asked)) {
        return Ok(asked.to_owned());
    }
    Err(Status::bad_request(format!("container {asked} is not valid for pod {}", pod.name())))
}

async fn pod(request: &Req, call: &Call) -> Result<Arc<Object>, Status> {
    let mut get = request.core.registry.sub_call(call, call.resource.clone(), call.request.clone());
    get.request.subresource.clear();
    get.request.verb = Verb::Get;
    match request.core.registry.call(&mut get).await?.reply {
        Reply::Object(pod) => Ok(pod),
        _ => Err(call.not_found()),
    }
}

fn nodes(request: &Req) -> Result<&Arc<dyn NodeDialer>, Status> {
    request.core.nodes.as_ref().ok_or_else(no_nodes)
}

fn no_nodes() -> Status {
    Status::new(503, Reason::ServiceUnavailable, "no node can be reached")
}

/// What a proxy to a kubelet answers that was not given a stream.
///
/// # Errors
/// When the kubelet was not reached.
fn dial_failed(error: DialError) -> Result<Answer, Status> {
    match error {
        DialError::Unreachable(why) => {
            Err(Status::new(500, Reason::Unknown, format!("error dialing backend: {why}")))
        }
        DialError::Refused { code, text } => Ok(body::text(code, text)),
    }
}

fn refused(refused: Refused) -> Answer {
    let mut answer = body::text(refused.code, format!("{}\n", refused.text));
    for (name, value) in refused.headers {
        answer.headers_mut().append(name, value);
    }
    answer
}

/// # Errors
/// When the request does not ask for an upgrade.
fn upgrade(request: &Req) -> Result<handshake::Upgrade, Status> {
    let asked = handshake::asked(&request.parts.headers);
    asked.ok_or_else(|| Status::bad_request("Upgrade request required"))
}
