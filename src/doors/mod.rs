//! Front doors: each translates a protocol to calls of the service, and its answers back. No logic.
//!
//! [`rest`] is the native API. EKS, AKS and GKE are doors of the same kind.

pub mod rest;
