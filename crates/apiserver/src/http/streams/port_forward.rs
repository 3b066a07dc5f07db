//! Port-forward: connections to a pod's ports over SPDY, SPDY in a WebSocket, or channels of a WebSocket.

use std::collections::HashMap;
use std::sync::Arc;

use drydock_machinery::{Object, Status};
use drydock_runtime::Stopwatch;
use drydock_streams::channels::{self, Codec, Direction};
use drydock_streams::handshake::{self, Upgrade};
use drydock_streams::pipe::{Reader, Writer};
use drydock_streams::spdy::{self, Headers};
use drydock_streams::tunnel::Tunnel;
use drydock_streams::{Transport, websocket};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::io::AsyncWriteExt;

use super::upgrade::take;
use super::{IDLE_TIMEOUT, STREAM_CREATION_TIMEOUT, dial_failed, nodes, refused};
use crate::http::Answer;
use crate::http::handler::Req;
use crate::seams::{DialError, NodeDialer};

const SPDY: [&str; 1] = ["portforward.k8s.io"];
const WEBSOCKET: [&str; 3] = ["", "v4.channel.k8s.io", "v4.base64.channel.k8s.io"];
/// Streams of one connection that are open at the same time; each forwarded connection has two.
const MOST_STREAMS: usize = 512;
/// Ports of one WebSocket: a channel's number is a byte, and each port has two.
const MOST_PORTS: usize = 127;

/// The pod, and the way to its ports.
#[derive(Clone)]
struct Target {
    nodes: Arc<dyn NodeDialer>,
    pod: Arc<Object>,
}

pub(super) async fn serve(request: &Req, pod: Arc<Object>) -> Result<Answer, Status> {
    let headers = &request.parts.headers;
    let asked = super::upgrade(request)?;
    let nodes = nodes(request)?.clone();
    let tunnels = asked == Upgrade::WebSocket && !handshake::tunnelled(headers).is_empty();
    let ports = match asked {
        Upgrade::WebSocket if !tunnels => match ports(request) {
            Ok(ports) => ports,
            Err(text) => return dial_failed(DialError::Refused { code: 400, text }),
        },
        _ => Vec::new(),
    };
    if let Err(error) = nodes.forwardable(&pod).await {
        return dial_failed(error);
    }
    let target = Target { nodes, pod };
    match asked {
        Upgrade::WebSocket if tunnels => tunnelled(request, target),
        Upgrade::WebSocket => channelled(request, target, ports),
        Upgrade::Other => {
            let answer = match handshake::spdy(headers, &SPDY) {
                Ok((_, answer)) => answer,
                Err(refusal) => return Ok(refused(refusal)),
            };
            Ok(take(request)?.switch(request, answer, move |io| forward_streams(io, target)))
        }
    }
}

fn tunnelled(request: &Req, target: Target) -> Result<Answer, Status> {
    let headers = &request.parts.headers;
    let answer = handshake::tunnel(headers, &SPDY)
        .and_then(|name| handshake::websocket(&request.parts.method, headers, &name));
    match answer {
        Ok(answer) => Ok(take(request)?.switch(request, answer, move |io| async move {
            forward_streams(Tunnel::new(websocket(io).await), target).await;
        })),
        Err(refusal) => Ok(refused(refusal)),
    }
}

/// SPDY: a stream of data and one of errors for each forwarded connection, joined by the request's identifier.
async fn forward_streams<T: Transport>(io: T, target: Target) {
    let options = spdy::Options { accept: is_valid, most_streams: MOST_STREAMS, idle_timeout: IDLE_TIMEOUT };
    let (connection, mut streams) = spdy::serve(io, options);
    let mut connection = std::pin::pin!(connection);
    let mut pairs = Pairs::default();
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            ended = &mut connection => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a SPDY connection ended");
                }
                return;
            }
            Some(stream) = streams.next() => {
                if let Some(pair) = pairs.add(stream) {
                    running.push(pair.forward(&target));
                }
            }
            Some(()) = running.next() => {}
        }
    }
}

fn is_valid(headers: &Headers) -> bool {
    let port: Option<u16> = headers.get("port").parse().ok();
    port.is_some_and(|port| port > 0) && matches!(headers.get("streamtype"), "data" | "error")
}

/// Both streams of a forwarded connection.
struct Pair {
    port: u16,
    data: (Reader, Writer),
    errors: Writer,
}

/// Streams that wait for their other half.
#[derive(Default)]
struct Pairs(HashMap<String, (spdy::Stream, Stopwatch)>);

impl Pairs {
    /// Answers the pair that `stream` completes.
    fn add(&mut self, stream: spdy::Stream) -> Option<Pair> {
        self.0.retain(|_, (_, since)| since.elapsed() < STREAM_CREATION_TIMEOUT);
        let is_data = |stream: &spdy::Stream| stream.headers.get("streamtype") == "data";
        let id = match stream.headers.get("requestid") {
            // Clients of old give none; their streams of data follow those of errors.
            "" if is_data(&stream) => stream.id.saturating_sub(2).to_string(),
            "" => stream.id.to_string(),
            id => id.to_owned(),
        };
        let Some((other, since)) = self.0.remove(&id) else {
            self.0.insert(id, (stream, Stopwatch::start()));
            return None;
        };
        if is_data(&other) == is_data(&stream) {
            self.0.insert(id, (other, since));
            return None;
        }
        let (data, errors) = if is_data(&stream) { (stream, other) } else { (other, stream) };
        // Its validity was checked when the stream was accepted.
        let port = data.headers.get("port").parse().unwrap_or(0);
        Some(Pair { port, data: (data.reader, data.writer), errors: errors.writer })
    }
}

impl Pair {
    async fn forward(mut self, target: &Target) {
        let (reader, writer) = self.data;
        if let Err(why) = target.forward(self.port, reader, writer).await {
            let _ = self.errors.write_all(why.as_bytes()).await;
        }
        let _ = self.errors.shutdown().await;
    }
}

impl Target {
    /// Ends when the pod has closed its end.
    async fn forward(&self, port: u16, mut from: Reader, mut to: Writer) -> Result<(), String> {
        let connected = self.nodes.port_forward(&self.pod, port).await;
        let stream = match connected {
            Ok(stream) => stream,
            Err(why) => {
                let _ = to.shutdown().await;
                return Err(why);
            }
        };
        let (mut read, mut write) = tokio::io::split(stream);
        let up = async {
            let _ = tokio::io::copy(&mut from, &mut write).await;
            let _ = write.shutdown().await;
            // The client may be done while the pod still answers.
            std::future::pending::<()>().await;
        };
        let down = async {
            let _ = tokio::io::copy(&mut read, &mut to).await;
            let _ = to.shutdown().await;
        };
        tokio::select! {
            () = up => {}
            () = down => {}
        }
        Ok(())
    }
}

/// Channels: for each port one of data and one of errors, which both begin with the port's number.
fn channelled(request: &Req, target: Target, ports: Vec<u16>) -> Result<Answer, Status> {
    let headers = &request.parts.headers;
    let answer = handshake::agree(&handshake::subprotocols(headers), &WEBSOCKET)
        .and_then(|name| Ok((name, handshake::websocket(&request.parts.method, headers, name)?)));
    let (protocol, answer) = match answer {
        Ok(answer) => answer,
        Err(refusal) => return Ok(refused(refusal)),
    };
    let codec = if protocol.contains("base64") { Codec::Base64 } else { Codec::Raw };
    Ok(take(request)?.switch(request, answer, move |io| async move {
        let options = channels::Options {
            codec,
            closes: false,
            channels: ports.iter().flat_map(|_| [Direction::Both, Direction::Write]).collect(),
            idle_timeout: IDLE_TIMEOUT,
        };
        let (connection, channels) = channels::serve(websocket(io).await, options);
        let mut connection = std::pin::pin!(connection);
        let forwarding = forward_channels(&target, &ports, channels);
        tokio::select! {
            _ = &mut connection => return,
            () = forwarding => {}
        }
        let _ = connection.await;
    }))
}

async fn forward_channels(target: &Target, ports: &[u16], channels: Vec<channels::Channel>) {
    let mut channels = channels.into_iter();
    let running: FuturesUnordered<_> = ports
        .iter()
        .filter_map(|port| {
            let (data, errors) = (channels.next()?, channels.next()?);
            let (mut writer, mut errors) = (data.writer?, errors.writer?);
            Some(async move {
                let number = port.to_le_bytes();
                if writer.write_all(&number).await.is_ok() && errors.write_all(&number).await.is_ok() {
                    let pair = Pair { port: *port, data: (data.reader, writer), errors };
                    pair.forward(target).await;
                }
            })
        })
        .collect();
    running.for_each(|()| std::future::ready(())).await;
}

/// The ports of a WebSocket's request.
fn ports(request: &Req) -> Result<Vec<u16>, String> {
    let mut ports = Vec::new();
    for text in request.query.all("ports") {
        if text.is_empty() {
            return Err("query parameter \"port\" cannot be empty".to_owned());
        }
        for one in text.split(',') {
            match one.parse::<u16>() {
                Ok(0) => return Err(format!("port {text:?} must be > 0")),
                Ok(port) => ports.push(port),
                Err(_) => {
                    let why = format!("strconv.ParseUint: parsing {one:?}: invalid syntax");
                    return Err(format!("unable to parse {text:?} as a port: {why}"));
                }
            }
        }
    }
    match ports.len() {
        0 => Err("query parameter \"port\" is required".to_owned()),
        1..=MOST_PORTS => Ok(ports),
        _ => Err(format!("no more than {MOST_PORTS} ports can be forwarded at once")),
    }
}
