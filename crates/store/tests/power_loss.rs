//! The machine dies, not only the process: what was written and not synced may be gone, or be there in part. No
//! acknowledged commit is lost to that.
//!
//! SQLite runs here on a file system that remembers what was synced. At a random write or sync the power fails: each
//! file is left as it was at its last sync, with any part of what was written since, in sectors. Not modelled: a folder
//! that forgets a file it was never synced for, and disks that lie about syncs.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use drydock_store::sqlite::{SqliteStore, Writers};
use drydock_store::{Durability, Payload, Range, Store, Txn, Write};
use parking_lot::Mutex;
use sqlite_vfs::{DatabaseHandle, LockKind, OpenOptions, Vfs, WalDisabled};

const ROUNDS: u64 = 25;
const WRITERS: usize = 4;
const SECTOR: usize = 512;

/// One file: what is read back, what is on the platter, and what was done since.
#[derive(Clone, Default)]
struct Stored {
    now: Vec<u8>,
    synced: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Resize(usize),
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => {
                let end = offset + bytes.len();
                to.resize(to.len().max(end), 0);
                to[*offset..end].copy_from_slice(bytes);
            }
            Self::Resize(length) => to.resize(*length, 0),
        }
    }

    /// The sectors of a write, for one to be lost without the other.
    fn torn(&self) -> Vec<Self> {
        let Self::Write { offset, bytes } = self else { return vec![self.clone()] };
        let sectors = bytes.chunks(SECTOR).enumerate();
        sectors.map(|(i, part)| Self::Write { offset: offset + i * SECTOR, bytes: part.to_vec() }).collect()
    }
}

/// A disk that loses power once. Files begin as they are on the real one.
#[derive(Default)]
struct Disk {
    files: BTreeMap<String, Stored>,
    /// Writes and syncs until the power fails; None: it has failed, or does not fail.
    left: Option<u64>,
    dead: bool,
    /// Which life of the machine: handles of an earlier one do nothing.
    life: u64,
    random: u64,
}

impl Disk {
    fn random(&mut self) -> u64 {
        self.random =
            self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.random >> 33
    }

    /// Counts a write or a sync; the power may fail before it is done.
    fn tick(&mut self, life: u64) -> Result<(), Error> {
        match &mut self.left {
            Some(0) => self.dead = true,
            Some(left) => *left -= 1,
            None => {}
        }
        self.alive(life)
    }

    fn alive(&self, life: u64) -> Result<(), Error> {
        if self.dead || life != self.life { Err(Error::other("the power failed")) } else { Ok(()) }
    }

    fn file(&mut self, name: &str) -> &mut Stored {
        self.files.entry(name.to_owned()).or_default()
    }

    /// Leaves on the real disk what the dead machine's disk holds, and starts a new life that fails after `operations`.
    fn reboot(&mut self, operations: Option<u64>) {
        for (name, mut file) in std::mem::take(&mut self.files) {
            let survives = self.random() % 4;
            for part in file.pending.iter().flat_map(Change::torn) {
                // None of it, all of it, or any part of it.
                if survives == 1 || (survives > 1 && self.random().is_multiple_of(2)) {
                    part.apply(&mut file.synced);
                }
            }
            std::fs::write(name, file.synced).expect("write");
        }
        self.life += 1;
        self.dead = false;
        self.left = operations;
    }
}

#[derive(Clone, Default)]
struct Machine(Arc<Mutex<Disk>>);

struct Handle {
    machine: Machine,
    name: String,
    life: u64,
    lock: LockKind,
}

impl Vfs for Machine {
    type Handle = Handle;

    fn open(&self, name: &str, _: OpenOptions) -> Result<Handle, Error> {
        let mut disk = self.0.lock();
        disk.alive(disk.life)?;
        if !disk.files.contains_key(name) {
            let synced = std::fs::read(name).unwrap_or_default();
            disk.files.insert(name.to_owned(), Stored { now: synced.clone(), synced, pending: Vec::new() });
        }
        Ok(Handle { machine: self.clone(), name: name.to_owned(), life: disk.life, lock: LockKind::None })
    }

    fn delete(&self, name: &str) -> Result<(), Error> {
        let mut disk = self.0.lock();
        disk.alive(disk.life)?;
        disk.files.remove(name);
        std::fs::remove_file(name)
            .or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
    }

    fn exists(&self, name: &str) -> Result<bool, Error> {
        Ok(self.0.lock().files.contains_key(name) || Path::new(name).exists())
    }

    fn temporary_name(&self) -> String {
        "/nowhere".to_owned()
    }

    fn random(&self, buffer: &mut [i8]) {
        buffer.fill_with(|| self.0.lock().random() as i8);
    }

    fn sleep(&self, duration: Duration) -> Duration {
        duration
    }
}

impl DatabaseHandle for Handle {
    type WalIndex = WalDisabled;

    fn size(&self) -> Result<u64, Error> {
        let mut disk = self.machine.0.lock();
        disk.alive(self.life)?;
        Ok(disk.file(&self.name).now.len() as u64)
    }

    fn read_exact_at(&mut self, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
        let mut disk = self.machine.0.lock();
        disk.alive(self.life)?;
        let now = &disk.file(&self.name).now;
        let from = now.get(usize::try_from(offset).expect("64 bits")..).unwrap_or_default();
        let there = from.len().min(buffer.len());
        buffer[..there].copy_from_slice(&from[..there]);
        // SQLite reads zeros past the end.
        buffer[there..].fill(0);
        if there < buffer.len() { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> Result<(), Error> {
        let offset = usize::try_from(offset).expect("64 bits");
        self.change(Change::Write { offset, bytes: bytes.to_vec() })
    }

    fn sync(&mut self, _: bool) -> Result<(), Error> {
        let mut disk = self.machine.0.lock();
        disk.tick(self.life)?;
        let file = disk.file(&self.name);
        for change in std::mem::take(&mut file.pending) {
            change.apply(&mut file.synced);
        }
        Ok(())
    }

    fn set_len(&mut self, size: u64) -> Result<(), Error> {
        self.change(Change::Resize(usize::try_from(size).expect("64 bits")))
    }

    fn lock(&mut self, lock: LockKind) -> Result<bool, Error> {
        self.lock = lock;
        Ok(true)
    }

    fn reserved(&mut self) -> Result<bool, Error> {
        Ok(false)
    }

    fn current_lock(&self) -> Result<LockKind, Error> {
        Ok(self.lock)
    }

    fn wal_index(&self, _: bool) -> Result<WalDisabled, Error> {
        Ok(WalDisabled)
    }
}

impl Handle {
    fn change(&mut self, change: Change) -> Result<(), Error> {
        let mut disk = self.machine.0.lock();
        let done = disk.tick(self.life);
        // The write that the power failure interrupts may be there in part.
        if self.life == disk.life {
            let file = disk.file(&self.name);
            change.apply(&mut file.now);
            file.pending.push(change);
        }
        done
    }
}

fn put(key: &str, value: &str) -> Txn {
    let value = Payload::new(value.as_bytes().to_vec());
    let write = Write::Put { key: key.into(), value, expires_at: None };
    Txn { writes: vec![write], durability: Durability::Durable, ..Txn::default() }
}

/// Commits until the power fails; what was acknowledged, with its revision.
async fn write(store: &SqliteStore, round: u64, writer: usize) -> Vec<(String, String, u64)> {
    let mut told = Vec::new();
    for i in 0.. {
        // Large enough for the log to be moved into the database now and then.
        let (key, value) = (format!("{writer}/{}", i % 7), format!("{round}-{i}-{}", "x".repeat(6000)));
        match store.commit(put(&key, &value)).await {
            Ok(revision) => told.push((key, value, revision)),
            Err(_) => break,
        }
    }
    told
}

#[tokio::test]
async fn no_acknowledged_commit_is_lost_when_the_power_fails() {
    let machine = Machine::default();
    sqlite_vfs::register("power-loss", machine.clone(), true).expect("registered");
    let folder = tempfile::tempdir().expect("a folder");
    let path: PathBuf = folder.path().join("state.db");
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(4);
    println!("SEED={seed}");
    machine.0.lock().random = seed;

    let (mut told, mut last) = (BTreeMap::<String, (String, u64)>::new(), 0);
    let mut acknowledged = 0;
    for round in 0..ROUNDS {
        let operations = machine.0.lock().random() % 3000;
        machine.0.lock().reboot((round > 0).then_some(operations));
        let opened = SqliteStore::open(&path, &Writers::new(1));
        let Ok(store) = opened.map(Arc::new) else {
            assert!(machine.0.lock().dead, "round {round}: {:?}", SqliteStore::open(&path, &Writers::new(1)));
            continue;
        };
        let revision = store.revision().await.expect("a revision");
        assert!(revision >= last, "round {round}: revision {revision} after {last} was acknowledged");
        let there = store.range(Range::default()).await.expect("a range").entries;
        for (key, (value, revision)) in &told {
            let entry = there.iter().find(|entry| *entry.key == **key);
            let entry = entry.unwrap_or_else(|| panic!("round {round} lost {key}"));
            // A later commit, that was not acknowledged any more, may be there.
            let newer = entry.mod_revision > *revision;
            assert!(
                newer || *entry.value.bytes() == *value.as_bytes(),
                "round {round} lost {key} at {revision}"
            );
        }
        if round == 0 {
            machine.0.lock().left = Some(operations);
        }
        let writers = (0..WRITERS).map(|writer| write(&store, round, writer));
        for (key, value, revision) in futures::future::join_all(writers).await.into_iter().flatten() {
            acknowledged += 1;
            last = last.max(revision);
            let known = told.entry(key).or_default();
            if revision > known.1 {
                *known = (value, revision);
            }
        }
        assert!(machine.0.lock().dead, "round {round}: writers end when the power fails");
    }
    assert!(acknowledged > 1000, "{acknowledged} commits are no load");
}
