//! Empties namespaces that are being deleted, then lets them go.
//!
//! Pods are deleted first and everything else once they are gone, so that policies and secrets outlive what they
//! guard (KEP-5080). What remains is told in the namespace's conditions.

mod content;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use drydock_client::resources::{NAMESPACES, PODS};
use drydock_client::{Change, Controller, Informer, Request, Verb, WorkQueue};
use drydock_machinery::{Key, Object, ObjectMeta, Status, Value};
use parking_lot::Mutex;

use crate::Context;
use crate::util::conditions;
use content::Progress;

/// So long all who create things in a namespace have to hear that it goes.
const HEARD_OF: Duration = Duration::from_secs(5);
/// How soon and how late failures are retried, as with upstream.
const RETRIES: Range<Duration> = Duration::from_millis(5)..Duration::from_secs(60);

struct Namespaces {
    ctx: Context,
    queue: Arc<WorkQueue>,
    namespaces: Arc<Informer>,
    /// Those in which pods are waited for.
    terminating: Mutex<HashSet<Key>>,
}

pub(crate) fn start(ctx: Context) {
    let queue = Arc::new(WorkQueue::with_retries(ctx.clock.clone(), RETRIES));
    let namespaces = ctx.informers.informer(&NAMESPACES);
    let pods = ctx.informers.informer(&PODS);
    let this = Arc::new(Namespaces {
        queue: queue.clone(),
        namespaces: namespaces.clone(),
        terminating: Mutex::default(),
        ctx,
    });
    let me = this.clone();
    namespaces.on_change(move |change| {
        let namespace = change.object();
        if namespace.is_deleting() && !matches!(change, Change::Deleted(_)) {
            me.queue.add_after(namespace.name(), HEARD_OF);
        }
    });
    let me = this.clone();
    pods.on_change(move |change| {
        if let Change::Deleted(pod) = change
            && me.terminating.lock().contains(pod.namespace())
        {
            me.queue.add(pod.namespace());
        }
    });
    let tasks = this.ctx.tasks.clone();
    Controller::new("namespace", queue).workers(5).needs([namespaces, pods]).start(&tasks, move |key| {
        let this = this.clone();
        async move { this.sync(&key).await }
    });
}

impl Namespaces {
    async fn sync(&self, name: &Key) -> Result<(), Status> {
        if self.namespaces.get_key(name).is_none_or(|namespace| !namespace.is_deleting()) {
            self.terminating.lock().remove(name);
            return Ok(());
        }
        let Some(namespace) = self.ctx.client.find(&NAMESPACES, "", name).await? else { return Ok(()) };
        if !namespace.is_deleting() {
            return Ok(());
        }
        let namespace = self.mark_terminating(&namespace).await?;
        let held =
            namespace.array_at(&["spec", "finalizers"]).iter().any(|f| f.as_str() == Some("kubernetes"));
        if !held {
            return Ok(());
        }
        self.terminating.lock().insert(name.clone());
        let progress = content::delete_all(&self.ctx.client, name).await;
        let namespace = self.write_conditions(&namespace, &progress).await?;
        if let Some(estimate) = progress.estimate_seconds() {
            self.queue.add_after(name.clone(), Duration::from_secs(estimate / 2 + 1));
            return Ok(());
        }
        if let Some(status) = progress.failure {
            return Err(status);
        }
        self.terminating.lock().remove(name);
        self.finalize(&namespace).await
    }

    async fn mark_terminating(&self, namespace: &Arc<Object>) -> Result<Arc<Object>, Status> {
        if namespace.str_at(&["status", "phase"]) == "Terminating" {
            return Ok(namespace.clone());
        }
        let mut new = namespace.value().clone();
        new.set(&["status", "phase"], "Terminating");
        self.ctx.client.update_status(&NAMESPACES, new).await
    }

    async fn write_conditions(
        &self,
        namespace: &Arc<Object>,
        progress: &Progress,
    ) -> Result<Arc<Object>, Status> {
        let mut new = namespace.value().clone();
        let now = self.ctx.clock.now_rfc3339();
        let mut changed = false;
        // A namespace that was emptied at once never shows conditions.
        let quiet =
            progress.is_clean() && conditions::condition(namespace, "NamespaceContentRemaining").is_none();
        if quiet {
            return Ok(namespace.clone());
        }
        for (kind, status, reason, message) in progress.conditions() {
            changed |=
                conditions::set_in_place(&mut new, conditions::new(kind, status, reason, &message, &now));
        }
        if changed { self.ctx.client.update_status(&NAMESPACES, new).await } else { Ok(namespace.clone()) }
    }

    async fn finalize(&self, namespace: &Object) -> Result<(), Status> {
        let mut new = namespace.value().clone();
        let finalizers = namespace.array_at(&["spec", "finalizers"]).iter();
        let kept: Vec<Value> = finalizers.filter(|f| f.as_str() != Some("kubernetes")).cloned().collect();
        new.set(&["spec", "finalizers"], kept);
        let request = Request::new(Verb::Update, &NAMESPACES, "", namespace.name());
        match self.ctx.client.object(request.subresource("finalize").body(new)).await {
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(()),
        }
    }
}
