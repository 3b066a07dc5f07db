//! `drydock-auth` behind the API server's seams.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use drydock_apiserver::admission::Reader;
use drydock_apiserver::cache::Cache;
use drydock_apiserver::{Credentials, TokenIssuer};
use drydock_auth::tokens::TokenAuthority;
use drydock_auth::{Attributes, Decision, UserInfo};
use drydock_machinery::{Object, Reason, Status, Value};

/// Authentication, authorization and tokens of one cluster.
pub(crate) struct Access {
    authenticator: drydock_auth::Authenticator,
    authorizer: drydock_auth::Authorizer,
    tokens: Arc<TokenAuthority>,
    /// The API server's, once there is one: what tokens are bound to is looked up in it.
    cache: OnceLock<Arc<Cache>>,
}

impl Access {
    pub(crate) fn new(tokens: Arc<TokenAuthority>) -> Self {
        Self {
            authenticator: drydock_auth::Authenticator::new(tokens.clone()),
            authorizer: drydock_auth::Authorizer::new(),
            tokens,
            cache: OnceLock::new(),
        }
    }

    pub(crate) fn reads(&self, cache: Arc<Cache>) {
        let _ = self.cache.set(cache);
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
        service_account: &Object,
        _bound: Option<Arc<Object>>,
        request: Value,
    ) -> Result<Value, Status> {
        let cache = self.cache.get().ok_or_else(|| Status::internal("the API server is starting"))?;
        self.tokens.issue(&**cache, service_account, request)
    }

    async fn review(&self, reader: &dyn Reader, token: &str, audiences: &[String]) -> Value {
        self.tokens.review(reader, token, audiences)
    }

    fn discovery(&self) -> (Value, Value) {
        (self.tokens.openid_configuration(), self.tokens.json_web_keys())
    }
}
