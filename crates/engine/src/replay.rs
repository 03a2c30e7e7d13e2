//! Retained messages on their way to a new subscription, paced. Must not know the store, other
//! shards or the wire.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::ids::ShardId;
use crate::index::FilterId;
use crate::message::Message;
use crate::retained::Cursor;

/// Live updates remembered for one session's replays. Beyond it they are forgotten, and what was
/// read before them is read again.
const BEATEN_MAX: usize = 4096;

/// One subscription that is being told what is retained.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) filter: FilterId,
    /// Subscription options as bits.
    pub(crate) options: u8,
    /// 0: none.
    pub(crate) subscription_id: u32,
    /// The shards still to be asked, the next one last.
    shards: Vec<ShardId>,
    /// Where the scan of the next shard stands, behind what was found.
    pub(crate) cursor: Cursor,
    /// The question to another shard that has no answer yet.
    pub(crate) asked: Option<u64>,
    /// Found and not yet delivered.
    pub(crate) found: VecDeque<Arc<Message>>,
    /// The next shard has no more than what was found.
    shard_is_done: bool,
}

impl Replay {
    /// A shard's scan gave these and has come to `cursor`; `done` when it has no more.
    pub(crate) fn take_found(&mut self, found: Vec<Arc<Message>>, cursor: Cursor, done: bool) {
        self.asked = None;
        self.found.extend(found);
        self.cursor = cursor;
        self.shard_is_done = done;
    }

    /// The shard to read next, once all that was found is delivered; `None` when there is none
    /// left.
    pub(crate) fn next_shard(&mut self) -> Option<ShardId> {
        if std::mem::take(&mut self.shard_is_done) {
            self.shards.pop();
            self.cursor = Cursor::default();
        }
        self.shards.last().copied()
    }

    /// Forgets what was read and not delivered: it may be out of date.
    fn read_again(&mut self) {
        self.asked = None;
        if let Some(first) = self.found.front() {
            self.cursor = Cursor::at(first.topic());
            self.shard_is_done = false;
            self.found.clear();
        }
    }
}

/// The replays of one session, served one after the other.
#[derive(Debug, Default)]
pub(crate) struct Replays {
    /// By number, so in the order in which they were started.
    list: BTreeMap<u64, Replay>,
    numbers: BTreeMap<FilterId, u64>,
    /// Topics (hashed) of which a live update was delivered meanwhile, with the newest replay that
    /// was pending then: for it and those before it, what the store said is old.
    beaten: BTreeMap<u64, u64>,
    /// The shard's list of those to go on with has the session.
    pub(crate) is_watched: bool,
}

impl Replays {
    /// Starts a replay; an older one of the same filter is forgotten. `number` is larger than that
    /// of any before.
    pub(crate) fn start(
        &mut self,
        number: u64,
        filter: FilterId,
        options: u8,
        subscription_id: u32,
        shards: Vec<ShardId>,
    ) {
        self.cancel(filter);
        self.numbers.insert(filter, number);
        let replay = Replay {
            filter,
            options,
            subscription_id,
            shards,
            cursor: Cursor::default(),
            asked: None,
            found: VecDeque::new(),
            shard_is_done: false,
        };
        self.list.insert(number, replay);
    }

    /// The subscription was replaced by one that does not start a replay of its own.
    pub(crate) fn change(&mut self, filter: FilterId, options: u8, subscription_id: u32) {
        let number = self.numbers.get(&filter);
        if let Some(replay) = number.and_then(|number| self.list.get_mut(number)) {
            replay.options = options;
            replay.subscription_id = subscription_id;
        }
    }

    /// The subscription is gone or replaced.
    pub(crate) fn cancel(&mut self, filter: FilterId) {
        if let Some(number) = self.numbers.remove(&filter) {
            self.list.remove(&number);
        }
    }

    /// The one that is being served.
    pub(crate) fn front(&mut self) -> Option<&mut Replay> {
        self.list.first_entry().map(|entry| entry.into_mut())
    }

    pub(crate) fn finish_front(&mut self) {
        if let Some((_, replay)) = self.list.pop_first() {
            self.numbers.remove(&replay.filter);
        }
    }

    /// Whether a live update of the topic came after the one that is being served was started.
    pub(crate) fn front_is_beaten(&self, topic_hash: u64) -> bool {
        let (Some((front, _)), Some(until)) =
            (self.list.first_key_value(), self.beaten.get(&topic_hash))
        else {
            return false;
        };
        front <= until
    }

    /// A live retained update of the topic is being delivered.
    pub(crate) fn beat(&mut self, topic_hash: u64) {
        let Some((newest, _)) = self.list.last_key_value() else { return };
        self.beaten.insert(topic_hash, *newest);
        if self.beaten.len() > BEATEN_MAX {
            // What is read from now on is at least as new as all that was delivered live.
            self.beaten = BTreeMap::new();
            if let Some(replay) = self.front() {
                replay.read_again();
            }
        }
    }
}
