//! What changes of devices and claims mean for pods that wait.

use std::sync::Arc;

use drydock_client::resources::{RESOURCE_CLAIMS, RESOURCE_SLICES};
use drydock_client::{ApiResource, Change, Informer, SharedInformers};
use drydock_machinery::{Object, ObjectMeta};

use super::{DEVICE_CLASSES, DeviceKind, Reservation, is_allocated};
use crate::hints::ANY;
use crate::plugin::Plugin;
use crate::queue::Gate;
use crate::scheduler::{Scheduler, State};

impl Scheduler {
    /// None where the server is too old to know devices.
    pub(crate) async fn watch_devices(self: &Arc<Self>, informers: &SharedInformers) -> Vec<Arc<Informer>> {
        let is_slice = |one: &ApiResource| one.resource == RESOURCE_SLICES;
        if self.client.discover().await.is_ok_and(|served| !served.iter().any(is_slice)) {
            return Vec::new();
        }
        let kinds = [
            (DeviceKind::Claim, RESOURCE_CLAIMS),
            (DeviceKind::Class, DEVICE_CLASSES),
            (DeviceKind::Slice, RESOURCE_SLICES),
        ];
        let watched = kinds.map(|(kind, resource)| {
            let (me, informer) = (self.clone(), informers.informer(&resource));
            informer.on_change(move |change| me.devices_changed(kind, change));
            informer
        });
        watched.to_vec()
    }

    fn devices_changed(&self, kind: DeviceKind, change: Change<'_>) {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let State { cluster, queue, configuration, .. } = &mut *state;
        match change {
            Change::Deleted(object) => cluster.devices_mut().remove(kind, &object.key()),
            _ => cluster.devices_mut().set(kind, change.object()),
        }
        let plugin = Plugin::DynamicResources.bit() | ANY;
        match (kind, &change) {
            (_, Change::Deleted(_)) => {}
            // A class can stand for an extended resource.
            (DeviceKind::Class, _) => queue.cluster_changed(plugin | Plugin::NodeResourcesFit.bit(), now),
            (DeviceKind::Slice, _) => queue.cluster_changed(plugin, now),
            (DeviceKind::Claim, _) => {
                let (old, new) = (change.old(), change.object());
                let devices = cluster.devices().clone();
                queue.cluster_changed_for(now, |pod| {
                    let helped = devices.claims_of(&pod.object).is_ok_and(|claims| {
                        let uses = claims.iter().any(|claim| claim.uid() == new.uid());
                        helps(old.map(|old| &**old), new, uses)
                    });
                    if helped { plugin } else { ANY }
                });
                let opens = |pod: &Object| {
                    configuration
                        .profile_of(pod)
                        .is_some_and(|profile| devices.gate(profile, pod) == Gate::Open)
                };
                queue.open_gates(|pod| opens(&pod.object));
            }
        }
        drop(state);
        self.claims_changed.notify_waiters();
        self.wake.notify_one();
    }

    /// The answer to a write, which informers will confirm.
    pub(super) fn claim_written(&self, claim: &Arc<Object>) {
        self.state.lock().cluster.devices_mut().set(DeviceKind::Claim, claim);
    }

    pub(crate) fn claims_settled(&self, reservation: &Reservation) {
        self.state.lock().cluster.devices_mut().settle(reservation);
    }

    pub(super) fn claims_expired(&self, claims: &[Arc<Object>]) {
        self.state.lock().cluster.devices_mut().expire(claims);
    }

    /// # Errors
    /// When devices of one of the claims say that they cannot get ready.
    pub(super) fn are_ready(&self, claims: &[Arc<Object>]) -> Result<bool, String> {
        let state = self.state.lock();
        let known = |claim: &Arc<Object>| state.cluster.devices().claim(&claim.key()).cloned();
        let mut ready = true;
        for claim in claims {
            ready &= super::bind::readiness(&known(claim).unwrap_or_else(|| claim.clone()))?;
        }
        Ok(ready)
    }
}

/// Whether the change of a claim may help a pod, which uses it or not.
fn helps(old: Option<&Object>, new: &Object, uses: bool) -> bool {
    match old {
        Some(old) if is_allocated(old) && !is_allocated(new) => true,
        Some(old) => uses && old.get("status") != new.get("status"),
        None => uses,
    }
}
