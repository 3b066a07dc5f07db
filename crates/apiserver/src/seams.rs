//! What the API server needs from others, as traits.
//!
//! Who callers are and what they may do is `drydock-auth`'s, which the server uses directly; reaching kubelets is a
//! trait that `drydock-node` implements and `drydock-client` owns.

pub use drydock_client::dialer::{ExecOptions, ExecStreams, LogOptions, NodeDialer, Stream};
