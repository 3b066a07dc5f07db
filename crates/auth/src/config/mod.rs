//! The configuration files of an API server that say who callers are and what they may do, in upstream's formats:
//! `AuthenticationConfiguration`, `AuthorizationConfiguration`, and the kubeconfigs that name webhooks.
//!
//! A document is read strictly: every unknown, missing or wrong field is named, all of them at once. Nothing is read
//! from the file system: what upstream takes as a path is part of the document here.

mod authentication;
mod authorization;
mod expression;
mod issuer;
mod kubeconfig;
mod mappings;

pub use authentication::{Anonymous, AuthenticationConfiguration, JwtAuthenticator, TokenWebhook};
pub use authorization::{AccessWebhook, AuthorizationConfiguration, AuthorizerKind, FailurePolicy};
pub use mappings::ClaimMapping;

pub(crate) use drydock_machinery::document::Fields;
pub(crate) use expression::user_variable;
pub use expression::{Expression, Rule};
pub use issuer::Issuer;
pub use kubeconfig::{ClientCredential, WebhookServer};

use crate::audit::Policy;

/// What of a cluster may be changed while it runs: who may come in, who is asked what they may do, and what is written
/// down of it. The default is upstream's without configuration files.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub authentication: AuthenticationConfiguration,
    pub token_webhook: Option<TokenWebhook>,
    pub authorization: AuthorizationConfiguration,
    /// None: there is no audit log.
    pub audit_policy: Option<Policy>,
}
