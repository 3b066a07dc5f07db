//! `serviceaccounts/token`: a TokenRequest answered with a token.

use drydock_client::Reply;
use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta, Status, Value};

use super::super::{Call, Done, Registry, decode, meta};
use crate::admission::Reader as _;

impl Registry {
    pub(crate) async fn create_token(&self, call: &mut Call) -> Result<Done, Status> {
        let mut request = decode::object(call)?;
        meta::match_namespace(call, &mut request)?;
        let account = self.current(call).ok_or_else(|| call.not_found())?;
        if !request.name().is_empty() && request.name() != account.name() {
            let mut errors = FieldErrors::new();
            let path = FieldPath::new("metadata").child("name");
            errors.invalid(&path, request.name(), "must match the service account name");
            return Err(Status::invalid("authentication.k8s.io", "TokenRequest", request.name(), &errors));
        }
        let bound = request.at(&["spec", "boundObjectRef"]).filter(|bound| !bound.is_null()).cloned();
        let bound = match bound {
            Some(reference) => Some(self.bound_object(call, &reference)?),
            None => None,
        };
        request.set(&["metadata", "name"], account.name());
        request.set(&["metadata", "namespace"], account.namespace());
        let answer = self.tokens.issue(&account, bound, request).await?;
        Ok(Done::created(Reply::Virtual(answer)))
    }

    fn bound_object(
        &self,
        call: &Call,
        reference: &Value,
    ) -> Result<std::sync::Arc<drydock_machinery::Object>, Status> {
        let (kind, api_version) = (reference.str_at(&["kind"]), reference.str_at(&["apiVersion"]));
        let name = reference.str_at(&["name"]);
        let (resource, namespace) = match (api_version, kind) {
            ("v1", "Pod") => ("pods", call.request.namespace.as_str()),
            ("v1", "Secret") => ("secrets", call.request.namespace.as_str()),
            ("v1", "Node") => ("nodes", ""),
            _ => {
                let text = format!("cannot bind token to object of type {api_version}, Kind={kind}");
                return Err(Status::bad_request(text));
            }
        };
        let found = self.cache.get("", resource, namespace, name);
        let found = found.ok_or_else(|| Status::not_found("", resource, name))?;
        let uid = reference.str_at(&["uid"]);
        if !uid.is_empty() && uid != found.uid() {
            let why = format!(
                "the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
            );
            return Err(Status::conflict("", resource, name, &why));
        }
        Ok(found)
    }
}
