//! A trusted issuer of tokens, and those who know more of its users than its tokens say.

use std::collections::HashMap;
use std::sync::Arc;

use drydock_auth::UserInfo;
use drydock_auth::config::JwtAuthenticator;
use drydock_auth::jwt::{Claims, Source, distributed};
use drydock_auth::tokens::TokenError;
use drydock_runtime::wall;
use parking_lot::Mutex;

use super::key_source::{KeySource, TIMEOUT};
use super::outbound::Outbound;

/// Issuers of distributed claims whose keys are kept. There are few.
const MOST_OTHERS: usize = 16;

pub(super) struct Issuer {
    config: JwtAuthenticator,
    outbound: Arc<Result<Outbound, String>>,
    own: KeySource,
    /// By the issuers of distributed claims.
    others: Mutex<HashMap<String, Arc<KeySource>>>,
}

impl Issuer {
    pub(super) fn new(config: JwtAuthenticator) -> Self {
        let issuer = &config.issuer;
        let outbound = Arc::new(Outbound::trusting(issuer.certificate_authority.as_deref()));
        let own = KeySource::new(&issuer.url, issuer.discovery_url.as_deref(), outbound.clone());
        Self { config, outbound, own, others: Mutex::default() }
    }

    /// The user of a token; None when it is another issuer's.
    ///
    /// # Errors
    /// When it is this issuer's and not good, or somebody cannot be asked who must be.
    pub(super) async fn user(&self, token: &str) -> Result<Option<UserInfo>, TokenError> {
        if !self.config.is_issuer_of(token) {
            return Ok(None);
        }
        self.config.check_claims(token, wall::now().as_second())?;
        let mut claims = self.own.claims(|keys| self.config.claims(keys, token)).await?;
        if let Some(source) = distributed::source(&self.config, &claims)? {
            source.expand(&self.ask(&source).await?, &mut claims)?;
        }
        self.config.user(&claims).map(Some).map_err(drydock_auth::jwt::JwtError::into_refusal)
    }

    /// The claims of the token that a source answers, which must be for the same audiences.
    async fn ask(&self, source: &Source) -> Result<Claims, TokenError> {
        let outbound = Result::as_ref(&self.outbound).map_err(|why| source.failed(why))?;
        let asked = outbound.get_as(&source.url, &source.access_token, TIMEOUT).await;
        let answer = asked.map_err(|why| source.failed(why))?;
        if answer.code != 200 {
            let code = answer.code;
            return Err(source.failed(format!("error while getting distributed claim JWT: {code}")));
        }
        let token = String::from_utf8_lossy(&answer.body);
        let token = token.trim();
        let issuer = source.issuer_of(token)?;
        self.config.check_claims(token, wall::now().as_second())?;
        if issuer == self.config.issuer.url {
            return self.own.claims(|keys| self.config.claims(keys, token)).await;
        }
        self.other(&issuer).claims(|keys| self.config.claims(keys, token)).await
    }

    fn other(&self, issuer: &str) -> Arc<KeySource> {
        let mut others = self.others.lock();
        if let Some(known) = others.get(issuer) {
            return known.clone();
        }
        if others.len() >= MOST_OTHERS {
            others.clear();
        }
        let made = Arc::new(KeySource::new(issuer, None, self.outbound.clone()));
        others.insert(issuer.to_owned(), made.clone());
        made
    }
}
