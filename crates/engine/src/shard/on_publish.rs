//! A PUBLISH from a client to everybody who wants it. Must not know how a message is sent.

use std::sync::Arc;

use martlet_proto::{
    Frame, PacketId, PacketType, Publish, Qos, ReasonCode, Sender, decode_publish,
};
use martlet_session::incoming::Seen;

use super::Shard;
use super::answer::Answered;
use super::on_bytes::Next;
use crate::delivery::{SubscriptionIdList, Terms};
use crate::ids::{ConnId, Publisher, ShardId};
use crate::index::{FilterId, Subscriber};
use crate::interest::ShardSet;
use crate::log::Cause;
use crate::mail::COPIED_BYTES_MAX;
use crate::message::{NEVER, PublishView};
use crate::peers::Peers;
use crate::stats::Drop;
use crate::store::{StoreHealth, StoreOp};
use crate::time::MS_PER_S;

/// Bits of the subscription options byte (section 3.8.3.1).
pub(super) mod option_bits {
    pub(crate) const NO_LOCAL: u8 = 0b0000_0100;
    pub(crate) const RETAIN_AS_PUBLISHED: u8 = 0b0000_1000;
}

/// One receiver with everything its overlapping subscriptions add up to.
#[derive(Debug)]
pub(super) struct Merged {
    slot: u32,
    terms: Terms,
}

impl Shard {
    #[inline]
    pub(super) fn on_publish(
        &mut self,
        id: ConnId,
        frame: &Frame<'_>,
        whole: Option<&Arc<Vec<u8>>>,
    ) -> Next {
        let Some(conn) = self.peers.conns.get(id) else { return Next::Stop };
        let publish = match decode_publish(frame, conn.proto.version(), Sender::Client) {
            Ok(publish) => publish,
            Err(error) => {
                self.on_malformed(id, error);
                return Next::Stop;
            }
        };
        self.peers.stats.publish_received += 1;
        self.peers.stats.publish_bytes_received += publish.payload.len() as u64;
        if publish.properties.topic_alias.is_none() && !publish.topic.is_empty() {
            return self.on_publish_to(id, &publish, publish.topic, whole);
        }
        let mut topic = std::mem::take(&mut self.topic_scratch);
        let next = match self.resolve_alias(id, &publish, &mut topic) {
            true => self.on_publish_to(id, &publish, &topic, whole),
            false => Next::Stop,
        };
        self.topic_scratch = topic;
        next
    }

    /// Looks the topic alias up, or sets it. False: the connection ended over it.
    fn resolve_alias(&mut self, id: ConnId, publish: &Publish<'_>, topic: &mut String) -> bool {
        let Some(conn) = self.peers.conns.get_mut(id) else { return false };
        match conn.proto.resolve_topic(publish) {
            // [MQTT-3.3.2-12]
            Ok(resolved) => {
                topic.clear();
                topic.push_str(resolved);
                true
            }
            Err(violation) => {
                self.end(id, Cause::Violation(violation));
                false
            }
        }
    }

    #[inline]
    fn on_publish_to(
        &mut self,
        id: ConnId,
        publish: &Publish<'_>,
        topic: &str,
        whole: Option<&Arc<Vec<u8>>>,
    ) -> Next {
        let Some(conn) = self.peers.conns.get_mut(id) else { return Next::Stop };
        let Some(slot) = conn.session else { return Next::Stop };
        let expires_at_ms = match publish.properties.message_expiry_s {
            None => NEVER,
            Some(seconds) => self.peers.now.mono_ms + u64::from(seconds) * MS_PER_S,
        };
        let session = self.peers.sessions.get_mut(slot).expect("a connection's session exists");
        let mut view = PublishView {
            topic,
            forward: publish.properties.forward,
            payload: publish.payload,
            qos: publish.qos,
            retain: publish.retain,
            expires_at_ms,
            origin: session.publisher,
            body: None,
            frame: whole,
            kept: None,
        };
        // [MQTT-3.3.4-1] [MQTT3-3.3.4-1]
        match (publish.qos, publish.packet_id) {
            (Qos::AtLeastOnce, Some(packet_id)) => {
                self.on_publish_qos1(id, packet_id, &mut view);
                Next::Continue
            }
            (Qos::ExactlyOnce, Some(packet_id)) => self.on_publish_qos2(id, packet_id, &mut view),
            _ => {
                let _ = self.publish_from_client(id, slot, &mut view);
                Next::Continue
            }
        }
    }

    /// [MQTT-4.3.2-4] [MQTT-4.3.2-5] [MQTT3-4.3.2-2] Acknowledged once it is where it has to be:
    /// every PUBLISH is a new message, whatever its identifier and DUP flag. [MQTT-4.6.0-2]
    /// [MQTT3-4.6.0-2]
    fn on_publish_qos1(&mut self, id: ConnId, packet_id: PacketId, view: &mut PublishView<'_>) {
        let Some(slot) = self.peers.conns.get(id).and_then(|conn| conn.session) else { return };
        self.peers.ledger.begin_effects(0, false);
        let reason = self.publish_from_client(id, slot, view);
        let bytes = view.topic.len() + view.payload.len();
        // [MQTT-2.2.1-5] [MQTT-3.4.2-1] [MQTT3-2.3.1-6] [MQTT3-3.3.5-2]
        let answer = Answered { packet: PacketType::PubAck, packet_id, bytes, session: None };
        self.finish_publish(id, reason, answer);
    }

    /// The message is passed on at its first PUBLISH; repetitions until PUBREL are only answered.
    fn on_publish_qos2(
        &mut self,
        id: ConnId,
        packet_id: PacketId,
        view: &mut PublishView<'_>,
    ) -> Next {
        let Some(conn) = self.peers.conns.get(id) else { return Next::Stop };
        let Some(slot) = conn.session else { return Next::Stop };
        let session = self.peers.sessions.get_mut(slot).expect("a connection's session exists");
        let unfinished = session.incoming.len();
        // [MQTT-4.3.3-10] [MQTT3-4.3.3-2]
        let is_new = session.incoming.publish(packet_id) == Seen::Fresh;
        // [MQTT-3.3.4-7]
        if let Err(violation) = conn.proto.admit_qos2(unfinished, is_new) {
            session.incoming.refuse(packet_id);
            self.end(id, Cause::Violation(violation));
            return Next::Stop;
        }
        let key = session.key;
        let durable = session.durable.as_ref().map(|durable| durable.id);
        // [MQTT-4.3.3-8] [MQTT-3.5.2-1] [MQTT-4.6.0-3] [MQTT3-4.6.0-3]
        // [MQTT-4.3.3-13] Whether the message has expired plays no part.
        if !is_new {
            self.repeat_pub_rec(id, slot, packet_id);
            return Next::Continue;
        }
        self.peers.ledger.begin_effects(0, durable.is_some());
        let reason = self.publish_from_client(id, slot, view);
        let bytes = view.topic.len() + view.payload.len();
        if reason.is_error() {
            // [MQTT-4.3.3-9]
            if let Some(session) = self.peers.sessions.get_mut(slot) {
                session.incoming.refuse(packet_id);
            }
        } else if let Some(session) = durable {
            // In one go with the message: neither may be there without the other.
            self.peers.ledger.push(StoreOp::PutIncoming { session, packet_id }, 0);
        }
        let answer = Answered { packet: PacketType::PubRec, packet_id, bytes, session: Some(key) };
        self.finish_publish(id, reason, answer);
        Next::Continue
    }

    /// Takes ownership of a client's message, or says why not.
    #[inline]
    fn publish_from_client(
        &mut self,
        id: ConnId,
        slot: u32,
        view: &mut PublishView<'_>,
    ) -> ReasonCode {
        if !self.may_publish(view.topic) {
            self.peers.drop_message(Drop::NotAuthorized, Some(slot));
            return ReasonCode::NotAuthorized;
        }
        if view.qos != Qos::AtMostOnce
            && let Some(reason) = self.store_trouble()
            && self.leaves_something(slot, view)
            && self.peers.conns.get(id).is_some_and(|conn| conn.proto.version().is_v5())
        {
            // Who cannot be told a reason waits for the acknowledgement.
            self.peers.stats.refused_by_store += 1;
            return reason;
        }
        match self.publish(view) {
            true => ReasonCode::Success,
            false => ReasonCode::NoMatchingSubscribers,
        }
    }

    /// Why nothing can be made durable now, if so.
    #[inline]
    pub(super) fn store_trouble(&self) -> Option<ReasonCode> {
        match self.peers.ledger.health() {
            StoreHealth::Healthy => None,
            StoreHealth::Full => Some(ReasonCode::QuotaExceeded),
            StoreHealth::Failing => Some(ReasonCode::ImplementationSpecificError),
        }
    }

    /// Whether the message may leave something to be made durable.
    fn leaves_something(&self, slot: u32, view: &PublishView<'_>) -> bool {
        let is_durable = || self.peers.sessions.get(slot).is_some_and(|own| own.durable.is_some());
        view.retain
            || !self.router.interested_durably(view.topic).is_empty()
            || view.qos == Qos::ExactlyOnce && is_durable()
    }

    /// Whether clients may publish to a topic: `$SYS` is the broker's own, and a name of more
    /// levels than filters may have is nobody's.
    #[inline]
    pub(super) fn may_publish(&self, topic: &str) -> bool {
        let levels_max = self.config.limits.topic_levels_max;
        let is_deep = topic.len() > levels_max && topic.split('/').nth(levels_max).is_some();
        !is_deep && !topic.starts_with("$SYS/")
    }

    /// Gives a message to all who want it, here and on other shards, and to the retained store.
    /// Whether anybody may want it.
    #[inline]
    pub(super) fn publish(&mut self, view: &mut PublishView<'_>) -> bool {
        let matched = self.match_subscriptions(view.topic);
        let mut durably = ShardSet::EMPTY;
        if self.peers.ledger.is_enabled() && view.qos != Qos::AtMostOnce {
            durably = self.prepare_for_store(view, &matched);
        }
        if view.retain {
            self.retain(view);
        }
        let mut wanted = false;
        if self.homes.shards() > 1 {
            let acknowledged = view.qos != Qos::AtMostOnce;
            for shard in self.router.interested(view.topic).iter() {
                let peers = &mut self.peers;
                let receipt = match acknowledged {
                    true => peers.ledger.ask_receipt(durably.contains(shard)),
                    false => None,
                };
                let mail = self.mailroom.to(ShardId(shard));
                mail.push_publish(view, receipt, &mut peers.frames);
                wanted = true;
            }
        }
        self.route_to(matched, view, None) || wanted
    }

    /// Where something of a QoS 1 or 2 message may have to be made durable. If on several shards,
    /// it is made so in one go where that is promised; if for several sessions, the store keeps the
    /// message once.
    fn prepare_for_store(&mut self, view: &mut PublishView<'_>, matched: &[FilterId]) -> ShardSet {
        let own = self.config.shard;
        let durably = self.router.interested_durably(view.topic);
        let here = durably.contains(own.0);
        let elsewhere = durably.len() - usize::from(here);
        if self.peers.ledger.may_join() && {
            elsewhere > 0
                || view.retain && self.homes.of(view.topic) != own
                || here && self.homes.shards() > 1 && self.router.has_group(view.topic)
        } {
            self.peers.ledger.join_effects();
        }
        let is_shared = here && self.has_several(matched)
            || elsewhere + usize::from(here) > 1
            || elsewhere > 0 && view.payload.len() > COPIED_BYTES_MAX;
        if is_shared && view.body.is_none() && view.kept.is_none() {
            view.body = Some(self.peers.ledger.new_body());
        }
        durably
    }

    /// Whether more than one session may stand under these filters.
    fn has_several(&self, matched: &[FilterId]) -> bool {
        match matched {
            [] => false,
            [filter] => self.router.subscriptions.subscribers(*filter).len() > 1,
            _ => true,
        }
    }

    /// The filters of this shard that match.
    #[inline]
    fn match_subscriptions(&mut self, topic: &str) -> Vec<FilterId> {
        // [MQTT-3.3.2-3] [MQTT3-3.3.2-3]
        let mut matched = std::mem::take(&mut self.router.matched);
        matched.clear();
        self.router.subscriptions.route(topic, &mut matched);
        matched
    }

    /// Gives a message to the sessions and share groups of this shard; `from` is the shard whose
    /// mail it came in. Whether there was one.
    #[inline]
    pub(super) fn route(&mut self, view: &mut PublishView<'_>, from: Option<ShardId>) -> bool {
        let matched = self.match_subscriptions(view.topic);
        if self.peers.ledger.is_enabled()
            && view.qos != Qos::AtMostOnce
            && view.body.is_none()
            && view.kept.is_none()
            && self.has_several(&matched)
        {
            view.body = Some(self.peers.ledger.new_body());
        }
        self.route_to(matched, view, from)
    }

    #[inline]
    fn route_to(
        &mut self,
        mut matched: Vec<FilterId>,
        view: &mut PublishView<'_>,
        from: Option<ShardId>,
    ) -> bool {
        let mut wanted = !matched.is_empty();
        match matched.as_slice() {
            [] => {}
            [filter] => self.deliver_one_filter(*filter, view, from),
            filters => self.deliver_merged(filters, view, from),
        }
        if self.router.shares.filters_len() > 0 {
            matched.clear();
            self.router.shares.route(view.topic, &mut matched);
            wanted |= !matched.is_empty();
            self.deliver_to_groups(&matched, view);
        }
        self.router.matched = matched;
        wanted
    }

    /// The usual case: no receiver can stand there twice.
    #[inline]
    fn deliver_one_filter(
        &mut self,
        filter: FilterId,
        view: &mut PublishView<'_>,
        from: Option<ShardId>,
    ) {
        let Self { peers, router, gates, .. } = self;
        for subscriber in router.subscriptions.subscribers(filter) {
            let slot = subscriber.key;
            let is_echo = is_own_echo(subscriber, view.origin, peers);
            if is_echo || gates.is_too_young(filter, slot, from) {
                continue;
            }
            let terms = terms_of(subscriber, view);
            peers.deliver(slot, view, terms);
        }
    }

    /// Several filters match: a session that stands under more than one gets one copy, with the
    /// highest QoS and every subscription identifier [MQTT-3.3.4-2] [MQTT-3.3.4-4] [MQTT3-3.3.5-1].
    fn deliver_merged(
        &mut self,
        filters: &[FilterId],
        view: &mut PublishView<'_>,
        from: Option<ShardId>,
    ) {
        let Self { peers, router, gates, .. } = self;
        let mut merged = std::mem::take(&mut router.merged);
        let stamp = router.next_merge_stamp(&mut peers.sessions);
        for filter in filters {
            for subscriber in router.subscriptions.subscribers(*filter) {
                let is_echo = is_own_echo(subscriber, view.origin, peers);
                if is_echo || gates.is_too_young(*filter, subscriber.key, from) {
                    continue;
                }
                let Some(session) = peers.sessions.get_mut(subscriber.key) else { continue };
                let terms = terms_of(subscriber, view);
                if session.merge.0 == stamp {
                    let known = &mut merged[session.merge.1 as usize].terms;
                    known.qos = known.qos.max(terms.qos);
                    known.retain |= terms.retain;
                    known.ids.add(subscriber.subscription_id);
                } else {
                    session.merge = (stamp, merged.len() as u32);
                    merged.push(Merged { slot: subscriber.key, terms });
                }
            }
        }
        for Merged { slot, terms } in merged.drain(..) {
            peers.deliver(slot, view, terms);
        }
        router.merged = merged;
    }
}

/// Whether No Local keeps the message from its own publisher [MQTT-3.8.3-3].
#[inline]
fn is_own_echo(subscriber: &Subscriber, origin: Publisher, peers: &Peers) -> bool {
    subscriber.options & option_bits::NO_LOCAL != 0
        && peers.sessions.get(subscriber.key).is_some_and(|session| session.publisher == origin)
}

#[inline]
pub(super) fn terms_of(subscriber: &Subscriber, view: &PublishView<'_>) -> Terms {
    Terms {
        qos: Peers::lower(view.qos, subscriber.options),
        // [MQTT-3.3.1-12] [MQTT-3.3.1-13] [MQTT3-3.3.1-9]
        retain: view.retain && subscriber.options & option_bits::RETAIN_AS_PUBLISHED != 0,
        // [MQTT-3.3.4-5] A share group's copy goes out beside the others, with its own identifier.
        ids: SubscriptionIdList::one(subscriber.subscription_id),
        group: None,
    }
}
