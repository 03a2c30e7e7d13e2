//! Retained messages for new subscriptions, paced: some in each turn, as long as the client takes them.
//! Must not know how the store finds them.

use martlet_proto::topic;

use super::Shard;
use super::on_publish::option_bits;
use crate::delivery::{SubscriptionIdList, Terms};
use crate::ids::{SessionKey, ShardId, topic_hash};
use crate::mail::{MailItem, RetainedAsk, RetainedReply};
use crate::peers::Peers;

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
    pub(super) fn start_replay(
        &mut self,
        slot: u32,
        filter: &str,
        options: u8,
        subscription_id: u32,
    ) {
        let shards = match topic::is_wildcard(filter) {
            // Taken from the end: shard 0 first.
            true => (0..self.homes.shards()).rev().map(ShardId).collect(),
            false => vec![self.homes.of(filter)],
        };
        let Some(session) = self.peers.sessions.get_mut(slot) else { return };
        let key = session.key;
        self.replays_started = self.replays_started.wrapping_add(1);
        let replays = session.replays.get_or_insert_default();
        replays.start(self.replays_started, filter, options, subscription_id, shards);
        if self.replay(key) != Pace::Done {
            self.watch_replays(key);
        }
    }

    fn watch_replays(&mut self, key: SessionKey) {
        if !self.replaying.contains(&key) {
            self.replaying.push(key);
        }
    }

    /// The session may have room again for what is retained.
    pub(super) fn note_replays(&mut self, slot: u32) {
        let session = self.peers.sessions.get(slot).filter(|session| session.replays.is_some());
        if let Some(key) = session.map(|session| session.key) {
            self.watch_replays(key);
        }
    }

    /// Whether retained messages are still to be told to a session.
    pub(super) fn replays_wait_for(&mut self, slot: u32) -> bool {
        self.note_replays(slot);
        self.peers.sessions.get(slot).is_some_and(|session| session.replays.is_some())
    }

    /// Goes on with every replay that can.
    pub(super) fn run_replays(&mut self, out: &mut crate::Outputs) {
        for key in std::mem::take(&mut self.replaying) {
            match self.replay(key) {
                Pace::Go => {
                    self.replaying.push(key);
                    out.more = true;
                }
                Pace::Wait | Pace::Done => {}
            }
        }
    }

    /// Delivers up to one turn's budget of retained messages to a session.
    fn replay(&mut self, key: SessionKey) -> Pace {
        let Some(slot) = self.peers.slot_of(key) else { return Pace::Done };
        for _ in 0..self.config.limits.replay_budget {
            let pace = self.replay_step(key, slot);
            if pace != Pace::Go {
                return pace;
            }
        }
        Pace::Go
    }

    fn replay_step(&mut self, key: SessionKey, slot: u32) -> Pace {
        if !self.peers.takes_replays(slot) {
            return Pace::Wait;
        }
        let now_ms = self.peers.now.mono_ms;
        let Some(session) = self.peers.sessions.get_mut(slot) else { return Pace::Done };
        let Some(replays) = &mut session.replays else { return Pace::Done };
        let Some(replay) = replays.front() else {
            session.replays = None;
            return Pace::Done;
        };
        if let Some(message) = replay.found.pop_front() {
            let is_old = replay.is_beaten(topic_hash(message.topic()));
            // [MQTT-3.8.3-3]
            let is_echo = replay.options & option_bits::NO_LOCAL != 0 && message.origin == key;
            let terms = Terms {
                qos: Peers::lower(message.qos, replay.options),
                // [MQTT3-3.3.1-8]
                retain: true,
                ids: SubscriptionIdList::one(replay.subscription_id),
                group: None,
            };
            if !is_old && !is_echo && message.expires_at_ms > now_ms {
                self.peers.deliver_retained(slot, &message, terms);
            }
            return Pace::Go;
        }
        if replay.waiting {
            return Pace::Wait;
        }
        let Some(shard) = replay.shards.last().copied() else {
            replays.finish_front();
            return Pace::Go;
        };
        if shard == self.config.shard {
            let budget = self.config.limits.replay_budget;
            let (found, done) =
                self.retained.scan(&replay.filter, &mut replay.cursor, budget, now_ms);
            replay.take_found(found, done);
            return Pace::Go;
        }
        replay.waiting = true;
        let ask = RetainedAsk {
            session: key,
            replay: replay.id,
            filter: replay.filter.clone(),
            cursor: std::mem::take(&mut replay.cursor),
        };
        self.mailroom.to(shard).push(MailItem::RetainedAsk(Box::new(ask)));
        Pace::Wait
    }

    /// Another shard's session wants what is retained here.
    pub(super) fn on_retained_ask(&mut self, from: ShardId, ask: RetainedAsk) {
        let RetainedAsk { session, replay, filter, mut cursor } = ask;
        let budget = self.config.limits.replay_budget;
        let now_ms = self.peers.now.mono_ms;
        let (messages, done) = self.retained.scan(&filter, &mut cursor, budget, now_ms);
        let reply = RetainedReply { session, replay, cursor, done, messages };
        self.mailroom.to(from).push(MailItem::RetainedReply(Box::new(reply)));
    }

    pub(super) fn on_retained_reply(&mut self, reply: RetainedReply) {
        let Some(slot) = self.peers.slot_of(reply.session) else { return };
        let Some(session) = self.peers.sessions.get_mut(slot) else { return };
        let Some(replay) = session.replays.as_mut().and_then(|r| r.by_id(reply.replay)) else {
            return;
        };
        replay.waiting = false;
        replay.cursor = reply.cursor;
        replay.take_found(reply.messages, reply.done);
        self.watch_replays(reply.session);
    }
}
