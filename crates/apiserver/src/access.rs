//! `drydock-auth` behind the API server's seams.

use async_trait::async_trait;
use drydock_auth::{Attributes, Decision, UserInfo};
use drydock_machinery::{Object, Reason, Status, Value};

use crate::admission::Reader;
use crate::seams::{Authenticator, Authorizer, Credentials, TokenIssuer};

#[async_trait]
impl Authenticator for drydock_auth::Authenticator {
    async fn authenticate(
        &self,
        reader: &dyn Reader,
        credentials: Credentials<'_>,
    ) -> Result<Option<UserInfo>, Status> {
        self.authenticate(reader, credentials.bearer_token, credentials.peer_certificates)
            .map_err(|error| Status::new(401, Reason::Unauthorized, error.to_string()))
    }
}

impl Authorizer for drydock_auth::Authorizer {
    fn authorize(&self, reader: &dyn Reader, attributes: &Attributes<'_>) -> Decision {
        self.authorize(reader, attributes)
    }

    fn rules(&self, reader: &dyn Reader, user: &UserInfo, namespace: &str) -> Value {
        self.rules(reader, user, namespace)
    }
}

/// Tokens of every kind are reviewed, not only those that are issued.
#[async_trait]
impl TokenIssuer for drydock_auth::Authenticator {
    async fn issue(
        &self,
        reader: &dyn Reader,
        service_account: &Object,
        request: Value,
    ) -> Result<Value, Status> {
        self.tokens().issue(reader, service_account, request)
    }

    async fn review(&self, reader: &dyn Reader, token: &str, audiences: &[String]) -> Value {
        self.token_status(reader, token, audiences)
    }

    fn discovery(&self) -> (Value, Value) {
        (self.tokens().openid_configuration(), self.tokens().json_web_keys())
    }
}
