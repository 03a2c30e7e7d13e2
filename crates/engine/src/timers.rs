//! When to look at what again. Must not know what happens then; entries are never cancelled, the
//! owner checks whether one still means anything when it fires.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::ids::{ConnId, SessionKey};

/// What a timer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The keep alive of a connection may have run out.
    KeepAlive { conn: ConnId, serial: u32 },
    /// The expiry interval of a session may have passed.
    SessionExpiry(SessionKey),
    /// The delay of a will may have passed.
    WillDelay(SessionKey),
}

/// Pending timers, earliest first.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(u64, Timer)>>,
    /// Live entries found by the last sweep.
    live: usize,
}

impl Timers {
    pub(crate) fn set(&mut self, at_ms: u64, timer: Timer) {
        self.heap.push(Reverse((at_ms, timer)));
    }

    /// Whether entries that mean nothing any more may be the most: clients that come and go must
    /// not fill the memory with what they leave behind.
    pub(crate) fn is_crowded(&self) -> bool {
        self.heap.len() > 2 * self.live + 1024
    }

    /// Forgets the entries that mean nothing any more.
    pub(crate) fn sweep(&mut self, mut is_live: impl FnMut(u64, Timer) -> bool) {
        self.heap.retain(|Reverse((at_ms, timer))| is_live(*at_ms, *timer));
        self.live = self.heap.len();
    }

    pub(crate) fn next_ms(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// The next timer that is due, if any.
    pub(crate) fn pop_due(&mut self, now_ms: u64) -> Option<Timer> {
        if self.next_ms()? > now_ms {
            return None;
        }
        self.heap.pop().map(|Reverse((_, timer))| timer)
    }
}
