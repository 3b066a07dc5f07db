//! Request targets as Go's server takes them: bytes that RFC 3986 forbids, such as a raw `>` in a query, are escaped
//! before HTTP/1.1 is parsed, which would refuse them.
//!
//! Deliberately absent: HTTP/2, whose targets are compressed; bodies of unknown length and upgraded connections, behind
//! which no further request is looked at.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are read at once while a head is awaited.
const CHUNK: usize = 8 * 1024;
/// A head that is longer passes unseen, to be refused or not.
const LONGEST_HEAD: usize = 256 << 10;

/// A connection whose requests' targets are made acceptable.
pub(super) struct Lenient<S> {
    inner: S,
    state: State,
    /// Bytes that belong to a head whose end is not in sight.
    head: Vec<u8>,
    /// What is to be handed on next, and how much of it has been.
    ready: Vec<u8>,
    handed: usize,
}

/// What the next bytes are.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Head,
    /// So many more bytes of a body.
    Body(u64),
    /// Whatever comes.
    Through,
}

impl<S> Lenient<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner, state: State::Head, head: Vec::new(), ready: Vec::new(), handed: 0 }
    }

    /// Takes in what was read while a head was awaited.
    fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.state {
                State::Head => {
                    let before = self.head.len();
                    self.head.extend_from_slice(bytes);
                    let from = before.saturating_sub(3);
                    let Some(end) = end_of_head(&self.head[from..]).map(|end| end + from) else {
                        if self.head.len() > LONGEST_HEAD {
                            self.give_up();
                        }
                        return;
                    };
                    bytes = &bytes[end - before..];
                    self.head.truncate(end);
                    self.state = after(&self.head);
                    let head = std::mem::take(&mut self.head);
                    escape(&head, &mut self.ready);
                }
                State::Body(left) => {
                    let own = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
                    self.ready.extend_from_slice(&bytes[..own]);
                    bytes = &bytes[own..];
                    self.pass(own);
                }
                State::Through => {
                    self.ready.extend_from_slice(bytes);
                    return;
                }
            }
        }
    }

    fn pass(&mut self, bytes: usize) {
        if let State::Body(left) = self.state {
            let left = left.saturating_sub(bytes as u64);
            self.state = if left == 0 { State::Head } else { State::Body(left) };
        }
    }

    fn give_up(&mut self) {
        self.ready.append(&mut self.head);
        self.state = State::Through;
    }
}

/// Where the first head ends, its empty line included. Lines may end without a carriage return.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let mut ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    ends.find_map(|at| match bytes[at..] {
        [b'\n', ..] => Some(at + 1),
        [b'\r', b'\n', ..] => Some(at + 2),
        _ => None,
    })
}

/// What follows a head.
fn after(head: &[u8]) -> State {
    let mut length = 0;
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            let text = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            let Some(given) = text else { return State::Through };
            length = given;
        }
        if name.eq_ignore_ascii_case(b"transfer-encoding") || name.eq_ignore_ascii_case(b"upgrade") {
            return State::Through;
        }
    }
    // What HTTP/2 begins with looks like a head.
    if head.starts_with(b"PRI ") || head.starts_with(b"CONNECT ") {
        return State::Through;
    }
    if length == 0 { State::Head } else { State::Body(length) }
}

/// Appends a head, with what its target may not have written as `%3E`.
fn escape(head: &[u8], out: &mut Vec<u8>) {
    let line = head.iter().position(|byte| matches!(byte, b'\r' | b'\n')).unwrap_or(head.len());
    let first = head[..line].iter().position(|byte| *byte == b' ');
    let last = head[..line].iter().rposition(|byte| *byte == b' ');
    let (Some(first), Some(last)) = (first, last) else { return out.extend_from_slice(head) };
    if first >= last || !head[first..last].iter().any(is_forbidden) {
        return out.extend_from_slice(head);
    }
    out.extend_from_slice(&head[..first]);
    for byte in &head[first..last] {
        if is_forbidden(byte) {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            out.push(*byte);
        }
    }
    out.extend_from_slice(&head[last..]);
}

/// What Go takes as it is, and the parser here refuses in a path or a query.
fn is_forbidden(byte: &u8) -> bool {
    matches!(byte, b'"' | b'#' | b'<' | b'>' | b'`' | b'{' | b'}' | 0x80..)
}

impl<S: AsyncRead + Unpin> AsyncRead for Lenient<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.handed < this.ready.len() {
                let left = &this.ready[this.handed..];
                let now = left.len().min(buf.remaining());
                buf.put_slice(&left[..now]);
                this.handed += now;
                if this.handed == this.ready.len() {
                    this.ready.clear();
                    this.handed = 0;
                }
                return Poll::Ready(Ok(()));
            }
            match this.state {
                State::Head => {
                    let mut chunk = [MaybeUninit::uninit(); CHUNK];
                    let mut read = ReadBuf::uninit(&mut chunk);
                    ready!(Pin::new(&mut this.inner).poll_read(cx, &mut read))?;
                    if read.filled().is_empty() {
                        if this.head.is_empty() {
                            return Poll::Ready(Ok(()));
                        }
                        this.give_up();
                    }
                    this.feed(read.filled());
                }
                State::Body(left) => {
                    let most = usize::try_from(left).unwrap_or(usize::MAX).min(buf.remaining());
                    let mut limited = ReadBuf::new(buf.initialize_unfilled_to(most));
                    ready!(Pin::new(&mut this.inner).poll_read(cx, &mut limited))?;
                    let filled = limited.filled().len();
                    buf.advance(filled);
                    this.pass(filled);
                    return Poll::Ready(Ok(()));
                }
                State::Through => return Pin::new(&mut this.inner).poll_read(cx, buf),
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Lenient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// What comes out of `bytes` when they come in pieces of `size`.
    async fn read(bytes: &[u8], size: usize) -> String {
        let (mut client, server) = tokio::io::duplex(size);
        let bytes = bytes.to_vec();
        let write = async move {
            tokio::io::AsyncWriteExt::write_all(&mut client, &bytes).await.unwrap();
        };
        let mut out = Vec::new();
        let mut lenient = Lenient::new(server);
        let (_, read) = futures::join!(write, lenient.read_to_end(&mut out));
        read.unwrap();
        String::from_utf8(out).unwrap()
    }

    #[tokio::test]
    async fn targets_are_escaped_and_nothing_else() {
        let given = "GET /a<b?x=\"1\">2==3 HTTP/1.1\r\nHost: <h>\r\n\r\n\
                     POST /c HTTP/1.1\r\ncontent-length: 7\r\n\r\nA > B\r\n\
                     GET /d?> HTTP/1.1\r\n\r\n\
                     POST /e?> HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /> HTTP/1.1\r\n\r\n";
        let expected = given
            .replace("/a<b?x=\"1\">2==3", "/a%3Cb?x=%221%22%3E2==3")
            .replace("/d?>", "/d?%3E")
            .replace("/e?>", "/e?%3E");
        for size in [1, 3, 50, 4096] {
            assert_eq!(read(given.as_bytes(), size).await, expected, "in pieces of {size}");
        }
        let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nGET /> X\r\n\r\n";
        assert_eq!(read(preface.as_bytes(), 9).await, preface);
        assert_eq!(read(b"GET /unfinished>", 5).await, "GET /unfinished>");
        let bare = "GET /?> HTTP/1.1\nHost: h\nContent-Length: 2\n\n>>GET /> HTTP/1.1\n\n";
        assert_eq!(read(bare.as_bytes(), 4).await, bare.replace("/?>", "/?%3E").replace("/> ", "/%3E "));
    }
}
