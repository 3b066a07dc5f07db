//! The standard streams of processes, shared by those who have the same one.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream};
use tokio::sync::Mutex;

use super::budget::Held;

/// Bytes that wait in a pipe.
pub(crate) const PIPE: usize = 16 * 1024;

/// Where a process reads from.
#[derive(Clone)]
pub(crate) struct Input(Option<Arc<Mutex<Box<dyn AsyncRead + Send + Unpin>>>>);

impl Input {
    /// Ends at once.
    pub(crate) fn empty() -> Self {
        Self(None)
    }

    pub(crate) fn new(from: impl AsyncRead + Send + Unpin + 'static) -> Self {
        Self(Some(Arc::new(Mutex::new(Box::new(from)))))
    }

    pub(crate) fn of(content: Arc<Vec<u8>>) -> Self {
        struct Content(Arc<Vec<u8>>);
        impl AsRef<[u8]> for Content {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }
        Self::new(io::Cursor::new(Content(content)))
    }

    /// Some bytes; 0 at the end.
    pub(crate) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.0 {
            Some(from) => from.lock().await.read(buffer).await,
            None => Ok(0),
        }
    }

    /// A line without its end, byte by byte so that others can read what follows it; None at the end.
    pub(crate) async fn line(&self, longest: usize) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        let mut byte = [0];
        while self.read(&mut byte).await? == 1 {
            if byte[0] == b'\n' {
                return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
            }
            if line.len() < longest {
                line.push(byte[0]);
            }
        }
        Ok((!line.is_empty()).then(|| String::from_utf8_lossy(&line).into_owned()))
    }

    /// All of it, or the first `most` bytes. They are counted in `held`.
    ///
    /// # Errors
    /// Also when more is held than may be.
    pub(crate) async fn all(&self, most: usize, held: &mut Held) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            match self.read(&mut buffer).await? {
                0 => return Ok(all),
                _ if all.len() >= most => return Ok(all),
                read if held.grow(read) => all.extend_from_slice(&buffer[..read]),
                _ => return Err(io::Error::other("out of memory")),
            }
        }
    }
}

/// Where a process writes to.
#[derive(Clone)]
pub(crate) struct Output {
    to: Option<Arc<Mutex<Box<dyn AsyncWrite + Send + Unpin>>>>,
    /// A line feed becomes a carriage return and a line feed.
    terminal: bool,
}

impl Output {
    /// Takes everything.
    pub(crate) fn sink() -> Self {
        Self { to: None, terminal: false }
    }

    pub(crate) fn new(to: impl AsyncWrite + Send + Unpin + 'static) -> Self {
        Self { to: Some(Arc::new(Mutex::new(Box::new(to)))), terminal: false }
    }

    pub(crate) fn terminal(to: impl AsyncWrite + Send + Unpin + 'static) -> Self {
        Self { terminal: true, ..Self::new(to) }
    }

    /// # Errors
    /// When nobody reads it any more.
    pub(crate) async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let Some(to) = &self.to else { return Ok(()) };
        let mut to = to.lock().await;
        if self.terminal && bytes.contains(&b'\n') {
            let mut out = Vec::with_capacity(bytes.len() + 16);
            for byte in bytes {
                if *byte == b'\n' {
                    out.push(b'\r');
                }
                out.push(*byte);
            }
            return to.write_all(&out).await;
        }
        to.write_all(bytes).await
    }
}

/// The standard streams of one process.
#[derive(Clone)]
pub(crate) struct Io {
    pub(crate) stdin: Input,
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
}

pub(crate) fn pipe() -> (Output, DuplexStream) {
    let (near, far) = tokio::io::duplex(PIPE);
    (Output::new(near), far)
}
