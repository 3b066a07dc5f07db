//! One request's audit event, filled in on its way.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use drydock_auth::audit::{Config, Level, Stage};
use drydock_auth::{Attributes, Decision, UserInfo};
use drydock_machinery::{ObjectMeta, Status, Value};
use drydock_runtime::Clock;
use jiff::Timestamp;
use parking_lot::Mutex;

use super::encode;
use super::sink::Sink;
use crate::http::AnswerBody;

/// What is known of a request from its head.
pub(crate) struct Head {
    pub(crate) audit_id: String,
    /// Path and query.
    pub(crate) uri: String,
    pub(crate) source_ips: Vec<String>,
    pub(crate) user_agent: String,
    /// It lasts: its answer's beginning is an event, too.
    pub(crate) long_running: bool,
}

/// An event. Its parts are set once, as the request comes by them.
pub(crate) struct Event {
    sink: Sink,
    clock: Clock,
    pub(super) config: Config,
    pub(crate) head: Head,
    pub(super) verb: String,
    pub(super) user: UserInfo,
    pub(super) received: Timestamp,
    inner: Mutex<Inner>,
}

#[derive(Default)]
pub(super) struct Inner {
    pub(super) impersonated: Option<(UserInfo, String)>,
    pub(super) object: Option<ObjectRef>,
    /// JSON.
    pub(super) status: Option<Value>,
    pub(super) request_object: Option<Vec<u8>>,
    pub(super) response_object: Option<Vec<u8>>,
    pub(super) annotations: BTreeMap<String, String>,
}

/// What a request is about; "" for what is not known.
#[derive(Clone, Debug, Default)]
pub(super) struct ObjectRef {
    pub(super) resource: String,
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) api_group: String,
    pub(super) api_version: String,
    pub(super) resource_version: String,
    pub(super) subresource: String,
}

/// What annotations with the patches of webhooks begin with.
pub(crate) const PATCH_ANNOTATION: &str = "patch.webhook.admission.k8s.io/";

/// Longer user agents are cut.
const MAX_USER_AGENT: usize = 1024;

impl Event {
    pub(super) fn new(
        sink: Sink,
        config: Config,
        attributes: &Attributes<'_>,
        mut head: Head,
        clock: Clock,
    ) -> Self {
        if head.user_agent.len() > MAX_USER_AGENT {
            let end = (0..=MAX_USER_AGENT).rev().find(|&i| head.user_agent.is_char_boundary(i)).unwrap_or(0);
            head.user_agent.truncate(end);
            head.user_agent.push_str("...TRUNCATED");
        }
        let object = attributes.is_resource.then(|| ObjectRef {
            resource: attributes.resource.to_owned(),
            namespace: attributes.namespace.to_owned(),
            name: attributes.name.to_owned(),
            api_group: attributes.group.to_owned(),
            api_version: attributes.version.to_owned(),
            subresource: attributes.subresource.to_owned(),
            ..ObjectRef::default()
        });
        Self {
            sink,
            config,
            head,
            verb: attributes.verb.to_owned(),
            user: attributes.user.clone(),
            received: clock.now(),
            clock,
            inner: Mutex::new(Inner { object, ..Inner::default() }),
        }
    }

    /// What stays is the first that is said under a key. Patches are part of the request.
    pub(crate) fn annotate(&self, key: impl Into<String>, text: impl Into<String>) {
        let key = key.into();
        if key.starts_with(PATCH_ANNOTATION) && self.config.level < Level::Request {
            return;
        }
        self.inner.lock().annotations.entry(key).or_insert_with(|| text.into());
    }

    /// What the authorizers said.
    pub(crate) fn decided(&self, decision: &Decision) {
        let word = if decision.is_allowed() { "allow" } else { "forbid" };
        if !decision.is_allowed() && !decision.evaluation_error().is_empty() {
            self.annotate("authorization.k8s.io/reason", "internal error");
            return;
        }
        self.annotate("authorization.k8s.io/decision", word);
        self.annotate("authorization.k8s.io/reason", decision.reason());
    }

    pub(crate) fn impersonated(&self, user: &UserInfo, constraint: &str) {
        self.inner.lock().impersonated = Some((user.clone(), constraint.to_owned()));
    }

    /// The object that was sent, as it was understood.
    pub(crate) fn request_object(&self, object: &Value) {
        let wanted = self.config.level >= Level::Request;
        let bytes = wanted.then(|| self.encoded(object));
        let mut inner = self.inner.lock();
        if let Some(own) = &mut inner.object {
            for (field, value) in [
                (&mut own.namespace, object.namespace()),
                (&mut own.name, object.name()),
                (&mut own.uid, object.uid()),
                (&mut own.resource_version, object.resource_version()),
            ] {
                if field.is_empty() {
                    value.clone_into(field);
                }
            }
        }
        if bytes.is_some() {
            inner.request_object = bytes;
        }
    }

    /// The patch that was sent.
    pub(crate) fn request_patch(&self, patch: &Value) {
        if self.config.level >= Level::Request {
            self.inner.lock().request_object = Some(patch.to_json());
        }
    }

    pub(crate) fn wants_response(&self) -> bool {
        self.config.level >= Level::RequestResponse
    }

    /// The object that is answered; a Status is the answer's status as well.
    pub(crate) fn response_object(&self, object: &Value) {
        if object.kind() == "Status" && object.api_version() == "v1" {
            self.inner.lock().status = Some(object.clone());
        }
        if self.wants_response() {
            let bytes = self.encoded(object);
            self.inner.lock().response_object = Some(bytes);
        }
    }

    /// The answer is a failure.
    pub(crate) fn failed(&self, status: &Status) {
        self.response_object(&status.to_value());
    }

    /// Text for people in the answer's status, which has nothing else to say.
    pub(crate) fn message(&self, text: &str) {
        let mut status = Value::object();
        status.set(&["message"], text);
        self.inner.lock().status = Some(status);
    }

    pub(crate) fn code(&self, code: u16) {
        self.inner.lock().status.get_or_insert_with(Value::object).set(&["code"], code);
    }

    fn encoded(&self, object: &Value) -> Vec<u8> {
        if !self.config.omit_managed_fields {
            return object.to_json();
        }
        encode::without_managed_fields(object).to_json()
    }

    /// Writes the event as it is now. Waits for room in the queue for as long as its bound, and no longer.
    pub(crate) async fn stage(&self, stage: Stage) {
        if let Some(line) = self.line(stage) {
            self.sink.push(line).await;
        }
    }

    /// The same without waiting.
    pub(crate) fn stage_now(&self, stage: Stage) {
        if let Some(line) = self.line(stage) {
            self.sink.push_now(line);
        }
    }

    fn line(&self, stage: Stage) -> Option<Vec<u8>> {
        if self.config.omits(stage) {
            return None;
        }
        let at = if stage == Stage::RequestReceived { self.received } else { self.clock.now() };
        Some(encode::line(self, &self.inner.lock(), stage, at))
    }

    /// The event's end is written when the answer's body has been sent, or given up.
    pub(crate) fn until_sent(self: Arc<Self>, body: AnswerBody) -> AnswerBody {
        let end = End(self);
        let body = http_body_util::BodyExt::map_frame(body, move |frame: hyper::body::Frame<Bytes>| {
            // Moved in here, it lives as long as the body does.
            let _ = &end;
            frame
        });
        http_body_util::BodyExt::boxed_unsync(body)
    }
}

/// Writes the end of an event when it is dropped.
pub(crate) struct End(Arc<Event>);

/// What writes the end of `event` when it is dropped.
pub(crate) fn ended(event: Arc<Event>) -> End {
    End(event)
}

impl Drop for End {
    fn drop(&mut self) {
        self.0.stage_now(Stage::ResponseComplete);
    }
}
