//! What becomes of a volume: it is free, bound, or released and then kept or reclaimed.

use std::sync::Arc;

use drydock_client::DeleteOptions;
use drydock_client::resources::{PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES};
use drydock_machinery::{Object, ObjectMeta, Status};

use super::{BOUND_BY_CONTROLLER, Binder, PROVISIONED_BY, fit, reserved_for};

impl Binder {
    pub(super) async fn sync_volume(&self, volume: &Arc<Object>) -> Result<(), Status> {
        let reference = reserved_for(volume).filter(|reference| !reference.str_at(&["uid"]).is_empty());
        let Some(reference) = reference else { return self.set_phase(volume, "Available", "").await };
        let (namespace, name) = (reference.str_at(&["namespace"]), reference.str_at(&["name"]));
        let of_volume = |claim: &Arc<Object>| claim.uid() == reference.str_at(&["uid"]);
        let mut claim = self.claims.get(namespace, name).filter(of_volume);
        let released = matches!(volume.str_at(&["status", "phase"]), "Released" | "Failed");
        if claim.is_none() && !released {
            // The server is asked before anything is given up: the informer may not have the claim yet.
            claim = self.ctx.client.find(&PERSISTENT_VOLUME_CLAIMS, namespace, name).await?.filter(of_volume);
        }
        let Some(claim) = claim else { return self.release(volume).await };
        match claim.str_at(&["spec", "volumeName"]) {
            "" => {
                self.wait_for_claim(volume, &claim);
                Ok(())
            }
            bound if bound == volume.name() => self.set_phase(volume, "Bound", "").await,
            _ => self.bound_elsewhere(volume).await,
        }
    }

    fn wait_for_claim(&self, volume: &Object, claim: &Object) {
        if fit::same_mode(volume, claim) {
            return self.queue.add_object(claim);
        }
        let (volume_name, claim_name) = (volume.name(), claim.name());
        let message = format!(
            "Cannot bind PersistentVolume to requested PersistentVolumeClaim {claim_name:?} due to incompatible volumeMode."
        );
        self.ctx.events.warning(volume, "VolumeMismatch", message);
        let message = format!(
            "Cannot bind PersistentVolume {volume_name:?} to requested PersistentVolumeClaim due to incompatible volumeMode."
        );
        self.ctx.events.warning(claim, "VolumeMismatch", message);
    }

    /// Its claim has another volume.
    async fn bound_elsewhere(&self, volume: &Arc<Object>) -> Result<(), Status> {
        let made_for_claim = volume.annotation(PROVISIONED_BY).is_some();
        if made_for_claim && volume.str_at(&["spec", "persistentVolumeReclaimPolicy"]) == "Delete" {
            return self.release(volume).await;
        }
        let mut new = volume.value().clone();
        if volume.annotation(BOUND_BY_CONTROLLER).is_some() {
            new.remove(&["spec", "claimRef"]);
            new.remove(&["metadata", "annotations", BOUND_BY_CONTROLLER]);
        } else {
            new.remove(&["spec", "claimRef", "uid"]);
        }
        let volume = self.ctx.client.update(&PERSISTENT_VOLUMES, new).await?;
        self.set_phase(&volume, "Available", "").await
    }

    /// The claim is gone: the volume's policy says what follows.
    async fn release(&self, volume: &Arc<Object>) -> Result<(), Status> {
        if !matches!(volume.str_at(&["status", "phase"]), "Released" | "Failed") {
            // Its change brings the volume back.
            return self.set_phase(volume, "Released", "").await;
        }
        match volume.str_at(&["spec", "persistentVolumeReclaimPolicy"]) {
            "Delete" => self.reclaim(volume).await,
            "Recycle" => self.recycle(volume).await,
            _ => Ok(()),
        }
    }

    /// What external provisioners made they delete; of the rest only paths of the host can be.
    async fn reclaim(&self, volume: &Object) -> Result<(), Status> {
        let external =
            volume.annotation(PROVISIONED_BY).is_some_and(|name| !name.starts_with("kubernetes.io/"));
        let is_csi = volume.at(&["spec", "csi"]).is_some_and(|csi| !csi.is_null());
        if external || is_csi || volume.annotation("pv.kubernetes.io/migrated-to").is_some() {
            return Ok(());
        }
        let path = volume.str_at(&["spec", "hostPath", "path"]);
        if path.is_empty() {
            let name = volume.name();
            let message = format!(
                "error getting deleter volume plugin for volume {name:?}: no deletable volume plugin matched"
            );
            return self.fail(volume, "VolumeFailedDelete", message).await;
        }
        if path.strip_prefix("/tmp/").is_none_or(str::is_empty) {
            let message = format!("host_path deleter only supports /tmp/.+ but received provided {path}");
            return self.fail(volume, "VolumeFailedDelete", message).await;
        }
        match self.ctx.client.delete(&PERSISTENT_VOLUMES, "", volume.name(), DeleteOptions::default()).await {
            Err(status) if !status.is_not_found() => Err(status),
            _ => Ok(()),
        }
    }

    /// Recyclable volumes stay released: nobody can scrub them.
    async fn recycle(&self, volume: &Object) -> Result<(), Status> {
        let recyclable = ["hostPath", "nfs"].iter().any(|source| volume.at(&["spec", source]).is_some());
        if recyclable {
            return Ok(());
        }
        let message = "No recycler plugin found for the volume!".to_owned();
        self.fail(volume, "VolumeFailedRecycle", message).await
    }

    async fn fail(&self, volume: &Object, reason: &str, message: String) -> Result<(), Status> {
        if volume.str_at(&["status", "phase"]) == "Failed" {
            return Ok(());
        }
        self.set_phase(volume, "Failed", &message).await?;
        self.ctx.events.warning(volume, reason, message);
        Ok(())
    }

    pub(super) async fn set_phase(&self, volume: &Object, phase: &str, message: &str) -> Result<(), Status> {
        if volume.str_at(&["status", "phase"]) == phase {
            return Ok(());
        }
        let mut new = volume.value().clone();
        new.set(&["status", "phase"], phase);
        if message.is_empty() {
            new.remove(&["status", "message"]);
        } else {
            new.set(&["status", "message"], message);
        }
        self.ctx.client.update_status(&PERSISTENT_VOLUMES, new).await.map(drop)
    }
}
