//! An UNSUBSCRIBE: out of the index. Must not know messages: what is queued or in flight stays.

use martlet_proto::{Packet, ReasonCode, ReasonProperties, UnsubAck, Unsubscribe, topic};

use super::Shard;
use crate::ids::ConnId;
use crate::peers::Answer;
use crate::store::StoreOp;

impl Shard {
    /// [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6] [MQTT3-3.10.4-4] [MQTT3-3.10.4-5]
    /// [MQTT3-3.10.4-6]
    pub(super) fn on_unsubscribe(&mut self, id: ConnId, unsubscribe: &Unsubscribe<'_>) {
        let Some(slot) = self.peers.conns.get(id).and_then(|conn| conn.session) else { return };
        // [MQTT-3.11.3-1] [MQTT-3.11.3-2]
        let mut codes = Vec::new();
        for filter in unsubscribe.filters.iter() {
            let existed = match topic::shared(filter) {
                Some(_) => self.unsubscribe_shared(slot, filter),
                None => self.unsubscribe(slot, filter),
            };
            codes.push(match existed {
                true => ReasonCode::Success as u8,
                false => ReasonCode::NoSubscriptionExisted as u8,
            });
        }
        let session = self.peers.sessions.get(slot);
        if session.is_some_and(|session| session.durable.is_some()) || self.peers.holds(id) {
            // What UNSUBACK says holds for good.
            let answer = Answer::UnsubAck(unsubscribe.packet_id, codes);
            return self.peers.hold_until(id, answer, None);
        }
        // [MQTT-3.11.2-1] Nothing is said beyond the codes.
        let properties = ReasonProperties::default();
        let ack = UnsubAck { packet_id: unsubscribe.packet_id, properties, codes: &codes };
        self.peers.send(id, |version, out| Packet::UnsubAck(ack).put(version, out));
    }

    /// Exactly this filter, character by character [MQTT-3.10.4-1] [MQTT-3.10.4-2]
    /// [MQTT3-3.10.4-1] [MQTT3-3.10.4-2]. What is on its way to the client stays so
    /// [MQTT-3.10.4-3] [MQTT3-3.10.4-3].
    fn unsubscribe(&mut self, slot: u32, filter: &str) -> bool {
        let Some(filter_id) = self.router.subscriptions.find(filter) else { return false };
        let Some(session) = self.peers.sessions.get_mut(slot) else { return false };
        if !session.subscriptions.remove(&filter_id) {
            return false;
        }
        if let Some(durable) = &session.durable {
            let (session, filter) = (durable.id, filter.into());
            self.peers.ledger.push(StoreOp::RemoveSubscription { session, filter }, 0);
        }
        session.filter_bytes -= filter.len() as u32;
        if let Some(replays) = &mut session.replays {
            replays.cancel(filter_id);
        }
        self.peers.stats.subscriptions -= 1;
        self.forget_subscription(filter_id, slot);
        true
    }

    fn unsubscribe_shared(&mut self, slot: u32, filter: &str) -> bool {
        let Some(session) = self.peers.sessions.get_mut(slot) else { return false };
        let Some(filter) = session.shared.take(filter) else { return false };
        session.filter_bytes -= filter.len() as u32;
        if let Some(durable) = &session.durable {
            let (session, filter) = (durable.id, filter.clone());
            self.peers.ledger.push(StoreOp::RemoveSubscription { session, filter }, 0);
        }
        let key = session.key;
        self.peers.stats.subscriptions -= 1;
        self.peers.stats.subscriptions_shared -= 1;
        self.leave_group(filter, key);
        true
    }
}
