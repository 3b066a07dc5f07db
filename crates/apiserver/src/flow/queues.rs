//! The queues of one priority level, and whose turn it is.
//!
//! Each queue has a virtual time: the work it was served. The next request comes from the queue that was served least;
//! one that was empty begins where the others are, so that idling earns nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::config::{Level, Queuing};
use super::level::{Seated, State};

/// Seconds of one seat that a request is charged when it begins; what it took is charged when it ends.
const EXPECTED: f64 = 0.05;

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) id: u64,
    pub(super) seats: u32,
    pub(super) schema: Arc<str>,
    pub(super) turn: oneshot::Sender<Seated>,
}

#[derive(Debug)]
pub(super) struct Queues {
    shape: Queuing,
    queues: Vec<Queue>,
    /// Where the queue was that was served last.
    now: f64,
    pub(super) waiting: usize,
    pub(super) waiting_seats: u32,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    served: f64,
    running: u32,
}

impl Queues {
    pub(super) fn new(shape: Queuing) -> Self {
        let queues = (0..shape.queues).map(|_| Queue::default()).collect();
        Self { shape, queues, now: 0.0, waiting: 0, waiting_seats: 0 }
    }

    /// The queue for a flow: of the few that are dealt to it, the one with least to do. A flow that fills its hand
    /// leaves most other flows a queue without it.
    pub(super) fn queue_for(&self, flow: u64) -> usize {
        let load = |at: usize| self.queues[at].waiting.len() + self.queues[at].running as usize;
        let hand = deal(flow, self.queues.len(), self.shape.hand);
        hand.into_iter().min_by_key(|at| load(*at)).unwrap_or(0)
    }

    /// Gives the request back when the queue is full.
    pub(super) fn push(&mut self, at: usize, request: Waiting) -> Result<(), Waiting> {
        let queue = &mut self.queues[at];
        if queue.waiting.len() >= self.shape.length {
            return Err(request);
        }
        if queue.waiting.is_empty() && queue.running == 0 {
            queue.served = queue.served.max(self.now);
        }
        self.waiting += 1;
        self.waiting_seats += request.seats;
        queue.waiting.push_back(request);
        Ok(())
    }

    /// How many seats the next request needs, and in which queue it is.
    pub(super) fn peek(&self) -> Option<(usize, u32)> {
        let waiting = self.queues.iter().enumerate().filter(|(_, queue)| !queue.waiting.is_empty());
        let (at, queue) = waiting.min_by(|(_, one), (_, other)| one.served.total_cmp(&other.served))?;
        Some((at, queue.waiting.front()?.seats))
    }

    pub(super) fn pop(&mut self, at: usize) -> Option<Waiting> {
        let request = self.queues[at].waiting.pop_front()?;
        self.waiting -= 1;
        self.waiting_seats -= request.seats;
        Some(request)
    }

    pub(super) fn begin(&mut self, at: usize, seats: u32) {
        let queue = &mut self.queues[at];
        self.now = self.now.max(queue.served);
        queue.served += EXPECTED * f64::from(seats);
        queue.running += 1;
    }

    /// `took` is in seconds.
    pub(super) fn end(&mut self, at: usize, seats: u32, took: f64) {
        if let Some(queue) = self.queues.get_mut(at) {
            queue.served += (took - EXPECTED) * f64::from(seats);
            queue.running = queue.running.saturating_sub(1);
        }
    }

    pub(super) fn abandon(&mut self, id: u64) {
        for queue in &mut self.queues {
            if let Some(at) = queue.waiting.iter().position(|request| request.id == id)
                && let Some(request) = queue.waiting.remove(at)
            {
                self.waiting -= 1;
                self.waiting_seats -= request.seats;
                return;
            }
        }
    }

    /// Everybody who waits, in no fair order: for a level whose queues are made anew.
    pub(super) fn drain(self) -> impl Iterator<Item = Waiting> {
        self.queues.into_iter().flat_map(|queue| queue.waiting)
    }
}

/// A hand of `size` different cards out of `deck`, decided by `seed`.
fn deal(mut seed: u64, deck: usize, size: usize) -> Vec<usize> {
    let mut hand: Vec<usize> = Vec::with_capacity(size);
    for dealt in 0..size.min(deck) {
        let left = (deck - dealt) as u64;
        let mut card = usize::try_from(seed % left).unwrap_or(0);
        seed = (seed / left) ^ seed.rotate_left(29);
        // The card is counted among those that are left: those dealt before it are stepped over.
        let at = hand.iter().position(|own| {
            let steps_over = *own <= card;
            card += usize::from(steps_over);
            !steps_over
        });
        hand.insert(at.unwrap_or(hand.len()), card);
    }
    hand
}

/// Gives up a place in a queue when dropped, unless it was served.
pub(super) struct Abandon<'a> {
    state: &'a Mutex<State>,
    level: &'a Arc<Level>,
    id: Option<u64>,
}

impl<'a> Abandon<'a> {
    pub(super) fn new(state: &'a Mutex<State>, level: &'a Arc<Level>, id: u64) -> Self {
        Self { state, level, id: Some(id) }
    }

    pub(super) fn served(&mut self) {
        self.id = None;
    }
}

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.state.lock().abandon(self.level, id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hand_has_different_cards_of_the_deck() {
        for seed in (0..2000u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
            let hand = deal(seed, 64, 6);
            assert_eq!(hand.len(), 6);
            assert!(hand.windows(2).all(|pair| pair[0] < pair[1]), "{hand:?}");
            assert!(hand.iter().all(|card| *card < 64));
        }
        assert_eq!(deal(17, 3, 8), [0, 1, 2]);
    }

    #[test]
    fn hands_are_spread_over_the_deck() {
        let mut uses = [0usize; 64];
        for seed in 0..6400u64 {
            for card in deal(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), 64, 6) {
                uses[card] += 1;
            }
        }
        // 600 each on average.
        assert!(uses.iter().all(|count| (300..900).contains(count)), "{uses:?}");
    }
}
