//! An API server for tests: whoever calls over HTTP without credentials may do nothing, the token `admin` everything, and
//! nothing is admitted or refused.

use std::sync::Arc;

use drydock_auth::tokens::{SigningKey, TokenAuthority, TokenConfig};
use drydock_auth::{Authenticator, Authorizer, UserInfo};
use drydock_runtime::{Clock, Tasks};
use drydock_store::Store;

use crate::admission::AdmissionChain;
use crate::{ApiServer, Config, Version};

/// The bearer token of the administrator.
pub const ADMIN_TOKEN: &str = "admin";

/// A configuration without admission, with an administrator's token.
///
/// # Panics
/// When no key can be generated.
pub fn open_config(store: Arc<dyn Store>, tasks: Tasks, clock: Clock) -> Config {
    let key = SigningKey::generate_ecdsa().expect("keys can be generated");
    let tokens = Arc::new(TokenAuthority::new(TokenConfig::default(), vec![key]));
    let admin = UserInfo::new("admin", &["system:masters"]);
    Config {
        store,
        clock,
        tasks,
        authenticator: Arc::new(Authenticator::new(tokens).with_static_token(ADMIN_TOKEN, admin)),
        authorizer: Arc::new(Authorizer::new()),
        admission: AdmissionChain::default(),
        nodes: None,
        version: Version { minor: 36, git: "v1.36.0".to_owned() },
        address: "127.0.0.1:6443".to_owned(),
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
