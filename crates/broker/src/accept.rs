//! The door: listeners, and accepting from them in bounded batches. When the system is out of
//! descriptors it closes for a while and says so. Must not know what connections are for.

use martlet_engine::{Input, Now};
use martlet_net::{Accepted, Key, Listener};

use crate::transports::NUMBERS_MAX;
use crate::turn::ShardLoop;

/// Connections accepted per turn: about a third of a millisecond that the others wait.
const ACCEPTS_PER_TURN: usize = 64;

/// Pause after the system had no descriptor or memory for a connection.
const EXHAUSTED_PAUSE_MS: u64 = 250;

/// An exhaustion that lasts is told again after this time.
const COMPLAINT_INTERVAL_MS: u64 = 30_000;

/// The listeners of a shard; the first shard has all of them, the others none.
#[derive(Debug, Default)]
pub(crate) struct Door {
    listeners: Vec<Entrance>,
    /// Where accepting goes on: a crowd at one entrance must not keep the others waiting.
    next: usize,
    /// Accepting pauses until then.
    closed_until_ms: Option<u64>,
    /// When the last complaint was made.
    complained_at_ms: Option<u64>,
}

#[derive(Debug)]
struct Entrance {
    listener: Listener,
    /// Somebody may be waiting, for whom there will be no further event.
    waiting: bool,
}

/// The poller's key of the listener with this index.
pub(crate) fn listener_key(index: usize) -> Key {
    Key(NUMBERS_MAX + index as u32)
}

impl Door {
    pub(crate) fn new(listeners: Vec<Listener>) -> Self {
        let listeners =
            listeners.into_iter().map(|listener| Entrance { listener, waiting: false }).collect();
        Self { listeners, ..Self::default() }
    }

    /// The poller reported this listener.
    pub(crate) fn knock(&mut self, key: Key) {
        if let Some(entrance) = self.listeners.get_mut((key.0 - NUMBERS_MAX) as usize) {
            entrance.waiting = true;
        }
    }

    /// Somebody can be accepted now.
    pub(crate) fn is_open(&self) -> bool {
        self.closed_until_ms.is_none() && self.listeners.iter().any(|entrance| entrance.waiting)
    }

    /// When accepting is tried again after a pause.
    pub(crate) fn next_deadline_ms(&self) -> Option<u64> {
        self.closed_until_ms
    }

    /// For ever: nobody is accepted any more, and who tries to connect is refused.
    pub(crate) fn close(&mut self) {
        self.listeners.clear();
        self.closed_until_ms = None;
    }

    /// Who waits at the next entrance with anybody waiting.
    fn next(&mut self) -> Option<Accepted> {
        let count = self.listeners.len();
        let mut in_turn = (0..count).map(|offset| (self.next + offset) % count);
        let index = in_turn.find(|index| self.listeners[*index].waiting)?;
        self.next = index + 1;
        let entrance = &mut self.listeners[index];
        let accepted = entrance.listener.accept();
        if matches!(accepted, Accepted::Blocked) {
            entrance.waiting = false;
        }
        Some(accepted)
    }
}

impl ShardLoop {
    /// Lets in who waits, up to a bound. A new connection is read at once: its CONNECT is there as
    /// a rule, and if it belongs to another shard this shard's poller never hears of it.
    pub(crate) fn accept(&mut self, now: Now) {
        if self.door.closed_until_ms.is_some_and(|until| now.mono_ms >= until) {
            self.door.closed_until_ms = None;
        }
        if self.door.closed_until_ms.is_some() || !self.reads() {
            return;
        }
        let mut left = ACCEPTS_PER_TURN;
        while left > 0 {
            match self.door.next() {
                None => return,
                Some(Accepted::Blocked) => {}
                Some(Accepted::Connection(stream, peer)) => {
                    left -= 1;
                    let conn = self.transports.insert(stream);
                    self.fresh.push(conn);
                    self.step(now, Input::Opened { conn, peer: Some(peer) });
                    self.read(now, conn);
                }
                Some(Accepted::Exhausted(error)) => {
                    self.close_door_for_a_while(now, &error);
                    return;
                }
            }
        }
    }

    #[cold]
    fn close_door_for_a_while(&mut self, now: Now, error: &std::io::Error) {
        self.door.closed_until_ms = Some(now.mono_ms + EXHAUSTED_PAUSE_MS);
        // Those who only linger give their descriptors first.
        self.drop_lingering();
        let last = self.door.complained_at_ms;
        if last.is_none_or(|at| now.mono_ms >= at + COMPLAINT_INTERVAL_MS) {
            self.door.complained_at_ms = Some(now.mono_ms);
            let open = self.transports.open();
            self.log.warn(
                now,
                format_args!(
                    "cannot accept connections ({error}; shard 0 has {open}): new ones wait until \
                     others end. Raise the limit of open files (ulimit -n) to allow more"
                ),
            );
        }
    }
}
