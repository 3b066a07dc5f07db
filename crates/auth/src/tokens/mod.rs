//! Service account tokens: signing keys, issuing, verification, and the issuer's public documents.
//!
//! A [`TokenAuthority`] is one cluster's issuer. What a token says besides its account (bound objects, lifetime) is in
//! its claims, which are upstream's; whether the bound objects still exist is asked of the watch cache each time.
//! Signatures that were checked are remembered, so a busy client costs one look-up per request.
//!
//! Lifetimes are wall time.

mod authority;
mod claims;
mod issue;
mod key;
mod verify;

pub use authority::{TokenAuthority, TokenConfig};
pub use key::{KeyReservoir, SigningKey};
pub use verify::{LAST_USED, Notes, TokenError, Verified, review_status};

/// `authentication.kubernetes.io/credential-id`: what tells one credential of a user from another.
pub const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";
pub(crate) const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
pub(crate) const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
pub(crate) const NODE_NAME: &str = "authentication.kubernetes.io/node-name";
pub(crate) const NODE_UID: &str = "authentication.kubernetes.io/node-uid";
