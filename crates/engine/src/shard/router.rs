//! Which sessions, share groups and shards want a topic. Must not know connections.

use super::on_publish::Merged;
use crate::ids::ShardId;
use crate::index::{FilterId, SubscriptionIndex};
use crate::interest::{InterestChange, InterestMap, OwnInterest, ShardSet};
use crate::sessions::Sessions;

/// The subscriptions of this shard's sessions, the share groups whose home it is, and the interest
/// of the others.
#[derive(Debug)]
pub(super) struct Router {
    /// Keys are session slots.
    pub(super) subscriptions: SubscriptionIndex,
    /// Keys are group slots.
    pub(super) shares: SubscriptionIndex,
    own: OwnInterest,
    others: InterestMap,
    /// The same of durable sessions: what has to be made safe somewhere. This shard's own interest
    /// is in the map as well.
    own_durable: OwnInterest,
    durable: InterestMap,
    /// Numbers the messages whose receivers have to be merged.
    merge_stamp: u32,
    /// Receivers of the message that is being routed, each once.
    pub(super) merged: Vec<Merged>,
    /// Filters of the message that is being routed.
    pub(super) matched: Vec<FilterId>,
}

impl Router {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            subscriptions: SubscriptionIndex::new(seed),
            shares: SubscriptionIndex::new(seed),
            own: OwnInterest::new(seed),
            others: InterestMap::new(seed),
            own_durable: OwnInterest::new(seed),
            durable: InterestMap::new(seed),
            merge_stamp: 0,
            merged: Vec::new(),
            matched: Vec::new(),
        }
    }

    /// A mark for the receivers of one message that no session bears yet.
    pub(super) fn next_merge_stamp(&mut self, sessions: &mut Sessions) -> u32 {
        self.merge_stamp = self.merge_stamp.wrapping_add(1);
        if self.merge_stamp == 0 {
            // The marks begin anew: whoever bears one from the last round must not be mistaken.
            sessions.forget_merges();
            self.merge_stamp = 1;
        }
        self.merge_stamp
    }

    /// Counts a filter in; the change the other shards have to hear of, if any.
    pub(super) fn want(&mut self, filter: &str) -> Option<InterestChange> {
        self.own.add(filter)
    }

    /// Counts a filter out.
    pub(super) fn unwant(&mut self, filter: &str) -> Option<InterestChange> {
        self.own.remove(filter)
    }

    /// Counts a filter of a durable session of `own` in; the change to announce, if any.
    pub(super) fn want_durable(&mut self, own: ShardId, filter: &str) -> Option<InterestChange> {
        let change = self.own_durable.add(filter)?;
        self.durable.apply(own.0, &change);
        Some(change)
    }

    /// Counts it out.
    pub(super) fn unwant_durable(&mut self, own: ShardId, filter: &str) -> Option<InterestChange> {
        let change = self.own_durable.remove(filter)?;
        self.durable.apply(own.0, &change);
        Some(change)
    }

    /// Another shard's interest changed.
    pub(super) fn apply(&mut self, from: ShardId, change: &InterestChange, durable: bool) {
        let map = if durable { &mut self.durable } else { &mut self.others };
        map.apply(from.0, change);
    }

    /// The shards, this one included, on which a durable session may have a message of this topic:
    /// never too few, sometimes too many.
    #[inline]
    pub(super) fn interested_durably(&self, topic: &str) -> ShardSet {
        self.durable.interested(topic)
    }

    /// The other shards that may have a receiver: never too few, sometimes too many.
    #[inline]
    pub(super) fn interested(&self, topic: &str) -> ShardSet {
        self.others.interested(topic)
    }

    /// Whether a subscription or a share group of this shard matches the topic.
    pub(super) fn has_match(&self, topic: &str) -> bool {
        let mut matched = Vec::new();
        self.subscriptions.route(topic, &mut matched);
        self.shares.route(topic, &mut matched);
        !matched.is_empty()
    }

    /// Whether a share group of this shard matches the topic: its members may be anywhere.
    pub(super) fn has_group(&self, topic: &str) -> bool {
        let mut matched = Vec::new();
        self.shares.route(topic, &mut matched);
        !matched.is_empty()
    }

    pub(super) fn check_invariants(&self, sessions: &Sessions) {
        let mut subscriptions = 0;
        for session in sessions.iter() {
            subscriptions += session.subscriptions.len();
            for filter in &session.subscriptions {
                let known = self.subscriptions.get(*filter, session.key.slot());
                assert!(known.is_some(), "a session's subscriptions are indexed");
            }
        }
        assert_eq!(subscriptions, self.subscriptions.subscriptions_len(), "and no others are");
    }
}
