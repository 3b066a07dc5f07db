//! Performing a step: the status that follows from it, and the events that a kubelet records on the way.

use std::time::Duration;

use drydock_client::events::{EventType, container_reference, reference};
use drydock_client::resources::PODS;
use drydock_client::{Client, DeleteOptions, PatchType};
use drydock_machinery::{Object, ObjectMeta, Reason, Status, Value};

use crate::agents::NodeAgents;
use crate::behaviour::{self, Ending};
use crate::plan::{Step, back_off, is_sidecar};
use crate::spec::NodeSpec;
use crate::status::{APP, Draft, EPHEMERAL, Ended, INIT, spec_list};

const COMPLETED: Ended = Ended { exit_code: 0, reason: "Completed" };

impl NodeAgents {
    /// Performs `step`. Answers the pod's revision when it was written.
    pub(crate) async fn perform(
        &self,
        spec: &NodeSpec,
        client: &Client,
        pod: &Object,
        step: Step,
    ) -> Result<Option<u64>, Status> {
        let mut draft = Draft::new(pod, self.clock.now_rfc3339());
        match step {
            Step::Remove => return remove(client, pod).await,
            Step::Admit => self.admit(spec, pod, &mut draft),
            Step::InitStarts(i) => self.start_init(spec, pod, &mut draft, i)?,
            Step::InitEnds(i) => end_init(pod, &mut draft, i),
            Step::Start => self.start_all(spec, pod, &mut draft)?,
            Step::Ready(i) => draft.ready(APP, i, !behaviour::never_ready(pod)),
            Step::Conditions => {}
            Step::Ends(i) => end(pod, &mut draft, i),
            Step::Restarts(i) => self.restart(spec, pod, &mut draft, i),
            Step::Debug(i) => self.start_ephemeral(spec, pod, &mut draft, i),
            Step::Stop => return stop(client, pod, draft).await,
            Step::DeadlineExceeded => {
                draft.end_all(&Ended { exit_code: 137, reason: "Error" });
                draft.fail(
                    "DeadlineExceeded",
                    "Pod was active on the node longer than the specified deadline",
                );
                let message = "Pod was active on the node longer than the specified deadline";
                self.record(spec, &reference(pod), EventType::Normal, "DeadlineExceeded", message.to_owned());
            }
        }
        write(client, pod, draft.into_patch()).await
    }

    fn record(&self, spec: &NodeSpec, about: &Value, kind: EventType, reason: &str, message: String) {
        self.events.on_host(&spec.name).record(about, kind, reason, "", message);
    }

    fn admit(&self, spec: &NodeSpec, pod: &Object, draft: &mut Draft<'_>) {
        draft.admit(spec.host_ip());
        let init = pod.array_at(&["spec", "initContainers"]);
        let (list, first) = match init.first() {
            Some(first) => ("initContainers", Some(first)),
            None => ("containers", pod.array_at(&["spec", "containers"]).first()),
        };
        if let Some(first) = first {
            self.announce_pull(spec, pod, list, first);
        }
    }

    fn announce_pull(&self, spec: &NodeSpec, pod: &Object, list: &str, container: &Value) {
        let image = container.str_at(&["image"]);
        let cached = container.str_at(&["imagePullPolicy"]) != "Always" && self.has_image(&spec.name, image);
        if !cached {
            let about = container_reference(pod, list, container.str_at(&["name"]));
            self.record(spec, &about, EventType::Normal, "Pulling", format!("Pulling image {image:?}"));
        }
    }

    /// True when the image is there afterwards.
    fn pull(&self, spec: &NodeSpec, pod: &Object, list: &str, container: &Value) -> bool {
        let image = container.str_at(&["image"]);
        let about = container_reference(pod, list, container.str_at(&["name"]));
        if behaviour::pull_fails(pod, image) {
            let why = format!("failed to pull and unpack image {image:?}: not found");
            let message = format!("Failed to pull image {image:?}: rpc error: code = NotFound desc = {why}");
            self.record(spec, &about, EventType::Warning, "Failed", message);
            self.record(spec, &about, EventType::Warning, "Failed", "Error: ErrImagePull".to_owned());
            return false;
        }
        let cached = container.str_at(&["imagePullPolicy"]) != "Always" && self.has_image(&spec.name, image);
        let message = if cached {
            format!("Container image {image:?} already present on machine and can be accessed by the pod")
        } else {
            let took = seconds(behaviour::pull_time(pod, image));
            let size = behaviour::image_size(image);
            format!(
                "Successfully pulled image {image:?} in {took} ({took} including waiting). Image size: {size} bytes."
            )
        };
        self.record(spec, &about, EventType::Normal, "Pulled", message);
        self.add_image(&spec.name, image);
        true
    }

    /// Pulls, creates and starts one container.
    fn launch(&self, spec: &NodeSpec, pod: &Object, draft: &mut Draft<'_>, list: &str, i: usize) {
        let containers = spec_list(list);
        let Some(container) = pod.array_at(&["spec", containers]).get(i) else { return };
        if !self.pull(spec, pod, containers, container) {
            let image = container.str_at(&["image"]);
            let message = format!("Back-off pulling image {image:?}: ErrImagePull: {image}: not found");
            return draft.wait(list, i, "ImagePullBackOff", &message);
        }
        let about = container_reference(pod, containers, container.str_at(&["name"]));
        self.record(spec, &about, EventType::Normal, "Created", "Container created".to_owned());
        self.record(spec, &about, EventType::Normal, "Started", "Container started".to_owned());
        let probed = behaviour::is_probed(container) || behaviour::never_ready(pod);
        // An init container is ready when it has ended, a sidecar when it has started, an ephemeral one never.
        let ready = match list {
            INIT => is_sidecar(container),
            EPHEMERAL => false,
            _ => !probed,
        };
        draft.start(list, i, ready);
    }

    /// Nothing is started without an address: the step fails, and is tried again.
    fn give_ip(&self, spec: &NodeSpec, pod: &Object, draft: &mut Draft<'_>) -> Result<(), Status> {
        match self.take_ip(spec, &draft.new) {
            Some(ip) => draft.set_ip(&ip),
            // The host's own, whatever it is.
            None if pod.bool_at(&["spec", "hostNetwork"]) => {}
            None => {
                let message = "Failed to create pod sandbox: no IP addresses available in network";
                let about = reference(pod);
                self.record(spec, &about, EventType::Warning, "FailedCreatePodSandBox", message.to_owned());
                return Err(Status::new(503, Reason::ServiceUnavailable, message));
            }
        }
        Ok(())
    }

    fn start_init(
        &self,
        spec: &NodeSpec,
        pod: &Object,
        draft: &mut Draft<'_>,
        i: usize,
    ) -> Result<(), Status> {
        self.give_ip(spec, pod, draft)?;
        self.launch(spec, pod, draft, INIT, i);
        Ok(())
    }

    fn start_all(&self, spec: &NodeSpec, pod: &Object, draft: &mut Draft<'_>) -> Result<(), Status> {
        self.give_ip(spec, pod, draft)?;
        for (i, status) in pod.array_at(&["status", APP]).iter().enumerate() {
            let waits = matches!(
                status.str_at(&["state", "waiting", "reason"]),
                "ContainerCreating" | "PodInitializing"
            );
            if waits {
                if i > 0 {
                    self.announce_pull(spec, pod, "containers", &pod.array_at(&["spec", "containers"])[i]);
                }
                self.launch(spec, pod, draft, APP, i);
            }
        }
        Ok(())
    }

    fn start_ephemeral(&self, spec: &NodeSpec, pod: &Object, draft: &mut Draft<'_>, i: usize) {
        let Some(container) = pod.array_at(&["spec", "ephemeralContainers"]).get(i) else { return };
        self.announce_pull(spec, pod, "ephemeralContainers", container);
        draft.add_ephemeral(container);
        self.launch(spec, pod, draft, EPHEMERAL, i);
    }

    /// Starts a container again, at once the first time and after a pause when it keeps ending.
    fn restart(&self, spec: &NodeSpec, pod: &Object, draft: &mut Draft<'_>, i: usize) {
        let Some(status) = pod.array_at(&["status", APP]).get(i) else { return };
        let restarts = status.i64_at(&["restartCount"]).unwrap_or(0);
        let backing_off = status.at(&["state", "waiting"]).is_some();
        if backing_off || restarts == 0 {
            return self.launch(spec, pod, draft, APP, i);
        }
        let name = status.str_at(&["name"]);
        let pause = seconds(back_off(restarts));
        let what = format!(
            "restarting failed container={name} pod={}_{}({})",
            pod.name(),
            pod.namespace(),
            pod.uid()
        );
        draft.wait(APP, i, "CrashLoopBackOff", &format!("back-off {pause} {what}"));
        let about = container_reference(pod, "containers", name);
        let message = format!("Back-off {what}");
        self.record(spec, &about, EventType::Warning, "BackOff", message);
    }

    /// The pod is deleted: its containers are asked to stop.
    pub(crate) fn announce_stop(&self, node: &str, pod: &Object) {
        for status in pod.array_at(&["status", APP]) {
            if status.at(&["state", "running"]).is_some() {
                let name = status.str_at(&["name"]);
                let about = container_reference(pod, "containers", name);
                let message = format!("Stopping container {name}");
                self.events.on_host(node).record(&about, EventType::Normal, "Killing", "", message);
            }
        }
    }
}

/// The containers of a deleted pod have stopped: says so, and lets the object go.
async fn stop(client: &Client, pod: &Object, mut draft: Draft<'_>) -> Result<Option<u64>, Status> {
    draft.end_all(&COMPLETED);
    write(client, pod, draft.into_patch()).await?;
    remove(client, pod).await
}

fn end_init(pod: &Object, draft: &mut Draft<'_>, i: usize) {
    let Some(container) = pod.array_at(&["spec", "initContainers"]).get(i) else { return };
    draft.end(INIT, i, &ended(behaviour::init_ending(pod, container)));
}

fn end(pod: &Object, draft: &mut Draft<'_>, i: usize) {
    let Some(container) = pod.array_at(&["spec", "containers"]).get(i) else { return };
    if let Some(ending) = behaviour::ending(pod, container) {
        draft.end(APP, i, &ended(ending));
    }
}

fn ended(ending: Ending) -> Ended {
    let reason = if ending.exit_code == 0 { "Completed" } else { "Error" };
    Ended { exit_code: ending.exit_code, reason }
}

async fn write(client: &Client, pod: &Object, patch: Value) -> Result<Option<u64>, Status> {
    if patch.object_at(&["status"]).is_empty() {
        return Ok(None);
    }
    let (namespace, name) = (pod.namespace(), pod.name());
    let written = client.patch_status(&PODS, namespace, name, PatchType::Strategic, patch).await?;
    Ok(Some(written.revision()))
}

async fn remove(client: &Client, pod: &Object) -> Result<Option<u64>, Status> {
    let options = DeleteOptions::of_uid(pod.uid()).grace(0);
    match client.delete(&PODS, pod.namespace(), pod.name(), options).await {
        // Another one by that name: ours is gone.
        Err(status) if !status.is_not_found() && !status.is_conflict() => Err(status),
        _ => Ok(None),
    }
}

/// As Go writes durations: `1.25s`, `850ms`, `2m40s`.
fn seconds(duration: Duration) -> String {
    let millis = duration.as_millis();
    if millis < 1_000 {
        return format!("{millis}ms");
    }
    let (minutes, rest) = (duration.as_secs() / 60, duration.as_secs() % 60);
    if minutes > 0 {
        return format!("{minutes}m{rest}s");
    }
    let text = format!("{:.3}", duration.as_secs_f64());
    format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
}
