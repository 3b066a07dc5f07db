//! One tenant's API server: request pipeline, registry, watch cache, discovery.

pub mod admission;
pub mod seams;

pub use seams::{Authenticator, Authorizer, Credentials, NodeDialer, TokenIssuer};
