//! Where a cluster's settings take effect while it runs.

use std::sync::Arc;

use drydock_apiserver::{Access, ApiServer, Identity};
use drydock_auth::config::Settings;

/// What reads settings.
pub(crate) struct Configurable {
    pub(crate) identity: Arc<Identity>,
    pub(crate) access: Arc<Access>,
}

impl Configurable {
    pub(crate) fn configure(&self, server: &ApiServer, settings: Settings) {
        self.identity.configure(settings.authentication, settings.token_webhook);
        self.access.configure(settings.authorization);
        server.set_audit_policy(settings.audit_policy);
    }
}
