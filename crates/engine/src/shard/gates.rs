//! What waits until the other shards know of a new interest: SUBACKs and share group joins. Must
//! not know what a subscription is.
//!
//! Interest changes carry no number: each pair of shards keeps its order, so both sides count them.

use std::collections::{BTreeMap, VecDeque};

use crate::ids::ShardId;
use crate::index::FilterId;

/// What happens when a gate opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// One reason less for a SUBACK to wait: the token of the pending SUBSCRIBE.
    Subscribe(u64),
    /// Tell a member's home that its share group is in force.
    Joined { shard: ShardId, token: u64 },
}

/// Interest announced and acknowledged.
#[derive(Debug)]
pub(super) struct Gates {
    own: usize,
    /// Changes announced so far.
    announced: u64,
    /// How many of them each shard has put in force.
    acknowledged: Vec<u64>,
    /// How many changes of each shard were applied here.
    applied: Vec<u64>,
    /// What of `applied` may be acknowledged from the next turn on, and what was.
    ripe: Vec<u64>,
    told: Vec<u64>,
    waiting: VecDeque<(u64, Opening)>,
    /// Subscriptions (filter, session slot) that not every shard knows of yet, with the change that
    /// tells them.
    young: BTreeMap<(FilterId, u32), u64>,
}

impl Gates {
    pub(super) fn new(own: ShardId, shards: u16) -> Self {
        let zeros = vec![0; usize::from(shards)];
        Self {
            own: usize::from(own.0),
            announced: 0,
            acknowledged: zeros.clone(),
            applied: zeros.clone(),
            ripe: zeros.clone(),
            told: zeros,
            waiting: VecDeque::new(),
            young: BTreeMap::new(),
        }
    }

    /// A change is on its way to every other shard.
    pub(super) fn announce(&mut self) {
        self.announced += 1;
    }

    /// Whether all that was announced is in force everywhere.
    pub(super) fn is_open(&self) -> bool {
        self.in_force() == self.announced
    }

    fn in_force(&self) -> u64 {
        let others = self.acknowledged.iter().enumerate().filter(|(i, _)| *i != self.own);
        others.map(|(_, version)| *version).min().unwrap_or(self.announced)
    }

    /// `opening` happens when everything announced so far is in force.
    pub(super) fn wait(&mut self, opening: Opening) {
        self.waiting.push_back((self.announced, opening));
    }

    /// A shard has put this many of our changes in force.
    pub(super) fn acknowledge(&mut self, shard: ShardId, version: u64) {
        self.acknowledged[usize::from(shard.0)] = version;
        if !self.young.is_empty() {
            let in_force = self.in_force();
            self.young.retain(|_, version| *version > in_force);
        }
    }

    /// A subscription that is new: shards that do not know of it yet may send what was published
    /// before it.
    pub(super) fn note_young(&mut self, filter: FilterId, slot: u32) {
        if !self.is_open() {
            self.young.insert((filter, slot), self.announced);
        }
    }

    /// The subscription is gone, and its names may be used again.
    pub(super) fn forget_young(&mut self, filter: FilterId, slot: u32) {
        self.young.remove(&(filter, slot));
    }

    /// Whether a message that `from` sent was published before the subscription was in force there.
    /// What is retained of it is found by the replay that follows SUBACK, for `from` had it in the
    /// mail before it acknowledged.
    #[inline]
    pub(super) fn is_too_young(&self, filter: FilterId, slot: u32, from: Option<ShardId>) -> bool {
        let Some(from) = from else { return false };
        if self.young.is_empty() {
            return false;
        }
        let since = self.young.get(&(filter, slot));
        since.is_some_and(|version| *version > self.acknowledged[usize::from(from.0)])
    }

    /// The next gate that is open by now.
    pub(super) fn pop_open(&mut self) -> Option<Opening> {
        let in_force = self.in_force();
        self.waiting.pop_front_if(|(version, _)| *version <= in_force).map(|(_, opening)| opening)
    }

    /// A change of another shard was applied here.
    pub(super) fn applied(&mut self, from: ShardId) {
        self.applied[usize::from(from.0)] += 1;
    }

    /// The acknowledgements due in this turn. Each is held back one turn: then everything this
    /// shard sent before it applied the change is in every mailbox, so whoever hears of the
    /// subscription afterwards finds what was published before.
    pub(super) fn due(&mut self) -> Vec<(ShardId, u64)> {
        let mut due = Vec::new();
        for i in 0..self.ripe.len() {
            if self.told[i] < self.ripe[i] {
                self.told[i] = self.ripe[i];
                due.push((ShardId(i as u16), self.ripe[i]));
            }
        }
        self.ripe.copy_from_slice(&self.applied);
        due
    }

    /// Whether acknowledgements are held back for the next turn.
    pub(super) fn holds_back(&self) -> bool {
        self.ripe != self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_opens_when_the_slowest_shard_has_it() {
        let mut gates = Gates::new(ShardId(1), 3);
        assert!(gates.is_open());
        gates.announce();
        gates.wait(Opening::Subscribe(7));
        gates.acknowledge(ShardId(0), 1);
        assert_eq!(gates.pop_open(), None);
        gates.acknowledge(ShardId(2), 1);
        assert_eq!(gates.pop_open(), Some(Opening::Subscribe(7)));
        assert!(gates.is_open());
    }

    #[test]
    fn an_acknowledgement_is_held_back_one_turn() {
        let mut gates = Gates::new(ShardId(0), 2);
        gates.applied(ShardId(1));
        assert_eq!(gates.due(), []);
        assert!(gates.holds_back());
        assert_eq!(gates.due(), [(ShardId(1), 1)]);
        assert!(!gates.holds_back());
    }
}
