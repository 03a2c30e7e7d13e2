//! Order: for each publisher, topic and QoS, first deliveries come in the order of publication.
//! Must not know what was asked for.

use martlet_proto::Qos;

use super::{Book, Kind, NEVER};

impl Book {
    /// A delivery that is new to the client: nothing published later may have come before. `copies`
    /// counts the deliveries of this message with this one; `granted` is the QoS that the session
    /// surely had when the message was first transmitted.
    pub(super) fn check_order(
        &mut self,
        session: usize,
        id: u32,
        copies: u32,
        granted: Option<Qos>,
    ) {
        let message = &self.messages[id as usize];
        let record = &mut self.sessions[session];
        let Some(delivery) = record.deliveries.last() else { return };
        // What was retained comes when it is asked for; a repeated transmission is another message.
        if delivery.retain || message.kind == Kind::Will || copies > 1 {
            return;
        }
        let delivered = delivery.qos;
        let key = (message.client, message.topic, message.qos.bits(), delivery.qos.bits());
        let newest = record.newest.entry(key).or_insert(id);
        // [MQTT-4.6.0-1] [MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT3-4.6.0-1] [MQTT3-4.6.0-6]
        let overtaken = (*newest > id).then_some(*newest);
        *newest = id.max(*newest);
        // Connections may be let in in another order than they were opened in.
        let wire = |id: u32| self.messages[id as usize].wire;
        let connected =
            |id: u32| self.wires.get(&wire(id)).map_or(NEVER, |record| record.connected);
        let overtaken =
            overtaken.filter(|newer| wire(id) == wire(*newer) || connected(id) < connected(*newer));
        // A message that was transmitted twice may have been routed only the second time, unless
        // its subscriber was there from the start and it could not be dropped.
        let was_kept = granted.is_some_and(|granted| granted.min(message.qos) > Qos::AtMostOnce);
        let was_kept = was_kept && delivered > Qos::AtMostOnce;
        // Topic, properties and headers take less than 200 bytes.
        let size_max = self.clients[self.sessions[session].client].packet_size_max;
        let can_drop = message.expiry_s.is_some()
            || crate::plan::Plan::bounds_queues(&self.limits)
            || size_max < message.payload_bytes + 200;
        if let Some(newer) = overtaken
            && (message.sends == 1 || was_kept && !can_drop)
        {
            let text = format!("{}\n  overtook {}", self.history(newer), self.history(id));
            self.fail("order", text);
        }
    }
}
