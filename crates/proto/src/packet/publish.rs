//! Owns PUBLISH (section 3.3), the packet that most bytes are in. Must not know topic aliases or
//! subscriptions.

use core::num::NonZeroU16;

use crate::error::{DecodeError, DecodeErrorKind};
use crate::forward::ForwardProperties;
use crate::frame::{Frame, Sender, check_first_byte};
use crate::packet::{PacketType, whole_len};
use crate::property::{Place, Properties, Property, Value, put_long, put_short};
use crate::put::Put;
use crate::qos::{PacketId, Qos};
use crate::read::Reader;
use crate::text::{self, Forbidden};
use crate::topic::TopicError;
use crate::user::SubscriptionIds;
use crate::varint;
use crate::version::Version;

/// A PUBLISH packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Publish<'a> {
    /// This may be a re-delivery. Not written with QoS 0.
    pub dup: bool,
    /// The quality of service.
    pub qos: Qos,
    /// To the server: retain the message. To a client: it was retained.
    pub retain: bool,
    /// The topic name. Empty when a Topic Alias stands for it.
    pub topic: &'a str,
    /// Present with QoS 1 and 2 only.
    pub packet_id: Option<PacketId>,
    /// The properties; none before version 5.0.
    pub properties: PublishProperties<'a>,
    /// The application message.
    pub payload: &'a [u8],
}

/// The properties of a PUBLISH.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PublishProperties<'a> {
    /// What is left of the lifetime of the message, in seconds. `None`: it does not expire.
    pub message_expiry_s: Option<u32>,
    /// The Topic Alias.
    pub topic_alias: Option<NonZeroU16>,
    /// The Subscription Identifiers, from a server.
    pub subscription_ids: SubscriptionIds<'a>,
    /// What goes from the publisher to the subscribers unaltered.
    pub forward: ForwardProperties<'a>,
}

impl PublishProperties<'_> {
    /// The value of the Property Length.
    #[inline]
    pub fn encoded_len(&self) -> usize {
        let expiry = if self.message_expiry_s.is_some() { 5 } else { 0 };
        let alias = if self.topic_alias.is_some() { 3 } else { 0 };
        expiry + alias + self.subscription_ids.encoded_len() + self.forward.encoded_len()
    }

    #[inline]
    fn put(&self, out: &mut impl Put) {
        put_long(out, Property::MessageExpiryInterval, self.message_expiry_s);
        put_short(out, Property::TopicAlias, self.topic_alias.map(NonZeroU16::get));
        self.subscription_ids.put(out);
        self.forward.put(out);
    }
}

/// Decodes a PUBLISH that `sender` has sent: the hot path.
///
/// # Errors
/// Whatever the standard does not allow in these bytes. That the frame is a PUBLISH is the caller's
/// duty: another packet is read as if it were one.
#[inline]
pub fn decode_publish<'a>(
    frame: &Frame<'a>,
    version: Version,
    sender: Sender,
) -> Result<Publish<'a>, DecodeError> {
    let first = frame.packet_type_and_flags;
    check_first_byte(first)?;
    // [MQTT-3.3.1-4] [MQTT3-3.3.1-4]
    let qos = Qos::from_bits(first >> 1 & 0b11).ok_or(DecodeErrorKind::PublishQos3)?;
    let mut reader = Reader::new(frame.body);
    let topic_bytes = reader.bin()?; // [MQTT-3.3.2-1] [MQTT3-3.3.2-1] it comes first
    let topic = text::utf8(topic_bytes)?;
    if let Some(fault) = text::forbidden_in_name(topic_bytes) {
        return Err(topic_fault(fault));
    }
    let packet_id = match qos {
        Qos::AtMostOnce => None, // [MQTT-2.2.1-2] [MQTT3-2.3.1-5]
        Qos::AtLeastOnce | Qos::ExactlyOnce => Some(reader.packet_id()?),
    };
    let properties = if version.is_v5() {
        take_properties(&mut reader, sender)?
    } else {
        PublishProperties::default()
    };
    if topic.is_empty() && properties.topic_alias.is_none() {
        // [MQTT-4.7.3-1] [MQTT3-4.7.3-1]
        return Err(DecodeErrorKind::TopicName(TopicError::Empty).into());
    }
    Ok(Publish {
        dup: first & 0b1000 != 0,
        qos,
        retain: first & 0b0001 != 0,
        topic,
        packet_id,
        properties,
        payload: reader.rest(),
    })
}

#[cold]
fn topic_fault(fault: Forbidden) -> DecodeError {
    match fault {
        // [MQTT-1.5.4-2] [MQTT-4.7.3-2] [MQTT3-4.7.3-2]
        Forbidden::Nul => DecodeErrorKind::StringHasNul,
        // [MQTT-3.3.2-2] [MQTT-4.7.0-1] [MQTT3-3.3.2-2] [MQTT3-4.7.1-1]
        Forbidden::Wildcard => DecodeErrorKind::TopicName(TopicError::Wildcard),
    }
    .into()
}

#[inline]
fn take_properties<'a>(
    reader: &mut Reader<'a>,
    sender: Sender,
) -> Result<PublishProperties<'a>, DecodeError> {
    if reader.rest().first() == Some(&0) {
        reader.take(1)?;
        return Ok(PublishProperties::default());
    }
    take_some_properties(reader, sender)
}

fn take_some_properties<'a>(
    reader: &mut Reader<'a>,
    sender: Sender,
) -> Result<PublishProperties<'a>, DecodeError> {
    let mut result = PublishProperties::default();
    let place = Place::packet(PacketType::Publish);
    let mut properties = Properties::take(reader, place, ForwardProperties::KEEP)?;
    while let Some(property) = properties.next()? {
        match property {
            (Property::MessageExpiryInterval, Value::Long(seconds)) => {
                result.message_expiry_s = Some(seconds);
            }
            (Property::TopicAlias, Value::Short(alias)) => {
                result.topic_alias = NonZeroU16::new(alias);
            }
            (Property::SubscriptionIdentifier, _) => {
                if sender == Sender::Client {
                    return Err(DecodeErrorKind::SubscriptionIdFromClient.into()); // [MQTT-3.3.4-6]
                }
                result.subscription_ids = SubscriptionIds::from_section(properties.section());
            }
            _ => {}
        }
    }
    result.forward = ForwardProperties::kept(&properties);
    Ok(result)
}

impl Publish<'_> {
    /// The length of the body without the payload, and the Property Length.
    #[inline]
    fn lengths(&self, version: Version) -> (usize, usize) {
        let id = if self.qos == Qos::AtMostOnce { 0 } else { 2 };
        let (section, properties) = if version.is_v5() {
            let properties = self.properties.encoded_len();
            (varint::len(properties as u32) + properties, properties)
        } else {
            (0, 0)
        };
        (2 + self.topic.len() + id + section, properties)
    }

    /// The length of the whole packet in bytes, fixed header included.
    #[inline]
    pub fn encoded_len(&self, version: Version) -> usize {
        whole_len(self.lengths(version).0 + self.payload.len())
    }

    /// The length of what [`Publish::put_head`] writes.
    #[inline]
    pub fn head_len(&self, version: Version) -> usize {
        self.encoded_len(version) - self.payload.len()
    }

    /// Writes the whole packet.
    ///
    /// # Panics
    /// When the topic is longer than 65,535 bytes, the packet is longer than MQTT can say, or the
    /// QoS is 1 or 2 and there is no Packet Identifier.
    #[inline]
    pub fn put(&self, version: Version, out: &mut impl Put) {
        let (head, properties) = self.lengths(version);
        out.reserve(5 + head + self.payload.len());
        self.put_parts(version, head, properties, out);
        out.put_slice(self.payload);
    }

    /// Writes the packet up to its payload, which the caller sends by other means. Panics as
    /// [`Publish::put`] does.
    #[inline]
    pub fn put_head(&self, version: Version, out: &mut impl Put) {
        let (head, properties) = self.lengths(version);
        out.reserve(5 + head);
        self.put_parts(version, head, properties, out);
    }

    #[inline]
    fn put_parts(&self, version: Version, head: usize, properties: usize, out: &mut impl Put) {
        // The fixed header and the length of the topic in one go: at most 1 + 4 + 2 bytes.
        let body = u32::try_from(head + self.payload.len()).unwrap_or(u32::MAX);
        let (length, used) = varint::encode(body);
        let topic_len = u16::try_from(self.topic.len()).expect("a topic has at most 65535 bytes");
        let mut start = [0; 7];
        start[0] = self.first_byte();
        start[1..5].copy_from_slice(&length);
        start[1 + used..3 + used].copy_from_slice(&topic_len.to_be_bytes());
        out.put_slice(&start[..3 + used]);
        out.put_slice(self.topic.as_bytes());
        if self.qos != Qos::AtMostOnce {
            // [MQTT3-2.3.1-1]
            let id = self.packet_id.expect("QoS 1 and 2 need a Packet Identifier");
            out.put_u16(id.get());
        }
        if version.is_v5() {
            if properties == 0 {
                out.put_u8(0); // [MQTT-2.2.2-1]
            } else {
                out.put_varint(properties as u32);
                self.properties.put(out);
            }
        }
    }

    #[inline]
    fn first_byte(&self) -> u8 {
        // [MQTT-3.3.1-2] [MQTT3-3.3.1-2] [MQTT-4.3.1-1] [MQTT3-4.3.1-1]
        let dup = self.dup && self.qos != Qos::AtMostOnce;
        (PacketType::Publish as u8) << 4
            | u8::from(dup) << 3
            | self.qos.bits() << 1
            | u8::from(self.retain)
    }
}
