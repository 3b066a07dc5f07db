//! Who a caller is: by what the cluster gave out, then by the issuers that it trusts, then by the webhook that it asks.

use std::sync::Arc;

use async_trait::async_trait;
use drydock_auth::config::{Anonymous, AuthenticationConfiguration, TokenWebhook as WebhookConfig};
use drydock_auth::tokens::{TokenError, Verified, review_status};
use drydock_auth::with_authenticated;
use drydock_machinery::{Object, Reason, Status, Value};
use parking_lot::RwLock;

use super::issuer::Issuer;
use super::token_webhook::TokenWebhook;
use crate::admission::Reader;
use crate::seams::{Authenticated, Authenticator, Credentials, TokenIssuer};

/// A cluster's authenticator, whose settings change while it is in use.
pub struct Identity {
    own: Arc<drydock_auth::Authenticator>,
    settings: RwLock<Arc<Settings>>,
}

#[derive(Default)]
struct Settings {
    configuration: AuthenticationConfiguration,
    webhook_configuration: Option<WebhookConfig>,
    issuers: Vec<Arc<Issuer>>,
    webhook: Option<Arc<TokenWebhook>>,
}

impl Identity {
    pub fn new(own: Arc<drydock_auth::Authenticator>) -> Self {
        Self { own, settings: RwLock::default() }
    }

    /// From the next request on these are in force. What stays the same keeps what it has learned.
    pub fn configure(&self, configuration: AuthenticationConfiguration, webhook: Option<WebhookConfig>) {
        let before = self.settings.read().clone();
        let kept = |config| {
            let known = before.configuration.jwt.iter().position(|known| known == config);
            known.and_then(|i| before.issuers.get(i).cloned())
        };
        let issuers = configuration
            .jwt
            .iter()
            .map(|config| kept(config).unwrap_or_else(|| Arc::new(Issuer::new(config.clone()))))
            .collect();
        let same = webhook == before.webhook_configuration;
        let asked = if same {
            before.webhook.clone()
        } else {
            webhook.clone().map(|config| Arc::new(TokenWebhook::new(config)))
        };
        let settings = Settings { configuration, webhook_configuration: webhook, issuers, webhook: asked };
        *self.settings.write() = Arc::new(settings);
    }

    /// The user of a bearer token of any kind: the first who knows it says. Those who have something against it are heard
    /// when nobody does.
    async fn verify(
        &self,
        reader: &dyn Reader,
        token: &str,
        audiences: &[String],
    ) -> Result<Option<Verified>, TokenError> {
        let mut errors = Vec::new();
        match self.own.verify_token(reader, token, audiences) {
            Ok(Some(verified)) => return Ok(Some(verified)),
            Ok(None) => {}
            Err(error) => errors.push(error.0),
        }
        let settings = self.settings.read().clone();
        let for_api_server = self.own.own_audiences(audiences);
        if !for_api_server.is_empty() {
            for issuer in &settings.issuers {
                match issuer.user(token).await {
                    Ok(Some(user)) => {
                        let user = with_authenticated(user);
                        return Ok(Some(Verified::new(user, for_api_server)));
                    }
                    Ok(None) => {}
                    Err(error) => errors.push(error.0),
                }
            }
        }
        if let Some(webhook) = &settings.webhook {
            let own = &self.own.tokens().config().api_audiences;
            match webhook.user(token, audiences, own).await {
                Ok(Some(verified)) => {
                    return Ok(Some(Verified { user: with_authenticated(verified.user), ..verified }));
                }
                Ok(None) => {}
                Err(error) => errors.push(error.0),
            }
        }
        if errors.is_empty() { Ok(None) } else { Err(TokenError(errors.join(", "))) }
    }
}

#[async_trait]
impl Authenticator for Identity {
    async fn authenticate(
        &self,
        reader: &dyn Reader,
        credentials: Credentials<'_>,
    ) -> Result<Option<Authenticated>, Status> {
        if let Some(leaf) = credentials.peer_certificates.first() {
            let headers = credentials.headers.into_iter().flatten();
            let headers = headers.filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
            if let Some(user) = self.own.certificate_user(leaf, headers) {
                return Ok(Some(user.into()));
            }
        }
        let Some(token) = credentials.bearer_token.filter(|token| !token.is_empty()) else { return Ok(None) };
        self.verify(reader, token, &[])
            .await
            .map(|verified| verified.map(|Verified { user, notes, .. }| Authenticated { user, notes }))
            .map_err(|error| Status::new(401, Reason::Unauthorized, error.to_string()))
    }

    fn is_certificate_enough(&self, certificate: &[u8]) -> bool {
        !self.own.is_front_proxy(certificate)
    }

    fn allows_anonymous(&self, path: &str) -> bool {
        Anonymous::allows(&self.settings.read().configuration.anonymous, path)
    }
}

/// Tokens of every kind are reviewed, not only those that are issued.
#[async_trait]
impl TokenIssuer for Identity {
    async fn issue(
        &self,
        reader: &dyn Reader,
        service_account: &Object,
        request: Value,
    ) -> Result<Value, Status> {
        self.own.tokens().issue(reader, service_account, request)
    }

    async fn review(&self, reader: &dyn Reader, token: &str, audiences: &[String]) -> Value {
        review_status(&self.verify(reader, token, audiences).await)
    }

    fn discovery(&self) -> (Value, Value) {
        (self.own.tokens().openid_configuration(), self.own.tokens().json_web_keys())
    }
}
