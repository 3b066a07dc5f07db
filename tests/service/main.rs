//! The service through its real router, with a real database file and control planes that are made up.

mod cli;
mod clock;
mod clusters;
mod conditional;
mod fake;
mod harness;
mod node_pools;
mod openapi;
mod operations;
mod problems;
mod routes;
mod settings;
mod start;
