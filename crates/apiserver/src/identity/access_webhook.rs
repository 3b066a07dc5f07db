//! A server that is asked whether a request may go on: by SubjectAccessReviews, its answers remembered for a while.

use drydock_auth::config::{AccessWebhook as Config, FailurePolicy};
use drydock_auth::{Attributes, Decision};
use drydock_machinery::{Value, value};

use super::outbound::Outbound;
use super::remembered::{self, Remembered};
use super::token_webhook::ask;

/// Longer questions are not remembered: who asks chooses how long they are.
const LONGEST_REMEMBERED: usize = 10_000;

pub(super) struct AccessWebhook {
    pub(super) config: Config,
    outbound: Result<Outbound, String>,
    answers: Remembered<Decision>,
}

impl AccessWebhook {
    pub(super) fn new(config: Config) -> Self {
        let outbound = Outbound::to(&config.server);
        Self { config, outbound, answers: Remembered::new() }
    }

    pub(super) async fn authorize(&self, attributes: &Attributes<'_>) -> Decision {
        let spec = spec(attributes);
        let question = spec.to_json();
        let key = remembered::key(&[&question]);
        if let Some(decision) = self.answers.get(&key) {
            return decision;
        }
        match self.ask(spec).await.and_then(|review| decision(&review)) {
            Ok(decision) => {
                let ttl = if decision.is_allowed() {
                    self.config.authorized_ttl
                } else {
                    self.config.unauthorized_ttl
                };
                if let Some(ttl) = ttl.filter(|_| question.len() <= LONGEST_REMEMBERED) {
                    self.answers.put(key, decision.clone(), ttl);
                }
                decision
            }
            Err(why) => self.failed(&why),
        }
    }

    fn failed(&self, why: &str) -> Decision {
        tracing::warn!(webhook = self.config.name, why, "an authorization webhook failed");
        let evaluation_error = why.to_owned();
        match self.config.failure_policy {
            FailurePolicy::NoOpinion => Decision::NoOpinion { reason: String::new(), evaluation_error },
            FailurePolicy::Deny => Decision::Deny { reason: String::new(), evaluation_error },
        }
    }

    async fn ask(&self, spec: Value) -> Result<Value, String> {
        let outbound = self.outbound.as_ref().map_err(Clone::clone)?;
        let mut review =
            value!({"kind": "SubjectAccessReview", "metadata": {}, "status": {"allowed": false}});
        review.set(&["apiVersion"], format!("authorization.k8s.io/{}", self.config.version));
        let mut spec = spec;
        if self.config.version == "v1beta1"
            && let Some(groups) = spec.remove(&["groups"])
        {
            spec.set(&["group"], groups);
        }
        review.set(&["spec"], spec);
        ask(outbound, &self.config.server.url, &review, self.config.timeout).await
    }
}

/// `SubjectAccessReviewSpec`.
fn spec(attributes: &Attributes<'_>) -> Value {
    let mut asked = Value::object();
    if attributes.is_resource {
        for (field, text) in [
            ("namespace", attributes.namespace),
            ("verb", attributes.verb),
            ("group", attributes.group),
            ("version", attributes.version),
            ("resource", attributes.resource),
            ("subresource", attributes.subresource),
            ("name", attributes.name),
        ] {
            if !text.is_empty() {
                asked.set(&[field], text);
            }
        }
        for (field, requirements) in [
            ("fieldSelector", attributes.field_requirements()),
            ("labelSelector", attributes.label_requirements()),
        ] {
            if !requirements.is_empty() {
                asked.set(&[field, "requirements"], requirements);
            }
        }
    } else {
        asked = value!({"path": attributes.path, "verb": attributes.verb});
    }
    let user = attributes.user.to_value();
    let mut spec = Value::object();
    let field = if attributes.is_resource { "resourceAttributes" } else { "nonResourceAttributes" };
    spec.set(&[field], asked);
    for (from, to) in [("username", "user"), ("groups", "groups"), ("extra", "extra"), ("uid", "uid")] {
        if let Some(value) = user.get(from) {
            spec.set(&[to], value.clone());
        }
    }
    spec
}

fn decision(review: &Value) -> Result<Decision, String> {
    let status = |field: &str| review.bool_at(&["status", field]);
    let reason = review.str_at(&["status", "reason"]).to_owned();
    match (status("allowed"), status("denied")) {
        (true, true) => Err("webhook subject access review returned both allow and deny response".to_owned()),
        (true, false) => Ok(Decision::Allow { reason }),
        (false, true) => Ok(Decision::Deny { reason, evaluation_error: String::new() }),
        (false, false) => Ok(Decision::NoOpinion { reason, evaluation_error: String::new() }),
    }
}

#[cfg(test)]
mod tests {
    use drydock_auth::UserInfo;

    use super::*;

    #[test]
    fn a_request_is_told_as_a_subject_access_review() {
        let ann = UserInfo::new("ann", &["devs"]);
        let attributes = Attributes {
            namespace: "ns",
            label_selector: "app=web,tier in (a,b)",
            ..Attributes::resource(&ann, "list", "apps", "deployments")
        };
        let expected = value!({
            "user": "ann", "groups": ["devs"],
            "resourceAttributes": {
                "namespace": "ns", "verb": "list", "group": "apps", "version": "*", "resource": "deployments",
                "labelSelector": {"requirements": [
                    {"key": "app", "operator": "In", "values": ["web"]},
                    {"key": "tier", "operator": "In", "values": ["a", "b"]},
                ]},
            },
        });
        assert_eq!(spec(&attributes), expected);
        let path = value!({"user": "ann", "groups": ["devs"], "nonResourceAttributes": {"path": "/x", "verb": "get"}});
        assert_eq!(spec(&Attributes::path(&ann, "get", "/x")), path);
    }

    #[test]
    fn answers_are_read() {
        let read = |status: Value| {
            let mut review = Value::object();
            review.set(&["status"], status);
            decision(&review)
        };
        assert_eq!(read(value!({"allowed": true, "reason": "yes"})), Ok(Decision::allow("yes")));
        assert_eq!(read(value!({"allowed": false})), Ok(Decision::no_opinion("")));
        let denied = Decision::Deny { reason: "no".into(), evaluation_error: String::new() };
        assert_eq!(read(value!({"denied": true, "reason": "no"})), Ok(denied));
        assert!(read(value!({"allowed": true, "denied": true})).is_err());
    }
}
