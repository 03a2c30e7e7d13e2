//! Retained messages on their way to a new subscription, paced. Must not know the store, other shards
//! or the wire.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use crate::ids::ShardId;
use crate::message::Message;
use crate::retained::Cursor;

/// One subscription that is being told what is retained.
#[derive(Debug)]
pub(crate) struct Replay {
    pub(crate) id: u32,
    pub(crate) filter: Box<str>,
    /// Subscription options as bits.
    pub(crate) options: u8,
    /// 0: none.
    pub(crate) subscription_id: u32,
    /// The shards still to be asked, the next one last.
    pub(crate) shards: Vec<ShardId>,
    /// Where the scan of the next shard stands.
    pub(crate) cursor: Cursor,
    /// Another shard was asked and has not answered.
    pub(crate) waiting: bool,
    /// Found and not yet delivered.
    pub(crate) found: VecDeque<Arc<Message>>,
    /// Topics (hashed) of which a live update was delivered meanwhile: what the store said is old.
    beaten: BTreeSet<u64>,
}

impl Replay {
    /// A shard's scan gave these; `done` when it has no more.
    pub(crate) fn take_found(&mut self, found: Vec<Arc<Message>>, done: bool) {
        self.found.extend(found);
        if done {
            self.shards.pop();
            self.cursor = Cursor::default();
        }
    }

    /// Whether a live update of the topic came first.
    pub(crate) fn is_beaten(&self, topic_hash: u64) -> bool {
        self.beaten.contains(&topic_hash)
    }
}

/// The replays of one session, served one after the other.
#[derive(Debug, Default)]
pub(crate) struct Replays {
    list: VecDeque<Replay>,
}

impl Replays {
    /// Starts a replay; an older one of the same filter is forgotten. The session has had no other
    /// with this `id`: answers to a question of a forgotten one may still come.
    pub(crate) fn start(
        &mut self,
        id: u32,
        filter: &str,
        options: u8,
        subscription_id: u32,
        shards: Vec<ShardId>,
    ) {
        self.cancel(filter);
        self.list.push_back(Replay {
            id,
            filter: filter.into(),
            options,
            subscription_id,
            shards,
            cursor: Cursor::default(),
            waiting: false,
            found: VecDeque::new(),
            beaten: BTreeSet::new(),
        });
    }

    /// The subscription was replaced by one that does not start a replay of its own.
    pub(crate) fn change(&mut self, filter: &str, options: u8, subscription_id: u32) {
        for replay in self.list.iter_mut().filter(|replay| &*replay.filter == filter) {
            replay.options = options;
            replay.subscription_id = subscription_id;
        }
    }

    /// The subscription is gone or replaced.
    pub(crate) fn cancel(&mut self, filter: &str) {
        self.list.retain(|replay| &*replay.filter != filter);
    }

    pub(crate) fn front(&mut self) -> Option<&mut Replay> {
        self.list.front_mut()
    }

    pub(crate) fn finish_front(&mut self) {
        self.list.pop_front();
    }

    pub(crate) fn by_id(&mut self, id: u32) -> Option<&mut Replay> {
        self.list.iter_mut().find(|replay| replay.id == id)
    }

    /// A live retained update of the topic is being delivered.
    pub(crate) fn beat(&mut self, topic: &str, topic_hash: u64) {
        for replay in &mut self.list {
            if martlet_proto::topic::matches(&replay.filter, topic) {
                replay.beaten.insert(topic_hash);
            }
        }
    }
}
