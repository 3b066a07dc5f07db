//! An API server for tests: everybody is an administrator, nothing is admitted or refused.

use std::sync::Arc;

use async_trait::async_trait;
use drydock_auth::{Attributes, Decision, UserInfo};
use drydock_machinery::{Object, Status, Value, value};
use drydock_runtime::{Clock, Tasks};
use drydock_store::Store;

use crate::admission::{AdmissionChain, Reader};
use crate::seams::{Authenticated, Authenticator, Authorizer, Credentials, TokenIssuer};
use crate::{ApiServer, Config, Version};

/// Lets everybody in, as a member of `system:masters`, and knows no tokens.
#[derive(Clone, Copy, Debug)]
pub struct Open;

#[async_trait]
impl Authenticator for Open {
    async fn authenticate(
        &self,
        _: &dyn Reader,
        _: Credentials<'_>,
    ) -> Result<Option<Authenticated>, Status> {
        Ok(Some(UserInfo::new("admin", &["system:masters", "system:authenticated"]).into()))
    }
}

impl Authorizer for Open {
    fn authorize(&self, _: &dyn Reader, _: &Attributes<'_>) -> Decision {
        Decision::allow("")
    }

    fn rules(&self, _: &dyn Reader, _: &UserInfo, _: &str) -> Value {
        value!({"resourceRules": [], "nonResourceRules": [], "incomplete": false})
    }
}

#[async_trait]
impl TokenIssuer for Open {
    async fn issue(&self, _: &dyn Reader, _: &Object, mut request: Value) -> Result<Value, Status> {
        request.set(&["status", "token"], "token");
        Ok(request)
    }

    async fn review(&self, _: &dyn Reader, _: &str, _: &[String]) -> Value {
        value!({"user": {}})
    }

    fn discovery(&self) -> (Value, Value) {
        (Value::object(), value!({"keys": []}))
    }
}

/// A configuration without authentication, authorization and admission.
pub fn open_config(store: Arc<dyn Store>, tasks: Tasks, clock: Clock) -> Config {
    Config {
        store,
        clock,
        tasks,
        authenticator: Arc::new(Open),
        authorizer: Arc::new(Open),
        tokens: Arc::new(Open),
        admission: AdmissionChain::default(),
        nodes: None,
        version: Version { minor: 36, git: "v1.36.0".to_owned() },
        address: "127.0.0.1:6443".to_owned(),
        service_range: crate::ServiceRange::default(),
        front_proxy: None,
        audit_log: None,
    }
}

/// An open, ready API server over a store in memory.
///
/// # Panics
/// Never: a store in memory can be read.
pub async fn open(tasks: &Tasks, clock: Clock) -> ApiServer {
    let store = Arc::new(drydock_store::memory::MemoryStore::new());
    let server = ApiServer::start(open_config(store, tasks.clone(), clock)).await;
    let server = server.expect("a store in memory can be read");
    server.set_ready();
    server
}
