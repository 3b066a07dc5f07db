//! A cloud in memory, with the delays and faults of a real one.
//!
//! [`MockCloud`] is the account: it owns all machines, load balancers and routes of all clusters, and with
//! [`MockCloud::open`] writes each change to a journal before it answers, so that what was acknowledged survives a
//! kill of the process. [`MockCloud::provider`] is one tenant's view of it, on the tenant's clock.
//!
//! Invariants: nothing runs in the background; a machine's state is computed from its times and the clock whenever it
//! is asked for. A cluster is only ever seen through one clock.
//!
//! Deliberately absent: faults of calls (wrap the provider in `drydock_cloud_api::Faults`), and real machines.

mod account;
mod journal;
mod machine;
mod network;
mod placement;
mod places;
mod provider;

pub use account::{MockCloud, MockConfig};
pub use journal::OpenError;
pub use provider::MockProvider;
