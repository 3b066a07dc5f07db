//! What a writer thread does for a tenant.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::MutexGuard;
use tokio::sync::oneshot;

use super::file::{self, LogFile, Row};
use super::{CEILING_STEP, GATHER, Inner, Job, KEEP, Shared, rows};
use crate::state::Staged;
use crate::{Durability, Revision, StoreError};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Waiting = (Staged, Durability, oneshot::Sender<Result<Revision, StoreError>>);

impl Inner {
    /// What a writer thread does for a tenant: everything that is queued, and goes on with what came meanwhile unless
    /// other tenants wait for a thread.
    pub(super) fn work(self: &Arc<Self>) {
        loop {
            self.work_once();
            let mut shared = self.shared.lock();
            if shared.queue.is_empty() {
                shared.scheduled = false;
                return;
            }
            if self.writers.are_wanted() {
                self.writers.serve(self.clone());
                return;
            }
        }
    }

    fn work_once(&self) {
        let mut guard = self.file.lock();
        let jobs = self.gather(&mut self.shared.lock());
        if let Some(file) = guard.as_mut() {
            let mut group = Vec::new();
            let mut close = None;
            for job in jobs {
                match job {
                    Job::Commit { staged, durability, ack } => group.push((staged, durability, ack)),
                    Job::File(f) => {
                        self.commit_group(file, std::mem::take(&mut group));
                        f(self, file);
                    }
                    Job::Close(ack) => close = Some(ack),
                }
            }
            self.commit_group(file, group);
            if let Some(ack) = close {
                let outcome = self.finish(file);
                *guard = None;
                self.published.send_modify(|signal| signal.closed = true);
                let _ = ack.send(outcome);
            }
        }
    }

    /// What is queued, once it is as much as the last group was or some time has passed.
    fn gather(&self, shared: &mut MutexGuard<'_, Shared>) -> VecDeque<Job> {
        let is_busy = shared.last_group > 1 && !self.writers.are_wanted();
        if is_busy && shared.queue.len() < shared.last_group {
            shared.wanted = shared.last_group;
            self.gathered.wait_while_for(shared, |shared| !shared.is_gathered(), GATHER);
            shared.wanted = 0;
        }
        let jobs = std::mem::take(&mut shared.queue);
        shared.last_group = jobs.len();
        jobs
    }

    fn commit_group(&self, file: &mut LogFile, group: Vec<Waiting>) {
        let Some((last, ..)) = group.last() else { return };
        let last = last.batch.revision;
        let written = self.write_group(file, &group, last);
        let mut shared = self.shared.lock();
        if let Err(error) = written {
            tracing::error!(error = %drydock_runtime::tasks::chain(&*error), "a commit failed");
            shared.state.roll_back();
            // Later commits were staged on top of these.
            let (commits, others) = std::mem::take(&mut shared.queue)
                .into_iter()
                .partition(|job| matches!(job, Job::Commit { .. }));
            shared.queue = others;
            drop(shared);
            let later = VecDeque::into_iter(commits).filter_map(|job| match job {
                Job::Commit { ack, .. } => Some(ack),
                _ => None,
            });
            for ack in group.into_iter().map(|(.., ack)| ack).chain(later) {
                let _ = ack.send(Err(StoreError::Io(error.to_string().into())));
            }
            return;
        }
        for (staged, ..) in &group {
            shared.state.publish(staged, KEEP);
        }
        drop(shared);
        self.signal(last);
        for (staged, _, ack) in group {
            let _ = ack.send(Ok(staged.batch.revision));
        }
    }

    fn write_group(&self, file: &mut LogFile, group: &[Waiting], last: Revision) -> Result<(), BoxError> {
        let durable = group.iter().any(|(_, durability, _)| *durability == Durability::Durable);
        let mut new: Vec<Row> = group.iter().flat_map(|(staged, ..)| rows(staged)).collect();
        if !durable {
            if last > self.shared.lock().ceiling {
                let ceiling = last + CEILING_STEP;
                file.set_ceiling(ceiling)?;
                self.shared.lock().ceiling = ceiling;
            }
            // Not before the ceiling is on disk: a commit that fails must leave nothing behind.
            self.shared.lock().remember_dirty(new);
            return Ok(());
        }
        drydock_runtime::fault::point("store.commit.before")?;
        self.append(file, &mut new, last)
    }

    /// Writes what is dirty, and `new` behind it. When that fails, what was dirty is so again.
    fn append(&self, file: &mut LogFile, new: &mut Vec<Row>, last: Revision) -> Result<(), BoxError> {
        let (dirty, published) = {
            let mut shared = self.shared.lock();
            (std::mem::take(&mut shared.dirty), shared.state.published())
        };
        let mut all: Vec<Row> = dirty.values().cloned().collect();
        all.append(new);
        if all.is_empty() {
            return Ok(());
        }
        let appended = file.append(&all, last, published).map_err(BoxError::from);
        let written = appended.and_then(|()| Ok(drydock_runtime::fault::point("store.commit.after")?));
        if written.is_err() {
            // It may have reached the disk all the same.
            file.doubt();
            self.shared.lock().put_back(dirty);
        }
        written
    }

    pub(super) fn flush_dirty(&self, file: &mut LogFile) -> Result<(), StoreError> {
        let last = self.shared.lock().state.published();
        self.append(file, &mut Vec::new(), last).map_err(StoreError::Io)
    }

    /// Something of this tenant's has panicked: it is closed, and all that waits for it is told so. Others go on.
    pub(super) fn give_up(&self) {
        let waiting = {
            let mut shared = self.shared.lock();
            shared.closed = true;
            std::mem::take(&mut shared.queue)
        };
        *self.file.lock() = None;
        self.published.send_modify(|signal| signal.closed = true);
        drop(waiting);
    }

    fn finish(&self, file: &mut LogFile) -> Result<(), StoreError> {
        self.flush_dirty(file)?;
        let (head, published) = {
            let shared = self.shared.lock();
            (shared.state.head(), shared.state.published())
        };
        file.finish(head, published).map_err(file::io)
    }
}
