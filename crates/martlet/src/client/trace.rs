//! What `-d` tells: the packets sent, and what came. Must not know how it is used.

use martlet_proto::{Framing, Packet, Publish, ReasonCode, Sender, Version, decode, frame};
use martlet_session::client::Event;

use super::tell;

/// The packets that a client is about to send.
pub(super) fn packets(mut bytes: &[u8], version: Version) {
    while let Ok(Framing::Complete(frame)) = frame(bytes, usize::MAX) {
        bytes = &bytes[frame.len..];
        let Ok(packet) = decode(&frame, version, Sender::Client) else { return };
        let detail = match packet {
            Packet::Publish(it) => publish(&it),
            Packet::PubAck(it) | Packet::PubRec(it) | Packet::PubRel(it) | Packet::PubComp(it) => {
                format!(" (m{}, {})", it.packet_id, it.reason.name())
            }
            Packet::Subscribe(it) => {
                let filters = it.filters.iter();
                let filters = filters.map(|(filter, how)| format!("{filter} q{}", how.qos.bits()));
                format!(" (m{}, {})", it.packet_id, filters.collect::<Vec<_>>().join(", "))
            }
            Packet::Connect(it) => {
                format!(
                    " (clean {}, keep alive {}, '{}')",
                    it.clean_start, it.keep_alive_s, it.client_id
                )
            }
            _ => String::new(),
        };
        tell(&format!("sending {}{detail}", packet.packet_type()));
    }
}

/// What came from the server.
pub(super) fn event(event: &Event<'_>) {
    tell(&match event {
        Event::Connected(it) => {
            format!("received CONNACK (session present {})", it.session_present)
        }
        Event::Refused(it) => format!("received CONNACK ({})", it.reason.name()),
        Event::Message(it) => format!("received PUBLISH{}", publish(it)),
        Event::Published { reason, .. } => format!("message completed ({})", reason.name()),
        Event::Subscribed { ack, .. } => {
            let codes = ack.codes.iter().map(|code| match ReasonCode::from_u8(*code) {
                Some(reason) if reason.is_error() => reason.name().to_owned(),
                _ => format!("QoS {code}"),
            });
            format!("received SUBACK ({})", codes.collect::<Vec<_>>().join(", "))
        }
        Event::Disconnected(it) => format!("received DISCONNECT ({})", it.reason.name()),
        other => format!("{other:?}"),
    });
}

fn publish(it: &Publish<'_>) -> String {
    let id = it.packet_id.map_or(0, |id| id.get());
    let (dup, qos, retain) = (u8::from(it.dup), it.qos.bits(), u8::from(it.retain));
    format!(" (d{dup}, q{qos}, r{retain}, m{id}, '{}', {} bytes)", it.topic, it.payload.len())
}
