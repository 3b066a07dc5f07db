//! A trusted issuer of tokens: its keys, fetched when they are needed.
//!
//! The issuer is asked for its discovery document once, and for its keys whenever a token shows one that is not known:
//! it may be new. However many such tokens come, one question is under way at a time; an issuer that fails is left
//! alone for a moment.

use std::time::Duration;

use drydock_auth::UserInfo;
use drydock_auth::config::JwtAuthenticator;
use drydock_auth::jwt::{JwtError, KeySet};
use drydock_auth::tokens::TokenError;
use drydock_machinery::Value;
use drydock_runtime::{Stopwatch, wall};
use parking_lot::RwLock;

use super::outbound::Outbound;

const TIMEOUT: Duration = Duration::from_secs(10);
const AFTER_FAILURE: Duration = Duration::from_secs(1);

pub(super) struct Issuer {
    config: JwtAuthenticator,
    outbound: Result<Outbound, String>,
    /// None until they were fetched.
    keys: RwLock<Option<Keys>>,
    fetching: tokio::sync::Mutex<Fetching>,
}

#[derive(Clone)]
struct Keys {
    set: KeySet,
    /// How many times they were fetched.
    generation: u64,
}

#[derive(Default)]
struct Fetching {
    /// Where the keys are, once discovered.
    jwks_uri: Option<String>,
    failure: Option<(Stopwatch, String)>,
}

impl Issuer {
    pub(super) fn new(config: JwtAuthenticator) -> Self {
        let outbound = Outbound::trusting(config.issuer.certificate_authority.as_deref());
        Self { config, outbound, keys: RwLock::default(), fetching: tokio::sync::Mutex::default() }
    }

    /// The user of a token; None when it is another issuer's.
    ///
    /// # Errors
    /// When it is this issuer's and not good, or the issuer cannot be asked for its keys.
    pub(super) async fn user(&self, token: &str) -> Result<Option<UserInfo>, TokenError> {
        if !self.config.is_issuer_of(token) {
            return Ok(None);
        }
        self.config.check_claims(token, wall::now().as_second())?;
        let known = self.keys.read().clone();
        let seen = known.as_ref().map_or(0, |keys| keys.generation);
        if let Some(keys) = known {
            match self.config.user(&keys.set, token) {
                Err(JwtError::UnknownKey) => {}
                known => return known.map(Some).map_err(JwtError::into_refusal),
            }
        }
        let fresh = self.fetch(seen).await.map_err(TokenError)?;
        self.config.user(&fresh, token).map(Some).map_err(JwtError::into_refusal)
    }

    /// Keys newer than those of the generation `seen`.
    async fn fetch(&self, seen: u64) -> Result<KeySet, String> {
        let mut fetching = self.fetching.lock().await;
        if let Some(keys) = self.keys.read().as_ref().filter(|keys| keys.generation > seen) {
            return Ok(keys.set.clone());
        }
        if let Some((since, why)) = &fetching.failure
            && since.elapsed() < AFTER_FAILURE
        {
            return Err(why.clone());
        }
        match self.ask(&mut fetching).await {
            Ok(set) => {
                fetching.failure = None;
                *self.keys.write() = Some(Keys { set: set.clone(), generation: seen + 1 });
                Ok(set)
            }
            Err(why) => {
                let why = format!("oidc: {why}");
                tracing::warn!(issuer = self.config.issuer.url, why, "an issuer's keys cannot be fetched");
                fetching.failure = Some((Stopwatch::start(), why.clone()));
                Err(why)
            }
        }
    }

    async fn ask(&self, fetching: &mut Fetching) -> Result<KeySet, String> {
        let outbound = self.outbound.as_ref().map_err(Clone::clone)?;
        let uri = match &fetching.jwks_uri {
            Some(uri) => uri.clone(),
            None => self.discover(outbound).await?,
        };
        let answer = outbound.get(&uri, TIMEOUT).await.map_err(|why| format!("fetching keys {why}"))?;
        if answer.code != 200 {
            return Err(format!("fetching keys {uri}: the server answered {}", answer.code));
        }
        let set = KeySet::parse(&answer.body).map_err(|why| format!("failed to decode keys: {why}"))?;
        fetching.jwks_uri = Some(uri);
        Ok(set)
    }

    /// Where the keys are, by the discovery document.
    async fn discover(&self, outbound: &Outbound) -> Result<String, String> {
        let issuer = &self.config.issuer;
        let standard = || format!("{}/.well-known/openid-configuration", issuer.url.trim_end_matches('/'));
        let url = issuer.discovery_url.clone().unwrap_or_else(standard);
        let answer = outbound.get(&url, TIMEOUT).await?;
        if answer.code != 200 {
            return Err(format!("{url}: the server answered {}", answer.code));
        }
        let document = Value::from_json(&answer.body)
            .map_err(|error| format!("failed to decode provider discovery object: {error}"))?;
        let named = document.str_at(&["issuer"]);
        if named != issuer.url {
            return Err(format!(
                "issuer URL provided to client ({:?}) did not match the issuer URL returned by provider ({named:?})",
                issuer.url
            ));
        }
        match document.str_at(&["jwks_uri"]) {
            "" => Err("provider did not return JWKS URL".to_owned()),
            uri => Ok(uri.to_owned()),
        }
    }
}
