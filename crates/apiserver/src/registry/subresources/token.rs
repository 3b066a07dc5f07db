//! `serviceaccounts/token`: a TokenRequest answered with a token.

use drydock_client::Reply;
use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta, Status};

use crate::admission::Operation;

use super::super::{Call, Done, Registry, decode, managed, meta};

/// How long a token is good for when nobody says.
const DEFAULT_SECONDS: i64 = 3600;

impl Registry {
    pub(crate) async fn create_token(&self, call: &mut Call) -> Result<Done, Status> {
        let mut request = decode::object(call)?;
        meta::match_namespace(call, &mut request)?;
        if request.i64_at(&["spec", "expirationSeconds"]).is_none() {
            request.set(&["spec", "expirationSeconds"], DEFAULT_SECONDS);
        }
        let mut request = self.admit(call, Operation::Create, request, None).await?;
        let account = self.current(call).ok_or_else(|| call.not_found())?;
        if !request.name().is_empty() && request.name() != account.name() {
            let mut errors = FieldErrors::new();
            let path = FieldPath::new("metadata").child("name");
            errors.invalid(&path, request.name(), "must match the service account name");
            return Err(Status::invalid("authentication.k8s.io", "TokenRequest", request.name(), &errors));
        }
        let kind = request.gvk();
        managed::on_virtual(call, &kind, &mut request, self.clock.now());
        meta::fill_for_create(&mut request, &self.clock.now_rfc3339());
        request.set(&["metadata", "name"], account.name());
        request.set(&["metadata", "namespace"], account.namespace());
        let answer = self.tokens.issue(&*self.cache, &account, request).await?;
        Ok(Done::created(Reply::Virtual(answer)))
    }
}
