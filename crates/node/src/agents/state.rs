//! What is known of the nodes and their pods, and when each is due next. One lock guards all of it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use drydock_client::Client;
use drydock_machinery::{Key, Object, ObjectMeta};
use jiff::Timestamp;

use crate::ip::Pool;
use crate::plan::{self, When};
use crate::registration::Start;
use crate::spec::NodeSpec;
use crate::wheel::{Due, Wheel};

#[derive(Default)]
pub(super) struct State {
    pub(super) nodes: HashMap<Key, Node>,
    pub(super) wheel: Wheel,
    /// The revision of each pod's last write, until the informer has shown it: before that the pod is not judged.
    pub(super) written: HashMap<Key, u64>,
    /// Pods whose step is being performed.
    pub(super) busy: HashSet<Key>,
    /// For nodes without a CIDR of their own.
    pub(super) next_range: u32,
}

pub(super) struct Node {
    pub(super) spec: Arc<NodeSpec>,
    pub(super) client: Client,
    pub(super) pool: Option<Pool>,
    pub(super) images: HashSet<Key>,
    /// False while its instance is stopped: no heartbeats, and its pods stand still.
    pub(super) running: bool,
    pub(super) registered: bool,
    pub(super) start: Start,
}

impl State {
    /// Plans the pod's next step; true when one is planned.
    pub(super) fn plan_pod(&mut self, pod: &Arc<Object>, now: Timestamp) -> bool {
        let node = pod.str_at(&["spec", "nodeName"]);
        let Some(of) = self.nodes.get(node).filter(|of| of.running && of.registered) else { return false };
        if self.busy.contains(pod.uid()) {
            return false;
        }
        if let Some(written) = self.written.get(pod.uid()) {
            if pod.revision() < *written {
                return false;
            }
            self.written.remove(pod.uid());
        }
        let due = Due::Pod(pod.key().into());
        match plan::next(pod, |image| of.images.contains(image)) {
            None => {
                self.wheel.cancel(&due);
                false
            }
            Some((_, When::At(at))) => {
                self.wheel.plan(due, at.max(now));
                true
            }
            Some((step, When::After(after))) => {
                let at = now.saturating_add(after).unwrap_or(Timestamp::MAX);
                if pod.is_deleting() || step == plan::Step::Admit {
                    self.wheel.plan(due, at);
                } else {
                    self.wheel.plan_if_absent(due, at);
                }
                true
            }
        }
    }

    pub(super) fn forget(&mut self, pod: &Object, node: &str) {
        self.wheel.cancel(&Due::Pod(pod.key().into()));
        self.written.remove(pod.uid());
        if let Some(pool) = self.nodes.get_mut(node).and_then(|node| node.pool.as_mut())
            && !pod.bool_at(&["spec", "hostNetwork"])
        {
            pool.release(pod.str_at(&["status", "podIP"]));
        }
    }
}

impl Node {
    pub(super) fn keep_ip(&mut self, pod: &Object) {
        if let Some(pool) = &mut self.pool
            && !plan::is_finished(pod)
        {
            pool.keep(pod.str_at(&["status", "podIP"]));
        }
        for status in pod.array_at(&["status", "containerStatuses"]) {
            if !status.str_at(&["imageID"]).is_empty() {
                self.images.insert(status.str_at(&["image"]).into());
            }
        }
    }
}

pub(super) fn timers_of(node: &str) -> [Due; 5] {
    let name = || Key::from(node);
    [
        Due::Register(name()),
        Due::Ready(name()),
        Due::Lease(name()),
        Due::Status(name()),
        Due::Extended(name()),
    ]
}
