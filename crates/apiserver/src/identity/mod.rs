//! Who callers are and what they may do, by a cluster's settings: issuers of tokens, webhooks, and whether the anonymous
//! are let in.
//!
//! [`Identity`] and [`Access`] stand behind the API server's seams. What a cluster itself gives out (certificates, tokens,
//! roles) `drydock-auth` knows; what is asked of others is asked from here, since this is where I/O is. Settings are
//! replaced while requests are served: a request sees those that were in force when it came.

mod access;
mod access_webhook;
mod authenticator;
mod issuer;
mod key_source;
mod outbound;
mod remembered;
mod token_webhook;

pub use access::Access;
pub use authenticator::Identity;
