//! The server's side of SPDY/3.1, as far as Kubernetes' clients speak it (they use moby/spdystream).
//!
//! Streams are opened by the client and typed by their headers. Windows are not kept on either side, as there: the
//! transport's own flow control halts who sends too fast.

mod connection;
mod dictionary;
mod frame;
mod headers;

pub use connection::{Accept, Options, Stream, Streams, serve};
pub use headers::Headers;

/// Why a connection ended early.
#[derive(Debug, thiserror::Error)]
pub enum SpdyError {
    #[error("the connection broke")]
    Transport(#[from] std::io::Error),
    #[error("a frame that is no SPDY/3.1")]
    Frame,
    #[error("a damaged or too large header block")]
    Headers,
    #[error("nothing happened for too long")]
    Idle,
}
