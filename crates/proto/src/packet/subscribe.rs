//! Owns SUBSCRIBE (section 3.8). Must not know which subscriptions exist.

use core::fmt;
use core::num::NonZeroU32;

use crate::error::{DecodeError, DecodeErrorKind};
use crate::packet::{PacketType, packet_methods};
use crate::property::{Place, Properties, Property, Value, WriteProperties, put_varint};
use crate::put::Put;
use crate::qos::{PacketId, Qos};
use crate::read::Reader;
use crate::topic;
use crate::user::UserProperties;
use crate::version::Version;

/// Which retained messages a new subscription gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum RetainHandling {
    /// Send them.
    #[default]
    Send = 0,
    /// Send them if the subscription is new.
    SendIfNew = 1,
    /// Do not send them.
    DoNotSend = 2,
}

/// Subscription Options (section 3.8.3.1). Before version 5.0 there is only the QoS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SubscriptionOptions {
    /// The greatest QoS of messages sent for this subscription.
    pub qos: Qos,
    /// Do not send the client its own messages.
    pub no_local: bool,
    /// Keep the RETAIN flag of a message as it was published.
    pub retain_as_published: bool,
    /// Which retained messages the subscription gets when it is made.
    pub retain_handling: RetainHandling,
}

impl SubscriptionOptions {
    /// Options with a QoS, and nothing else set.
    pub const fn new(qos: Qos) -> Self {
        SubscriptionOptions {
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
        }
    }

    /// The options byte.
    pub const fn to_bits(self) -> u8 {
        self.qos as u8
            | (self.no_local as u8) << 2
            | (self.retain_as_published as u8) << 3
            | (self.retain_handling as u8) << 4
    }

    /// The options of a byte of version 5.0; `None` when a bit is reserved or a value is not
    /// allowed.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match Self::check(bits) {
            Ok(options) => Some(options),
            Err(_) => None,
        }
    }

    const fn check(bits: u8) -> Result<Self, DecodeErrorKind> {
        if bits & 0b1100_0000 != 0 {
            return Err(DecodeErrorKind::SubscriptionReservedBits); // [MQTT-3.8.3-5]
        }
        let Some(qos) = Qos::from_bits(bits & 0b11) else {
            return Err(DecodeErrorKind::SubscriptionQos3);
        };
        let retain_handling = match bits >> 4 {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(DecodeErrorKind::RetainHandling3),
        };
        let (no_local, retain_as_published) = (bits & 0b100 != 0, bits & 0b1000 != 0);
        Ok(SubscriptionOptions { qos, no_local, retain_as_published, retain_handling })
    }

    /// The byte of this version: in 3.1 and 3.1.1 the six upper bits are reserved.
    const fn check_in(bits: u8, version: Version) -> Result<Self, DecodeErrorKind> {
        if !version.is_v5() && bits & 0b1111_1100 != 0 {
            return Err(DecodeErrorKind::SubscriptionReservedBits); // [MQTT3-3.8.3-4]
        }
        Self::check(bits)
    }
}

/// A SUBSCRIBE packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// The Packet Identifier.
    pub packet_id: PacketId,
    /// The number that the client gives these subscriptions, at most 268,435,455; none before
    /// version 5.0.
    pub subscription_id: Option<NonZeroU32>,
    /// The User Properties in order; none before version 5.0.
    pub user_properties: UserProperties<'a>,
    /// What to subscribe to, at least one.
    pub filters: SubscribeFilters<'a>,
}

impl<'a> Subscribe<'a> {
    pub(crate) fn take(reader: &mut Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        let packet = PacketType::Subscribe;
        let packet_id = reader.packet_id()?;
        let mut subscription_id = None;
        let mut user_properties = UserProperties::default();
        if version.is_v5() {
            let keep = Property::UserProperty.bit();
            let mut properties = Properties::take(reader, Place::packet(packet), keep)?;
            while let Some(property) = properties.next()? {
                if let (Property::SubscriptionIdentifier, Value::VarInt(id)) = property {
                    subscription_id = NonZeroU32::new(id);
                }
            }
            user_properties = UserProperties::from_section(properties.kept().0);
        }
        let encoded = reader.rest();
        if encoded.is_empty() {
            // [MQTT-3.8.3-2] [MQTT3-3.8.3-3]
            return Err(DecodeErrorKind::NoTopicFilter(packet).into());
        }
        while !reader.is_empty() {
            let filter = reader.str()?; // [MQTT-3.8.3-1] [MQTT3-3.8.3-1]
            topic::check_filter(filter).map_err(DecodeErrorKind::TopicFilter)?;
            let options = SubscriptionOptions::check_in(reader.u8()?, version)?;
            // [MQTT-3.8.3-4]
            if options.no_local && topic::shared(filter).is_some() {
                return Err(DecodeErrorKind::NoLocalOnShared.into());
            }
        }
        let filters = SubscribeFilters { encoded, filters: &[] };
        Ok(Subscribe { packet_id, subscription_id, user_properties, filters })
    }

    fn put_body(&self, version: Version, out: &mut impl Put) {
        debug_assert!(!self.filters.is_empty(), "SUBSCRIBE needs a topic filter");
        out.put_u16(self.packet_id.get());
        if version.is_v5() {
            self.put_section(out);
        }
        for (filter, options) in self.filters.iter() {
            out.put_str(filter);
            out.put_u8(if version.is_v5() { options.to_bits() } else { options.qos.bits() });
        }
    }
}

impl WriteProperties for Subscribe<'_> {
    fn write_properties(&self, out: &mut impl Put) {
        let id = self.subscription_id.map(NonZeroU32::get);
        put_varint(out, Property::SubscriptionIdentifier, id);
        self.user_properties.put(out);
    }
}

packet_methods!(Subscribe, PacketType::Subscribe);

/// The topic filters of a SUBSCRIBE with their options: borrowed from a received packet (then each
/// is valid), or from a slice.
#[derive(Clone, Copy)]
pub struct SubscribeFilters<'a> {
    encoded: &'a [u8],
    filters: &'a [(&'a str, SubscriptionOptions)],
}

impl<'a> SubscribeFilters<'a> {
    /// The topic filters and their options in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, SubscriptionOptions)> + Clone + use<'a> {
        let mut reader = Reader::new(self.encoded);
        let encoded = core::iter::from_fn(move || {
            let filter = reader.str().ok()?;
            Some((filter, SubscriptionOptions::from_bits(reader.u8().ok()?)?))
        });
        self.filters.iter().copied().chain(encoded)
    }

    /// How many there are. Takes linear time.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are none, which a packet cannot have.
    pub fn is_empty(&self) -> bool {
        self.encoded.is_empty() && self.filters.is_empty()
    }
}

impl<'a> From<&'a [(&'a str, SubscriptionOptions)]> for SubscribeFilters<'a> {
    fn from(filters: &'a [(&'a str, SubscriptionOptions)]) -> Self {
        SubscribeFilters { encoded: &[], filters }
    }
}

impl PartialEq for SubscribeFilters<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for SubscribeFilters<'_> {}

impl fmt::Debug for SubscribeFilters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
