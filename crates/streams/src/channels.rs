//! Byte streams in one WebSocket: the subprotocols `channel.k8s.io`, `base64.channel.k8s.io` and their versions.
//!
//! A message is a channel's number and data: raw in binary messages, or a digit and base64 in text. Version 5 has a
//! message that closes one channel, 255 and its number.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use drydock_runtime::wall;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use crate::Transport;
use crate::idle::Activity;
use crate::pipe::{self, PIECE, Piece, Reader, UNSENT, Writer};

/// How a message holds data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Raw,
    Base64,
}

/// Which way a channel goes. What comes in on others is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Ignored,
    /// From the client.
    Read,
    /// To the client.
    Write,
    Both,
}

/// How a WebSocket is served.
#[derive(Clone, Debug)]
pub struct Options {
    pub codec: Codec,
    /// Whether a client can close one channel (version 5).
    pub closes: bool,
    /// By number.
    pub channels: Vec<Direction>,
    /// After this long without a message the connection ends.
    pub idle_timeout: Duration,
}

/// Both ends of a channel that is not ignored.
#[derive(Debug)]
pub struct Channel {
    /// Ends at once when the channel is not for reading.
    pub reader: Reader,
    /// None when the channel is not for writing.
    pub writer: Option<Writer>,
}

/// The first byte of the message that closes a channel.
const CLOSE: u8 = 255;
/// How long is waited for the client's end of a connection that was closed here.
const LINGER: Duration = Duration::from_secs(5);

/// Serves channels on `socket`: a future that is the connection, to be run by the caller, and a channel for each
/// direction asked for. The connection is closed in good order once all writers are dropped.
pub fn serve<T: Transport>(
    socket: WebSocketStream<T>,
    options: Options,
) -> (impl Future<Output = Result<(), Error>> + Send + 'static, Vec<Channel>) {
    let (pieces, unsent) = mpsc::channel::<Piece>(UNSENT);
    let mut data = Vec::new();
    let mut channels = Vec::new();
    for (id, direction) in (0..).zip(&options.channels) {
        let (sender, reader) = pipe::reader();
        data.push(matches!(direction, Direction::Read | Direction::Both).then_some(sender));
        let writer = matches!(direction, Direction::Write | Direction::Both)
            .then(|| Writer::new(id, pieces.clone(), Arc::default()));
        channels.push(Channel { reader, writer });
    }
    let connection = async move {
        let (to, mut from) = socket.split();
        let activity = Activity::default();
        let sent = tokio::select! {
            received = receive(&mut from, &options, &mut data, &activity) => return received,
            sent = send(to, unsent, options.codec, &activity) => sent,
            () = activity.ceased(options.idle_timeout) => return Ok(()),
        };
        sent?;
        // The client answers the close, after which there is nothing more.
        wall::timeout(LINGER, async { while let Some(Ok(_)) = from.next().await {} }).await;
        Ok(())
    };
    (connection, channels)
}

/// Ends with the client's side of the connection.
async fn receive<T: Transport>(
    from: &mut SplitStream<WebSocketStream<T>>,
    options: &Options,
    channels: &mut [Option<mpsc::Sender<Bytes>>],
    activity: &Activity,
) -> Result<(), Error> {
    while let Some(message) = from.next().await {
        let message = match message? {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => Bytes::from(text),
            Message::Close(_) => return Ok(()),
            _ => continue,
        };
        activity.note();
        let Some((&first, rest)) = message.split_first() else { continue };
        if options.closes && first == CLOSE {
            // Anything else than the number of a channel is a broken client.
            let &[number] = rest else { return Ok(()) };
            let Some(channel) = channels.get_mut(usize::from(number)) else { return Ok(()) };
            *channel = None;
            continue;
        }
        let data = match options.codec {
            Codec::Raw => message.slice(1..),
            // What is no base64 is dropped, as upstream does.
            Codec::Base64 => STANDARD.decode(rest).map(Bytes::from).unwrap_or_default(),
        };
        let number = if options.codec == Codec::Base64 { first.wrapping_sub(b'0') } else { first };
        if let Some(Some(channel)) = channels.get(usize::from(number)) {
            hand_on(channel, data).await;
        }
    }
    Ok(())
}

async fn hand_on(channel: &mpsc::Sender<Bytes>, mut data: Bytes) {
    while !data.is_empty() {
        let piece = data.split_to(data.len().min(PIECE));
        if channel.send(piece).await.is_err() {
            return;
        }
    }
}

/// Ends when nobody can send anything any more, and all of it is sent.
async fn send<T: Transport>(
    mut to: SplitSink<WebSocketStream<T>, Message>,
    mut pieces: mpsc::Receiver<Piece>,
    codec: Codec,
    activity: &Activity,
) -> Result<(), Error> {
    while let Some(piece) = pieces.recv().await {
        // There is no message for the end of one channel in this direction.
        if piece.fin {
            continue;
        }
        to.send(message(&piece, codec)).await?;
        activity.note();
    }
    let frame = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::default() };
    to.send(Message::Close(Some(frame))).await
}

fn message(piece: &Piece, codec: Codec) -> Message {
    let number = u8::try_from(piece.id).unwrap_or(u8::MAX);
    match codec {
        Codec::Raw => {
            let mut bytes = BytesMut::with_capacity(piece.data.len() + 1);
            bytes.put_u8(number);
            bytes.put_slice(&piece.data);
            Message::Binary(bytes.freeze())
        }
        Codec::Base64 => {
            let mut text = String::from(char::from(b'0'.wrapping_add(number)));
            STANDARD.encode_string(&piece.data, &mut text);
            Message::text(text)
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    async fn start(
        codec: Codec,
    ) -> (WebSocketStream<tokio::io::DuplexStream>, Vec<Channel>, tokio::task::JoinHandle<Result<(), Error>>)
    {
        let (near, far) = tokio::io::duplex(1024);
        let client = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
        let options = Options {
            codec,
            closes: true,
            channels: vec![Direction::Read, Direction::Write, Direction::Ignored],
            idle_timeout: Duration::from_secs(60),
        };
        let (connection, channels) = serve(crate::websocket(far).await, options);
        #[expect(clippy::disallowed_methods, reason = "a test without a tenant")]
        let running = tokio::spawn(connection);
        (client, channels, running)
    }

    #[tokio::test]
    async fn channels_carry_bytes_and_close_one_by_one() {
        let (mut client, mut channels, running) = start(Codec::Raw).await;
        client.send(Message::binary(b"\x02ignored".to_vec())).await.unwrap();
        client.send(Message::binary(b"\x09nowhere".to_vec())).await.unwrap();
        client.send(Message::binary(b"\x00input".to_vec())).await.unwrap();
        client.send(Message::binary(vec![255, 0])).await.unwrap();
        let mut text = String::new();
        channels[0].reader.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "input");
        let mut writer = channels[1].writer.take().unwrap();
        assert_eq!(writer.write(b"").await.unwrap(), 0);
        writer.write_all(b"output").await.unwrap();
        drop((writer, channels));
        assert_eq!(client.next().await.unwrap().unwrap(), Message::binary(vec![1]));
        assert_eq!(client.next().await.unwrap().unwrap(), Message::binary(b"\x01output".to_vec()));
        let Message::Close(Some(frame)) = client.next().await.unwrap().unwrap() else { panic!("no close") };
        // Clients of Kubernetes take any other code for an error.
        assert_eq!(frame.code, CloseCode::Normal);
        while client.next().await.is_some() {}
        running.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn base64_is_text() {
        let (mut client, mut channels, _running) = start(Codec::Base64).await;
        client.send(Message::text("0aW5wdXQ=")).await.unwrap();
        let mut bytes = [0; 5];
        channels[0].reader.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"input");
        channels[1].writer.as_mut().unwrap().write_all(b"out").await.unwrap();
        assert_eq!(client.next().await.unwrap().unwrap(), Message::text("1b3V0"));
    }
}
