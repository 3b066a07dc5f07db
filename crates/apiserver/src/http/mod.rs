//! HTTP: connections, paths, negotiation, encoding. Nothing here decides anything about objects.
//!
//! A connection is served by a task of the tenant; closing the tenant ends its watches at once and lets other requests
//! finish. A panic ends one request with 500.

mod audit;
mod authenticate;
mod body;
mod connection;
mod deadline;
mod discovery;
pub(crate) mod documents;
mod encode;
mod failure;
mod flow;
pub(crate) mod handler;
mod health;
mod impersonate;
mod lenient;
mod list_body;
pub(crate) mod metrics;
mod negotiate;
mod openapi;
pub(crate) mod path;
mod protobuf;
pub(crate) mod proxy;
mod query;
mod raw;
mod resource;
mod route;
mod streams;
mod table;
mod watch_body;
mod zpages;

pub(crate) use body::{Answer, AnswerBody, text as plain_text};
pub(crate) use encode::shown;
pub(crate) use resource::verb as resource_verb;
pub(crate) use streams::Upgrades;
