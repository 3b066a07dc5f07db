//! Resources that are not stored: access reviews, token reviews, bindings.

use drydock_auth::reviews::{AccessReview, self_subject_review};
use drydock_client::{Reply, Verb};
use drydock_machinery::{ObjectMeta, Status, Value};

use super::{Call, Done, Registry, decode, meta};

impl Registry {
    pub(crate) async fn call_virtual(&self, call: &mut Call) -> Result<Done, Status> {
        if call.request.verb != Verb::Create {
            return Err(call.method_not_supported(verb_name(call.request.verb)));
        }
        let mut object = decode::object(call)?;
        meta::match_namespace(call, &mut object)?;
        let review = match &*call.resource.gvr.resource {
            "bindings" => {
                call.request.name = object.name().to_owned();
                return self.bind(call, &object).await;
            }
            "tokenreviews" => self.authenticator.token_review(&*self.cache, object)?,
            "selfsubjectreviews" => {
                let now = self.clock.now_rfc3339();
                self_subject_review(&call.user, &call.resource.gvk.api_version(), &now)
            }
            "selfsubjectrulesreviews" => self.authorizer.rules_review(&*self.cache, &call.user, object)?,
            "subjectaccessreviews" => self.review_access(AccessReview::Subject, object)?,
            "localsubjectaccessreviews" => {
                self.review_access(AccessReview::Local { namespace: &call.request.namespace }, object)?
            }
            "selfsubjectaccessreviews" => {
                self.review_access(AccessReview::Own { user: &call.user }, object)?
            }
            _ => return Err(call.method_not_supported("create")),
        };
        Ok(Done::created(Reply::Virtual(review)))
    }

    fn review_access(&self, kind: AccessReview<'_>, review: Value) -> Result<Value, Status> {
        self.authorizer.access_review(&*self.cache, kind, review)
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
