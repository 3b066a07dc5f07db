//! The configuration files of an API server that say who callers are and what they may do, in upstream's formats:
//! `AuthenticationConfiguration`, `AuthorizationConfiguration`, and the kubeconfigs that name webhooks.
//!
//! A document is read strictly: every unknown, missing or wrong field is named, all of them at once. Nothing is read
//! from the file system: what upstream takes as a path is part of the document here.
//!
//! Absent: expressions (CEL). A document that has one is refused and says so, rather than be taken without it.

mod authentication;
mod authorization;
mod kubeconfig;
mod read;

pub use authentication::{
    Anonymous, AuthenticationConfiguration, ClaimMapping, Issuer, JwtAuthenticator, TokenWebhook,
};
pub use authorization::{AccessWebhook, AuthorizationConfiguration, AuthorizerKind, FailurePolicy};
pub use kubeconfig::{ClientCredential, WebhookServer};
pub(crate) use read::Fields;

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
