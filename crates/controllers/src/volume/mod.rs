//! Persistent volumes and claims: binding them, protecting them while they are used, and making those of pods' generic
//! ephemeral volumes.

mod binder;
mod ephemeral;
mod protection;

pub(crate) use binder::start as start_binder;
pub(crate) use ephemeral::start as start_ephemeral;
pub(crate) use protection::{
    start_attributes_classes as start_attributes_class_protection, start_claims as start_claim_protection,
    start_volumes as start_volume_protection,
};
