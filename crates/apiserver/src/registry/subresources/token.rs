//! `serviceaccounts/token`: a TokenRequest answered with a token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use drydock_client::Reply;
use drydock_machinery::{FieldErrors, FieldPath, ObjectMeta, Status, Value};

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
            errors.invalid(&path, request.name(), "must match the service account name if specified");
            return Err(Status::invalid("authentication.k8s.io", "TokenRequest", account.name(), &errors));
        }
        if !request.uid().is_empty() && request.uid() != account.uid() {
            let why = format!(
                "the UID in the token request ({}) does not match the UID of the service account ({})",
                request.uid(),
                account.uid()
            );
            return Err(Status::conflict("authentication.k8s.io", "TokenRequest", account.name(), &why));
        }
        let kind = request.gvk();
        managed::on_virtual(call, &kind, &mut request, self.clock.now());
        meta::fill_for_create(&mut request, &self.clock.now_rfc3339());
        request.set(&["metadata", "name"], account.name());
        request.set(&["metadata", "namespace"], account.namespace());
        self.admission_validate(call, Operation::Create, &request, None).await?;
        let answer = self.tokens.issue(&*self.cache, &account, request).await?;
        if let (Some(event), Some(id)) = (&call.audit, credential_id(answer.str_at(&["status", "token"]))) {
            event.annotate("authentication.kubernetes.io/issued-credential-id", id);
        }
        Ok(Done::created(Reply::Virtual(answer)))
    }
}

/// What audit events know a token by: the `jti` among its claims.
fn credential_id(token: &str) -> Option<String> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims = Value::from_json(&claims).ok()?;
    let id = claims.str_at(&["jti"]);
    (!id.is_empty()).then(|| format!("JTI={id}"))
}
