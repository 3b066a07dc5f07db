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
        match self.is_asked_about(attributes, &spec) {
            Ok(true) => {}
            Ok(false) => return Decision::no_opinion(""),
            Err(why) => return self.failed(&why),
        }
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

    /// Whether all match conditions are true of a request. One that is false is enough to say no.
    fn is_asked_about(&self, attributes: &Attributes<'_>, spec: &Value) -> Result<bool, String> {
        if self.config.match_conditions.is_empty() {
            return Ok(true);
        }
        let request = condition_variable(attributes, spec);
        let mut errors = Vec::new();
        for condition in &self.config.match_conditions {
            match condition.holds_of_request(&request) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(why) => errors.push(why),
            }
        }
        match errors.as_slice() {
            [] => Ok(true),
            [one] => Err(one.clone()),
            many => Err(format!("[{}]", many.join(", "))),
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

/// The spec as match conditions see it: what is empty is there, too.
fn condition_variable(attributes: &Attributes<'_>, spec: &Value) -> serde_json::Value {
    let mut request = serde_json::to_value(spec).unwrap_or_default();
    for field in ["user", "uid"] {
        request[field] = spec.str_at(&[field]).into();
    }
    if request["groups"].is_null() {
        request["groups"] = serde_json::json!([]);
    }
    if request["extra"].is_null() {
        request["extra"] = serde_json::json!({});
    }
    if attributes.is_resource {
        for field in ["namespace", "verb", "group", "version", "resource", "subresource", "name"] {
            request["resourceAttributes"][field] = spec.str_at(&["resourceAttributes", field]).into();
        }
    }
    request
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
