//! `drydock-auth` behind the API server's seams.

use std::sync::Arc;

use async_trait::async_trait;
use drydock_apiserver::admission::Reader;
use drydock_apiserver::{Credentials, TokenIssuer};
use drydock_auth::tokens::TokenAuthority;
use drydock_auth::{Attributes, Decision, UserInfo};
use drydock_machinery::{Object, Reason, Status, Value};

/// Authentication, authorization and tokens of one cluster.
pub(crate) struct Access {
    authenticator: drydock_auth::Authenticator,
    authorizer: Arc<drydock_auth::Authorizer>,
    tokens: Arc<TokenAuthority>,
}

impl Access {
    pub(crate) fn new(tokens: Arc<TokenAuthority>) -> Self {
        Self {
            authenticator: drydock_auth::Authenticator::new(tokens.clone()),
            authorizer: Arc::new(drydock_auth::Authorizer::new()),
            tokens,
        }
    }

    pub(crate) fn authorizer(&self) -> &Arc<drydock_auth::Authorizer> {
        &self.authorizer
    }
}

#[async_trait]
impl drydock_apiserver::Authenticator for Access {
    async fn authenticate(
        &self,
        reader: &dyn Reader,
        credentials: Credentials<'_>,
    ) -> Result<Option<UserInfo>, Status> {
        self.authenticator
            .authenticate(reader, credentials.bearer_token, credentials.peer_certificates)
            .map_err(|error| Status::new(401, Reason::Unauthorized, error.to_string()))
    }
}

impl drydock_apiserver::Authorizer for Access {
    fn authorize(&self, reader: &dyn Reader, attributes: &Attributes<'_>) -> Decision {
        self.authorizer.authorize(reader, attributes)
    }

    fn rules(&self, reader: &dyn Reader, user: &UserInfo, namespace: &str) -> Value {
        self.authorizer.rules(reader, user, namespace)
    }
}

#[async_trait]
impl TokenIssuer for Access {
    async fn issue(
        &self,
        reader: &dyn Reader,
        service_account: &Object,
        request: Value,
    ) -> Result<Value, Status> {
        self.tokens.issue(reader, service_account, request)
    }

    async fn review(&self, reader: &dyn Reader, token: &str, audiences: &[String]) -> Value {
        self.tokens.review(reader, token, audiences)
    }

    fn discovery(&self) -> (Value, Value) {
        (self.tokens.openid_configuration(), self.tokens.json_web_keys())
    }
}
