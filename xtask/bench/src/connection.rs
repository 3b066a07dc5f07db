//! One HTTP/1.1 connection over TLS that is kept open, as a client-go worker would.
//!
//! Written by hand, so that the measure costs little beside the server it measures: one task a connection, no header
//! maps, bodies counted and not kept.

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::kubeconfig::Target;

pub(crate) struct Connection {
    target: Target,
    stream: TlsStream<TcpStream>,
    /// What was received and not yet looked at.
    received: Vec<u8>,
    /// How much of `received` was looked at.
    at: usize,
}

/// What follows a response's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    /// Bytes still to come.
    Length(usize),
    /// Chunks; of the present one so many bytes are still to come. 0: before the first.
    Chunks(usize),
    /// Behind a chunk.
    NextChunk,
}

/// How much is read at a time.
const READ: usize = 64 * 1024;

/// How long a head may be.
const HEAD: usize = 64 * 1024;

impl Connection {
    pub(crate) async fn open(target: &Target) -> Result<Self> {
        let tcp = TcpStream::connect(&target.authority).await.context("connect")?;
        tcp.set_nodelay(true)?;
        let stream = target.tls.connect(target.server_name.clone(), tcp).await.context("TLS")?;
        Ok(Self { target: target.clone(), stream, received: Vec::new(), at: 0 })
    }

    /// Sends a request and reads the whole answer, which must be a success; answers its length in bytes.
    pub(crate) async fn call(
        &mut self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<usize> {
        self.send(method, path, content_type, body).await?;
        let (status, mut rest) = self.head().await?;
        let is_success = (200..300).contains(&status);
        let mut length = 0;
        let mut start = Vec::new();
        while let Some(data) = self.data(&mut rest).await? {
            length += data.len();
            if !is_success && start.len() < 500 {
                start.extend_from_slice(data);
            }
        }
        if !is_success {
            bail!("{method} {path}: {status}: {}", String::from_utf8_lossy(&start));
        }
        Ok(length)
    }

    /// Begins a watch, of which [`Stream::lines`] tells.
    pub(crate) async fn watch(mut self, path: &str) -> Result<Stream> {
        self.send("GET", path, "", &[]).await?;
        let (status, rest) = self.head().await?;
        if status != 200 {
            bail!("GET {path}: {status}");
        }
        Ok(Stream { connection: self, rest })
    }

    async fn send(&mut self, method: &str, path: &str, content_type: &str, body: &[u8]) -> Result<()> {
        let mut request = Vec::with_capacity(body.len() + 256);
        let mut line = |parts: &[&str]| {
            parts.iter().for_each(|part| request.extend_from_slice(part.as_bytes()));
            request.extend_from_slice(b"\r\n");
        };
        line(&[method, " ", path, " HTTP/1.1"]);
        line(&["host: ", &self.target.authority]);
        line(&["accept: application/json"]);
        if let Some(token) = &self.target.bearer {
            line(&["authorization: Bearer ", token]);
        }
        if !body.is_empty() {
            line(&["content-type: ", content_type]);
            line(&["content-length: ", &body.len().to_string()]);
        }
        line(&[]);
        request.extend_from_slice(body);
        self.stream.write_all(&request).await?;
        Ok(self.stream.flush().await?)
    }

    /// Reads a response's head: its status, and what follows.
    async fn head(&mut self) -> Result<(u16, Body)> {
        let end = loop {
            let unseen = &self.received[self.at..];
            if let Some(end) = unseen.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            if unseen.len() > HEAD {
                bail!("a response's head has no end");
            }
            self.more().await?;
        };
        let head = String::from_utf8_lossy(&self.received[self.at..self.at + end]).into_owned();
        self.at += end + 4;
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).context("no status")?.parse()?;
        let mut body = Body::Length(0);
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            let value = value.trim();
            if name.eq_ignore_ascii_case("content-length") {
                body = Body::Length(value.parse()?);
            } else if name.eq_ignore_ascii_case("transfer-encoding") && value == "chunked" {
                body = Body::Chunks(0);
            }
        }
        Ok((status, body))
    }

    /// The next piece of a body; None at its end.
    async fn data(&mut self, body: &mut Body) -> Result<Option<&[u8]>> {
        if *body == Body::NextChunk {
            // The end of the line behind a chunk.
            self.line().await?;
            *body = Body::Chunks(0);
        }
        if *body == Body::Chunks(0) {
            *body = match self.chunk().await? {
                0 => Body::Length(0),
                length => Body::Chunks(length),
            };
        }
        let left = match *body {
            Body::Length(left) | Body::Chunks(left) if left > 0 => left,
            _ => return Ok(None),
        };
        if self.at == self.received.len() {
            self.more().await?;
        }
        let from = self.at;
        let taken = left.min(self.received.len() - from);
        self.at += taken;
        *body = match body {
            Body::Chunks(_) if left == taken => Body::NextChunk,
            Body::Chunks(_) => Body::Chunks(left - taken),
            _ => Body::Length(left - taken),
        };
        Ok(Some(&self.received[from..from + taken]))
    }

    /// The length of the next chunk; 0 at the end.
    async fn chunk(&mut self) -> Result<usize> {
        let line = self.line().await?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let length = usize::from_str_radix(digits, 16).with_context(|| format!("chunk length {line:?}"))?;
        if length == 0 {
            self.line().await?;
        }
        Ok(length)
    }

    async fn line(&mut self) -> Result<String> {
        loop {
            let unseen = &self.received[self.at..];
            if let Some(end) = unseen.windows(2).position(|two| two == b"\r\n") {
                let line = String::from_utf8_lossy(&unseen[..end]).into_owned();
                self.at += end + 2;
                return Ok(line);
            }
            if unseen.len() > HEAD {
                bail!("a line has no end");
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<()> {
        self.received.drain(..self.at);
        self.at = 0;
        self.received.reserve(READ);
        if self.stream.read_buf(&mut self.received).await? == 0 {
            bail!("the server closed the connection");
        }
        Ok(())
    }
}

/// A watch that goes on.
pub(crate) struct Stream {
    connection: Connection,
    rest: Body,
}

impl Stream {
    /// Waits for more; how many lines, which are events, came. None at the end.
    pub(crate) async fn lines(&mut self) -> Result<Option<u64>> {
        let data = self.connection.data(&mut self.rest).await?;
        Ok(data.map(|data| data.iter().filter(|byte| **byte == b'\n').count() as u64))
    }
}
