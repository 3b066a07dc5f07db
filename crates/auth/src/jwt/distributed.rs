//! Groups that a token does not say itself, but where they are to be had: OpenID Connect Core, 5.6.2.
//!
//! As upstream, only the claim that groups are mapped from may be elsewhere, and only when the token lacks it.

use serde_json::Value;

use super::{Claims, claims, issuer};
use crate::config::{ClaimMapping, JwtAuthenticator};
use crate::tokens::TokenError;

/// Where a claim is: a server that answers a token of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    pub claim: String,
    pub url: String,
    /// What to show the server; "" for nothing.
    pub access_token: String,
}

fn refused(why: impl std::fmt::Display) -> TokenError {
    TokenError(format!("oidc: could not expand distributed claims: {why}"))
}

/// Where the groups are; None when they are not elsewhere.
///
/// # Errors
/// When the token names a source that it does not describe.
pub fn source(authenticator: &JwtAuthenticator, claims: &Claims) -> Result<Option<Source>, TokenError> {
    let Some(ClaimMapping::Claim { claim, .. }) = &authenticator.groups else { return Ok(None) };
    if claim.is_empty() || claims.contains_key(claim) {
        return Ok(None);
    }
    let Some(names) = claims.get("_claim_names") else { return Ok(None) };
    let names = names.as_object().ok_or_else(|| refused("oidc: error parsing distributed claim names"))?;
    let sources = claims.get("_claim_sources").ok_or_else(|| refused("oidc: no claim sources"))?;
    let sources = sources.as_object().ok_or_else(|| refused("oidc: could not parse claim sources"))?;
    let Some(name) = names.get(claim).and_then(Value::as_str) else { return Ok(None) };
    let source = sources.get(name).ok_or_else(|| {
        refused(format!("id token _claim_names contained a source {name} missing in _claims_sources"))
    })?;
    let text = |field: &str| source[field].as_str().unwrap_or("").to_owned();
    let url = text("endpoint");
    // Without a place it is said within the token, which is not looked at.
    let found = Source { claim: claim.clone(), url, access_token: text("access_token") };
    Ok(Some(found).filter(|source| !source.url.is_empty()))
}

impl Source {
    /// Who says that the server's answer is its token: to be believed when its keys signed it.
    ///
    /// # Errors
    /// When the answer is no token.
    pub fn issuer_of(&self, answer: &str) -> Result<String, TokenError> {
        let claims = claims(answer).unwrap_or_default();
        issuer(&claims).map(str::to_owned).ok_or_else(|| {
            let (url, claim) = (&self.url, &self.claim);
            refused(format!("getting untrusted issuer from endpoint {url} failed for claim {claim:?}"))
        })
    }

    /// Puts the claim from the server's verified answer into the token's.
    ///
    /// # Errors
    /// When the answer lacks it.
    pub fn expand(&self, answer: &Claims, into: &mut Claims) -> Result<(), TokenError> {
        let value = answer.get(&self.claim).ok_or_else(|| {
            let (url, claim) = (&self.url, &self.claim);
            refused(format!(
                "jwt returned by distributed claim endpoint {url:?} did not contain claim: {claim}"
            ))
        })?;
        into.insert(self.claim.clone(), value.clone());
        Ok(())
    }

    /// The refusal when the claim cannot be had.
    pub fn failed(&self, why: impl std::fmt::Display) -> TokenError {
        refused(format!("while getting distributed claim {:?}: {why}", self.claim))
    }
}
