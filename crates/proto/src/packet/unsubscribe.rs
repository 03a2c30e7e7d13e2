//! Owns UNSUBSCRIBE (section 3.10). Must not know which subscriptions exist.

use core::fmt;

use crate::error::{DecodeError, DecodeErrorKind};
use crate::packet::{PacketType, packet_methods};
use crate::property::{Place, Properties, Property, WriteProperties};
use crate::put::Put;
use crate::qos::PacketId;
use crate::read::Reader;
use crate::topic;
use crate::user::UserProperties;
use crate::version::Version;

/// An UNSUBSCRIBE packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// The Packet Identifier.
    pub packet_id: PacketId,
    /// The User Properties in order; none before version 5.0.
    pub user_properties: UserProperties<'a>,
    /// What to unsubscribe from, at least one.
    pub filters: UnsubscribeFilters<'a>,
}

impl<'a> Unsubscribe<'a> {
    pub(crate) fn take(reader: &mut Reader<'a>, version: Version) -> Result<Self, DecodeError> {
        let packet = PacketType::Unsubscribe;
        let packet_id = reader.packet_id()?;
        let mut user_properties = UserProperties::default();
        if version.is_v5() {
            let keep = Property::UserProperty.bit();
            let mut properties = Properties::take(reader, Place::packet(packet), keep)?;
            while properties.next()?.is_some() {}
            user_properties = UserProperties::from_section(properties.kept().0);
        }
        let encoded = reader.rest();
        if encoded.is_empty() {
            // [MQTT-3.10.3-2] [MQTT3-3.10.3-2]
            return Err(DecodeErrorKind::NoTopicFilter(packet).into());
        }
        while !reader.is_empty() {
            let filter = reader.str()?; // [MQTT-3.10.3-1] [MQTT3-3.10.3-1]
            topic::check_filter(filter).map_err(DecodeErrorKind::TopicFilter)?;
        }
        let filters = UnsubscribeFilters { encoded, filters: &[] };
        Ok(Unsubscribe { packet_id, user_properties, filters })
    }

    fn put_body(&self, version: Version, out: &mut impl Put) {
        debug_assert!(!self.filters.is_empty(), "UNSUBSCRIBE needs a topic filter");
        out.put_u16(self.packet_id.get());
        if version.is_v5() {
            self.put_section(out);
        }
        self.filters.iter().for_each(|filter| out.put_str(filter));
    }
}

impl WriteProperties for Unsubscribe<'_> {
    fn write_properties(&self, out: &mut impl Put) {
        self.user_properties.put(out);
    }
}

packet_methods!(Unsubscribe, PacketType::Unsubscribe);

/// The topic filters of an UNSUBSCRIBE: borrowed from a received packet (then each is valid), or
/// from a slice.
#[derive(Clone, Copy)]
pub struct UnsubscribeFilters<'a> {
    encoded: &'a [u8],
    filters: &'a [&'a str],
}

impl<'a> UnsubscribeFilters<'a> {
    /// The topic filters in order.
    pub fn iter(&self) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        let mut reader = Reader::new(self.encoded);
        let encoded = core::iter::from_fn(move || reader.str().ok());
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

impl<'a> From<&'a [&'a str]> for UnsubscribeFilters<'a> {
    fn from(filters: &'a [&'a str]) -> Self {
        UnsubscribeFilters { encoded: &[], filters }
    }
}

impl PartialEq for UnsubscribeFilters<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for UnsubscribeFilters<'_> {}

impl fmt::Debug for UnsubscribeFilters<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
