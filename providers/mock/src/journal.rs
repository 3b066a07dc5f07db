//! The account's changes on disk: JSON lines, appended before a call is answered, rewritten now and then.
//!
//! Invariant: a line is written whole or not at all as far as the reader is concerned; a torn last line was never
//! acknowledged and is dropped. A kill of the process loses nothing. A crash of the machine may lose the last lines:
//! the cloud then lacks a machine, which node pools replace.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use drydock_cloud_api::Route;
use serde::{Deserialize, Serialize};

use crate::account::Balancer;
use crate::machine::Machine;

/// One change to one cluster's things.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) cluster: String,
    #[serde(flatten)]
    pub(crate) change: Change,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    Machine(Box<Machine>),
    ForgetMachine(String),
    Balancer(Box<Balancer>),
    ForgetBalancer(String),
    Route(Route),
    ForgetRoute(String),
    Pool(String),
    ForgetPool(String),
}

/// Why the journal could not be opened. The file is left as it was.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("cannot read the mock cloud's journal {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error("the mock cloud's journal {path} is damaged at line {line}")]
    Damaged { path: PathBuf, line: usize, source: serde_json::Error },
    #[error("cannot write the mock cloud's journal {path}")]
    Write { path: PathBuf, source: io::Error },
}

#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    lines: usize,
}

impl Journal {
    /// Reads what there is; `apply` gets each entry in order.
    pub(crate) fn read(path: &Path, mut apply: impl FnMut(Entry)) -> Result<(), OpenError> {
        let read = |source| OpenError::Read { path: path.to_owned(), source };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(read(error)),
        };
        let mut reader = BufReader::new(file);
        let mut text = Vec::new();
        for line in 1.. {
            text.clear();
            if reader.read_until(b'\n', &mut text).map_err(read)? == 0 {
                break;
            }
            match serde_json::from_slice(&text) {
                Ok(entry) => apply(entry),
                // The process was killed while writing it: nobody was told.
                Err(_) if !text.ends_with(b"\n") => break,
                Err(source) => return Err(OpenError::Damaged { path: path.to_owned(), line, source }),
            }
        }
        Ok(())
    }

    /// Replaces the journal by `entries`, atomically, and opens it for more.
    pub(crate) fn rewrite(path: &Path, entries: &[Entry]) -> Result<Self, OpenError> {
        let write = |source| OpenError::Write { path: path.to_owned(), source };
        let next = path.with_extension("next");
        let mut text = Vec::new();
        for entry in entries {
            encode(entry, &mut text).map_err(write)?;
        }
        let mut file = File::create(&next).map_err(write)?;
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(write)?;
        std::fs::rename(&next, path).map_err(write)?;
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder).and_then(|folder| folder.sync_all()).map_err(write)?;
        }
        let file = OpenOptions::new().append(true).open(path).map_err(write)?;
        Ok(Self { path: path.to_owned(), file, lines: entries.len() })
    }

    /// Appends in one write.
    pub(crate) fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        let mut text = Vec::new();
        for entry in entries {
            encode(entry, &mut text)?;
        }
        let before = self.file.metadata()?.len();
        if let Err(error) = self.file.write_all(&text) {
            // A half-written line must not join the next one.
            self.file.set_len(before)?;
            return Err(error);
        }
        self.lines += entries.len();
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether most of it is history: time to rewrite.
    pub(crate) fn is_long(&self, live: usize) -> bool {
        self.lines > 1000 + live * 4
    }
}

fn encode(entry: &Entry, out: &mut Vec<u8>) -> io::Result<()> {
    serde_json::to_writer(&mut *out, entry)?;
    out.push(b'\n');
    Ok(())
}
