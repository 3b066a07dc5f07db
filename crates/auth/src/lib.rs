//! Who may do what: keys and certificates, authentication, authorization and the bootstrap policy.
//!
//! * [`user::UserInfo`] is who a request comes from; [`attributes::Attributes`] is what it wants;
//!   [`attributes::Decision`] is the answer.
//!
//! Nothing here does I/O: what authentication and authorization must know of a cluster's objects they ask through
//! lookup traits that the API server answers from its watch cache.
//!
//! Deliberately absent: HTTP. The API server turns requests into attributes, and decisions into statuses.

pub mod attributes;
pub mod audit;
pub mod authenticator;
pub mod authorizer;
pub mod bootstrap;
pub mod config;
mod front_proxy;
pub mod impersonation;
pub mod jwt;
pub mod lookup;
mod node;
pub mod pki;
pub mod rbac;
pub mod reviews;
mod selectors;
pub mod tokens;
pub mod user;

pub use attributes::{Ask, Attributes, Decision};
pub use authenticator::{Authenticator, certificate_end, with_authenticated};
pub use authorizer::Authorizer;
pub use lookup::Reader;
pub use user::UserInfo;
