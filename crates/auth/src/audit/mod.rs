//! What is written down of requests: the audit policy, in upstream's format (`audit.k8s.io/v1 Policy`).
//!
//! Absent: the events themselves and where they go; that is the API server's, which sees requests and answers.

mod policy;

pub use policy::{Config, Level, Policy, Stage};
