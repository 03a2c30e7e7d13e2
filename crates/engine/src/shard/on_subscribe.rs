//! A SUBSCRIBE: into the index, and SUBACK when every shard knows. Must not know messages.

use martlet_proto::topic;
use martlet_proto::{
    PacketId, ReasonCode, ReasonProperties, RetainHandling, SubAck, Subscribe, SubscriptionOptions,
};

use super::Shard;
use super::gates::Opening;
use crate::ids::{ConnId, SessionKey};
use crate::index::{FilterId, Subscriber};
use crate::interest::InterestChange;
use crate::ledger::Then;
use crate::mail::MailItem;
use crate::store::{StoreOp, StoreToken, SubscriptionRecord};

/// A SUBSCRIBE that waits for other shards.
#[derive(Debug)]
pub(super) struct PendingSubscribe {
    session: SessionKey,
    conn: ConnId,
    serial: u32,
    packet_id: PacketId,
    codes: Vec<u8>,
    /// How many openings are still to come.
    waits: u32,
    /// Filters that want to be told what is retained.
    replays: Vec<Box<str>>,
    /// The batch with the subscriptions.
    stored: Option<StoreToken>,
}

/// The pending ones, by token.
#[derive(Debug, Default)]
pub(super) struct PendingSubscribes {
    by_token: std::collections::BTreeMap<u64, PendingSubscribe>,
    next_token: u64,
}

impl Shard {
    /// [MQTT-3.8.4-1] [MQTT3-3.8.4-1]
    pub(super) fn on_subscribe(&mut self, id: ConnId, subscribe: &Subscribe<'_>) {
        let Some(conn) = self.peers.conns.get(id) else { return };
        let (serial, Some(slot)) = (conn.serial, conn.session) else { return };
        let Some(session) = self.peers.sessions.get(slot) else { return };
        self.pending.next_token += 1;
        let token = self.pending.next_token;
        let mut pending = PendingSubscribe {
            session: session.key,
            conn: id,
            serial,
            packet_id: subscribe.packet_id,
            codes: Vec::new(),
            waits: 0,
            replays: Vec::new(),
            stored: None,
        };
        let subscription_id = subscribe.subscription_id.map_or(0, |id| id.get());
        // [MQTT-3.8.4-5] [MQTT3-3.8.4-4] One after the other, one answer.
        for (filter, options) in subscribe.filters.iter() {
            let is_over = pending.codes.len() >= self.config.limits.subscribe_filters_max;
            let refused = is_over.then_some(ReasonCode::QuotaExceeded);
            let code = match refused.or_else(|| self.refuse_subscription(slot, filter)) {
                Some(reason) => reason as u8,
                None => {
                    self.subscribe(slot, filter, options, subscription_id, token, &mut pending);
                    // [MQTT-3.8.4-7] [MQTT3-3.8.4-5] Every QoS is granted.
                    options.qos.bits()
                }
            };
            // [MQTT-3.8.4-6] [MQTT-3.9.3-1] [MQTT-3.9.3-2] [MQTT3-3.9.3-1] [MQTT3-3.9.3-2]
            pending.codes.push(code);
        }
        if !self.gates.is_open() {
            pending.waits += 1;
            self.gates.wait(Opening::Subscribe(token));
        }
        // What SUBACK says holds for good: it waits for the store as well.
        if let Some(stored) = pending.stored
            && self.peers.ledger.promise_on(stored, Then::Subscribe(token))
        {
            pending.waits += 1;
        }
        if pending.waits == 0 {
            self.finish_subscribe(pending);
        } else {
            self.pending.by_token.insert(token, pending);
        }
    }

    fn refuse_subscription(&self, slot: u32, filter: &str) -> Option<ReasonCode> {
        let limits = &self.config.limits;
        let session = self.peers.sessions.get(slot)?;
        if session.durable.is_some()
            && let Some(reason) = self.store_trouble()
        {
            return Some(reason);
        }
        if topic::levels(filter).nth(limits.topic_levels_max).is_some() {
            return Some(ReasonCode::TopicFilterInvalid);
        }
        let count = session.subscriptions.len() + session.shared.len();
        let is_over = count >= limits.subscriptions_max
            || session.filter_bytes + filter.len() as u32 > limits.subscription_bytes_max
            || session.shared.len() >= limits.shared_subscriptions_max
                && topic::shared(filter).is_some();
        is_over.then_some(ReasonCode::QuotaExceeded)
    }

    fn subscribe(
        &mut self,
        slot: u32,
        filter: &str,
        options: SubscriptionOptions,
        subscription_id: u32,
        token: u64,
        pending: &mut PendingSubscribe,
    ) {
        let subscriber = Subscriber { key: slot, options: options.to_bits(), subscription_id };
        let session = self.peers.sessions.get(slot);
        let durable =
            session.and_then(|session| session.durable.as_ref()).map(|durable| durable.id);
        if let Some(session) = durable {
            let (filter, options) = (filter.into(), options.to_bits());
            let record = SubscriptionRecord { filter, options, subscription_id };
            let put = StoreOp::PutSubscription { session, subscription: Box::new(record) };
            pending.stored = Some(self.peers.ledger.push(put, 0));
        }
        if topic::shared(filter).is_some() {
            // Retained messages are not sent to share groups.
            if self.join_group(slot, filter, subscriber, token) {
                pending.waits += 1;
            }
            return;
        }
        let existed = self.add_subscription(slot, filter, subscriber);
        // [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11] [MQTT-3.8.4-4] [MQTT3-3.3.1-6]
        let wants_retained = match options.retain_handling {
            RetainHandling::Send => true,
            RetainHandling::SendIfNew => !existed,
            RetainHandling::DoNotSend => false,
        };
        if wants_retained {
            pending.replays.push(filter.into());
        } else if let Some(session) = self.peers.sessions.get_mut(slot)
            && let Some(replays) = &mut session.replays
            && let Some(filter) = self.router.subscriptions.find(filter)
        {
            // What the replaced subscription has still to be told goes by the new terms.
            replays.change(filter, options.to_bits(), subscription_id);
        }
    }

    /// Adds or replaces a subscription, with or without wildcards [MQTT3-3.8.3-2] [MQTT-3.8.4-3]
    /// [MQTT3-3.8.4-3]; whether there was one.
    pub(super) fn add_subscription(
        &mut self,
        slot: u32,
        filter: &str,
        subscriber: Subscriber,
    ) -> bool {
        let inserted = self.router.subscriptions.insert(filter, subscriber);
        if inserted.filter_is_new
            && let Some(change) = self.router.want(filter)
        {
            self.announce(&change);
        }
        if inserted.replaced.is_some() {
            return true;
        }
        self.gates.note_young(inserted.filter, slot);
        let Some(session) = self.peers.sessions.get_mut(slot) else { return false };
        session.subscriptions.insert(inserted.filter);
        session.filter_bytes += filter.len() as u32;
        let is_durable = session.durable.is_some();
        self.peers.stats.subscriptions += 1;
        if is_durable {
            self.want_durable(filter);
        }
        false
    }

    /// A durable session wants this filter.
    pub(super) fn want_durable(&mut self, filter: &str) {
        if let Some(change) = self.router.want_durable(self.config.shard, filter) {
            self.announce_durable(&change);
        }
    }

    /// One of them wants it no more.
    pub(super) fn unwant_durable(&mut self, filter: &str) {
        if let Some(change) = self.router.unwant_durable(self.config.shard, filter) {
            self.announce_durable(&change);
        }
    }

    fn announce_durable(&mut self, change: &InterestChange) {
        if self.homes.shards() > 1 {
            self.gates.announce();
            let durable = true;
            self.mailroom.broadcast(|| MailItem::Interest { change: change.clone(), durable });
        }
    }

    /// Takes a session out of a filter. Its own list is the caller's.
    pub(super) fn forget_subscription(&mut self, filter: FilterId, slot: u32) {
        self.gates.forget_young(filter, slot);
        let name: Box<str> = self.router.subscriptions.filter(filter).into();
        let session = self.peers.sessions.get(slot);
        if session.is_some_and(|session| session.durable.is_some()) {
            self.unwant_durable(&name);
        }
        let removed = self.router.subscriptions.remove_by_id(filter, slot);
        if removed.is_some_and(|removed| removed.filter_is_gone) {
            self.withdraw(&name);
        }
    }

    /// Nobody here wants this filter any more.
    pub(super) fn withdraw(&mut self, filter: &str) {
        if let Some(change) = self.router.unwant(filter) {
            self.announce(&change);
        }
    }

    /// Tells every other shard of a change of interest.
    pub(super) fn announce(&mut self, change: &InterestChange) {
        if self.homes.shards() > 1 {
            self.gates.announce();
            let durable = false;
            self.mailroom.broadcast(|| MailItem::Interest { change: change.clone(), durable });
        }
    }

    /// One thing less for a SUBSCRIBE to wait for.
    pub(super) fn on_subscribe_opening(&mut self, token: u64) {
        let Some(pending) = self.pending.by_token.get_mut(&token) else { return };
        pending.waits -= 1;
        if pending.waits == 0
            && let Some(pending) = self.pending.by_token.remove(&token)
        {
            self.finish_subscribe(pending);
        }
    }

    /// SUBACK; when something in it is a refusal, it says what was too much [MQTT-3.1.2-29]
    /// [MQTT-3.9.2-1].
    fn send_sub_ack(&mut self, id: ConnId, packet_id: PacketId, codes: &[u8]) {
        let Some(conn) = self.peers.conns.get(id) else { return };
        let refused = codes.iter().filter_map(|code| ReasonCode::from_u8(*code));
        let refused = refused.filter(|_| conn.proto.problem_information()).find(|c| c.is_error());
        let what = match refused {
            Some(_) if self.store_trouble().is_some() => "the store cannot take subscriptions now",
            Some(ReasonCode::QuotaExceeded) => "too many subscriptions",
            Some(_) => "the topic filter has too many levels",
            None => {
                let ack = SubAck { packet_id, properties: ReasonProperties::default(), codes };
                return self.peers.send(id, |version, out| ack.put(version, out));
            }
        };
        self.peers.send_with_reason(id, what, |reason_string, version, out| {
            let properties = ReasonProperties { reason_string, ..ReasonProperties::default() };
            SubAck { packet_id, properties, codes }.put(version, out);
        });
    }

    /// Every shard knows: SUBACK goes out [MQTT-3.8.4-2] [MQTT-2.2.1-6] [MQTT3-3.8.4-2]
    /// [MQTT3-2.3.1-7], then what is retained.
    fn finish_subscribe(&mut self, pending: PendingSubscribe) {
        let PendingSubscribe { session, conn, serial, packet_id, codes, replays, .. } = pending;
        let is_there = self.peers.conns.get(conn);
        if is_there.is_some_and(|conn| conn.serial == serial && conn.session.is_some()) {
            self.send_sub_ack(conn, packet_id, &codes);
        }
        let Some(slot) = self.peers.slot_of(session) else { return };
        for filter in replays {
            // It may have been unsubscribed from while the SUBACK waited [MQTT-3.10.4-2], or
            // replaced.
            let Some(filter) = self.router.subscriptions.find(&filter) else { continue };
            if let Some(subscriber) = self.router.subscriptions.get(filter, slot).copied() {
                self.start_replay(slot, filter, subscriber);
            }
        }
    }
}
