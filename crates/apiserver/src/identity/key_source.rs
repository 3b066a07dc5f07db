//! The keys of an issuer of tokens, fetched when they are needed.
//!
//! The issuer is asked for its discovery document once, and for its keys whenever a token shows one that is not known:
//! it may be new. However many such tokens come, one question is under way at a time; an issuer that fails is left
//! alone for a moment.

use std::sync::Arc;
use std::time::Duration;

use drydock_auth::jwt::{Claims, JwtError, KeySet};
use drydock_auth::tokens::TokenError;
use drydock_machinery::Value;
use drydock_runtime::Stopwatch;
use parking_lot::RwLock;

use super::outbound::Outbound;

pub(super) const TIMEOUT: Duration = Duration::from_secs(10);
const AFTER_FAILURE: Duration = Duration::from_secs(1);

pub(super) struct KeySource {
    issuer: String,
    discovery_url: String,
    outbound: Arc<Result<Outbound, String>>,
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

impl KeySource {
    /// Of an issuer whose discovery document is where it says by default, or elsewhere.
    pub(super) fn new(
        issuer: &str,
        discovery_url: Option<&str>,
        outbound: Arc<Result<Outbound, String>>,
    ) -> Self {
        let standard = || format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        Self {
            issuer: issuer.to_owned(),
            discovery_url: discovery_url.map_or_else(standard, str::to_owned),
            outbound,
            keys: RwLock::default(),
            fetching: tokio::sync::Mutex::default(),
        }
    }

    /// What `verify` makes of the keys: those that are known, or newer ones.
    ///
    /// # Errors
    /// When no key signed what is verified, or the issuer cannot be asked for its keys.
    pub(super) async fn claims(
        &self,
        verify: impl Fn(&KeySet) -> Result<Claims, JwtError>,
    ) -> Result<Claims, TokenError> {
        let known = self.keys.read().clone();
        let seen = known.as_ref().map_or(0, |keys| keys.generation);
        if let Some(keys) = known {
            match verify(&keys.set) {
                Err(JwtError::UnknownKey) => {}
                known => return known.map_err(JwtError::into_refusal),
            }
        }
        let fresh = self.fetch(seen).await.map_err(TokenError)?;
        verify(&fresh).map_err(JwtError::into_refusal)
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
                tracing::warn!(issuer = self.issuer, why, "an issuer's keys cannot be fetched");
                fetching.failure = Some((Stopwatch::start(), why.clone()));
                Err(why)
            }
        }
    }

    async fn ask(&self, fetching: &mut Fetching) -> Result<KeySet, String> {
        let outbound = Result::as_ref(&self.outbound).map_err(Clone::clone)?;
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
        let url = &self.discovery_url;
        let answer = outbound.get(url, TIMEOUT).await?;
        if answer.code != 200 {
            return Err(format!("{url}: the server answered {}", answer.code));
        }
        let document = Value::from_json(&answer.body)
            .map_err(|error| format!("failed to decode provider discovery object: {error}"))?;
        let named = document.str_at(&["issuer"]);
        if named != self.issuer {
            return Err(format!(
                "issuer URL provided to client ({:?}) did not match the issuer URL returned by provider ({named:?})",
                self.issuer
            ));
        }
        match document.str_at(&["jwks_uri"]) {
            "" => Err("provider did not return JWKS URL".to_owned()),
            uri => Ok(uri.to_owned()),
        }
    }
}
