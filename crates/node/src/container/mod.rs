//! Simulated containers: what `exec` and `attach` find in them, and what answers at their ports.
//!
//! A container has no image and no processes. What runs in it is a small set of commands ([`commands`]) and a shell
//! ([`shell`]), the same in every container, over what the kubelet knows of it: its environment, its volumes, its
//! identity. What they write is kept in memory while the pod is there ([`scratch`]). Waiting is on the cluster's clock.
//! `docs/streams.md` says it to users.

mod attach;
mod budget;
mod commands;
mod environment;
mod exec;
mod files;
mod io;
pub(crate) mod port;
pub(crate) mod scratch;
mod shell;
mod terminal;
#[cfg(test)]
mod tests;
mod volumes;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use drydock_machinery::{Object, Value};
use drydock_runtime::Clock;
use tokio::io::AsyncWrite;
use tokio::sync::Notify;

pub(crate) use attach::attach;
pub(crate) use exec::exec;

use self::files::Files;
use self::io::Output;
use crate::status::{APP, EPHEMERAL, INIT, spec_list};

/// What the processes of one exec see.
pub(crate) struct World {
    pub(crate) clock: Clock,
    pub(crate) pod: Arc<Object>,
    pub(crate) container: Value,
    pub(crate) environment: environment::Environment,
    pub(crate) files: Files,
    /// User and group.
    pub(crate) user: (i64, i64),
    /// Where processes start.
    pub(crate) directory: String,
    pub(crate) terminal: bool,
    /// Ctrl-C on the terminal.
    pub(crate) interrupted: Arc<Notify>,
    commands: AtomicUsize,
    /// What all of them hold in memory.
    pub(crate) budget: Arc<budget::Budget>,
}

impl World {
    /// Counts a command; false when there have been too many, or too much is held.
    pub(crate) fn may_go_on(&self) -> bool {
        self.commands.fetch_add(1, Ordering::Relaxed) < shell::MOST_COMMANDS && !self.budget.is_spent()
    }

    /// A file to be written.
    ///
    /// # Errors
    /// The system's text.
    pub(crate) fn open(self: &Arc<Self>, path: &str, append: bool) -> Result<Output, &'static str> {
        self.files.write(path, Vec::new(), append)?;
        Ok(Output::new(FileWriter { world: self.clone(), path: path.to_owned() }))
    }
}

struct FileWriter {
    world: Arc<World>,
    path: String,
}

impl AsyncWrite for FileWriter {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<std::io::Result<usize>> {
        let written = self.world.files.write(&self.path, data.to_vec(), true);
        Poll::Ready(written.map(|()| data.len()).map_err(std::io::Error::other))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A container's spec and status.
pub(crate) fn find<'a>(pod: &'a Value, name: &str) -> Option<(&'a Value, &'a Value)> {
    [APP, INIT, EPHEMERAL].into_iter().map(|status| (spec_list(status), status)).find_map(|(spec, status)| {
        let named = |list: &'a [Value]| list.iter().find(|one| one.str_at(&["name"]) == name);
        Some((named(pod.array_at(&["spec", spec]))?, named(pod.array_at(&["status", status]))?))
    })
}

/// User and group that a container's processes run as.
pub(crate) fn user(pod: &Value, container: &Value) -> (i64, i64) {
    let read = |field: &str| {
        let own = container.i64_at(&["securityContext", field]);
        own.or_else(|| pod.i64_at(&["spec", "securityContext", field])).unwrap_or(0)
    };
    (read("runAsUser"), read("runAsGroup"))
}

/// What is no base64 is dropped.
fn base64(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count & 0xff) as u8);
        }
    }
    out
}
