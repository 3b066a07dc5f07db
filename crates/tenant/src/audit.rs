//! Reading a cluster's audit log: its files from the oldest on, and what is appended from then on.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use drydock_runtime::{Tasks, wall};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};

/// The name of the newest file in a cluster's folder; older ones have a number behind it.
pub(crate) const FILE: &str = "audit.log";

const CHUNK: usize = 256 * 1024;
/// How often a log that is followed is looked at, of wall time.
const PERIOD: Duration = Duration::from_millis(100);

/// Where a reader is.
struct Reader {
    file: PathBuf,
    /// Older files that are still to be read, the oldest last.
    older: Vec<File>,
    newest: Option<File>,
    follow: bool,
    tasks: Tasks,
}

/// The log's bytes. One that is followed ends with the cluster.
pub(crate) fn read(folder: &Path, follow: bool, tasks: Tasks) -> BoxStream<'static, Bytes> {
    let file = folder.join(FILE);
    // All of them at once: a file that is renamed meanwhile is still the same.
    let newest = File::open(&file).ok();
    let mut older: Vec<File> = Vec::new();
    while let Ok(next) = File::open(numbered(&file, older.len() + 1)) {
        older.push(next);
    }
    let reader = Reader { file, older, newest, follow, tasks };
    stream::unfold(reader, |mut reader| async move { Some((reader.next().await?, reader)) }).boxed()
}

fn numbered(file: &Path, age: usize) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{age}"));
    PathBuf::from(name)
}

impl Reader {
    async fn next(&mut self) -> Option<Bytes> {
        let closed = self.tasks.cancelled();
        loop {
            while let Some(file) = self.older.last_mut() {
                match chunk(file) {
                    Some(bytes) => return Some(bytes),
                    None => drop(self.older.pop()),
                }
            }
            if let Some(bytes) = self.newest.as_mut().and_then(chunk) {
                return Some(bytes);
            }
            if !self.follow {
                return None;
            }
            tokio::select! {
                () = wall::sleep(PERIOD) => {}
                () = closed.cancelled() => return None,
            }
            self.go_on();
        }
    }

    /// Turns to the newer file, if the one that was read to its end has become an older one.
    fn go_on(&mut self) {
        let Ok(now) = File::open(&self.file) else { return };
        let is_same = self.newest.as_ref().is_some_and(|newest| same_file(newest, &now));
        if is_same {
            return;
        }
        // What was appended to the old one before it was renamed comes first.
        self.older.extend(self.newest.take());
        self.newest = Some(now);
    }
}

#[cfg(unix)]
fn same_file(one: &File, other: &File) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let id = |file: &File| file.metadata().map(|meta| (meta.dev(), meta.ino())).ok();
    id(one) == id(other)
}

#[cfg(not(unix))]
fn same_file(one: &File, other: &File) -> bool {
    // A newer file is the smaller one.
    let size = |file: &File| file.metadata().map_or(0, |meta| meta.len());
    size(one) <= size(other)
}

/// The next bytes up to the end of a line; None at the end.
fn chunk(file: &mut File) -> Option<Bytes> {
    let mut bytes = Vec::new();
    loop {
        let read = file.by_ref().take(CHUNK as u64).read_to_end(&mut bytes).unwrap_or(0);
        if let Some(end) = bytes.iter().rposition(|byte| *byte == b'\n') {
            // The rest of a line that is not whole yet is read again.
            let rest = i64::try_from(bytes.len() - end - 1).unwrap_or(0);
            file.seek_relative(-rest).ok()?;
            bytes.truncate(end + 1);
            return Some(bytes.into());
        }
        if read == 0 {
            let read = i64::try_from(bytes.len()).unwrap_or(0);
            file.seek_relative(-read).ok()?;
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use drydock_runtime::Clock;

    use super::*;

    #[tokio::test]
    async fn a_log_is_read_from_its_oldest_part_and_followed_across_rotation() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("audit.log.2"), "1\n").unwrap();
        std::fs::write(path("audit.log.1"), "2\n").unwrap();
        std::fs::write(path("audit.log"), "3\nhal").unwrap();
        let tasks = Tasks::new("t", Clock::real());
        let whole: Vec<Bytes> = read(folder.path(), false, tasks.clone()).collect().await;
        assert_eq!(whole.concat(), b"1\n2\n3\n");

        let mut followed = read(folder.path(), true, tasks.clone());
        for line in ["1\n", "2\n", "3\n"] {
            assert_eq!(followed.next().await.unwrap(), line);
        }
        std::fs::write(path("audit.log"), "3\nhalf a line\n").unwrap();
        assert_eq!(followed.next().await.unwrap(), "half a line\n");
        std::fs::rename(path("audit.log"), path("audit.log.1")).unwrap();
        std::fs::write(path("audit.log"), "new\n").unwrap();
        assert_eq!(followed.next().await.unwrap(), "new\n");
        tasks.close().await;
        assert_eq!(followed.next().await, None);
    }
}
