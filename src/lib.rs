//! The hosted service: doors, service, database, and the CLI that talks to it.
//!
//! Layers, from the outside in: [`doors`] translate requests and know HTTP; [`service`] holds clusters, node pools and
//! operations, and what must become of them; [`database`] remembers. The same noun is the file name at every layer.

pub mod cli;
pub mod compose;
pub mod config;
pub mod database;
pub mod doors;
mod duration;
pub mod server;
pub mod service;
pub mod telemetry;
mod yaml;
