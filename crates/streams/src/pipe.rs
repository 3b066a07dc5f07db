//! The two ends of one stream of a connection, as byte streams.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::sync::PollSender;

/// The longest piece in which data travels.
pub(crate) const PIECE: usize = 32 * 1024;
/// Pieces that wait for a stream's reader.
const UNREAD: usize = 4;
/// Pieces that wait to be sent, of all streams of a connection.
pub(crate) const UNSENT: usize = 8;

/// What a writer hands to its connection.
#[derive(Debug)]
pub(crate) struct Piece {
    /// Of the stream.
    pub(crate) id: u32,
    pub(crate) data: Bytes,
    /// Nothing follows on this stream.
    pub(crate) fin: bool,
}

/// What a peer sends on one stream; ends when the peer has closed it or the connection is gone.
#[derive(Debug)]
pub struct Reader {
    pieces: mpsc::Receiver<Bytes>,
    rest: Bytes,
}

/// What is sent to a peer on one stream. Shutting it down closes that direction; dropping it does not.
#[derive(Debug)]
pub struct Writer {
    id: u32,
    pieces: PollSender<Piece>,
    closed: bool,
    /// The peer wants nothing of it any more.
    reset: Arc<AtomicBool>,
    /// The stream's place among those of its connection.
    _place: Option<OwnedSemaphorePermit>,
}

pub(crate) fn reader() -> (mpsc::Sender<Bytes>, Reader) {
    let (sender, pieces) = mpsc::channel(UNREAD);
    (sender, Reader { pieces, rest: Bytes::new() })
}

impl Reader {
    /// One that has nothing to read.
    pub fn empty() -> Self {
        reader().1
    }
}

impl Writer {
    pub(crate) fn new(id: u32, pieces: mpsc::Sender<Piece>, reset: Arc<AtomicBool>) -> Self {
        Self { id, pieces: PollSender::new(pieces), closed: false, reset, _place: None }
    }

    /// Keeps a place for as long as it lives.
    pub(crate) fn in_place(self, place: OwnedSemaphorePermit) -> Self {
        Self { _place: Some(place), ..self }
    }

    /// One that nobody reads.
    pub fn closed() -> Self {
        Self::new(0, mpsc::channel(1).0, Arc::default())
    }

    fn poll_piece(&mut self, context: &mut Context<'_>, data: Bytes, fin: bool) -> Poll<io::Result<()>> {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        ready!(self.pieces.poll_reserve(context)).map_err(|_| gone())?;
        let piece = Piece { id: self.id, data, fin };
        Poll::Ready(self.pieces.send_item(piece).map_err(|_| gone()))
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(self.pieces.poll_recv(context)) {
                Some(piece) => self.rest = piece,
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..length]);
        self.rest.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Writer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.closed || self.reset.load(Ordering::Relaxed) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let length = data.len().min(PIECE);
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        // Reserved first, so that nothing is copied while there is no room.
        ready!(self.pieces.poll_reserve(context)).map_err(|_| gone())?;
        ready!(self.poll_piece(context, Bytes::copy_from_slice(&data[..length]), false))?;
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closed || self.reset.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_piece(context, Bytes::new(), true))?;
        self.closed = true;
        Poll::Ready(Ok(()))
    }
}
