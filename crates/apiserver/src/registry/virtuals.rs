//! Resources that are not stored: access reviews, token reviews, bindings.

use drydock_auth::{Attributes, UserInfo};
use drydock_client::{Reply, Verb};
use drydock_machinery::{ObjectMeta, Status, Value, value};

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
                object.set(&["status", "userInfo"], call.user.to_value());
                object
            }
            "subjectaccessreviews" | "localsubjectaccessreviews" => self.review_access(call, object)?,
            "selfsubjectaccessreviews" => {
                let status = self.access(&call.user, object.get("spec").unwrap_or(&Value::Null));
                object.set(&["status"], status);
                object
            }
            "selfsubjectrulesreviews" => {
                let namespace = object.str_at(&["spec", "namespace"]).to_owned();
                object.set(&["status"], self.authorizer.rules(&*self.cache, &call.user, &namespace));
                object
            }
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

    fn review_access(&self, call: &Call, mut review: Value) -> Result<Value, Status> {
        let errors = drydock_machinery::FieldErrors::new();
        super::create::invalid(call, "", &errors)?;
        let spec = review.get("spec").cloned().unwrap_or_default();
        let user = UserInfo::from_value(&spec, "user");
        review.set(&["status"], self.access(&user, &spec));
        Ok(review)
    }

    /// The status of an access review whose spec asks about `user`.
    fn access(&self, user: &UserInfo, spec: &Value) -> Value {
        let resource = spec.get("resourceAttributes");
        let path = spec.get("nonResourceAttributes");
        let attributes = match (resource, path) {
            (Some(asked), _) => Attributes {
                version: asked.str_at(&["version"]),
                subresource: asked.str_at(&["subresource"]),
                name: asked.str_at(&["name"]),
                namespace: asked.str_at(&["namespace"]),
                ..Attributes::resource(
                    user,
                    asked.str_at(&["verb"]),
                    asked.str_at(&["group"]),
                    asked.str_at(&["resource"]),
                )
            },
            (None, Some(asked)) => Attributes::path(user, asked.str_at(&["verb"]), asked.str_at(&["path"])),
            (None, None) => return value!({"allowed": false}),
        };
        let decision = self.authorizer.authorize(&*self.cache, &attributes);
        let mut status = value!({"allowed": decision.is_allowed()});
        if !decision.reason().is_empty() {
            status.set(&["reason"], decision.reason());
        }
        status
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
