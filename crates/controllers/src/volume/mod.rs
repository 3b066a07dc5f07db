//! Persistent volumes and claims: binding them, attaching them to nodes, protecting them while they are used, and making
//! those of pods' generic ephemeral volumes.

mod attach_detach;
mod binder;
mod ephemeral;
mod expand;
mod protection;

pub(crate) use attach_detach::start as start_attach_detach;
pub(crate) use binder::start as start_binder;
pub(crate) use ephemeral::start as start_ephemeral;
pub(crate) use expand::start as start_expander;
pub(crate) use protection::{
    start_attributes_classes as start_attributes_class_protection, start_claims as start_claim_protection,
    start_volumes as start_volume_protection,
};
