//! Packets into outboxes. Must not know why they are sent.

use martlet_proto::{PacketId, Publish, PublishProperties, Qos, SubscriptionIds, Version};
use martlet_session::alias::Assigned;

use super::Peers;
use crate::conns::Conn;
use crate::delivery::Terms;
use crate::ids::ConnId;
use crate::message::{NEVER, PublishView, remaining_expiry_s};
use crate::outbox::{Outbox, OutboxPool, REFERENCE_BYTES_MIN};

/// Whether a PUBLISH went into the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    Yes,
    /// It would be larger than the client takes.
    TooLarge,
}

/// How a PUBLISH goes out, beyond its terms.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wire {
    pub(super) packet_id: Option<PacketId>,
    /// It was sent before.
    pub(super) dup: bool,
}

#[inline]
pub(super) fn outbox_of<'c>(conn: &'c mut Conn, pool: &mut OutboxPool) -> &'c mut Outbox {
    conn.outbox.get_or_insert_with(|| pool.take())
}

impl Peers {
    /// Appends any packet but PUBLISH: `put` writes it in the connection's version. A packet that
    /// is larger than the client takes is not sent [MQTT-3.1.2-24].
    pub(crate) fn send(&mut self, id: ConnId, put: impl FnOnce(Version, &mut Vec<u8>)) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let (version, size_max) = (conn.proto.version(), conn.proto.packet_size_max_out());
        let outbox = outbox_of(conn, &mut self.pool).copied();
        let before = outbox.len();
        put(version, outbox);
        let size = outbox.len() - before;
        if size > size_max {
            outbox.truncate(before);
            self.give_back_if_empty(id);
            return;
        }
        self.outboxes_bytes += size;
        self.stats.packets_sent += 1;
        Self::mark_dirty(conn, id, &mut self.dirty);
    }

    /// Appends a packet that may carry a reason string: without it when the packet would else be
    /// larger than the client takes. `put` writes it with the given one. User properties are never
    /// added: what holds for them holds [MQTT-3.2.2-20] [MQTT-3.9.2-2] [MQTT-3.11.2-2].
    pub(crate) fn send_with_reason(
        &mut self,
        id: ConnId,
        reason_string: &str,
        packet: impl Fn(Option<&str>, Version, &mut Vec<u8>),
    ) {
        let Some(conn) = self.conns.get(id) else { return };
        let size_max = conn.proto.packet_size_max_out();
        self.send(id, |version, out| {
            let before = out.len();
            packet(Some(reason_string), version, out);
            if out.len() - before > size_max {
                out.truncate(before);
                packet(None, version, out);
            }
        });
    }

    fn give_back_if_empty(&mut self, id: ConnId) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        if let Some(outbox) = conn.outbox.take_if(|outbox| outbox.is_empty()) {
            self.pool.give(outbox);
        }
    }

    /// Appends a PUBLISH. The caller has checked that there is room.
    #[inline]
    pub(super) fn send_publish(
        &mut self,
        id: ConnId,
        view: &mut PublishView<'_>,
        terms: &Terms,
        wire: Wire,
    ) -> Sent {
        let Some(conn) = self.conns.get_mut(id) else { return Sent::Yes };
        let version = conn.proto.version();
        let mut publish = Publish {
            // [MQTT-3.3.1-3] [MQTT3-3.3.1-3] It says nothing of how the message came in.
            dup: wire.dup,
            qos: terms.qos,
            retain: terms.retain,
            topic: view.topic,
            packet_id: wire.packet_id,
            properties: PublishProperties::default(),
            payload: view.payload,
        };
        if version.is_v5() {
            // [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18]
            // [MQTT-3.3.2-20] What must go on unaltered is passed on as bytes.
            publish.properties.forward = view.forward;
            publish.properties.message_expiry_s = expiry_s(view.expires_at_ms, self.now.mono_ms);
            // [MQTT-3.3.4-3] [MQTT-3.3.4-4]
            publish.properties.subscription_ids = SubscriptionIds::from(terms.ids.as_slice());
            if conn.proto.takes_aliases() {
                alias_topic(conn, &mut publish);
            }
        }
        // [MQTT-3.1.2-24] [MQTT-3.1.2-25]
        let size_max = conn.proto.packet_size_max_out();
        if size_max != u32::MAX as usize && publish.encoded_len(version) > size_max {
            // An alias costs bytes as well: the message may fit without.
            if let Some(alias) = publish.properties.topic_alias.take() {
                conn.proto.outbound_aliases().forget(alias);
                publish.topic = view.topic;
            }
            if publish.encoded_len(version) > size_max {
                return Sent::TooLarge;
            }
        }
        let outbox = outbox_of(conn, &mut self.pool);
        let before = outbox.len();
        if publish.payload.len() >= REFERENCE_BYTES_MIN {
            publish.put_head(version, outbox.copied());
            outbox.put_large(view.keep(&mut self.frames));
        } else {
            publish.put(version, outbox.copied());
        }
        self.outboxes_bytes += outbox.len() - before;
        self.stats.packets_sent += 1;
        self.stats.publish_sent += 1;
        self.stats.publish_bytes_sent += view.payload.len() as u64;
        Self::mark_dirty(conn, id, &mut self.dirty);
        Sent::Yes
    }

    /// Unsent bytes from which on QoS 0 messages to a connection are dropped: less for everybody
    /// when all connections together hold too much.
    #[inline]
    pub(super) fn outbox_max(&self) -> usize {
        if self.outboxes_bytes < self.limits.outboxes_bytes_max {
            self.limits.outbox_bytes_max
        } else {
            self.limits.outbox_low_bytes
        }
    }
}

/// The interval a receiver sees: what is left [MQTT-3.3.2-6]; zero for what ran out after it was
/// first sent, which must still be finished.
fn expiry_s(expires_at_ms: u64, now_ms: u64) -> Option<u32> {
    (expires_at_ms != NEVER).then(|| remaining_expiry_s(expires_at_ms, now_ms).unwrap_or(0))
}

/// Lets the client's alias table stand in for the topic.
fn alias_topic<'a>(conn: &mut Conn, publish: &mut Publish<'a>) {
    // [MQTT-3.3.2-8] [MQTT-3.3.2-11] The table gives out 1 to the client's maximum.
    match conn.proto.outbound_aliases().assign(publish.topic) {
        Assigned::None => {}
        Assigned::New(alias) => publish.properties.topic_alias = Some(alias),
        Assigned::Known(alias) => {
            publish.properties.topic_alias = Some(alias);
            publish.topic = "";
        }
    }
}

/// Whether a message of this QoS needs an acknowledgement.
#[inline]
pub(super) fn is_acknowledged(qos: Qos) -> bool {
    qos != Qos::AtMostOnce
}
