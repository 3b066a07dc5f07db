//! One cluster's issuer of service account tokens.

use std::collections::HashMap;
use std::sync::Arc;

use drydock_machinery::{Value, value};
use drydock_runtime::Clock;
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::claims::Claims;
use super::key::SigningKey;

/// What an issuer is called.
#[derive(Clone, Debug)]
pub struct TokenConfig {
    /// The `iss` of its tokens; by default upstream's `https://kubernetes.default.svc`.
    pub issuer: String,
    /// The audiences of the API server itself: what tokens get that ask for none. By default the issuer.
    pub api_audiences: Vec<String>,
    /// Where others find the issuer's keys: `https://HOST/openid/v1/jwks`.
    pub jwks_uri: String,
}

impl Default for TokenConfig {
    fn default() -> Self {
        const ISSUER: &str = "https://kubernetes.default.svc";
        Self {
            issuer: ISSUER.to_owned(),
            api_audiences: vec![ISSUER.to_owned()],
            jwks_uri: format!("{ISSUER}/openid/v1/jwks"),
        }
    }
}

/// Issues and verifies service account tokens. The first key signs, all of them verify.
#[derive(Debug)]
pub struct TokenAuthority {
    pub(super) config: TokenConfig,
    pub(super) keys: Vec<SigningKey>,
    /// What deletion timestamps are compared with.
    pub(super) clock: Clock,
    checked: Mutex<HashMap<[u8; 32], Arc<Claims>>>,
}

/// How many checked signatures are remembered. A token's claims are a few hundred bytes.
const REMEMBERED: usize = 256;

impl TokenAuthority {
    /// `keys` has at least one key.
    pub fn new(config: TokenConfig, keys: Vec<SigningKey>) -> Self {
        assert!(!keys.is_empty(), "an issuer has a key");
        Self { config, keys, clock: Clock::real(), checked: Mutex::new(HashMap::new()) }
    }

    /// With the cluster's clock, which its objects' timestamps are of.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    pub fn config(&self) -> &TokenConfig {
        &self.config
    }

    /// The document at `/.well-known/openid-configuration`.
    pub fn openid_configuration(&self) -> Value {
        let mut algorithms: Vec<&str> = self.keys.iter().map(SigningKey::algorithm_name).collect();
        algorithms.sort_unstable();
        algorithms.dedup();
        value!({
            "issuer": self.config.issuer,
            "jwks_uri": self.config.jwks_uri,
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": algorithms,
        })
    }

    /// The document at `/openid/v1/jwks`, of type `application/jwk-set+json`.
    pub fn json_web_keys(&self) -> Value {
        let keys: Vec<Value> = self.keys.iter().map(SigningKey::to_jwk).collect();
        let mut out = Value::object();
        out.set(&["keys"], keys);
        out
    }

    /// The claims of a token whose signature was found good before.
    pub(super) fn recall(&self, token: &str) -> Option<Arc<Claims>> {
        self.checked.lock().get(&digest(token)).cloned()
    }

    pub(super) fn remember(&self, token: &str, claims: Arc<Claims>) {
        let mut checked = self.checked.lock();
        if checked.len() >= REMEMBERED {
            checked.clear();
        }
        checked.insert(digest(token), claims);
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
