//! The seats of all levels: who has them, who waits, who lends.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use drydock_runtime::Stopwatch;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::config::{Config, Level, Limits};
use super::queues::{Queues, Waiting};
use super::{Rejection, family};

/// All levels of a tenant by name, exempt ones left out.
#[derive(Debug, Default)]
pub(super) struct State {
    levels: BTreeMap<Arc<str>, Room>,
    next_id: u64,
}

/// A level at work.
#[derive(Debug)]
struct Room {
    limits: Limits,
    in_use: u32,
    /// None before the first request, and where requests do not wait.
    queues: Option<Queues>,
    /// By schema.
    dispatched: BTreeMap<Arc<str>, u64>,
    rejected: BTreeMap<(Arc<str>, Rejection), u64>,
}

/// What becomes of a request that arrives.
pub(super) enum Arrival {
    Seated(Seated),
    Queued(Place),
    Rejected(Rejection),
}

pub(super) struct Place {
    pub(super) id: u64,
    pub(super) turn: oneshot::Receiver<Seated>,
}

/// Seats taken.
#[derive(Debug)]
pub(super) struct Seated {
    state: Weak<Mutex<State>>,
    level: Arc<str>,
    seats: u32,
    queue: Option<usize>,
    since: Stopwatch,
}

impl Seated {
    /// Gives the seats back, and to those who wait.
    pub(super) fn leave(self) {
        if let Some(state) = self.state.upgrade() {
            let mut locked = state.lock();
            locked.leave(&self);
            // Who went away in the meantime gives the seats back again, which takes the lock again.
            let unwanted = locked.dispatch(&state);
            drop(locked);
            unwanted.into_iter().for_each(Self::leave);
        }
    }
}

impl Room {
    fn new(limits: Limits) -> Self {
        Self { limits, in_use: 0, queues: None, dispatched: BTreeMap::new(), rejected: BTreeMap::new() }
    }

    fn configure(&mut self, limits: Limits) {
        let recut = self.limits.queuing != limits.queuing;
        self.limits = limits;
        if recut && let Some(old) = self.queues.take() {
            // Whom the new queues have no room for is turned away, as is everybody where there are none.
            for waiting in old.drain() {
                if let Some(queues) = self.queues() {
                    let _ = queues.push(queues.queue_for(waiting.id), waiting);
                }
            }
        }
    }

    /// The level's queues, made when the first request comes. None when it has none.
    fn queues(&mut self) -> Option<&mut Queues> {
        let shape = self.limits.queuing?;
        Some(self.queues.get_or_insert_with(|| Queues::new(shape)))
    }

    fn wanted(&self) -> u32 {
        self.in_use + self.queues.as_ref().map_or(0, |queues| queues.waiting_seats)
    }

    /// Seats that others may have now.
    fn idle(&self) -> u32 {
        let free = self.limits.nominal.saturating_sub(self.wanted());
        free.min(self.limits.lendable)
    }

    fn borrowed(&self) -> u32 {
        self.in_use.saturating_sub(self.limits.nominal)
    }
}

impl State {
    /// Levels come, change and go. Requests that run or wait are not disturbed.
    pub(super) fn configure(&mut self, config: &Config) {
        let limits: BTreeMap<&Arc<str>, Limits> =
            config.levels.iter().filter_map(|level| Some((&level.name, level.limits?))).collect();
        self.levels.retain(|name, room| limits.contains_key(name) || room.wanted() > 0);
        for (name, limits) in limits {
            self.levels.entry(name.clone()).or_insert_with(|| Room::new(limits)).configure(limits);
        }
    }

    pub(super) fn arrive(
        &mut self,
        shared: &Arc<Mutex<Self>>,
        level: &Level,
        schema: &Arc<str>,
        seats: u32,
        flow: impl FnOnce() -> u64,
    ) -> Arrival {
        let Some(limits) = level.limits else { return Arrival::Rejected(Rejection::ConcurrencyLimit) };
        self.levels.entry(level.name.clone()).or_insert_with(|| Room::new(limits));
        let has_seats = self.has_seats(&level.name, seats);
        let id = self.next_id;
        let Some(room) = self.levels.get_mut(&level.name) else {
            return Arrival::Rejected(Rejection::ConcurrencyLimit);
        };
        let nobody_waits = room.queues.as_ref().is_none_or(|queues| queues.waiting == 0);
        let queue = room.queues().map(|queues| queues.queue_for(flow()));
        if has_seats && nobody_waits {
            return Arrival::Seated(room.seat(shared, &level.name, schema, seats, queue));
        }
        let (Some(queues), Some(at)) = (&mut room.queues, queue) else {
            *room.rejected.entry((schema.clone(), Rejection::ConcurrencyLimit)).or_default() += 1;
            return Arrival::Rejected(Rejection::ConcurrencyLimit);
        };
        let (turn, mine) = oneshot::channel();
        if queues.push(at, Waiting { id, seats, schema: schema.clone(), turn }).is_err() {
            *room.rejected.entry((schema.clone(), Rejection::QueueFull)).or_default() += 1;
            return Arrival::Rejected(Rejection::QueueFull);
        }
        self.next_id += 1;
        Arrival::Queued(Place { id, turn: mine })
    }

    /// Whether `level` has `seats` now, its own or borrowed. One request is always let in, however large.
    fn has_seats(&self, level: &str, seats: u32) -> bool {
        let Some(room) = self.levels.get(level) else { return false };
        if room.in_use == 0 || room.in_use + seats <= room.limits.nominal {
            return true;
        }
        let others = || self.levels.iter().filter(|(name, _)| &***name != level).map(|(_, room)| room);
        let idle: u32 = others().map(Room::idle).sum();
        let lent: u32 = others().map(Room::borrowed).sum();
        let borrowable = idle.saturating_sub(lent).min(room.limits.borrowable);
        room.in_use + seats <= room.limits.nominal.saturating_add(borrowable)
    }

    fn leave(&mut self, seated: &Seated) {
        if let Some(room) = self.levels.get_mut(&seated.level) {
            room.in_use = room.in_use.saturating_sub(seated.seats);
            if let (Some(queues), Some(at)) = (&mut room.queues, seated.queue) {
                queues.end(at, seated.seats, seated.since.elapsed().as_secs_f64());
            }
        }
    }

    /// Seats whoever can be seated now. Answers what nobody waits for any more.
    fn dispatch(&mut self, shared: &Arc<Mutex<Self>>) -> Vec<Seated> {
        let mut unwanted = Vec::new();
        let waiting = |room: &Room| room.queues.as_ref().is_some_and(|queues| queues.waiting > 0);
        let names: Vec<Arc<str>> =
            self.levels.iter().filter(|(_, room)| waiting(room)).map(|(name, _)| name.clone()).collect();
        for name in names {
            while let Some(seated) = self.dispatch_one(shared, &name) {
                unwanted.extend(seated.err());
            }
        }
        unwanted
    }

    fn dispatch_one(&mut self, shared: &Arc<Mutex<Self>>, level: &Arc<str>) -> Option<Result<(), Seated>> {
        let (at, seats) = self.levels.get(level)?.queues.as_ref()?.peek()?;
        if !self.has_seats(level, seats) {
            return None;
        }
        let room = self.levels.get_mut(level)?;
        let next = room.queues.as_mut()?.pop(at)?;
        let seated = room.seat(shared, level, &next.schema, next.seats, Some(at));
        Some(next.turn.send(seated))
    }

    pub(super) fn abandon(&mut self, level: &Level, id: u64) {
        if let Some(queues) = self.levels.get_mut(&level.name).and_then(|room| room.queues.as_mut()) {
            queues.abandon(id);
        }
    }

    pub(super) fn count_rejection(&mut self, level: &Level, schema: &Arc<str>, why: Rejection) {
        if let Some(room) = self.levels.get_mut(&level.name) {
            *room.rejected.entry((schema.clone(), why)).or_default() += 1;
        }
    }

    pub(super) fn write_metrics(&self, out: &mut String) {
        let of = |name: &str| format!("priority_level=\"{name}\"");
        let gauge =
            |read: fn(&Room) -> u32| self.levels.iter().map(move |(name, room)| (of(name), read(room)));
        family(out, "nominal_limit_seats", "gauge", gauge(|room| room.limits.nominal));
        family(out, "current_executing_seats", "gauge", gauge(|room| room.in_use));
        let waiting = |room: &Room| room.queues.as_ref().map_or(0, |queues| queues.waiting as u32);
        family(out, "current_inqueue_requests", "gauge", gauge(waiting));
        let dispatched = self.levels.iter().flat_map(|(level, room)| {
            room.dispatched.iter().map(move |(schema, count)| {
                (format!("flow_schema=\"{schema}\",priority_level=\"{level}\""), *count)
            })
        });
        family(out, "dispatched_requests_total", "counter", dispatched);
        let rejected = self.levels.iter().flat_map(|(level, room)| {
            room.rejected.iter().map(move |((schema, why), count)| {
                let why = why.name();
                (format!("flow_schema=\"{schema}\",priority_level=\"{level}\",reason=\"{why}\""), *count)
            })
        });
        family(out, "rejected_requests_total", "counter", rejected);
    }
}

impl Room {
    fn seat(
        &mut self,
        shared: &Arc<Mutex<State>>,
        level: &Arc<str>,
        schema: &Arc<str>,
        seats: u32,
        queue: Option<usize>,
    ) -> Seated {
        self.in_use += seats;
        match self.dispatched.get_mut(schema) {
            Some(count) => *count += 1,
            None => drop(self.dispatched.insert(schema.clone(), 1)),
        }
        if let (Some(queues), Some(at)) = (&mut self.queues, queue) {
            queues.begin(at, seats);
        }
        Seated {
            state: Arc::downgrade(shared),
            level: level.clone(),
            seats,
            queue,
            since: Stopwatch::start(),
        }
    }
}
