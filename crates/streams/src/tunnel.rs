//! A WebSocket as a plain byte stream: SPDY goes through it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use crate::Transport;
use crate::pipe::PIECE;

/// The bytes of a WebSocket's binary messages.
#[derive(Debug)]
pub struct Tunnel<T> {
    socket: WebSocketStream<T>,
    rest: Bytes,
    closed: bool,
}

impl<T: Transport> Tunnel<T> {
    pub fn new(socket: WebSocketStream<T>) -> Self {
        Self { socket, rest: Bytes::new(), closed: false }
    }

    fn socket(self: Pin<&mut Self>) -> Pin<&mut WebSocketStream<T>> {
        Pin::new(&mut self.get_mut().socket)
    }
}

impl<T: Transport> AsyncRead for Tunnel<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(self.as_mut().socket().poll_next(context)) {
                Some(Ok(Message::Binary(bytes))) => self.rest = bytes,
                // A text message does not belong here; pings are answered below.
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(_)) | None => return Poll::Ready(Ok(())),
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
            }
        }
        let length = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..length]);
        self.rest.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<T: Transport> AsyncWrite for Tunnel<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.as_mut().socket().poll_ready(context)).map_err(broken)?;
        let length = data.len().min(PIECE);
        let message = Message::Binary(Bytes::copy_from_slice(&data[..length]));
        self.socket().start_send(message).map_err(broken)?;
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket().poll_flush(context).map_err(broken)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.closed {
            ready!(self.as_mut().socket().poll_ready(context)).map_err(broken)?;
            let frame = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::default() };
            self.as_mut().socket().start_send(Message::Close(Some(frame))).map_err(broken)?;
            self.closed = true;
        }
        self.socket().poll_flush(context).map_err(broken)
    }
}

fn broken(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        error => io::Error::new(io::ErrorKind::BrokenPipe, error),
    }
}

#[cfg(test)]
mod tests {
    use futures::{SinkExt as _, StreamExt as _};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    #[tokio::test]
    async fn messages_are_one_stream_of_bytes() {
        let (near, far) = tokio::io::duplex(1024);
        let mut client = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
        let mut tunnel = Tunnel::new(crate::websocket(far).await);
        client.send(Message::binary(b"ab".to_vec())).await.unwrap();
        client.send(Message::Ping(Bytes::new())).await.unwrap();
        client.send(Message::binary(b"cd".to_vec())).await.unwrap();
        let mut four = [0; 4];
        tunnel.read_exact(&mut four).await.unwrap();
        assert_eq!(&four, b"abcd");
        tunnel.write_all(b"back").await.unwrap();
        tunnel.flush().await.unwrap();
        let mut back = client.next().await.unwrap().unwrap();
        if back.is_pong() {
            back = client.next().await.unwrap().unwrap();
        }
        assert_eq!(back, Message::binary(b"back".to_vec()));
        client.close(None).await.unwrap();
        assert_eq!(tunnel.read(&mut four).await.unwrap(), 0);
    }
}
