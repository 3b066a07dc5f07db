//! One tenant's API server: request pipeline, registry, watch cache, discovery.
//!
//! A request is authenticated, authorized, admitted, validated and written, or read from the watch cache:
//!
//! * `http` speaks HTTP; `local` is the same for callers in this process.
//! * `registry` is CRUD, written once for all kinds.
//! * [`cache`] holds every object and serves reads and watches.
//! * [`resources`] says what is served; [`admission`] and [`seams`] are what others plug in.
//!
//! Deliberately absent: anything about one kind (that is `drydock-kinds`), who callers are and what they may do
//! (`drydock-auth`), and everything that happens later than the request (controllers).

mod access;
pub mod admission;
mod aggregation;
pub mod cache;
mod definitions;
mod http;
mod local;
mod maintenance;
mod metrics;
mod registry;
pub mod resources;
pub mod seams;
mod server;
pub mod testing;

pub use aggregation::FrontProxy;
pub use registry::allocate::ServiceRange;
pub use seams::{Authenticator, Authorizer, Credentials, NodeDialer, TokenIssuer};
pub use server::{ApiServer, Config, Version};
