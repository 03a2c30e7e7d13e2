//! Owns the properties that a server passes on unaltered. Must not know the rest of the packet they
//! came in.

use core::fmt;

use crate::property::{
    Encoded, EncodedProperties, Properties, Property, WriteProperties, put_binary, put_byte,
    put_text,
};
use crate::put::Put;
use crate::user::UserProperties;

/// The properties of a message that go from the publisher to each subscriber as they are: Payload
/// Format Indicator, Response Topic, Correlation Data, Content Type, and the User Properties in
/// their order.
///
/// Opaque: the bytes as they were received. Two values are equal when they would write the same
/// bytes.
// [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
// [MQTT-3.1.3-10]
#[derive(Clone, Copy, Default)]
pub struct ForwardProperties<'a> {
    /// From the first property to pass on to the last one; others may stand between.
    section: &'a [u8],
    /// The encoded length of those to pass on. It is the length of the section when nothing stands
    /// between.
    len: usize,
}

impl<'a> ForwardProperties<'a> {
    /// The set of properties to keep in a walk over a section.
    pub(crate) const KEEP: u64 = Property::PayloadFormatIndicator.bit()
        | Property::ResponseTopic.bit()
        | Property::CorrelationData.bit()
        | Property::ContentType.bit()
        | Property::UserProperty.bit();

    /// What a walk with [`ForwardProperties::KEEP`] has kept.
    #[inline]
    pub(crate) fn kept(properties: &Properties<'a>) -> Self {
        let (section, len) = properties.kept();
        ForwardProperties { section, len }
    }

    /// Takes bytes that [`ForwardProperties::put`] or [`ForwardFields::put`] has written. The bytes
    /// are trusted: they are passed on as they are.
    #[inline]
    pub fn from_encoded(bytes: &'a [u8]) -> Self {
        ForwardProperties { section: bytes, len: bytes.len() }
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many bytes [`ForwardProperties::put`] writes. Takes constant time.
    #[inline]
    pub fn encoded_len(&self) -> usize {
        self.len
    }

    /// Writes the properties, without a Property Length.
    #[inline]
    pub fn put(&self, out: &mut impl Put) {
        if self.len == self.section.len() {
            out.put_slice(self.section);
        } else {
            self.iter().for_each(|one| out.put_slice(one.whole));
        }
    }

    /// The encoded bytes, when they are contiguous: no copy is needed to keep them.
    #[inline]
    pub fn as_encoded(&self) -> Option<&'a [u8]> {
        (self.len == self.section.len()).then_some(self.section)
    }

    fn iter(&self) -> impl Iterator<Item = Encoded<'a>> {
        EncodedProperties::new(self.section).filter(|one| Self::KEEP & one.property.bit() != 0)
    }

    fn find(&self, property: Property) -> Option<Encoded<'a>> {
        EncodedProperties::new(self.section).find(|one| one.property == property)
    }

    /// The Payload Format Indicator: 0 for bytes, 1 for UTF-8.
    pub fn payload_format(&self) -> Option<u8> {
        self.find(Property::PayloadFormatIndicator)?.value.u8().ok()
    }

    /// The Response Topic.
    pub fn response_topic(&self) -> Option<&'a str> {
        self.find(Property::ResponseTopic)?.value.str().ok()
    }

    /// The Correlation Data.
    pub fn correlation_data(&self) -> Option<&'a [u8]> {
        self.find(Property::CorrelationData)?.value.bin().ok()
    }

    /// The Content Type.
    pub fn content_type(&self) -> Option<&'a str> {
        self.find(Property::ContentType)?.value.str().ok()
    }

    /// The User Properties in order.
    pub fn user_properties(&self) -> UserProperties<'a> {
        UserProperties::from_section(self.section)
    }
}

impl PartialEq for ForwardProperties<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len
            && self.iter().map(|one| one.whole).eq(other.iter().map(|one| one.whole))
    }
}

impl Eq for ForwardProperties<'_> {}

impl fmt::Debug for ForwardProperties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardProperties")
            .field("payload_format", &self.payload_format())
            .field("response_topic", &self.response_topic())
            .field("correlation_data", &self.correlation_data())
            .field("content_type", &self.content_type())
            .field("user_properties", &self.user_properties())
            .finish()
    }
}

/// The parts that [`ForwardProperties`] are built from, for who originates a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ForwardFields<'a> {
    /// The Payload Format Indicator: 0 for bytes, 1 for UTF-8.
    pub payload_format: Option<u8>,
    /// The Response Topic, a topic name without wildcards.
    pub response_topic: Option<&'a str>,
    /// The Correlation Data.
    pub correlation_data: Option<&'a [u8]>,
    /// The Content Type.
    pub content_type: Option<&'a str>,
    /// The User Properties in order.
    pub user_properties: &'a [(&'a str, &'a str)],
}

impl ForwardFields<'_> {
    /// How many bytes [`ForwardFields::put`] writes.
    pub fn encoded_len(&self) -> usize {
        self.properties_len()
    }

    /// Writes the properties, for [`ForwardProperties::from_encoded`].
    ///
    /// # Panics
    /// When a string or the Correlation Data is longer than 65,535 bytes.
    pub fn put(&self, out: &mut impl Put) {
        self.write_properties(out);
    }
}

impl WriteProperties for ForwardFields<'_> {
    fn write_properties(&self, out: &mut impl Put) {
        put_byte(out, Property::PayloadFormatIndicator, self.payload_format);
        put_text(out, Property::ResponseTopic, self.response_topic);
        put_binary(out, Property::CorrelationData, self.correlation_data);
        put_text(out, Property::ContentType, self.content_type);
        UserProperties::from(self.user_properties).put(out);
    }
}
