//! Resources that are not stored: access reviews, token reviews, bindings.

use async_trait::async_trait;
use drydock_auth::reviews::{self, AccessReview};
use drydock_auth::{Ask, Attributes, Decision, UserInfo};
use drydock_client::{Reply, Verb};
use drydock_machinery::{ObjectMeta, Status, Value, value};
use drydock_runtime::clock::rfc3339;

use super::{Call, Done, Registry, decode, managed, meta};

impl Registry {
    pub(crate) async fn call_virtual(&self, call: &mut Call) -> Result<Done, Status> {
        if call.request.verb != Verb::Create {
            return Err(call.method_not_supported(verb_name(call.request.verb)));
        }
        let mut object = decode::object(call)?;
        meta::match_namespace(call, &mut object)?;
        let kind = call.resource.gvk.clone();
        if kind.kind != "SelfSubjectReview" {
            managed::on_virtual(call, &kind, &mut object, self.clock.now());
        }
        let review = match &*call.resource.gvr.resource {
            "bindings" => {
                call.request.name = object.name().to_owned();
                return self.bind(call, &object).await;
            }
            "tokenreviews" => self.review_token(object).await?,
            "selfsubjectreviews" => {
                let now = rfc3339(self.clock.now());
                reviews::self_subject_review(&call.user, object.api_version(), &now)
            }
            "subjectaccessreviews" => self.review_access(AccessReview::Subject, object).await?,
            "localsubjectaccessreviews" => {
                let namespace = &call.request.namespace;
                self.review_access(AccessReview::Local { namespace }, object).await?
            }
            "selfsubjectaccessreviews" => {
                self.review_access(AccessReview::Own { user: &call.user }, object).await?
            }
            "selfsubjectrulesreviews" => self.review_rules(&call.user, &object)?,
            _ => return Err(call.method_not_supported("create")),
        };
        Ok(Done::created(Reply::Virtual(review)))
    }

    async fn review_token(&self, mut review: Value) -> Result<Value, Status> {
        let token = review.str_at(&["spec", "token"]).to_owned();
        if token.is_empty() {
            return Err(Status::bad_request("token is required for TokenReview in authentication"));
        }
        let audiences: Vec<String> = review
            .array_at(&["spec", "audiences"])
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        review.set(&["status"], self.tokens.review(&*self.cache, &token, &audiences).await);
        Ok(review)
    }

    async fn review_access(&self, kind: AccessReview<'_>, review: Value) -> Result<Value, Status> {
        reviews::access_review(self, kind, review).await
    }

    /// The answer says nothing of what was asked.
    fn review_rules(&self, user: &UserInfo, review: &Value) -> Result<Value, Status> {
        let namespace = review.str_at(&["spec", "namespace"]).to_owned();
        if namespace.is_empty() {
            return Err(Status::bad_request("no namespace on request"));
        }
        // Nothing of what was asked is repeated.
        Ok(value!({
            "kind": review.kind(), "apiVersion": review.api_version(), "metadata": {}, "spec": {},
            "status": self.authorizer.rules(&*self.cache, user, &namespace),
        }))
    }
}

#[async_trait]
impl Ask for Registry {
    async fn ask(&self, attributes: &Attributes<'_>) -> Decision {
        self.authorizer.decide(&*self.cache, attributes).await
    }
}

pub(crate) fn verb_name(verb: Verb) -> &'static str {
    match verb {
        Verb::Get => "get",
        Verb::List => "list",
        Verb::Create => "create",
        Verb::Update => "update",
        Verb::Patch(_) => "patch",
        Verb::Delete => "delete",
        Verb::DeleteCollection => "deletecollection",
    }
}
