//! Strategies as the registry calls them.

mod certificates;
mod common;
mod devices;
mod empty;
mod invalid;
mod tables;
mod updates;
mod warnings;
