//! Persistent volumes and claims: binding them, and protecting them while they are used.

mod binder;
mod protection;

pub(crate) use binder::start as start_binder;
pub(crate) use protection::{
    start_attributes_classes as start_attributes_class_protection, start_claims as start_claim_protection,
    start_volumes as start_volume_protection,
};
