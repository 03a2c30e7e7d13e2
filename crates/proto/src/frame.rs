//! Owns the fixed header (section 2.1): where a packet begins and ends. Must not know what is in
//! its body.

use crate::error::{DecodeError, DecodeErrorKind};
use crate::packet::PacketType;
use crate::read::Reader;
use crate::varint;
use crate::version::Version;

/// One packet in the bytes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Byte 1 of the fixed header: the packet type in the high four bits, flags in the low four.
    pub packet_type_and_flags: u8,
    /// What follows the fixed header.
    pub body: &'a [u8],
    /// The length of the whole packet, fixed header included.
    pub len: usize,
}

impl Frame<'_> {
    /// The packet type; `None` for the reserved one.
    #[inline]
    pub const fn packet_type(&self) -> Option<PacketType> {
        PacketType::from_u8(self.packet_type_and_flags >> 4)
    }
}

/// What the bytes at hand hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing<'a> {
    /// A whole packet at the front.
    Complete(Frame<'a>),
    /// The beginning of a packet at most.
    Incomplete {
        /// The length of the whole packet, once its fixed header is known.
        total: Option<usize>,
    },
}

/// The side that sent a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The packet was sent by a client.
    Client,
    /// The packet was sent by a server.
    Server,
}

/// Finds the packet at the front of `buf`. A wrong packet type, wrong flags, a bad length and a
/// packet larger than `packet_size_max` bytes (fixed header included) are reported before the body
/// has arrived.
#[inline]
pub fn frame(buf: &[u8], packet_size_max: usize) -> Result<Framing<'_>, DecodeError> {
    let Some((&first, after)) = buf.split_first() else {
        return Ok(Framing::Incomplete { total: None });
    };
    check_first_byte(first)?;
    let (remaining, used) = match varint::parse(after) {
        varint::Parsed::Value(value, used) => (value as usize, used),
        varint::Parsed::Incomplete => return Ok(Framing::Incomplete { total: None }),
        varint::Parsed::TooLong => return Err(DecodeErrorKind::VarIntTooLong.into()),
        // [MQTT-1.5.5-1]
        varint::Parsed::NotMinimal => return Err(DecodeErrorKind::VarIntNotMinimal.into()),
    };
    let len = 1 + used + remaining;
    if len > packet_size_max {
        return Err(DecodeErrorKind::PacketTooLarge.into()); // [MQTT-3.1.2-24] [MQTT-3.2.2-15]
    }
    match after.get(used..used + remaining) {
        Some(body) => Ok(Framing::Complete(Frame { packet_type_and_flags: first, body, len })),
        None => Ok(Framing::Incomplete { total: Some(len) }),
    }
}

/// What byte 1 of a fixed header may be, whatever the version. SUBSCRIBE, UNSUBSCRIBE and PUBREL
/// have a DUP flag in version 3.1.
const FIRST_BYTES: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        allowed[byte] = first_byte_fault(byte as u8).is_none();
        byte += 1;
    }
    allowed
};

const fn first_byte_fault(byte: u8) -> Option<DecodeErrorKind> {
    let Some(packet) = PacketType::from_u8(byte >> 4) else {
        return Some(DecodeErrorKind::ReservedPacketType);
    };
    let flags = byte & 0x0F;
    match packet {
        PacketType::Publish => match flags {
            // [MQTT-3.3.1-4] [MQTT3-3.3.1-4]
            0b0110 | 0b0111 | 0b1110 | 0b1111 => Some(DecodeErrorKind::PublishQos3),
            0b1000 | 0b1001 => Some(DecodeErrorKind::DupWithQos0), // [MQTT-3.3.1-2] [MQTT3-3.3.1-2]
            _ => None,
        },
        _ if flags == packet.flags() => None, // [MQTT-2.1.3-1] [MQTT3-2.2.2-1] [MQTT3-2.2.2-2]
        PacketType::PubRel | PacketType::Subscribe | PacketType::Unsubscribe if flags == 0b1010 => {
            None
        }
        _ => Some(DecodeErrorKind::ReservedFlags(packet)),
    }
}

/// Checks byte 1 of a fixed header as far as that goes without a version.
#[inline]
pub(crate) fn check_first_byte(byte: u8) -> Result<(), DecodeError> {
    if FIRST_BYTES[usize::from(byte)] { Ok(()) } else { Err(fault(byte)) }
}

#[cold]
fn fault(byte: u8) -> DecodeError {
    first_byte_fault(byte).unwrap_or(DecodeErrorKind::ReservedPacketType).into()
}

/// Which version to answer a CONNECT in, even when it cannot be decoded: a client of a later
/// version is answered as one of version 5.0, one of an earlier level as one of 3.1.1. The highest
/// bit of the level, which some bridges set, does not count. `None` when the frame is no CONNECT,
/// or names another protocol.
pub fn connect_version(frame: &Frame<'_>) -> Option<Version> {
    if frame.packet_type() != Some(PacketType::Connect) {
        return None;
    }
    let mut reader = Reader::new(frame.body);
    match (reader.bin().ok()?, reader.u8().ok()? & 0x7F) {
        (b"MQTT", 0..=4) => Some(Version::V311),
        (b"MQTT", _) => Some(Version::V5),
        (b"MQIsdp", _) => Some(Version::V31),
        _ => None,
    }
}
