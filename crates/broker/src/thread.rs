//! When a shard turns, and on which thread. Each shard has a thread of its own, which sleeps in the
//! shard's poller. A thread that has a little mail for a shard whose thread sleeps turns that shard
//! itself: the mail is in this core's cache, and waking the other thread would cost more than the
//! work and take longer.
//!
//! A shard is never turned by two threads at once (the lock), never while its own thread is awake
//! (the claim), and its poller is looked at by its own thread only. So to the engine nothing is
//! different.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use martlet_engine::ShardId;
use martlet_net::Poller;

use crate::clock::Clock;
use crate::company::{Company, Place};
use crate::mailbox::{Mailbox, ShardSet};
use crate::turn::{AfterTurn, ShardLoop};

/// All shards of the broker; `None` once a shard has stopped.
pub(crate) type Loops = Arc<[Mutex<Option<ShardLoop>>]>;

/// Turns in a row that one thread gives another's shard before it wakes that one's thread after
/// all.
const COVERED_TURNS_MAX: usize = 3;

/// A covered turn with more writes than this took longer than waking: the receiver has many
/// subscribers.
const COVERED_WRITES_MAX: usize = 16;

/// After such a turn the shard is woken so many times before covering it is tried again.
const WAKES_AFTER_LONG_TURN: u8 = 64;

/// The thread of one shard.
#[derive(Debug)]
pub(crate) struct ShardThread {
    id: ShardId,
    poller: Poller,
    loops: Loops,
    mailboxes: Arc<[Mailbox]>,
    clock: Clock,
    /// Where this thread runs, when that is ours to say.
    place: Option<Place>,
    /// For each shard, how often it is to be woken before it is covered again.
    wake_instead: Vec<u8>,
}

impl ShardThread {
    pub(crate) fn new(
        id: ShardId,
        poller: Poller,
        loops: Loops,
        mailboxes: Arc<[Mailbox]>,
        clock: Clock,
        company: Option<Arc<Company>>,
    ) -> Self {
        let wake_instead = vec![0; loops.len()];
        let place = company.map(|company| Place::new(company, usize::from(id.0)));
        Self { id, poller, loops, mailboxes, clock, place, wake_instead }
    }

    /// Turns the shard until the order to stop has been carried out.
    ///
    /// # Panics
    /// When another thread panicked while it turned this shard, or the poller is unusable: bugs.
    pub(crate) fn run(mut self) {
        let mut after = None;
        loop {
            self.wait(after.as_ref());
            let mut shard_loop = self.loops[self.index()].lock().expect("no turn panicked");
            // Under the lock, after a thread that covered has said "asleep" on our behalf.
            self.mailboxes[self.index()].awake();
            let turn = shard_loop.as_mut().expect("it has not stopped").own_turn(&self.poller);
            if turn.stopped {
                *shard_loop = None;
                return;
            }
            drop(shard_loop);
            self.nudge(turn.nudge);
            after = Some(turn);
        }
    }

    fn index(&self) -> usize {
        usize::from(self.id.0)
    }

    /// Waits for an event, a letter or what the last turn asked for; not at all while there is
    /// work.
    fn wait(&mut self, after: Option<&AfterTurn>) {
        let due_ms = after.map_or(Some(0), |turn| turn.due_ms);
        let mut timeout = due_ms.map(|due_ms| match due_ms {
            0 => Duration::ZERO,
            due_ms => Duration::from_millis(due_ms.saturating_sub(self.clock.mono_ms())),
        });
        let waiting_for = after.map_or(ShardSet::default(), |turn| turn.waiting_for);
        // Says that it sleeps first and looks second: see `Mailbox::claim`.
        if timeout != Some(Duration::ZERO)
            && (!self.mailboxes[self.index()].fall_asleep() || self.is_relieved(waiting_for))
        {
            timeout = Some(Duration::ZERO);
        }
        if let Some(place) = &mut self.place {
            place.rests(self.clock.mono_us());
        }
        self.poller.wait(timeout).expect("a poller waits");
        if let Some(place) = &mut self.place {
            place.wakes(self.clock.mono_us());
        }
    }

    /// Whether a mailbox that the shard waits for has been drained.
    fn is_relieved(&self, waiting_for: ShardSet) -> bool {
        waiting_for.iter().any(|shard| self.mailboxes[usize::from(shard.0)].has_room())
    }

    /// Sees to it that these shards take the little mail they got.
    fn nudge(&mut self, shards: ShardSet) {
        for shard in shards.iter() {
            let index = usize::from(shard.0);
            if !self.mailboxes[index].claim() {
                continue;
            }
            if self.wake_instead[index] > 0 {
                self.wake_instead[index] -= 1;
                self.mailboxes[index].rouse();
            } else if self.cover(index) > COVERED_WRITES_MAX {
                self.wake_instead[index] = WAKES_AFTER_LONG_TURN;
            }
        }
    }

    /// Turns a shard whose thread sleeps and that was claimed, and lets its thread sleep on if that
    /// is all. Returns to how many connections it wrote.
    fn cover(&self, index: usize) -> usize {
        let mailbox = &self.mailboxes[index];
        // Not free: its thread has just come back, or is about to sleep.
        let Ok(mut guard) = self.loops[index].try_lock() else {
            mailbox.rouse();
            return 0;
        };
        let Some(shard_loop) = guard.as_mut() else { return 0 };
        let mut writes = 0;
        for _ in 0..COVERED_TURNS_MAX {
            let turn = shard_loop.covered_turn();
            writes += turn.writes;
            for shard in turn.nudge.iter() {
                self.mailboxes[usize::from(shard.0)].wake();
            }
            if turn.due_ms == Some(0) {
                continue;
            }
            // `None` is never, and later than anything.
            let due = |due_ms: Option<u64>| due_ms.unwrap_or(u64::MAX);
            let sleeps_on = !turn.stopped
                && turn.waiting_for.is_empty()
                && due(turn.due_ms) >= due(shard_loop.thread_due_ms);
            if sleeps_on && (mailbox.fall_asleep() || !mailbox.claim()) {
                return writes;
            }
            break;
        }
        mailbox.rouse();
        writes
    }
}
