//! Containers' logs, which are plain answers.

use drydock_machinery::Status;
use futures::StreamExt;

use super::{container, nodes, pod};
use crate::http::handler::Req;
use crate::http::{Answer, body};
use crate::registry::Call;
use crate::seams::LogOptions;

/// `GET pods/NAME/log`.
pub(crate) async fn log(request: &Req, call: &Call) -> Result<Answer, Status> {
    let pod = pod(request, call).await?;
    let query = &request.query;
    let container = container(&pod, query.get("container").unwrap_or(""))?;
    if pod.str_at(&["spec", "nodeName"]).is_empty() {
        // Nobody has anything to say yet.
        return Ok(body::whole(200, "text/plain", ""));
    }
    let nodes = nodes(request)?;
    let options = LogOptions {
        container,
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
