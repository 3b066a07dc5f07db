//! Attaches at once what is to be attached, as the external attacher says it of a driver that does.

use std::sync::Arc;

use drydock_client::resources::VOLUME_ATTACHMENTS;
use drydock_client::{Change, Controller, Informer, WorkQueue};
use drydock_machinery::{Object, ObjectMeta, Status, Value};

use super::Context;

pub(super) fn start(context: Context) {
    let queue = Arc::new(WorkQueue::new(context.clock.clone()));
    let attachments = context.informers.informer(&VOLUME_ATTACHMENTS);
    let (to, driver) = (queue.clone(), context.storage.driver);
    attachments.on_change(move |change| {
        let attachment = change.object();
        if attachment.str_at(&["spec", "attacher"]) == driver && !matches!(change, Change::Deleted(_)) {
            to.add_object(attachment);
        }
    });
    let needs = [attachments.clone(), context.nodes.clone()];
    let tasks = context.tasks.clone();
    let finalizer = format!("external-attacher/{}", driver.replace('.', "-"));
    let attacher = Arc::new(Attacher { context, attachments, finalizer });
    Controller::new("storage-attacher", queue).workers(4).needs(needs).start(&tasks, move |key| {
        let attacher = attacher.clone();
        async move { attacher.sync(&key).await }
    });
}

struct Attacher {
    context: Context,
    attachments: Arc<Informer>,
    /// Held while it may be attached.
    finalizer: String,
}

impl Attacher {
    async fn sync(&self, name: &str) -> Result<(), Status> {
        let Some(attachment) = self.attachments.get_key(name) else { return Ok(()) };
        if attachment.is_deleting() {
            return self.let_go(&attachment).await;
        }
        if attachment.bool_at(&["status", "attached"]) {
            return Ok(());
        }
        let node = attachment.str_at(&["spec", "nodeName"]);
        if self.context.nodes.get_key(node).is_none() {
            return Err(Status::not_found("", "nodes", node));
        }
        let client = &self.context.client;
        let mut attached = attachment.value().clone();
        if !attachment.finalizers().any(|finalizer| finalizer == self.finalizer) {
            let mut finalizers: Vec<Value> = attachment.finalizers().map(Value::from).collect();
            finalizers.push(Value::from(self.finalizer.as_str()));
            attached.set(&["metadata", "finalizers"], finalizers);
            attached = client.update(&VOLUME_ATTACHMENTS, attached).await?.value().clone();
        }
        attached.set(&["status", "attached"], true);
        client.update_status(&VOLUME_ATTACHMENTS, attached).await.map(drop)
    }

    async fn let_go(&self, attachment: &Object) -> Result<(), Status> {
        let kept: Vec<Value> = attachment
            .finalizers()
            .filter(|finalizer| *finalizer != self.finalizer)
            .map(Value::from)
            .collect();
        if kept.len() == attachment.finalizers().count() {
            return Ok(());
        }
        let mut new = attachment.value().clone();
        new.set(&["metadata", "finalizers"], kept);
        match self.context.client.update(&VOLUME_ATTACHMENTS, new).await {
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(()),
        }
    }
}
