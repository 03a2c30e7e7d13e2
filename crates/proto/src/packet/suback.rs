//! Owns SUBACK (section 3.9). Must not know the subscriptions it answers for.

use crate::error::{DecodeError, DecodeErrorKind};
use crate::packet::ack::ReasonProperties;
use crate::packet::{PacketType, packet_methods};
use crate::property::WriteProperties;
use crate::put::Put;
use crate::qos::PacketId;
use crate::read::Reader;
use crate::reason::ReasonCode;
use crate::version::Version;

/// A SUBACK packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubAck<'a> {
    /// The Packet Identifier of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// The properties; none before version 5.0.
    pub properties: ReasonProperties<'a>,
    /// One reason code for each topic filter of the SUBSCRIBE, in its order, as values of
    /// [`ReasonCode`]. Before version 5.0 every failure is written as 0x80.
    pub codes: &'a [u8],
}

impl<'a> SubAck<'a> {
    pub(crate) fn take(reader: &mut Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        let packet_id = reader.packet_id()?;
        let mut properties = ReasonProperties::default();
        if version.is_v5() {
            properties = ReasonProperties::take(reader, PacketType::SubAck)?;
        }
        let codes = reader.take(reader.rest().len())?;
        if codes.is_empty() {
            return Err(DecodeErrorKind::NoReasonCode(PacketType::SubAck).into());
        }
        // [MQTT-3.9.3-2] [MQTT3-3.9.3-2]
        match codes.iter().find(|code| !allowed(**code, version)) {
            Some(code) => {
                Err(DecodeErrorKind::ReasonCodeNotAllowed(PacketType::SubAck, *code).into())
            }
            None => Ok(SubAck { packet_id, properties, codes }),
        }
    }

    fn put_body(&self, version: Version, out: &mut impl Put) {
        out.put_u16(self.packet_id.get());
        if version.is_v5() {
            self.properties.put_section(out);
            out.put_slice(self.codes);
        } else {
            // [MQTT3-3.9.3-2]
            self.codes.iter().for_each(|&code| out.put_u8(code.min(0x80)));
        }
    }
}

fn allowed(code: u8, version: Version) -> bool {
    if version.is_v5() {
        ReasonCode::from_u8(code).is_some_and(|reason| reason.allowed_in(PacketType::SubAck))
    } else {
        matches!(code, 0 | 1 | 2 | 0x80)
    }
}

packet_methods!(SubAck, PacketType::SubAck);
