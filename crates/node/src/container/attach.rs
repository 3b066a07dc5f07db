//! Attaching to a container's own process: what it says from now on. Nobody listens to what it is told.

use std::sync::Arc;

use bytes::Bytes;
use drydock_client::dialer::{ExecOptions, ExecStreams, Exit};
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};

use super::io::PIPE;

/// Streams of a process whose output is `lines`. It ends when they do.
pub(crate) fn attach(
    mut lines: BoxStream<'static, std::io::Result<Bytes>>,
    options: &ExecOptions,
) -> ExecStreams {
    let (near_in, mut far_in) = tokio::io::duplex(PIPE);
    let (mut near_out, far_out) = tokio::io::duplex(PIPE);
    let (resize, mut sizes) = mpsc::channel::<(u16, u16)>(1);
    let interrupted = Arc::new(Notify::new());
    let (tty, stop) = (options.tty, interrupted.clone());
    let said = async move {
        while let Some(Ok(mut line)) = lines.next().await {
            if tty {
                line = String::from_utf8_lossy(&line).replace('\n', "\r\n").into();
            }
            if near_out.write_all(&line).await.is_err() {
                return;
            }
        }
    };
    let told = async move {
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = far_in.read(&mut buffer).await {
            // Ctrl-C would end most processes; here it ends the attachment.
            if tty && buffer[..count].contains(&3) {
                stop.notify_one();
            }
        }
        while sizes.recv().await.is_some() {}
        std::future::pending::<()>().await;
    };
    let exit = async move {
        tokio::select! {
            () = said => {}
            () = told => {}
            () = interrupted.notified() => {}
        }
        Exit::Code(0)
    };
    ExecStreams {
        stdin: options.stdin.then(|| Box::new(near_in) as _),
        stdout: options.stdout.then(|| Box::new(far_out) as Box<dyn AsyncRead + Send + Unpin>),
        stderr: None,
        resize: options.tty.then_some(resize),
        exit: exit.boxed(),
    }
}
