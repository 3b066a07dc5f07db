//! What goes through a pod's kubelet: logs, and connections to its containers.
//!
//! Deliberately absent: the upgraded connection itself. No kubelet gives streams yet; they say why.

use std::sync::Arc;

use drydock_client::{Reply, Verb};
use drydock_machinery::{Object, ObjectMeta as _, Reason, Status};
use futures::StreamExt;

use super::handler::Req;
use super::{Answer, body};
use crate::registry::Call;
use crate::seams::{ExecOptions, LogOptions};

/// `GET pods/NAME/log`.
pub(crate) async fn log(request: &Req, call: &Call) -> Result<Answer, Status> {
    let pod = pod(request, call).await?;
    let nodes = request.core.nodes.as_ref().ok_or_else(no_nodes)?;
    let query = &request.query;
    let options = LogOptions {
        container: query.get("container").unwrap_or("").to_owned(),
        follow: query.flag("follow").unwrap_or(false),
        previous: query.flag("previous").unwrap_or(false),
        timestamps: query.flag("timestamps").unwrap_or(false),
        since_seconds: query.integer("sinceSeconds")?,
        since_time: query.get("sinceTime").map(str::to_owned),
        tail_lines: query.integer("tailLines")?,
        limit_bytes: query.integer("limitBytes")?,
    };
    let lines = nodes.logs(&pod, options).await?;
    // A kubelet that fails halfway ends the stream, as upstream's proxy does.
    let lines = lines
        .take_while(|line| std::future::ready(line.is_ok()))
        .filter_map(|line| std::future::ready(line.ok()));
    Ok(body::streamed("text/plain", lines))
}

/// `pods/NAME/exec`, `attach` and `portforward`.
pub(crate) async fn connect(request: &Req, call: &Call) -> Result<Answer, Status> {
    let pod = pod(request, call).await?;
    if pod.str_at(&["spec", "nodeName"]).is_empty() {
        return Err(Status::bad_request(format!("pod {} does not have a host assigned", pod.name())));
    }
    let nodes = request.core.nodes.as_ref().ok_or_else(no_nodes);
    let query = &request.query;
    if call.request.subresource == "portforward" {
        let port = query.integer("ports")?.and_then(|port| u16::try_from(port).ok()).unwrap_or(0);
        nodes?.port_forward(&pod, port).await.map(drop)?;
    } else {
        let flag = |name: &str| query.flag(name).unwrap_or(false);
        let options = ExecOptions {
            container: container(&pod, query.get("container").unwrap_or(""))?,
            command: query.all("command").map(str::to_owned).collect(),
            stdin: flag("stdin"),
            stdout: flag("stdout"),
            stderr: flag("stderr"),
            tty: flag("tty"),
        };
        nodes?.exec(&pod, options).await.map(drop)?;
    }
    Err(Status::new(501, Reason::Unknown, "connections to containers are not upgraded by this server"))
}

/// The container asked for, which must be there; else the only one.
fn container(pod: &Object, asked: &str) -> Result<String, Status> {
    let lists = ["containers", "initContainers", "ephemeralContainers"];
    let names = |list: &str| -> Vec<String> {
        let all = pod.array_at(&["spec", list]).iter();
        all.map(|container| container.str_at(&["name"]).to_owned()).collect()
    };
    if asked.is_empty() {
        let own = names("containers");
        if let [only] = own.as_slice() {
            return Ok(only.clone());
        }
        let (name, own) = (pod.name(), own.join(" "));
        let text = format!("a container name must be specified for pod {name}, choose one of: [{own}]");
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

fn no_nodes() -> Status {
    Status::new(503, Reason::ServiceUnavailable, "no node can be reached")
}
