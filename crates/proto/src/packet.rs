//! Owns the list of the control packets, and the way from a frame to a packet. Must not know
//! framing or sessions.

pub(crate) mod ack;
pub(crate) mod auth;
pub(crate) mod connack;
pub(crate) mod connect;
pub(crate) mod disconnect;
pub(crate) mod publish;
pub(crate) mod suback;
pub(crate) mod subscribe;
pub(crate) mod unsuback;
pub(crate) mod unsubscribe;

use core::fmt;

use crate::error::{DecodeError, DecodeErrorKind};
use crate::frame::{Frame, Sender, check_first_byte};
use crate::put::Put;
use crate::read::Reader;
use crate::varint;
use crate::version::Version;

use ack::Ack;
use auth::Auth;
use connack::ConnAck;
use connect::Connect;
use disconnect::Disconnect;
use publish::{Publish, decode_publish};
use suback::SubAck;
use subscribe::Subscribe;
use unsuback::UnsubAck;
use unsubscribe::Unsubscribe;

/// The type of a control packet (section 2.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // the names are the standard's
pub enum PacketType {
    Connect = 1,
    ConnAck = 2,
    Publish = 3,
    PubAck = 4,
    PubRec = 5,
    PubRel = 6,
    PubComp = 7,
    Subscribe = 8,
    SubAck = 9,
    Unsubscribe = 10,
    UnsubAck = 11,
    PingReq = 12,
    PingResp = 13,
    Disconnect = 14,
    Auth = 15,
}

impl PacketType {
    /// All the packet types, by ascending value.
    pub const ALL: [PacketType; 15] = [
        PacketType::Connect,
        PacketType::ConnAck,
        PacketType::Publish,
        PacketType::PubAck,
        PacketType::PubRec,
        PacketType::PubRel,
        PacketType::PubComp,
        PacketType::Subscribe,
        PacketType::SubAck,
        PacketType::Unsubscribe,
        PacketType::UnsubAck,
        PacketType::PingReq,
        PacketType::PingResp,
        PacketType::Disconnect,
        PacketType::Auth,
    ];

    /// The type with this value; `None` for 0 and for what is greater than 15.
    #[inline]
    pub const fn from_u8(value: u8) -> Option<PacketType> {
        match value {
            1..=15 => Some(Self::ALL[value as usize - 1]),
            _ => None,
        }
    }

    /// The name in the standard, such as `CONNECT`.
    pub const fn name(self) -> &'static str {
        match self {
            PacketType::Connect => "CONNECT",
            PacketType::ConnAck => "CONNACK",
            PacketType::Publish => "PUBLISH",
            PacketType::PubAck => "PUBACK",
            PacketType::PubRec => "PUBREC",
            PacketType::PubRel => "PUBREL",
            PacketType::PubComp => "PUBCOMP",
            PacketType::Subscribe => "SUBSCRIBE",
            PacketType::SubAck => "SUBACK",
            PacketType::Unsubscribe => "UNSUBSCRIBE",
            PacketType::UnsubAck => "UNSUBACK",
            PacketType::PingReq => "PINGREQ",
            PacketType::PingResp => "PINGRESP",
            PacketType::Disconnect => "DISCONNECT",
            PacketType::Auth => "AUTH",
        }
    }

    /// The flags of the fixed header where they are reserved (table 2-2); 0 for PUBLISH.
    // [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1] [MQTT3-3.6.1-1] [MQTT3-3.8.1-1]
    // [MQTT3-3.10.1-1] [MQTT-3.14.1-1] [MQTT-3.15.1-1] [MQTT3-3.14.1-1]
    pub(crate) const fn flags(self) -> u8 {
        match self {
            PacketType::PubRel | PacketType::Subscribe | PacketType::Unsubscribe => 0b0010,
            _ => 0,
        }
    }

    /// Byte 1 of the fixed header, for all but PUBLISH.
    pub(crate) const fn first_byte(self) -> u8 {
        (self as u8) << 4 | self.flags()
    }

    /// Whether this side may send the packet in this version (table 2-1 of either standard).
    pub const fn sent_by(self, sender: Sender, version: Version) -> bool {
        match self {
            PacketType::Connect
            | PacketType::Subscribe
            | PacketType::Unsubscribe
            | PacketType::PingReq => matches!(sender, Sender::Client),
            PacketType::ConnAck
            | PacketType::SubAck
            | PacketType::UnsubAck
            | PacketType::PingResp => matches!(sender, Sender::Server),
            PacketType::Disconnect => version.is_v5() || matches!(sender, Sender::Client),
            PacketType::Auth => version.is_v5(),
            PacketType::Publish
            | PacketType::PubAck
            | PacketType::PubRec
            | PacketType::PubRel
            | PacketType::PubComp => true,
        }
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A control packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the standard's
#[allow(clippy::large_enum_variant)] // it borrows, lives on the stack, and is taken apart at once
pub enum Packet<'a> {
    Connect(Connect<'a>),
    ConnAck(ConnAck<'a>),
    Publish(Publish<'a>),
    PubAck(Ack<'a>),
    PubRec(Ack<'a>),
    PubRel(Ack<'a>),
    PubComp(Ack<'a>),
    Subscribe(Subscribe<'a>),
    SubAck(SubAck<'a>),
    Unsubscribe(Unsubscribe<'a>),
    UnsubAck(UnsubAck<'a>),
    PingReq,
    PingResp,
    Disconnect(Disconnect<'a>),
    Auth(Auth<'a>),
}

/// Decodes the packet of a frame that `sender` has sent in this version. A CONNECT carries its own
/// version; `version` is ignored for it.
///
/// # Errors
/// Whatever the standard does not allow in these bytes, see [`DecodeErrorKind`].
pub fn decode<'a>(
    frame: &Frame<'a>,
    version: Version,
    sender: Sender,
) -> Result<Packet<'a>, DecodeError> {
    check_first_byte(frame.packet_type_and_flags)?;
    let packet_type = frame.packet_type().ok_or(DecodeErrorKind::ReservedPacketType)?;
    if packet_type == PacketType::Publish {
        return decode_publish(frame, version, sender).map(Packet::Publish);
    }
    if packet_type == PacketType::Auth && !version.is_v5() {
        return Err(DecodeErrorKind::ReservedPacketType.into());
    }
    if !packet_type.sent_by(sender, version) {
        return Err(DecodeErrorKind::WrongSender(packet_type).into());
    }
    // The DUP flag of version 3.1. [MQTT-2.1.3-1] [MQTT3-2.2.2-1]
    if version != Version::V31 && frame.packet_type_and_flags & 0x0F != packet_type.flags() {
        return Err(DecodeErrorKind::ReservedFlags(packet_type).into());
    }
    let mut reader = Reader::new(frame.body);
    let body = &mut reader;
    let packet = match packet_type {
        PacketType::Connect => Packet::Connect(Connect::take(body)?),
        PacketType::ConnAck => Packet::ConnAck(ConnAck::take(body, version)?),
        PacketType::Publish => unreachable!("decoded above"),
        PacketType::PubAck => Packet::PubAck(Ack::take(body, packet_type, version, sender)?),
        PacketType::PubRec => Packet::PubRec(Ack::take(body, packet_type, version, sender)?),
        PacketType::PubRel => Packet::PubRel(Ack::take(body, packet_type, version, sender)?),
        PacketType::PubComp => Packet::PubComp(Ack::take(body, packet_type, version, sender)?),
        PacketType::Subscribe => Packet::Subscribe(Subscribe::take(body, version)?),
        PacketType::SubAck => Packet::SubAck(SubAck::take(body, version)?),
        PacketType::Unsubscribe => Packet::Unsubscribe(Unsubscribe::take(body, version)?),
        PacketType::UnsubAck => Packet::UnsubAck(UnsubAck::take(body, version)?),
        PacketType::PingReq => Packet::PingReq,
        PacketType::PingResp => Packet::PingResp,
        PacketType::Disconnect => Packet::Disconnect(Disconnect::take(body, version, sender)?),
        PacketType::Auth => Packet::Auth(Auth::take(body, sender)?),
    };
    reader.finish()?;
    Ok(packet)
}

/// The length of a packet with a body of so many bytes.
#[inline]
pub(crate) const fn whole_len(body: usize) -> usize {
    1 + varint::len(body as u32) + body
}

/// Writes a packet whose body is written by a closure-like method: the fixed header, then the body.
macro_rules! packet_methods {
    ($type:ident, $packet:expr) => {
        impl $type<'_> {
            /// The length of the whole packet in bytes, fixed header included.
            pub fn encoded_len(&self, version: crate::Version) -> usize {
                let mut body = crate::put::Count(0);
                self.put_body(version, &mut body);
                crate::packet::whole_len(body.0)
            }

            /// Writes the whole packet.
            ///
            /// # Panics
            /// When a string or binary data is longer than 65,535 bytes, or the packet longer than
            /// MQTT can say.
            pub fn put(&self, version: crate::Version, out: &mut impl crate::Put) {
                let mut body = crate::put::Count(0);
                self.put_body(version, &mut body);
                crate::packet::put_fixed_header($packet, body.0, out);
                self.put_body(version, out);
            }
        }
    };
}
pub(crate) use packet_methods;

/// Writes the fixed header of all but PUBLISH.
pub(crate) fn put_fixed_header(packet: PacketType, body: usize, out: &mut impl Put) {
    out.reserve(whole_len(body));
    out.put_u8(packet.first_byte());
    out.put_varint(u32::try_from(body).unwrap_or(u32::MAX));
}

impl Packet<'_> {
    /// The type of the packet.
    pub const fn packet_type(&self) -> PacketType {
        match self {
            Packet::Connect(_) => PacketType::Connect,
            Packet::ConnAck(_) => PacketType::ConnAck,
            Packet::Publish(_) => PacketType::Publish,
            Packet::PubAck(_) => PacketType::PubAck,
            Packet::PubRec(_) => PacketType::PubRec,
            Packet::PubRel(_) => PacketType::PubRel,
            Packet::PubComp(_) => PacketType::PubComp,
            Packet::Subscribe(_) => PacketType::Subscribe,
            Packet::SubAck(_) => PacketType::SubAck,
            Packet::Unsubscribe(_) => PacketType::Unsubscribe,
            Packet::UnsubAck(_) => PacketType::UnsubAck,
            Packet::PingReq => PacketType::PingReq,
            Packet::PingResp => PacketType::PingResp,
            Packet::Disconnect(_) => PacketType::Disconnect,
            Packet::Auth(_) => PacketType::Auth,
        }
    }

    /// The length of the whole packet in bytes, fixed header included. A CONNECT carries its own
    /// version; `version` is ignored for it.
    pub fn encoded_len(&self, version: Version) -> usize {
        match self {
            Packet::Connect(packet) => packet.encoded_len(packet.version),
            Packet::ConnAck(packet) => packet.encoded_len(version),
            Packet::Publish(packet) => packet.encoded_len(version),
            Packet::PubAck(packet)
            | Packet::PubRec(packet)
            | Packet::PubRel(packet)
            | Packet::PubComp(packet) => packet.encoded_len(version),
            Packet::Subscribe(packet) => packet.encoded_len(version),
            Packet::SubAck(packet) => packet.encoded_len(version),
            Packet::Unsubscribe(packet) => packet.encoded_len(version),
            Packet::UnsubAck(packet) => packet.encoded_len(version),
            Packet::PingReq | Packet::PingResp => 2,
            Packet::Disconnect(packet) => packet.encoded_len(version),
            Packet::Auth(packet) => packet.encoded_len(version),
        }
    }

    /// Writes the whole packet. A CONNECT carries its own version; `version` is ignored for it.
    ///
    /// # Panics
    /// When a string or binary data is longer than 65,535 bytes, or the packet longer than MQTT can
    /// say.
    pub fn put(&self, version: Version, out: &mut impl Put) {
        match self {
            Packet::Connect(packet) => packet.put(packet.version, out),
            Packet::ConnAck(packet) => packet.put(version, out),
            Packet::Publish(packet) => packet.put(version, out),
            Packet::PubAck(packet)
            | Packet::PubRec(packet)
            | Packet::PubRel(packet)
            | Packet::PubComp(packet) => packet.put(self.packet_type(), version, out),
            Packet::Subscribe(packet) => packet.put(version, out),
            Packet::SubAck(packet) => packet.put(version, out),
            Packet::Unsubscribe(packet) => packet.put(version, out),
            Packet::UnsubAck(packet) => packet.put(version, out),
            Packet::PingReq | Packet::PingResp => {
                out.put_slice(&[self.packet_type().first_byte(), 0]);
            }
            Packet::Disconnect(packet) => packet.put(version, out),
            Packet::Auth(packet) => packet.put(version, out),
        }
    }
}
