//! Binds pods to the nodes that were chosen for them: volumes and devices first.
//!
//! A pod counts on its node already. What goes wrong takes it back, to be tried again.

use std::fmt;
use std::sync::Arc;

use drydock_client::PatchType;
use drydock_client::events::{EventType, reference};
use drydock_client::resources::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS};
use drydock_machinery::{Object, ObjectMeta, Reason, Status, value};
use jiff::Timestamp;

use crate::dra::Written;
use crate::fit_error::FitError;
use crate::hints;
use crate::pod_info::PodInfo;
use crate::schedule::Placement;
use crate::scheduler::{Nomination, Scheduler, is_finished};
use crate::volumes::{Binding, Storage};

/// What could not be done.
#[derive(Debug)]
struct Failed {
    at: &'static str,
    status: Status,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "running {}: {}", self.at, self.status)
    }
}

impl Scheduler {
    /// Gets the pod its volumes and devices, then its node.
    pub(crate) async fn place(&self, pod: Arc<PodInfo>, placement: Placement) {
        if placement.takes_time() {
            // Others may see where it will be while its volumes are made.
            let patch = value!({"metadata": {"uid": pod.object.uid()}, "status": {"nominatedNodeName": placement.node.as_str()}});
            let (namespace, name) = (pod.object.namespace(), pod.object.name());
            if let Err(status) =
                self.client.patch_status(&PODS, namespace, name, PatchType::Strategic, patch).await
            {
                tracing::debug!(pod = pod.object.key(), %status, "nomination was not written");
            }
        }
        let mut written = Written::default();
        if let Err(failed) = self.prepare(&pod, &placement, &mut written).await {
            self.forget_assumed(&placement.bindings);
            if let Some(reservation) = &placement.reservation {
                self.release_claims(&pod.object, reservation, written).await;
            }
            self.binding_failed(&pod, &failed.status);
            self.note_error(&pod, &failed).await;
        }
    }

    async fn prepare(
        &self,
        pod: &PodInfo,
        placement: &Placement,
        written: &mut Written,
    ) -> Result<(), Failed> {
        let failed = |at: &'static str| move |status| Failed { at, status };
        let volumes = self.bind_volumes(&pod.object, &placement.bindings).await;
        let volumes = volumes.map_err(failed("PreBind plugin \"VolumeBinding\""));
        if let Some(reservation) = &placement.reservation {
            let claims = match volumes {
                Ok(()) => self
                    .bind_claims(pod, &placement.node, reservation, written)
                    .await
                    .map_err(failed("PreBind plugin \"DynamicResources\"")),
                failed => failed,
            };
            self.claims_settled(reservation);
            claims?;
        } else {
            volumes?;
        }
        self.bind(pod, &placement.node).await.map_err(failed("Bind plugin \"DefaultBinder\""))
    }

    async fn note_error(&self, pod: &PodInfo, failed: &Failed) {
        if failed.status.is_not_found() || failed.status.is_conflict() {
            return;
        }
        let error = FitError { error: Some(failed.to_string().into()), ..FitError::default() };
        self.note_failure(pod, &error, Nomination::AsBefore).await;
    }

    /// Writes the bindings and waits until the controllers have carried them out.
    async fn bind_volumes(&self, pod: &Object, bindings: &[Binding]) -> Result<(), Status> {
        if bindings.is_empty() {
            return Ok(());
        }
        for binding in bindings {
            match binding {
                Binding::Volume(volume) => self.client.update(&PERSISTENT_VOLUMES, volume.clone()).await?,
                Binding::Claim(claim) => self.client.update(&PERSISTENT_VOLUME_CLAIMS, claim.clone()).await?,
            };
        }
        let timeout = self.profile_of(pod).args.volumes_timeout;
        let deadline = self.clock.now().saturating_add(timeout).unwrap_or(Timestamp::MAX);
        loop {
            let changed = self.storage_changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.state.lock().cluster.volumes().all_bound(pod) {
                return Ok(());
            }
            tokio::select! {
                () = changed => {}
                () = self.clock.sleep_until(deadline) => {
                    let why = "binding volumes: context deadline exceeded";
                    return Err(Status::new(504, Reason::Timeout, why));
                }
            }
        }
    }

    /// Takes back what was assumed, as far as informers know better.
    fn forget_assumed(&self, bindings: &[Binding]) {
        let mut state = self.state.lock();
        let volumes = state.cluster.volumes_mut();
        for binding in bindings {
            let (wanted, key) = match binding {
                Binding::Volume(volume) => (Storage::Volume, volume.key()),
                Binding::Claim(claim) => (Storage::Claim, claim.key()),
            };
            let known = self.storage.iter().filter(|(kind, _)| *kind == wanted);
            match known.into_iter().find_map(|(_, informer)| informer.get_key(&key)) {
                Some(object) => volumes.set(wanted, &object),
                None => volumes.remove(wanted, &key),
            }
        }
    }

    async fn bind(&self, pod: &PodInfo, node: &str) -> Result<(), Status> {
        let object = &pod.object;
        let (namespace, name) = (object.namespace(), object.name());
        let binding = value!({
            "apiVersion": "v1", "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace, "uid": object.uid()},
            "target": {"kind": "Node", "name": node},
        });
        self.client.create_subresource(&PODS, namespace, name, "binding", binding).await?;
        let message = format!("Successfully assigned {namespace}/{name} to {node}");
        let about = reference(object);
        self.events(object).record(&about, EventType::Normal, "Scheduled", "Binding", message);
        Ok(())
    }

    /// Takes the pod back, unless it runs all the same.
    pub(crate) fn binding_failed(&self, pod: &PodInfo, status: &Status) {
        tracing::debug!(pod = pod.object.key(), %status, "binding failed");
        let (now, uid) = (self.clock.now(), pod.object.uid());
        let mut state = self.state.lock();
        // Looked at under the lock: what the informer shows later comes through its handler.
        let known = self.pods.get(pod.object.namespace(), pod.object.name());
        let known = known.filter(|known| known.uid() == uid && !is_finished(known));
        match known {
            // It was bound all the same, by an answer that got lost or by somebody else: that is where it counts.
            Some(known) if !known.str_at(&["spec", "nodeName"]).is_empty() => {
                let node = known.str_at(&["spec", "nodeName"]);
                state.cluster.add_pod(node, Arc::new(PodInfo::new(known.clone())));
                state.queue.remove(uid);
            }
            Some(_) if !status.is_not_found() => {
                state.cluster.remove_pod(uid);
                state.queue.retry(uid, now);
            }
            _ => {
                state.cluster.remove_pod(uid);
                state.queue.remove(uid);
            }
        }
        state.queue.cluster_changed_for(now, |waiting| hints::pod_gone(pod, waiting));
        drop(state);
        self.wake.notify_one();
    }
}
