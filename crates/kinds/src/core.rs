//! The core group, but for pods and events.

pub(crate) mod claim;
mod component_status;
mod config_map;
mod data;
mod endpoints;
mod limit_range;
mod namespace;
mod node;
mod replication_controller;
mod resource_quota;
mod secret;
mod service;
mod service_account;
pub(crate) mod volume;

use crate::kind::Kind;

pub(crate) use self::secret::decode as decode_base64;
pub use self::service::validate_service_addresses;
pub(crate) use self::service::{load_balancer, load_balancer_warnings};

pub(crate) const KINDS: &[&Kind] = &[
    &claim::KIND,
    &component_status::KIND,
    &config_map::KIND,
    &endpoints::KIND,
    &limit_range::KIND,
    &namespace::KIND,
    &node::KIND,
    &replication_controller::KIND,
    &resource_quota::KIND,
    &secret::KIND,
    &service::KIND,
    &service_account::KIND,
    &volume::KIND,
];
