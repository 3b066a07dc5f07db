//! A small API server in memory, for unit tests of components.
//!
//! It has resourceVersions, uids, generations, finalizers, graceful deletion of bound pods, watches that resume, and
//! merge patches (a strategic or apply patch is merged likewise). It has no admission, defaulting, validation or
//! authorization: tests that need those run against the real one.

mod fake;

pub use fake::FakeServer;
