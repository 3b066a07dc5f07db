//! What a caller may do: the chain of authorizers that a cluster's settings name.

use std::sync::Arc;

use async_trait::async_trait;
use drydock_auth::config::{AuthorizationConfiguration, AuthorizerKind};
use drydock_auth::{Attributes, Decision, UserInfo};
use drydock_machinery::Value;
use parking_lot::RwLock;

use super::access_webhook::AccessWebhook;
use crate::admission::Reader;
use crate::seams::Authorizer;

/// A cluster's authorizer, whose settings change while it is in use.
pub struct Access {
    own: Arc<drydock_auth::Authorizer>,
    chain: RwLock<Arc<Chain>>,
}

#[derive(Default)]
struct Chain {
    configuration: AuthorizationConfiguration,
    /// By the authorizers' places; None for those that are no webhook.
    webhooks: Vec<Option<Arc<AccessWebhook>>>,
}

impl Chain {
    fn has_webhooks(&self) -> bool {
        self.webhooks.iter().any(Option::is_some)
    }
}

impl Access {
    pub fn new(own: Arc<drydock_auth::Authorizer>) -> Self {
        Self { own, chain: RwLock::default() }
    }

    /// From the next request on these are asked. Webhooks that stay the same keep what they have answered.
    pub fn configure(&self, configuration: AuthorizationConfiguration) {
        let before = self.chain.read().clone();
        let webhooks = configuration
            .authorizers
            .iter()
            .map(|kind| {
                let AuthorizerKind::Webhook(config) = kind else { return None };
                let kept = before.webhooks.iter().flatten().find(|known| known.config == **config);
                Some(kept.cloned().unwrap_or_else(|| Arc::new(AccessWebhook::new((**config).clone()))))
            })
            .collect();
        *self.chain.write() = Arc::new(Chain { configuration, webhooks });
    }

    async fn ask_chain(&self, chain: &Chain, reader: &dyn Reader, attributes: &Attributes<'_>) -> Decision {
        let (mut reasons, mut errors) = (Vec::new(), Vec::new());
        for (kind, webhook) in chain.configuration.authorizers.iter().zip(&chain.webhooks) {
            let decision = match webhook {
                Some(webhook) => webhook.authorize(attributes).await,
                None if *kind == AuthorizerKind::Node => self.own.of_node(reader, attributes),
                None => self.own.rbac().authorize(reader, attributes),
            };
            let Decision::NoOpinion { reason, evaluation_error } = decision else { return decision };
            reasons.extend(Some(reason).filter(|reason| !reason.is_empty()));
            errors.extend(Some(evaluation_error).filter(|error| !error.is_empty()));
        }
        let evaluation_error = match errors.as_slice() {
            [] | [_] => errors.pop().unwrap_or_default(),
            many => format!("[{}]", many.join(", ")),
        };
        Decision::NoOpinion { reason: reasons.join("\n"), evaluation_error }
    }
}

#[async_trait]
impl Authorizer for Access {
    fn authorize(&self, reader: &dyn Reader, attributes: &Attributes<'_>) -> Decision {
        self.own.authorize(reader, attributes)
    }

    async fn decide(&self, reader: &dyn Reader, attributes: &Attributes<'_>) -> Decision {
        let chain = self.chain.read().clone();
        if !chain.has_webhooks() || self.own.is_privileged(attributes) {
            return self.own.authorize(reader, attributes);
        }
        self.ask_chain(&chain, reader, attributes).await
    }

    fn rules(&self, reader: &dyn Reader, user: &UserInfo, namespace: &str) -> Value {
        let mut status = self.own.rules(reader, user, namespace);
        if self.chain.read().has_webhooks() {
            const WHY: &str = "webhook authorizer does not support user rule resolution";
            status.set(&["incomplete"], true);
            let error = match status.str_at(&["evaluationError"]) {
                "" => WHY.to_owned(),
                other => format!("[{other}, {WHY}]"),
            };
            status.set(&["evaluationError"], error);
        }
        status
    }
}
