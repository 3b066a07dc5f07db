//! Exec and attach: a process's streams over channels of a WebSocket or streams of SPDY.
//!
//! Upstream's API server translates version 5 of the WebSocket protocol to SPDY itself, and so answers the upgrade
//! before it asks the kubelet: errors come on the error channel. All else goes through to the kubelet.

use std::sync::Arc;

use drydock_machinery::{Object, Status, Value, value};
use drydock_runtime::wall;
use drydock_streams::channels::{self, Codec, Direction};
use drydock_streams::handshake::{self, Upgrade};
use drydock_streams::pipe::{Reader, Writer};
use drydock_streams::{Transport, spdy, websocket};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::upgrade::take;
use super::{IDLE_TIMEOUT, STREAM_CREATION_TIMEOUT, dial_failed, nodes, refused};
use crate::http::Answer;
use crate::http::handler::Req;
use crate::seams::{DialError, ExecOptions, ExecStreams, Exit};

const V5: &str = "v5.channel.k8s.io";
/// What kubelets speak, best first.
const SPDY: [&str; 4] = ["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"];
const WEBSOCKET: [&str; 5] =
    ["", "channel.k8s.io", "base64.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io"];
const NO_STREAMS: &str = "you must specify at least 1 of stdin, stdout, stderr";
/// What is left of resize events that make no sense.
const LONGEST_RESIZE: usize = 4096;

/// How the end of the process is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Nothing for success, else a text: before version 4.
    Text,
    /// A Status.
    Json,
    /// A Status, as the API server makes it of the one that it was told.
    Translated,
}

/// The client's ends of the streams.
struct Session {
    stdin: Option<Reader>,
    stdout: Option<Writer>,
    stderr: Option<Writer>,
    resize: Option<Reader>,
    status: Writer,
    form: Form,
}

pub(super) async fn serve(request: &Req, pod: Arc<Object>, options: ExecOptions) -> Result<Answer, Status> {
    let headers = &request.parts.headers;
    match super::upgrade(request)? {
        Upgrade::WebSocket if handshake::subprotocols(headers).contains(&V5) => {
            translated(request, pod, options)
        }
        Upgrade::WebSocket => {
            let process = match start(request, &pod, options.clone()).await? {
                Ok(process) => process,
                Err(error) => return dial_failed(error),
            };
            proxied_websocket(request, &options, process)
        }
        Upgrade::Other => {
            let process = match start(request, &pod, options.clone()).await? {
                Ok(process) => process,
                Err(error) => return dial_failed(error),
            };
            proxied_spdy(request, options, process)
        }
    }
}

async fn start(
    request: &Req,
    pod: &Object,
    options: ExecOptions,
) -> Result<Result<ExecStreams, DialError>, Status> {
    if !options.stdin && !options.stdout && !options.stderr {
        return Ok(Err(DialError::Refused { code: 400, text: NO_STREAMS.to_owned() }));
    }
    Ok(nodes(request)?.exec(pod, options).await)
}

/// Version 5: upgraded first, then the kubelet is asked.
fn translated(request: &Req, pod: Arc<Object>, options: ExecOptions) -> Result<Answer, Status> {
    let answer = match handshake::websocket(&request.parts.method, &request.parts.headers, V5) {
        Ok(answer) => answer,
        Err(refusal) => return Ok(refused(refusal)),
    };
    let nodes = nodes(request)?.clone();
    let none = !options.stdin && !options.stdout && !options.stderr;
    Ok(take(request)?.switch(request, answer, move |io| async move {
        let (connection, mut session) = open_channels(io, &options, Codec::Raw, Form::Translated).await;
        let session = async move {
            let started = if none {
                Err(DialError::Refused { code: 400, text: NO_STREAMS.to_owned() })
            } else {
                nodes.exec(&pod, options.clone()).await
            };
            session.greet().await;
            match started {
                Ok(process) => session.run(process, &options).await,
                Err(error) => session.refuse(&error).await,
            }
        };
        until_closed(connection, session).await;
    }))
}

fn proxied_websocket(request: &Req, options: &ExecOptions, process: ExecStreams) -> Result<Answer, Status> {
    let headers = &request.parts.headers;
    let answer = handshake::agree(&handshake::subprotocols(headers), &WEBSOCKET)
        .and_then(|name| Ok((name, handshake::websocket(&request.parts.method, headers, name)?)));
    let (protocol, answer) = match answer {
        Ok(answer) => answer,
        Err(refusal) => return Ok(refused(refusal)),
    };
    let codec = if protocol.contains("base64") { Codec::Base64 } else { Codec::Raw };
    let form = if protocol.starts_with("v4.") { Form::Json } else { Form::Text };
    let options = options.clone();
    Ok(take(request)?.switch(request, answer, move |io| async move {
        let (connection, mut session) = open_channels(io, &options, codec, form).await;
        let session = async move {
            session.greet().await;
            session.run(process, &options).await;
        };
        until_closed(connection, session).await;
    }))
}

/// The channels of a WebSocket: input, output, errors, status, resize.
async fn open_channels<T: Transport>(
    io: T,
    options: &ExecOptions,
    codec: Codec,
    form: Form,
) -> (impl Future<Output = ()> + Send + use<T>, Session) {
    let only = |asked: bool, direction: Direction| if asked { direction } else { Direction::Ignored };
    let wanted = channels::Options {
        codec,
        closes: form == Form::Translated,
        channels: vec![
            only(options.stdin, Direction::Read),
            only(options.stdout, Direction::Write),
            only(options.stderr, Direction::Write),
            Direction::Write,
            Direction::Read,
        ],
        idle_timeout: IDLE_TIMEOUT,
    };
    let (connection, channels) = channels::serve(websocket(io).await, wanted);
    let mut channels = channels.into_iter();
    let mut next = move || channels.next().map_or((None, None), |one| (Some(one.reader), one.writer));
    let (stdin, stdout, stderr, status, resize) = (next().0, next().1, next().1, next().1, next().0);
    let session = Session {
        stdin,
        stdout,
        stderr,
        resize,
        // There is always one: it was asked for above.
        status: status.unwrap_or_else(Writer::closed),
        form,
    };
    let connection = async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a WebSocket ended");
        }
    };
    (connection, session)
}

fn proxied_spdy(request: &Req, options: ExecOptions, process: ExecStreams) -> Result<Answer, Status> {
    let (protocol, answer) = match handshake::spdy(&request.parts.headers, &SPDY) {
        Ok(agreed) => agreed,
        Err(refusal) => return Ok(refused(refusal)),
    };
    let resizes = protocol.starts_with("v4.") || protocol.starts_with("v3.");
    let form = if protocol.starts_with("v4.") { Form::Json } else { Form::Text };
    Ok(take(request)?.switch(request, answer, move |io| async move {
        let accept: spdy::Accept = |_| true;
        let limits = spdy::Options { accept, most_streams: 8, idle_timeout: IDLE_TIMEOUT };
        let (connection, mut streams) = spdy::serve(io, limits);
        let session = async move {
            let collected = collect(&mut streams, &options, resizes, form);
            if let Some(Some(session)) = wall::timeout(STREAM_CREATION_TIMEOUT, collected).await {
                session.run(process, &options).await;
            }
        };
        let connection = async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a SPDY connection ended");
            }
        };
        until_closed(connection, session).await;
    }))
}

/// Waits for as many streams as the client announced.
async fn collect(
    streams: &mut spdy::Streams,
    options: &ExecOptions,
    resizes: bool,
    form: Form,
) -> Option<Session> {
    let (mut stdin, mut stdout, mut stderr, mut resize, mut status) = (None, None, None, None, None);
    let asked = [options.stdin, options.stdout, options.stderr, options.tty && resizes];
    let mut missing = 1 + asked.iter().filter(|asked| **asked).count();
    while missing > 0 {
        let stream = streams.next().await?;
        match stream.headers.get("streamtype") {
            "error" => status = Some(stream.writer),
            "stdin" => stdin = Some(stream.reader),
            "stdout" => stdout = Some(stream.writer),
            "stderr" => stderr = Some(stream.writer),
            "resize" if resizes => resize = Some(stream.reader),
            _ => continue,
        }
        missing -= 1;
    }
    Some(Session { stdin, stdout, stderr, resize, status: status?, form })
}

/// Runs both; what the session has sent still goes out when it is done, and it ends when the client is gone.
async fn until_closed(connection: impl Future<Output = ()>, session: impl Future<Output = ()>) {
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        () = &mut connection => return,
        () = session => {}
    }
    connection.await;
}

impl Session {
    /// An empty message tells a WebSocket's client that the connection stands.
    async fn greet(&mut self) {
        let first = self.stdout.as_mut().or(self.stderr.as_mut()).unwrap_or(&mut self.status);
        let _ = first.write(&[]).await;
    }

    async fn run(mut self, process: ExecStreams, options: &ExecOptions) {
        let exit = self.carry(process).await;
        let text = self.form.status(&exit, options);
        let _ = self.status.write_all(&text).await;
        // Clients wait for the end of each stream that they have opened.
        for writer in [&mut self.stdout, &mut self.stderr].into_iter().flatten() {
            let _ = writer.shutdown().await;
        }
        let _ = self.status.shutdown().await;
    }

    /// Copies what goes in and out until the process has ended.
    async fn carry(&mut self, process: ExecStreams) -> Exit {
        let ExecStreams { stdin, stdout, stderr, resize, exit } = process;
        let input = async {
            if let (Some(from), Some(mut to)) = (&mut self.stdin, stdin) {
                let _ = tokio::io::copy(from, &mut to).await;
                let _ = to.shutdown().await;
            }
        };
        let sizes = async {
            if let (Some(from), Some(to)) = (&mut self.resize, resize) {
                pass_sizes(from, &to).await;
            }
        };
        let work = async {
            let (exit, (), ()) =
                tokio::join!(exit, pass(stdout, &mut self.stdout), pass(stderr, &mut self.stderr));
            exit
        };
        let (mut inputs, mut work) =
            (std::pin::pin!(async { tokio::join!(input, sizes) }), std::pin::pin!(work));
        tokio::select! {
            exit = &mut work => exit,
            _ = &mut inputs => work.await,
        }
    }

    /// Tells of a kubelet that has not given the streams.
    async fn refuse(mut self, error: &DialError) {
        let why = match error {
            DialError::Unreachable(why) => format!("error dialing backend: {why}"),
            DialError::Refused { text, .. } => format!("unable to upgrade connection: {text}"),
        };
        let _ = self.status.write_all(&internal(&why).to_json()).await;
    }
}

/// Copies until the process has closed its end, then tells the client that there is no more.
async fn pass(from: Option<Box<dyn AsyncRead + Send + Unpin>>, to: &mut Option<Writer>) {
    let Some(mut from) = from else { return };
    match to {
        Some(to) => {
            if tokio::io::copy(&mut from, to).await.is_ok() {
                let _ = to.shutdown().await;
            }
        }
        None => drop(tokio::io::copy(&mut from, &mut tokio::io::sink()).await),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Size {
    width: u16,
    height: u16,
}

/// Reads a terminal's sizes, which are JSON objects one after another.
async fn pass_sizes(from: &mut Reader, to: &mpsc::Sender<(u16, u16)>) {
    let mut buffer = Vec::new();
    while from.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
        let mut sizes = serde_json::Deserializer::from_slice(&buffer).into_iter::<Size>();
        let mut newest = None;
        while let Some(Ok(size)) = sizes.next() {
            newest = Some(size);
        }
        let done = sizes.byte_offset();
        buffer.drain(..done);
        if let Some(size) = newest
            && to.send((size.width, size.height)).await.is_err()
        {
            return;
        }
        if buffer.len() > LONGEST_RESIZE {
            return;
        }
    }
}

impl Form {
    /// What goes over the error stream.
    fn status(self, exit: &Exit, options: &ExecOptions) -> Vec<u8> {
        let mut status = match exit {
            Exit::Code(0) => value!({"status": "Success"}),
            Exit::Code(code) => {
                let why = if self == Self::Translated {
                    format!("command terminated with exit code {code}")
                } else {
                    let command = options.command.as_deref().unwrap_or_default().join(" ");
                    format!("error executing command [{command}], exit code {code}")
                };
                value!({
                    "status": "Failure", "reason": "NonZeroExitCode",
                    "message": format!("command terminated with non-zero exit code: {why}"),
                    "details": {"causes": [{"reason": "ExitCode", "message": code.to_string()}]},
                })
            }
            Exit::Failed(why) => {
                let what = if options.command.is_some() {
                    "error executing command in container"
                } else {
                    "error attaching to container"
                };
                let message = format!("Internal error occurred: {what}: {why}");
                if self == Self::Translated {
                    internal(&message)
                } else {
                    value!({"status": "Failure", "reason": "InternalError", "message": message, "code": 500})
                }
            }
        };
        match self {
            Self::Text if matches!(exit, Exit::Code(0)) => Vec::new(),
            Self::Text => status.str_at(&["message"]).as_bytes().to_vec(),
            Self::Json => status.to_json(),
            Self::Translated => {
                status.set(&["metadata"], Value::object());
                status.to_json()
            }
        }
    }
}

fn internal(why: &str) -> Value {
    value!({
        "metadata": {}, "status": "Failure", "message": format!("Internal error occurred: {why}"),
        "reason": "InternalError", "details": {"causes": [{"message": why}]}, "code": 500,
    })
}
