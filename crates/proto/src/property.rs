//! Owns the properties of version 5.0 (section 2.2.2): ids, types, which packet may have which, and
//! the walk over a section. Must not know what a property is used for.

use core::fmt;

use crate::error::{DecodeError, DecodeErrorKind};
use crate::packet::PacketType;
use crate::put::{Count, Put};
use crate::read::Reader;
use crate::topic;

/// The set of properties that stands at one place, as bits of packet types; bit 0 is the Will
/// Properties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(u16);

impl Place {
    pub(crate) const WILL: Place = Place(1);

    pub(crate) const fn packet(packet: PacketType) -> Place {
        Place(1 << packet as u8)
    }

    /// The packet that the section is in.
    const fn packet_type(self) -> PacketType {
        match PacketType::from_u8(self.0.trailing_zeros() as u8) {
            Some(packet) => packet,
            None => PacketType::Connect,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    /// A Byte that is 0 or 1.
    Flag,
    Short,
    /// A Two Byte Integer greater than zero.
    ShortNonZero,
    Long,
    /// A Four Byte Integer greater than zero.
    LongNonZero,
    VarIntNonZero,
    Text,
    TopicName,
    Binary,
    Pair,
}

/// A value of a property.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    Byte(u8),
    Short(u16),
    Long(u32),
    VarInt(u32),
    Text(&'a str),
    Binary(&'a [u8]),
    Pair,
}

const WILL: u16 = Place::WILL.0;
/// The 15 packets, by bit: the packets with properties, without PINGREQ (12) and PINGRESP (13).
const ALL: u16 = 0b1100_1111_1111_1110 | WILL;
const CONNECT: u16 = Place::packet(PacketType::Connect).0;
const CONNACK: u16 = Place::packet(PacketType::ConnAck).0;
const PUBLISH: u16 = Place::packet(PacketType::Publish).0;
const SUBSCRIBE: u16 = Place::packet(PacketType::Subscribe).0;
const UNSUBSCRIBE: u16 = Place::packet(PacketType::Unsubscribe).0;
const DISCONNECT: u16 = Place::packet(PacketType::Disconnect).0;
const AUTH: u16 = Place::packet(PacketType::Auth).0;
/// Where a Reason String may stand: each answer.
const ANSWERS: u16 = ALL & !(CONNECT | PUBLISH | SUBSCRIBE | UNSUBSCRIBE | WILL);

macro_rules! properties {
    ($(
        $(#[$doc:meta])*
        $variant:ident = $id:literal, $name:literal, $section:literal, $type:ident, $places:expr;
    )*) => {
        /// A property (table 2-4). The value is its identifier.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Property {
            $($(#[$doc])* $variant = $id,)*
        }

        impl Property {
            /// All the properties, by ascending identifier.
            pub const ALL: &'static [Property] = &[$(Property::$variant,)*];

            /// `None` when the standard does not define the identifier.
            #[inline]
            pub const fn from_id(id: u32) -> Option<Property> {
                match id {
                    $($id => Some(Property::$variant),)*
                    _ => None,
                }
            }

            /// The name in the standard.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Property::$variant => $name,)*
                }
            }

            /// Where the standard says which values are allowed.
            pub(crate) const fn section(self) -> &'static str {
                match self {
                    $(Property::$variant => concat!("section ", $section),)*
                }
            }

            #[inline]
            const fn value_type(self) -> Type {
                match self {
                    $(Property::$variant => Type::$type,)*
                }
            }

            #[inline]
            const fn places(self) -> u16 {
                match self {
                    $(Property::$variant => $places,)*
                }
            }
        }
    };
}

// The one table. A property may stand once in a section, with the exceptions in `may_repeat`.
properties! {
    /// Whether the payload is text.
    PayloadFormatIndicator = 0x01, "Payload Format Indicator", "3.3.2.3.2", Flag, PUBLISH | WILL;
    /// Lifetime of the message in seconds.
    MessageExpiryInterval = 0x02, "Message Expiry Interval", "3.3.2.3.3", Long, PUBLISH | WILL;
    /// What the payload is.
    ContentType = 0x03, "Content Type", "3.3.2.3.9", Text, PUBLISH | WILL;
    /// Where to answer to.
    ResponseTopic = 0x08, "Response Topic", "3.3.2.3.5", TopicName, PUBLISH | WILL;
    /// What an answer must repeat.
    CorrelationData = 0x09, "Correlation Data", "3.3.2.3.6", Binary, PUBLISH | WILL;
    /// The number that a client gave its subscription.
    SubscriptionIdentifier = 0x0B, "Subscription Identifier",
        "3.8.2.1.2", VarIntNonZero, PUBLISH | SUBSCRIBE;
    /// How long a session outlives its connection, in seconds.
    SessionExpiryInterval = 0x11, "Session Expiry Interval",
        "3.1.2.11.2", Long, CONNECT | CONNACK | DISCONNECT;
    /// The Client Identifier that the server chose.
    AssignedClientIdentifier = 0x12, "Assigned Client Identifier", "3.2.2.3.7", Text, CONNACK;
    /// The Keep Alive that the server demands, in seconds.
    ServerKeepAlive = 0x13, "Server Keep Alive", "3.2.2.3.14", Short, CONNACK;
    /// The name of the extended authentication.
    AuthenticationMethod = 0x15, "Authentication Method",
        "3.1.2.11.9", Text, CONNECT | CONNACK | AUTH;
    /// What the authentication method needs.
    AuthenticationData = 0x16, "Authentication Data",
        "3.1.2.11.10", Binary, CONNECT | CONNACK | AUTH;
    /// Whether the client wants Reason Strings.
    RequestProblemInformation = 0x17, "Request Problem Information", "3.1.2.11.7", Flag, CONNECT;
    /// How long the will waits, in seconds.
    WillDelayInterval = 0x18, "Will Delay Interval", "3.1.3.2.2", Long, WILL;
    /// Whether the client wants Response Information.
    RequestResponseInformation = 0x19, "Request Response Information", "3.1.2.11.6", Flag, CONNECT;
    /// What a client may build its Response Topics from.
    ResponseInformation = 0x1A, "Response Information", "3.2.2.3.15", Text, CONNACK;
    /// Another server.
    ServerReference = 0x1C, "Server Reference", "3.2.2.3.16", Text, CONNACK | DISCONNECT;
    /// What went wrong, for people.
    ReasonString = 0x1F, "Reason String", "3.2.2.3.9", Text, ANSWERS;
    /// How many messages may be in flight.
    ReceiveMaximum = 0x21, "Receive Maximum", "3.1.2.11.3", ShortNonZero, CONNECT | CONNACK;
    /// The greatest Topic Alias.
    TopicAliasMaximum = 0x22, "Topic Alias Maximum", "3.1.2.11.5", Short, CONNECT | CONNACK;
    /// A number in the place of a topic name.
    TopicAlias = 0x23, "Topic Alias", "3.3.2.3.4", ShortNonZero, PUBLISH;
    /// The greatest QoS that the server takes.
    MaximumQos = 0x24, "Maximum QoS", "3.2.2.3.4", Flag, CONNACK;
    /// Whether the server retains messages.
    RetainAvailable = 0x25, "Retain Available", "3.2.2.3.5", Flag, CONNACK;
    /// A name and a value that mean what the applications agree on.
    UserProperty = 0x26, "User Property", "3.1.2.11.8", Pair, ALL;
    /// The greatest packet in bytes.
    MaximumPacketSize = 0x27, "Maximum Packet Size", "3.1.2.11.4", LongNonZero, CONNECT | CONNACK;
    /// Whether the server has wildcard subscriptions.
    WildcardSubscriptionAvailable = 0x28, "Wildcard Subscription Available",
        "3.2.2.3.11", Flag, CONNACK;
    /// Whether the server has Subscription Identifiers.
    SubscriptionIdentifierAvailable = 0x29, "Subscription Identifier Available",
        "3.2.2.3.12", Flag, CONNACK;
    /// Whether the server has shared subscriptions.
    SharedSubscriptionAvailable = 0x2A, "Shared Subscription Available",
        "3.2.2.3.13", Flag, CONNACK;
}

impl Property {
    /// Whether the packet may have this property in its variable header.
    pub const fn allowed_in(self, packet: PacketType) -> bool {
        self.places() & Place::packet(packet).0 != 0
    }

    /// Whether the Will Properties of CONNECT may have this property.
    pub const fn allowed_in_will(self) -> bool {
        self.places() & WILL != 0
    }

    #[inline]
    const fn may_repeat(self, place: Place) -> bool {
        match self {
            Property::UserProperty => true,
            Property::SubscriptionIdentifier => place.0 == PUBLISH,
            _ => false,
        }
    }

    /// The bit of the property in a set of properties.
    pub(crate) const fn bit(self) -> u64 {
        1 << self as u8
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The walk over a received section, with every rule of table 2-4. It remembers where the
/// properties of interest are, so that they can be walked again, or passed on as they came.
#[derive(Debug)]
pub(crate) struct Properties<'a> {
    section: &'a [u8],
    reader: Reader<'a>,
    place: Place,
    seen: u64,
    keep: u64,
    kept_from: usize,
    kept_to: usize,
    kept_len: usize,
}

impl<'a> Properties<'a> {
    /// Takes the Property Length and the section from the front of the reader. `keep` is a set of
    /// [`Property::bit`]s.
    #[inline]
    pub(crate) fn take(
        reader: &mut Reader<'a>,
        place: Place,
        keep: u64,
    ) -> Result<Properties<'a>, DecodeError> {
        let section = reader.section()?;
        let reader = Reader::new(section);
        Ok(Properties {
            section,
            reader,
            place,
            seen: 0,
            keep,
            kept_from: 0,
            kept_to: 0,
            kept_len: 0,
        })
    }

    /// The next property of the section.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<(Property, Value<'a>)>, DecodeError> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        let start = self.section.len() - self.reader.rest().len();
        let property =
            Property::from_id(self.reader.varint()?).ok_or(DecodeErrorKind::PropertyUnknown)?;
        if property.places() & self.place.0 == 0 {
            let packet = self.place.packet_type();
            return Err(DecodeErrorKind::PropertyNotAllowed(property, packet).into());
        }
        if self.seen & property.bit() != 0 && !property.may_repeat(self.place) {
            return Err(DecodeErrorKind::PropertyRepeated(property).into());
        }
        self.seen |= property.bit();
        let value = self.value(property)?;
        if self.keep & property.bit() != 0 {
            let end = self.section.len() - self.reader.rest().len();
            if self.kept_len == 0 {
                self.kept_from = start;
            }
            self.kept_to = end;
            self.kept_len += end - start;
        }
        Ok(Some((property, value)))
    }

    #[inline]
    fn value(&mut self, property: Property) -> Result<Value<'a>, DecodeError> {
        let reader = &mut self.reader;
        let (value, valid) = match property.value_type() {
            Type::Flag => {
                let byte = reader.u8()?;
                (Value::Byte(byte), byte <= 1)
            }
            Type::Short => (Value::Short(reader.u16()?), true),
            Type::ShortNonZero => {
                let short = reader.u16()?;
                (Value::Short(short), short != 0)
            }
            Type::Long => (Value::Long(reader.u32()?), true),
            Type::LongNonZero => {
                let long = reader.u32()?;
                (Value::Long(long), long != 0)
            }
            Type::VarIntNonZero => {
                let integer = reader.varint()?;
                (Value::VarInt(integer), integer != 0)
            }
            Type::Text => (Value::Text(reader.str()?), true), // [MQTT-3.3.2-13] [MQTT-3.3.2-19]
            Type::TopicName => {
                let text = reader.str()?;
                // [MQTT-3.3.2-14]
                topic::check_name(text).map_err(DecodeErrorKind::ResponseTopic)?;
                (Value::Text(text), true)
            }
            Type::Binary => (Value::Binary(reader.bin()?), true),
            Type::Pair => {
                // [MQTT-1.5.7-1]
                reader.str()?;
                reader.str()?;
                (Value::Pair, true)
            }
        };
        match (valid, property) {
            (true, _) => Ok(value),
            // [MQTT-3.3.2-8]
            (false, Property::TopicAlias) => Err(DecodeErrorKind::TopicAliasZero.into()),
            (false, _) => Err(DecodeErrorKind::PropertyValue(property).into()),
        }
    }

    /// The smallest part of the section with all the properties that were to be kept, and the
    /// length of these alone. The two lengths are the same when no other property stands between.
    pub(crate) fn kept(&self) -> (&'a [u8], usize) {
        (&self.section[self.kept_from..self.kept_to], self.kept_len)
    }

    /// The whole section.
    pub(crate) fn section(&self) -> &'a [u8] {
        self.section
    }
}

/// The walk over a section that was checked before, or written by this crate. Each item is one
/// property as it is encoded: identifier, whole encoding, encoded value. It ends at the first thing
/// it does not understand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EncodedProperties<'a> {
    rest: &'a [u8],
}

/// One encoded property.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encoded<'a> {
    pub(crate) property: Property,
    /// With the identifier.
    pub(crate) whole: &'a [u8],
    /// Without the identifier.
    pub(crate) value: Reader<'a>,
}

impl<'a> EncodedProperties<'a> {
    pub(crate) fn new(section: &'a [u8]) -> Self {
        EncodedProperties { rest: section }
    }
}

impl<'a> Iterator for EncodedProperties<'a> {
    type Item = Encoded<'a>;

    fn next(&mut self) -> Option<Encoded<'a>> {
        let (&id, value) = self.rest.split_first()?;
        let property = Property::from_id(u32::from(id))?;
        let value = Reader::new(value);
        let mut skip = value;
        match property.value_type() {
            Type::Flag => skip.take(1).ok()?,
            Type::Short | Type::ShortNonZero => skip.take(2).ok()?,
            Type::Long | Type::LongNonZero => skip.take(4).ok()?,
            Type::VarIntNonZero => {
                skip.varint().ok()?;
                &[]
            }
            Type::Text | Type::TopicName | Type::Binary => skip.bin().ok()?,
            Type::Pair => {
                skip.bin().ok()?;
                skip.bin().ok()?
            }
        };
        let (whole, rest) = self.rest.split_at(self.rest.len() - skip.rest().len());
        self.rest = rest;
        Some(Encoded { property, whole, value })
    }
}

/// A set of properties that can be written.
pub(crate) trait WriteProperties {
    fn write_properties(&self, out: &mut impl Put);

    /// The value of the Property Length.
    fn properties_len(&self) -> usize {
        let mut count = Count(0);
        self.write_properties(&mut count);
        count.0
    }

    /// Writes the Property Length and the properties.
    fn put_section(&self, out: &mut impl Put) {
        // [MQTT-2.2.2-1] the length is written even when it is zero
        out.put_varint(self.properties_len() as u32);
        self.write_properties(out);
    }
}

/// Writes a Byte property.
#[inline]
pub(crate) fn put_byte(out: &mut impl Put, property: Property, value: Option<u8>) {
    if let Some(value) = value {
        out.put_slice(&[property as u8, value]);
    }
}

/// Writes a Byte property with the value 0 or 1.
#[inline]
pub(crate) fn put_flag(out: &mut impl Put, property: Property, value: Option<bool>) {
    put_byte(out, property, value.map(u8::from));
}

/// Writes a Two Byte Integer property.
#[inline]
pub(crate) fn put_short(out: &mut impl Put, property: Property, value: Option<u16>) {
    if let Some(value) = value {
        let [high, low] = value.to_be_bytes();
        out.put_slice(&[property as u8, high, low]);
    }
}

/// Writes a Four Byte Integer property.
#[inline]
pub(crate) fn put_long(out: &mut impl Put, property: Property, value: Option<u32>) {
    if let Some(value) = value {
        let [a, b, c, d] = value.to_be_bytes();
        out.put_slice(&[property as u8, a, b, c, d]);
    }
}

/// Writes a Variable Byte Integer property.
#[inline]
pub(crate) fn put_varint(out: &mut impl Put, property: Property, value: Option<u32>) {
    if let Some(value) = value {
        out.put_u8(property as u8);
        out.put_varint(value);
    }
}

/// Writes a UTF-8 Encoded String property.
#[inline]
pub(crate) fn put_text(out: &mut impl Put, property: Property, value: Option<&str>) {
    put_binary(out, property, value.map(str::as_bytes));
}

/// Writes a Binary Data property.
#[inline]
pub(crate) fn put_binary(out: &mut impl Put, property: Property, value: Option<&[u8]>) {
    if let Some(value) = value {
        out.put_u8(property as u8);
        out.put_bin(value);
    }
}
