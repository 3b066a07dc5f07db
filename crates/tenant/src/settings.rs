//! Where a cluster's settings take effect while it runs.

use std::sync::Arc;

use drydock_apiserver::{Access, ApiServer, Identity};
use drydock_scheduler::Configuration;

/// What of a cluster may be changed while it runs.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Who may come in, what they may do, and what is written down of it.
    pub access: drydock_auth::config::Settings,
    pub scheduler: Configuration,
}

/// What reads settings.
pub(crate) struct Configurable {
    pub(crate) identity: Arc<Identity>,
    pub(crate) access: Arc<Access>,
}

impl Configurable {
    pub(crate) fn configure(&self, server: &ApiServer, settings: drydock_auth::config::Settings) {
        self.identity.configure(settings.authentication, settings.token_webhook);
        self.access.configure(settings.authorization);
        server.set_audit_policy(settings.audit_policy);
    }
}
