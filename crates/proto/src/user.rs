//! Owns the two lists of properties that may repeat: User Properties and Subscription Identifiers.
//! Must not know the packets they are in.

use core::fmt;

use crate::property::{EncodedProperties, Property, put_varint};
use crate::put::Put;
use crate::varint;

/// The User Properties of a packet, in order: borrowed from a received packet, or from a slice of
/// pairs.
#[derive(Clone, Copy, Default)]
pub struct UserProperties<'a> {
    /// A received section; what is not a User Property is skipped.
    section: &'a [u8],
    pairs: &'a [(&'a str, &'a str)],
}

impl<'a> UserProperties<'a> {
    pub(crate) fn from_section(section: &'a [u8]) -> Self {
        UserProperties { section, pairs: &[] }
    }

    /// The names and values in order.
    pub fn iter(&self) -> UserPropertiesIter<'a> {
        UserPropertiesIter {
            encoded: EncodedProperties::new(self.section),
            pairs: self.pairs.iter(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The encoded length in bytes, with the identifiers.
    pub fn encoded_len(&self) -> usize {
        self.iter().map(|(name, value)| 5 + name.len() + value.len()).sum()
    }

    /// Writes each pair as a property.
    ///
    /// # Panics
    /// When a name or a value is longer than 65,535 bytes.
    pub fn put(&self, out: &mut impl Put) {
        for (name, value) in self.iter() {
            out.put_u8(Property::UserProperty as u8);
            out.put_str(name);
            out.put_str(value);
        }
    }
}

/// The iterator of [`UserProperties::iter`].
#[derive(Debug, Clone)]
pub struct UserPropertiesIter<'a> {
    encoded: EncodedProperties<'a>,
    pairs: core::slice::Iter<'a, (&'a str, &'a str)>,
}

impl<'a> Iterator for UserPropertiesIter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(pair) = self.pairs.next() {
            return Some(*pair);
        }
        let found = self.encoded.find(|one| one.property == Property::UserProperty)?;
        let mut value = found.value;
        Some((value.str().ok()?, value.str().ok()?))
    }
}

impl<'a> IntoIterator for UserProperties<'a> {
    type Item = (&'a str, &'a str);
    type IntoIter = UserPropertiesIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> From<&'a [(&'a str, &'a str)]> for UserProperties<'a> {
    fn from(pairs: &'a [(&'a str, &'a str)]) -> Self {
        UserProperties { section: &[], pairs }
    }
}

impl PartialEq for UserProperties<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for UserProperties<'_> {}

impl fmt::Debug for UserProperties<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// The Subscription Identifiers of a PUBLISH: borrowed from a received packet, or from a slice.
#[derive(Clone, Copy, Default)]
pub struct SubscriptionIds<'a> {
    /// A received section; what is not a Subscription Identifier is skipped.
    section: &'a [u8],
    ids: &'a [u32],
}

impl<'a> SubscriptionIds<'a> {
    pub(crate) fn from_section(section: &'a [u8]) -> Self {
        SubscriptionIds { section, ids: &[] }
    }

    /// The identifiers, 1 to 268,435,455 each.
    pub fn iter(&self) -> SubscriptionIdsIter<'a> {
        SubscriptionIdsIter { encoded: EncodedProperties::new(self.section), ids: self.ids.iter() }
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty() && (self.section.is_empty() || self.iter().next().is_none())
    }

    /// The encoded length in bytes, with the property identifiers.
    #[inline]
    pub fn encoded_len(&self) -> usize {
        if self.is_empty() {
            return 0;
        }
        self.iter().map(|id| 1 + varint::len(id)).sum()
    }

    /// Writes each as a property.
    ///
    /// # Panics
    /// When an identifier is greater than 268,435,455.
    #[inline]
    pub fn put(&self, out: &mut impl Put) {
        if self.is_empty() {
            return;
        }
        for id in self.iter() {
            put_varint(out, Property::SubscriptionIdentifier, Some(id));
        }
    }
}

/// The iterator of [`SubscriptionIds::iter`].
#[derive(Debug, Clone)]
pub struct SubscriptionIdsIter<'a> {
    encoded: EncodedProperties<'a>,
    ids: core::slice::Iter<'a, u32>,
}

impl Iterator for SubscriptionIdsIter<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if let Some(id) = self.ids.next() {
            return Some(*id);
        }
        let found = self.encoded.find(|one| one.property == Property::SubscriptionIdentifier)?;
        let mut value = found.value;
        value.varint().ok()
    }
}

impl<'a> IntoIterator for SubscriptionIds<'a> {
    type Item = u32;
    type IntoIter = SubscriptionIdsIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a> From<&'a [u32]> for SubscriptionIds<'a> {
    fn from(ids: &'a [u32]) -> Self {
        SubscriptionIds { section: &[], ids }
    }
}

impl PartialEq for SubscriptionIds<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for SubscriptionIds<'_> {}

impl fmt::Debug for SubscriptionIds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
