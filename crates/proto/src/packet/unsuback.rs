//! Owns UNSUBACK (section 3.11). Must not know the subscriptions it answers for.

use crate::error::{DecodeError, DecodeErrorKind};
use crate::packet::ack::ReasonProperties;
use crate::packet::{PacketType, packet_methods};
use crate::property::WriteProperties;
use crate::put::Put;
use crate::qos::PacketId;
use crate::read::Reader;
use crate::reason::ReasonCode;
use crate::version::Version;

/// An UNSUBACK packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnsubAck<'a> {
    /// The Packet Identifier of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// The properties; none before version 5.0.
    pub properties: ReasonProperties<'a>,
    /// One reason code for each topic filter of the UNSUBSCRIBE, in its order, as values of
    /// [`ReasonCode`]. Not written, and empty after a read, before version 5.0.
    pub codes: &'a [u8],
}

impl<'a> UnsubAck<'a> {
    pub(crate) fn take(reader: &mut Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        let packet = PacketType::UnsubAck;
        let packet_id = reader.packet_id()?;
        if !version.is_v5() {
            return Ok(UnsubAck { packet_id, properties: ReasonProperties::default(), codes: &[] });
        }
        let properties = ReasonProperties::take(reader, packet)?;
        let codes = reader.take(reader.rest().len())?;
        if codes.is_empty() {
            return Err(DecodeErrorKind::NoReasonCode(packet).into());
        }
        // [MQTT-3.11.3-2]
        let allowed =
            |code| ReasonCode::from_u8(code).is_some_and(|reason| reason.allowed_in(packet));
        match codes.iter().find(|code| !allowed(**code)) {
            Some(code) => Err(DecodeErrorKind::ReasonCodeNotAllowed(packet, *code).into()),
            None => Ok(UnsubAck { packet_id, properties, codes }),
        }
    }

    fn put_body(&self, version: Version, out: &mut impl Put) {
        out.put_u16(self.packet_id.get());
        if version.is_v5() {
            self.properties.put_section(out);
            out.put_slice(self.codes);
        }
    }
}

packet_methods!(UnsubAck, PacketType::UnsubAck);
