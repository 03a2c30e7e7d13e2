//! Owns PUBACK, PUBREC, PUBREL and PUBCOMP (sections 3.4 to 3.7), which are alike, and the two
//! properties that every answer may have. Must not know which messages are in flight.

use crate::error::{DecodeError, DecodeErrorKind};
use crate::frame::Sender;
use crate::packet::{PacketType, put_fixed_header, whole_len};
use crate::property::{Place, Properties, Property, Value, WriteProperties, put_text};
use crate::put::{Count, Put};
use crate::qos::PacketId;
use crate::read::Reader;
use crate::reason::ReasonCode;
use crate::user::UserProperties;
use crate::version::Version;

/// The Reason String and the User Properties of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReasonProperties<'a> {
    /// What went wrong, for people; not to be parsed.
    pub reason_string: Option<&'a str>,
    /// The User Properties in order.
    pub user_properties: UserProperties<'a>,
}

impl<'a> ReasonProperties<'a> {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.reason_string.is_none() && self.user_properties.is_empty()
    }

    pub(crate) fn take(reader: &mut Reader<'a>, packet: PacketType) -> Result<Self, DecodeError> {
        let mut result = ReasonProperties::default();
        let mut properties =
            Properties::take(reader, Place::packet(packet), Property::UserProperty.bit())?;
        while let Some(property) = properties.next()? {
            if let (Property::ReasonString, Value::Text(text)) = property {
                result.reason_string = Some(text);
            }
        }
        result.user_properties = UserProperties::from_section(properties.kept().0);
        Ok(result)
    }
}

impl WriteProperties for ReasonProperties<'_> {
    fn write_properties(&self, out: &mut impl Put) {
        put_text(out, Property::ReasonString, self.reason_string);
        self.user_properties.put(out);
    }
}

/// A PUBACK, PUBREC, PUBREL or PUBCOMP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack<'a> {
    /// The Packet Identifier of the PUBLISH.
    pub packet_id: PacketId,
    /// The reason code; always Success before version 5.0.
    pub reason: ReasonCode,
    /// The properties; none before version 5.0.
    pub properties: ReasonProperties<'a>,
}

impl<'a> Ack<'a> {
    /// An acknowledgement without properties.
    #[inline]
    pub fn new(packet_id: PacketId, reason: ReasonCode) -> Self {
        Ack { packet_id, reason, properties: ReasonProperties::default() }
    }

    pub(crate) fn take(
        reader: &mut Reader<'a>,
        packet: PacketType,
        version: Version,
        sender: Sender,
    ) -> Result<Self, DecodeError> {
        let mut ack = Ack::new(reader.packet_id()?, ReasonCode::Success);
        if !version.is_v5() || reader.is_empty() {
            return Ok(ack);
        }
        let code = reader.u8()?;
        // [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
        ack.reason = ReasonCode::from_u8(code)
            .filter(|reason| reason.allowed_from(packet, sender))
            .ok_or(DecodeErrorKind::ReasonCodeNotAllowed(packet, code))?;
        if !reader.is_empty() {
            ack.properties = ReasonProperties::take(reader, packet)?;
        }
        Ok(ack)
    }

    /// The length of the whole packet in bytes, fixed header included.
    pub fn encoded_len(&self, version: Version) -> usize {
        whole_len(self.body_len(version))
    }

    fn body_len(&self, version: Version) -> usize {
        let mut count = Count(0);
        self.put_body(version, &mut count);
        count.0
    }

    /// Writes the whole packet, as a packet of this type: PUBACK, PUBREC, PUBREL or PUBCOMP.
    /// Success without properties is written in the short form of two bytes.
    ///
    /// # Panics
    /// When a string is longer than 65,535 bytes.
    #[inline]
    pub fn put(&self, packet: PacketType, version: Version, out: &mut impl Put) {
        debug_assert!(
            matches!(
                packet,
                PacketType::PubAck | PacketType::PubRec | PacketType::PubRel | PacketType::PubComp
            ),
            "an Ack is one of the four acknowledgements"
        );
        if !version.is_v5() || self.reason == ReasonCode::Success && self.properties.is_empty() {
            let [high, low] = self.packet_id.get().to_be_bytes();
            out.put_slice(&[packet.first_byte(), 2, high, low]);
        } else {
            put_fixed_header(packet, self.body_len(version), out);
            self.put_body(version, out);
        }
    }

    fn put_body(&self, version: Version, out: &mut impl Put) {
        out.put_u16(self.packet_id.get());
        let plain = self.properties.is_empty();
        if version.is_v5() && !(plain && self.reason == ReasonCode::Success) {
            out.put_u8(self.reason as u8);
            if !plain {
                self.properties.put_section(out);
            }
        }
    }
}
