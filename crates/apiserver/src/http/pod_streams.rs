//! What goes through a pod's kubelet: logs.

use std::sync::Arc;

use drydock_client::{Reply, Verb};
use drydock_machinery::{Object, Reason, Status};
use futures::StreamExt;

use super::handler::Req;
use super::{Answer, body};
use crate::registry::{Call, verb_name};
use crate::seams::LogOptions;

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

async fn pod(request: &Req, call: &Call) -> Result<Arc<Object>, Status> {
    debug_assert_eq!(verb_name(Verb::Get), "get");
    let mut get = request.core.registry.sub_call(call, call.resource.clone(), call.request.clone());
    get.request.subresource.clear();
    match request.core.registry.call(&mut get).await?.reply {
        Reply::Object(pod) => Ok(pod),
        _ => Err(call.not_found()),
    }
}

fn no_nodes() -> Status {
    Status::new(503, Reason::ServiceUnavailable, "no node can be reached")
}
