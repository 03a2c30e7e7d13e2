//! Retained messages for new subscriptions, paced: some in each turn, as long as the client takes
//! them. Must not know how the store finds them.

use martlet_proto::topic;

use super::Shard;
use super::on_publish::option_bits;
use crate::delivery::{SubscriptionIdList, Terms};
use crate::ids::{SessionKey, ShardId, topic_hash};
use crate::index::{FilterId, Subscriber};
use crate::mail::{MailItem, RetainedAsk, RetainedReply};
use crate::peers::Peers;

/// Sessions that get on with their replays in one turn: what many want at once must not make it
/// long.
const REPLAYS_PER_TURN: usize = 32;

/// What a step of a replay came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// There is more for this turn or the next.
    Go,
    /// Nothing to do until another shard, the client or the session moves.
    Wait,
    /// All replays of the session are done.
    Done,
}

impl Shard {
    /// Begins to tell a session what is retained; the first of it goes out with this turn.
    pub(super) fn start_replay(&mut self, slot: u32, filter: FilterId, subscriber: Subscriber) {
        let text = self.router.subscriptions.filter(filter);
        let shards = match topic::is_wildcard(text) {
            // Taken from the end: shard 0 first.
            true => (0..self.homes.shards()).rev().map(ShardId).collect(),
            false => vec![self.homes.of(text)],
        };
        let Some(session) = self.peers.sessions.get_mut(slot) else { return };
        let Subscriber { options, subscription_id, .. } = subscriber;
        self.replay_number += 1;
        let replays = session.replays.get_or_insert_default();
        replays.start(self.replay_number, filter, options, subscription_id, shards);
        self.note_replays(slot);
    }

    /// The session may have room again for what is retained.
    pub(super) fn note_replays(&mut self, slot: u32) {
        let Some(session) = self.peers.sessions.get_mut(slot) else { return };
        if let Some(replays) = &mut session.replays
            && !std::mem::replace(&mut replays.is_watched, true)
        {
            self.replaying.push_back(session.key);
        }
    }

    /// Whether retained messages are still to be told to a session.
    pub(super) fn replays_wait_for(&mut self, slot: u32) -> bool {
        self.note_replays(slot);
        self.peers.sessions.get(slot).is_some_and(|session| session.replays.is_some())
    }

    /// Goes on with the replays that can, the next ones in turn.
    pub(super) fn run_replays(&mut self, out: &mut crate::Outputs) {
        for _ in 0..self.replaying.len().min(REPLAYS_PER_TURN) {
            let Some(key) = self.replaying.pop_front() else { break };
            let Some(slot) = self.peers.slot_of(key) else { continue };
            if let Some(session) = self.peers.sessions.get_mut(slot)
                && let Some(replays) = &mut session.replays
            {
                replays.is_watched = false;
            }
            if self.replay(key, slot) == Pace::Go {
                self.note_replays(slot);
            }
        }
        out.more |= !self.replaying.is_empty();
    }

    /// Delivers up to one turn's budget of retained messages to a session.
    fn replay(&mut self, key: SessionKey, slot: u32) -> Pace {
        let mut budget = self.config.limits.replay_budget;
        while budget > 0 {
            let pace = self.replay_step(key, slot, &mut budget);
            if pace != Pace::Go {
                return pace;
            }
        }
        Pace::Go
    }

    fn replay_step(&mut self, key: SessionKey, slot: u32, budget: &mut usize) -> Pace {
        if !self.peers.takes_replays(slot) {
            return Pace::Wait;
        }
        let now_ms = self.peers.now.mono_ms;
        let Some(session) = self.peers.sessions.get_mut(slot) else { return Pace::Done };
        let publisher = session.publisher;
        let Some(replays) = &mut session.replays else { return Pace::Done };
        let Some(replay) = replays.front() else {
            session.replays = None;
            return Pace::Done;
        };
        if let Some(message) = replay.found.pop_front() {
            // [MQTT-3.8.3-3]
            let no_local = replay.options & option_bits::NO_LOCAL != 0;
            let is_echo = no_local && message.origin == publisher;
            let terms = Terms {
                qos: Peers::lower(message.qos, replay.options),
                // [MQTT3-3.3.1-8]
                retain: true,
                ids: SubscriptionIdList::one(replay.subscription_id),
                group: None,
            };
            let is_old = replays.front_is_beaten(topic_hash(message.topic()));
            if !is_old && !is_echo && message.expires_at_ms > now_ms {
                self.peers.deliver_retained(slot, &message, terms);
            }
            return Pace::Go;
        }
        if replay.asked.is_some() {
            return Pace::Wait;
        }
        let Some(shard) = replay.next_shard() else {
            *budget -= 1;
            replays.finish_front();
            return Pace::Go;
        };
        let filter = self.router.subscriptions.filter(replay.filter);
        if shard == self.config.shard {
            let mut cursor = replay.cursor.clone();
            let (found, done) = self.retained.scan(filter, &mut cursor, budget, now_ms);
            replay.take_found(found, cursor, done);
            return Pace::Go;
        }
        self.replay_number += 1;
        replay.asked = Some(self.replay_number);
        let ask = RetainedAsk {
            session: key,
            number: self.replay_number,
            filter: filter.into(),
            cursor: replay.cursor.clone(),
        };
        self.mailroom.to(shard).push(MailItem::RetainedAsk(Box::new(ask)));
        Pace::Wait
    }

    /// Another shard's session wants what is retained here.
    pub(super) fn on_retained_ask(&mut self, from: ShardId, ask: RetainedAsk) {
        let RetainedAsk { session, number, filter, mut cursor } = ask;
        let mut budget = self.config.limits.replay_budget;
        let now_ms = self.peers.now.mono_ms;
        let (messages, done) = self.retained.scan(&filter, &mut cursor, &mut budget, now_ms);
        let reply = RetainedReply { session, number, cursor, done, messages };
        self.mailroom.to(from).push(MailItem::RetainedReply(Box::new(reply)));
    }

    pub(super) fn on_retained_reply(&mut self, reply: RetainedReply) {
        let Some(slot) = self.peers.slot_of(reply.session) else { return };
        let Some(session) = self.peers.sessions.get_mut(slot) else { return };
        let replay = session.replays.as_mut().and_then(|replays| replays.front());
        // The one that asked may be gone, or have asked again.
        let Some(replay) = replay.filter(|replay| replay.asked == Some(reply.number)) else {
            return;
        };
        replay.take_found(reply.messages, reply.cursor, reply.done);
        self.note_replays(slot);
    }
}
