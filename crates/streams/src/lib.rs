//! Streams over upgraded connections, as `kubectl exec`, `attach`, `cp` and `port-forward` use them.
//!
//! * [`channels`]: several byte streams in one WebSocket, each message led by its channel's number.
//! * [`spdy`]: SPDY/3.1, which older clients ask for, and which `port-forward` sends through a WebSocket ([`tunnel`]).
//! * [`handshake`]: which of them a request asks for, and how an upgrade is answered or refused.
//!
//! Both kinds of connection give [`pipe`]s: a reader per stream that is fed, a writer per stream that is read. A
//! connection is one future, which its owner runs as a task; it holds bounded queues, so a peer that does not read, or
//! a stream that nobody reads, halts its own connection and nothing else.
//!
//! Deliberately absent: what the streams mean (standard input, ports), and HTTP itself. The API server knows both.

pub mod channels;
pub mod handshake;
mod idle;
pub mod pipe;
pub mod spdy;
pub mod tunnel;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// What an upgraded connection is carried by.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Transport for T {}

/// The longest message of a WebSocket that is taken. Clients send pieces of some kilobytes.
const LONGEST_MESSAGE: usize = 4 * 1024 * 1024;

/// The server's side of a WebSocket whose handshake was answered.
pub async fn websocket<T: Transport>(transport: T) -> WebSocketStream<T> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(LONGEST_MESSAGE))
        .max_frame_size(Some(LONGEST_MESSAGE))
        .max_write_buffer_size(2 * LONGEST_MESSAGE);
    WebSocketStream::from_raw_socket(transport, Role::Server, Some(config)).await
}
