//! Clients that others wrote, in other languages: the official Python client, Helm, and what stands on client-go.

#[path = "../common/mod.rs"]
mod common;
mod helm;
mod python;
mod restarts;
