//! The annotation that tells kubelets how long they may keep secrets and config maps: the longer, the more nodes.

use std::sync::Arc;

use drydock_client::resources::NODES;
use drydock_client::{Change, Controller, PatchType, WorkQueue};
use drydock_machinery::{ObjectMeta, value};

use crate::Context;

const ANNOTATION: &str = "node.alpha.kubernetes.io/ttl";

/// Seconds for a number of nodes.
fn seconds(nodes: usize) -> u32 {
    match nodes {
        0..=100 => 0,
        101..=500 => 15,
        501..=1000 => 30,
        1001..=2000 => 60,
        _ => 300,
    }
}

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::new(ctx.clock.clone()));
    let nodes = ctx.informers.informer(&NODES);
    let to = queue.clone();
    nodes.on_change(move |change| {
        let missing = change.object().annotation(ANNOTATION).is_none();
        if missing && !matches!(change, Change::Deleted(_)) {
            to.add_object(change.object());
        }
    });
    let tasks = ctx.tasks.clone();
    Controller::new("ttl", queue).needs([nodes.clone()]).start(&tasks, move |key| {
        let (ctx, nodes) = (ctx.clone(), nodes.clone());
        async move {
            let text = seconds(nodes.len()).to_string();
            let Some(node) = nodes.get_key(&key).filter(|node| node.annotation(ANNOTATION) != Some(&text))
            else {
                return Ok(());
            };
            let patch = value!({"metadata": {"uid": node.uid(), "annotations": {ANNOTATION: text}}});
            match ctx.client.patch(&NODES, "", &key, PatchType::Strategic, patch).await {
                Err(status) if !status.is_not_found() => Err(status),
                _ => Ok(()),
            }
        }
    });
}
