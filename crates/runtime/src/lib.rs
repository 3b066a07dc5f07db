//! Tasks, clock, shutdown gates and fault points: the only place that spawns or tells the time.
//!
//! * [`Clock`] tells the time and waits: real, running N times as fast, stepped by hand, or standing still.
//! * [`Tasks`] owns every task of a tenant or of the service; closing it cancels and awaits them all.
//! * [`wall`] is for what clients compare with their own clocks: I/O timeouts and the validity of certificates.
//! * [`fault`] names places where tests make things go wrong.
//!
//! Everything else in the workspace is barred from `tokio::spawn`, `tokio::time` and `Instant::now` by `clippy.toml`.

pub mod clock;
pub mod fault;
pub mod tasks;
pub mod wall;

pub use clock::{Clock, Hold, Timer};
pub use tasks::{OnError, TaskError, Tasks};
pub use tokio_util::sync::CancellationToken;
pub use wall::Stopwatch;
