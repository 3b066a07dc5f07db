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

pub mod admission;
mod aggregation;
pub mod audit;
pub mod cache;
mod conversion;
mod definitions;
mod exchange;
mod flow;
mod http;
pub mod identity;
mod local;
mod maintenance;
mod metrics;
mod policy_status;
mod registry;
pub mod resources;
pub mod seams;
mod server;
pub mod testing;
mod webhook;

pub use aggregation::FrontProxy;
pub use flow::FLOW_SCHEMA_CONDITIONS;
pub use identity::{Access, Identity};
pub use registry::allocate::ServiceRange;
pub use seams::{Authenticated, Authenticator, Authorizer, Credentials, NodeDialer, TokenIssuer};
pub use server::{ApiServer, Config, Version};
