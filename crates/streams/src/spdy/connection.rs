//! One connection: a loop that reads frames and one that writes them, run as one future.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use drydock_runtime::wall;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{Semaphore, mpsc};

use super::SpdyError;
use super::frame::{self, FLAG_FIN, FLAG_UNIDIRECTIONAL, Frame, Reset};
use super::headers::{Headers, Packer, Unpacker};
use crate::Transport;
use crate::idle::Activity;
use crate::pipe::{self, PIECE, Piece, Reader, UNSENT, Writer};

/// Says by its headers whether a stream is taken; others are reset.
pub type Accept = fn(&Headers) -> bool;

/// How a connection is served.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub accept: Accept,
    /// Streams that are open on either side; more are refused.
    pub most_streams: usize,
    /// After this long without a frame, pings aside, the connection ends.
    pub idle_timeout: Duration,
}

/// A stream that the client has opened and that was replied to.
#[derive(Debug)]
pub struct Stream {
    pub id: u32,
    pub headers: Headers,
    pub reader: Reader,
    pub writer: Writer,
}

/// The client's streams, as they come. The connection is closed in good order once this and all writers are dropped.
#[derive(Debug)]
pub struct Streams {
    incoming: mpsc::Receiver<Stream>,
    /// Keeps the connection open while there is no stream.
    _pieces: mpsc::Sender<Piece>,
}

impl Streams {
    /// None when the connection has ended.
    pub async fn next(&mut self) -> Option<Stream> {
        self.incoming.recv().await
    }
}

enum Control {
    Reply(u32),
    Reset(u32, Reset),
    Ping(u32),
}

/// Streams that wait to be taken, and control frames that wait to be sent.
const WAITING: usize = 16;
/// How much is put into one write.
const BATCH: usize = 64 * 1024;
/// How long is waited for the client's end of a connection that was closed here.
const LINGER: Duration = Duration::from_secs(5);

/// Serves SPDY on `transport`: a future that is the connection, to be run by the caller, and the streams.
pub fn serve<T: Transport>(
    transport: T,
    options: Options,
) -> (impl Future<Output = Result<(), SpdyError>> + Send + 'static, Streams) {
    let (pieces, unsent) = mpsc::channel(UNSENT);
    let (streams, incoming) = mpsc::channel(WAITING);
    let (control, controls) = mpsc::channel(WAITING);
    let weak = pieces.downgrade();
    let connection = async move {
        let (from, to) = tokio::io::split(transport);
        let activity = Activity::default();
        let mut receiver = Receiver {
            from,
            options,
            unpacker: Unpacker::new(),
            open: HashMap::new(),
            places: Arc::new(Semaphore::new(options.most_streams)),
            last: 0,
            pieces: weak,
            streams,
            control,
            activity: &activity,
        };
        let sender = Sender { to, packer: Packer::new()?, pieces: unsent, controls, activity: &activity };
        let sent = tokio::select! {
            received = receiver.run() => return received,
            sent = sender.run() => sent,
            () = activity.ceased(options.idle_timeout) => return Err(SpdyError::Idle),
        };
        sent?;
        // To close on unread data would take from the client what was sent last.
        wall::timeout(LINGER, discard(&mut receiver.from, usize::MAX)).await;
        Ok(())
    };
    (connection, Streams { incoming, _pieces: pieces })
}

struct Receiver<'a, T> {
    from: ReadHalf<T>,
    options: Options,
    unpacker: Unpacker,
    open: HashMap<u32, Open>,
    /// Of streams that are written to: the client may have closed its side long ago, or with the first frame.
    places: Arc<Semaphore>,
    /// The newest stream.
    last: u32,
    pieces: mpsc::WeakSender<Piece>,
    streams: mpsc::Sender<Stream>,
    control: mpsc::Sender<Control>,
    activity: &'a Activity,
}

/// A stream whose client's side is open.
struct Open {
    data: mpsc::Sender<Bytes>,
    reset: Arc<AtomicBool>,
}

impl<T: Transport> Receiver<'_, T> {
    /// Ends with the client's side of the connection.
    async fn run(&mut self) -> Result<(), SpdyError> {
        while let Some(frame) = frame::read(&mut self.from).await? {
            if !matches!(frame, Frame::Ping { .. }) {
                self.activity.note();
            }
            match frame {
                Frame::SynStream { id, flags, block } => {
                    let headers = self.unpacker.unpack(&block)?;
                    self.opened(id, flags, headers).await;
                }
                Frame::Data { id, flags, length } => {
                    self.data(id, length).await?;
                    self.finished(id, flags);
                }
                // Their headers belong to the compression, too.
                Frame::SynReply { id, flags, block } | Frame::Headers { id, flags, block } => {
                    self.unpacker.unpack(&block)?;
                    self.finished(id, flags);
                }
                Frame::Reset { id } => {
                    if let Some(open) = self.open.remove(&id) {
                        open.reset.store(true, Ordering::Relaxed);
                    }
                }
                // An answer to a ping of ours, of which there are none, would be even.
                Frame::Ping { id } if id % 2 == 1 => self.answer(Control::Ping(id)).await,
                Frame::GoAway => return Ok(()),
                Frame::Ping { .. } | Frame::Other => {}
            }
        }
        Ok(())
    }

    async fn answer(&mut self, control: Control) {
        // Fails only when the connection is about to end.
        let _ = self.control.send(control).await;
    }

    async fn opened(&mut self, id: u32, flags: u8, headers: Headers) {
        if id.is_multiple_of(2) || id <= self.last {
            return self.answer(Control::Reset(id, Reset::Protocol)).await;
        }
        self.last = id;
        if !(self.options.accept)(&headers) {
            return self.answer(Control::Reset(id, Reset::Cancel)).await;
        }
        let pieces = self.pieces.upgrade().filter(|_| self.open.len() < self.options.most_streams);
        let own = self.places.clone().try_acquire_owned();
        let (Some(pieces), Ok(own), Ok(place)) = (pieces, own, self.streams.reserve().await) else {
            let _ = self.control.send(Control::Reset(id, Reset::Refused)).await;
            return;
        };
        let _ = self.control.send(Control::Reply(id)).await;
        let (data, reader) = pipe::reader();
        let reset = Arc::new(AtomicBool::new(flags & FLAG_UNIDIRECTIONAL != 0));
        if flags & FLAG_FIN == 0 {
            self.open.insert(id, Open { data, reset: reset.clone() });
        }
        let writer = Writer::new(id, pieces, reset).in_place(own);
        place.send(Stream { id, headers, reader, writer });
    }

    /// Reads the payload of a data frame and hands it on, piece by piece.
    async fn data(&mut self, id: u32, mut length: usize) -> Result<(), SpdyError> {
        let Some(open) = self.open.get(&id) else { return discard(&mut self.from, length).await };
        while length > 0 {
            let mut piece = vec![0; length.min(PIECE)];
            self.from.read_exact(&mut piece).await?;
            length -= piece.len();
            if open.data.send(piece.into()).await.is_err() {
                // Nobody reads the stream any more.
                return discard(&mut self.from, length).await;
            }
            self.activity.note();
        }
        Ok(())
    }

    fn finished(&mut self, id: u32, flags: u8) {
        if flags & FLAG_FIN != 0 {
            self.open.remove(&id);
        }
    }
}

async fn discard(from: &mut (impl AsyncRead + Unpin), length: usize) -> Result<(), SpdyError> {
    let mut rest = from.take(u64::try_from(length).unwrap_or(u64::MAX));
    tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
    Ok(())
}

struct Sender<'a, T> {
    to: WriteHalf<T>,
    packer: Packer,
    pieces: mpsc::Receiver<Piece>,
    controls: mpsc::Receiver<Control>,
    activity: &'a Activity,
}

impl<T: Transport> Sender<'_, T> {
    /// Ends when nobody can send anything any more, and all of it is sent.
    async fn run(mut self) -> Result<(), SpdyError> {
        let mut out = BytesMut::new();
        loop {
            tokio::select! {
                // Replies come before what is sent on their streams.
                biased;
                Some(control) = self.controls.recv() => self.put_control(&mut out, &control)?,
                piece = self.pieces.recv() => match piece {
                    Some(piece) => frame::put_data(&mut out, piece.id, piece.fin, &piece.data),
                    None => break,
                },
            }
            while out.len() < BATCH {
                if let Ok(control) = self.controls.try_recv() {
                    self.put_control(&mut out, &control)?;
                } else if let Ok(piece) = self.pieces.try_recv() {
                    frame::put_data(&mut out, piece.id, piece.fin, &piece.data);
                } else {
                    break;
                }
            }
            self.write(&mut out).await?;
        }
        frame::put_go_away(&mut out, 0);
        self.write(&mut out).await?;
        self.to.shutdown().await?;
        Ok(())
    }

    async fn write(&mut self, out: &mut BytesMut) -> Result<(), SpdyError> {
        self.to.write_all(out).await?;
        self.to.flush().await?;
        out.clear();
        self.activity.note();
        Ok(())
    }

    fn put_control(&mut self, out: &mut BytesMut, control: &Control) -> Result<(), SpdyError> {
        match control {
            Control::Reply(id) => frame::put_syn_reply(out, *id, &self.packer.pack(&Headers::default())?),
            Control::Reset(id, why) => frame::put_reset(out, *id, *why),
            Control::Ping(id) => frame::put_ping(out, *id),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client that speaks frames.
    struct Client {
        io: tokio::io::DuplexStream,
        packer: Packer,
    }

    impl Client {
        async fn open(&mut self, id: u32, kind: &str) {
            let block = self.packer.pack(&Headers::new(&[("streamType", kind)])).unwrap();
            let mut out = BytesMut::new();
            frame::put_syn_stream(&mut out, id, &block);
            self.io.write_all(&out).await.unwrap();
        }

        async fn send(&mut self, id: u32, fin: bool, data: &[u8]) {
            let mut out = BytesMut::new();
            frame::put_data(&mut out, id, fin, data);
            self.io.write_all(&out).await.unwrap();
        }

        async fn receive(&mut self) -> String {
            match frame::read(&mut self.io).await.unwrap() {
                Some(Frame::Data { id, flags, length }) => {
                    let mut data = vec![0; length];
                    self.io.read_exact(&mut data).await.unwrap();
                    format!("data {id} {flags} {}", String::from_utf8_lossy(&data))
                }
                Some(Frame::SynReply { id, .. }) => format!("reply {id}"),
                Some(Frame::Reset { id }) => format!("reset {id}"),
                Some(Frame::Ping { id }) => format!("ping {id}"),
                Some(Frame::GoAway) => "go away".to_owned(),
                other => format!("{other:?}"),
            }
        }
    }

    fn start(most_streams: usize) -> (Client, Streams, tokio::task::JoinHandle<Result<(), SpdyError>>) {
        let (io, far) = tokio::io::duplex(1024);
        let accept: Accept = |headers| headers.get("streamtype") != "bad";
        let options = Options { accept, most_streams, idle_timeout: Duration::from_secs(60) };
        let (connection, streams) = serve(far, options);
        #[expect(clippy::disallowed_methods, reason = "a test without a tenant")]
        let running = tokio::spawn(connection);
        (Client { io, packer: Packer::new().unwrap() }, streams, running)
    }

    #[tokio::test]
    async fn streams_are_replied_to_and_carry_bytes_both_ways() {
        let (mut client, mut streams, running) = start(4);
        client.open(1, "data").await;
        assert_eq!(client.receive().await, "reply 1");
        let mut stream = streams.next().await.unwrap();
        assert_eq!(stream.headers.get("streamtype"), "data");
        client.send(1, false, b"he").await;
        client.send(1, true, b"llo").await;
        let mut text = String::new();
        stream.reader.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "hello");
        stream.writer.write_all(b"world").await.unwrap();
        stream.writer.shutdown().await.unwrap();
        assert!(stream.writer.write_all(b"more").await.is_err());
        assert_eq!(client.receive().await, "data 1 0 world");
        assert_eq!(client.receive().await, "data 1 1 ");
        drop((stream, streams));
        assert_eq!(client.receive().await, "go away");
        drop(client);
        running.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn bad_and_too_many_streams_are_reset_and_pings_answered() {
        let (mut client, streams, _running) = start(1);
        client.open(1, "bad").await;
        assert_eq!(client.receive().await, "reset 1");
        client.open(3, "data").await;
        assert_eq!(client.receive().await, "reply 3");
        client.open(3, "data").await;
        assert_eq!(client.receive().await, "reset 3");
        client.open(5, "data").await;
        assert_eq!(client.receive().await, "reset 5");
        let mut out = BytesMut::new();
        frame::put_ping(&mut out, 7);
        client.io.write_all(&out).await.unwrap();
        assert_eq!(client.receive().await, "ping 7");
        drop(streams);
    }

    #[tokio::test]
    async fn a_stream_that_the_client_closed_at_once_counts() {
        let (mut client, mut streams, _running) = start(1);
        let block = client.packer.pack(&Headers::new(&[("streamType", "data")])).unwrap();
        let mut out = BytesMut::new();
        frame::put_syn_stream(&mut out, 1, &block);
        out[4] |= FLAG_FIN;
        client.io.write_all(&out).await.unwrap();
        assert_eq!(client.receive().await, "reply 1");
        client.open(3, "data").await;
        assert_eq!(client.receive().await, "reset 3");
        drop(streams.next().await.unwrap());
        client.open(5, "data").await;
        assert_eq!(client.receive().await, "reply 5");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_life_ends() {
        let (client, _streams, running) = start(1);
        assert!(matches!(running.await.unwrap(), Err(SpdyError::Idle)));
        drop(client);
    }

    #[tokio::test]
    async fn nonsense_ends_the_connection() {
        let (mut client, mut streams, running) = start(1);
        client.io.write_all(b"\x80\x09GET / HTTP/1.1\r\n\r\n").await.unwrap();
        assert!(matches!(running.await.unwrap(), Err(SpdyError::Frame)));
        assert!(streams.next().await.is_none());
    }
}
