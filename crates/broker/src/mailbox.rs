//! How shards' threads reach each other: one mailbox a shard, filled in batches, drained once per
//! turn. Bounded in bytes: a sender that overfills it is told, and stops reading its sockets until
//! it is drained. Must not know what is in the mail.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use martlet_engine::store::StoreEvent;
use martlet_engine::{Mail, Moved, SHARDS_MAX, ShardId};
use martlet_net::{Stream, Waker};

/// What one thread sends another.
#[derive(Debug)]
pub(crate) enum Letter {
    /// A shard's batch for another shard.
    Mail(Mail),
    /// A connection that changes shards.
    Moved { stream: Stream, moved: Box<Moved> },
    /// Something from the store.
    Store(StoreEvent),
    /// The broker stops.
    Shutdown,
}

/// A set of shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ShardSet(u64);

const _: () = assert!(SHARDS_MAX as u32 <= u64::BITS);

impl ShardSet {
    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn insert(&mut self, shard: ShardId) {
        self.0 |= 1 << shard.0;
    }

    pub(crate) fn remove(&mut self, shard: ShardId) {
        self.0 &= !(1 << shard.0);
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = ShardId> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let shard = (left != 0).then(|| ShardId(left.trailing_zeros() as u16))?;
            left &= left - 1;
            Some(shard)
        })
    }
}

/// The mailbox of one shard. All threads hold all mailboxes; only its owner drains.
#[derive(Debug)]
pub(crate) struct Mailbox {
    /// The owner waits in its poller, or is about to, and wants to be woken.
    asleep: AtomicBool,
    /// There are letters (or there were: the owner looks).
    filled: AtomicBool,
    /// Bytes of the mail in `letters`.
    bytes: AtomicUsize,
    /// More than this, and those who add to it have to pause.
    bytes_max: usize,
    content: Mutex<Content>,
    waker: Waker,
}

#[derive(Debug, Default)]
struct Content {
    letters: Vec<Letter>,
    /// Shards that wait until this mailbox is drained.
    waiting: ShardSet,
}

impl Mailbox {
    pub(crate) fn new(waker: Waker, bytes_max: usize) -> Self {
        Self {
            asleep: AtomicBool::new(false),
            filled: AtomicBool::new(false),
            bytes: AtomicUsize::new(0),
            bytes_max,
            content: Mutex::default(),
            waker,
        }
    }

    /// Adds a letter behind those that are there. With `false` the mailbox is over its bound and
    /// `sender` will be woken when it has been drained. Wakes nobody: see [`Mailbox::wake`].
    #[must_use]
    pub(crate) fn push(&self, sender: ShardId, letter: Letter) -> bool {
        let bytes = if let Letter::Mail(mail) = &letter { mail.bytes() } else { 0 };
        let mut content = self.lock();
        content.letters.push(letter);
        let roomy = self.bytes.fetch_add(bytes, Ordering::SeqCst) + bytes <= self.bytes_max;
        if !roomy {
            content.waiting.insert(sender);
        }
        self.filled.store(true, Ordering::SeqCst);
        roomy
    }

    /// Adds a letter from outside the shards and wakes the owner.
    pub(crate) fn post(&self, letter: Letter) {
        self.lock().letters.push(letter);
        self.filled.store(true, Ordering::SeqCst);
        self.wake();
    }

    /// Wakes the owner if it sleeps: a system call then, and only once however many call.
    pub(crate) fn wake(&self) {
        if self.claim() {
            self.rouse();
        }
    }

    /// Whether the owner sleeps and the caller is the one who now has to see to it that the letters
    /// are taken: by turning the shard itself, or by [`Mailbox::rouse`].
    ///
    /// Of the two flags each side sets its own before it looks at the other's, so a letter that is
    /// added while the owner goes to sleep is seen by the owner, or the sleeping owner by the
    /// sender.
    #[must_use]
    pub(crate) fn claim(&self) -> bool {
        self.asleep.load(Ordering::SeqCst) && self.asleep.swap(false, Ordering::SeqCst)
    }

    /// Ends the owner's wait.
    pub(crate) fn rouse(&self) {
        // The eventfd behind it cannot fail in a way that we could do something about.
        let _ = self.waker.wake();
    }

    /// Whether there may be letters.
    pub(crate) fn is_filled(&self) -> bool {
        self.filled.load(Ordering::SeqCst)
    }

    /// Whether senders may go on.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes.load(Ordering::SeqCst) <= self.bytes_max
    }

    /// The owner is about to wait (or waits on, after a covered turn): from now on it is to be
    /// woken. `false` if there are letters: do not wait.
    #[must_use]
    pub(crate) fn fall_asleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        !self.filled.load(Ordering::SeqCst)
    }

    /// The owner is back: no need to wake it.
    pub(crate) fn awake(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// The owner takes all letters, in the order of arrival, into `letters` (empty before) and
    /// learns who waits for this.
    pub(crate) fn drain(&self, letters: &mut Vec<Letter>) -> ShardSet {
        debug_assert!(letters.is_empty());
        if !self.filled.load(Ordering::SeqCst) {
            return ShardSet::default();
        }
        self.filled.store(false, Ordering::SeqCst);
        let mut content = self.lock();
        std::mem::swap(&mut content.letters, letters);
        self.bytes.store(0, Ordering::SeqCst);
        std::mem::take(&mut content.waiting)
    }

    /// A thread that panicked with the lock held left a valid list behind: every update is one
    /// step.
    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
