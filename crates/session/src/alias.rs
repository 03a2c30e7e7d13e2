//! Topic aliases of one connection, both directions (MQTT 5, section 3.3.2.3.4).
//!
//! Lives in the connection and dies with it: mappings never outlive the socket. It knows topics
//! as strings and the negotiated maximum, nothing else.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::fmt;
use core::num::NonZeroU16;

use martlet_proto::ReasonCode;

/// At most this many aliases are used towards a peer, whatever it allows: a larger table costs
/// more to search than the bytes it saves.
pub const ALIASES_OUT_MAX: u16 = 32;

/// A topic alias in a received PUBLISH that cannot be resolved: the peer's error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AliasError {
    /// Above the Topic Alias Maximum that this side announced.
    TooLarge,
    /// The topic is empty and the alias has no mapping on this connection.
    Unknown,
}

impl AliasError {
    /// The code of the DISCONNECT that answers it.
    pub const fn reason(self) -> ReasonCode {
        match self {
            AliasError::TooLarge => ReasonCode::TopicAliasInvalid,
            AliasError::Unknown => ReasonCode::ProtocolError,
        }
    }

    /// The statement or section that the peer broke.
    pub const fn clause(self) -> &'static str {
        match self {
            AliasError::TooLarge => "MQTT-3.2.2-17",
            AliasError::Unknown => "MQTT5 3.3.4",
        }
    }
}

impl fmt::Display for AliasError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AliasError::TooLarge => "sent a topic alias above the announced Topic Alias Maximum",
            AliasError::Unknown => "sent an empty topic with a topic alias that it never mapped",
        })
    }
}

impl core::error::Error for AliasError {}

/// The aliases that the peer maps. Holds at most `max` topics of at most 65,535 bytes each; the
/// table grows with the aliases that are really used.
#[derive(Debug, Default)]
pub struct InboundAliases {
    /// Index: alias - 1. An empty topic is no mapping.
    topics: Vec<Box<str>>,
    max: u16,
}

impl InboundAliases {
    /// `max` is the Topic Alias Maximum that this side announced. Allocates nothing.
    pub const fn new(max: u16) -> Self {
        Self { topics: Vec::new(), max }
    }

    /// The Topic Alias Maximum that this side announced.
    pub const fn max(&self) -> u16 {
        self.max
    }

    /// The topic that a received PUBLISH means: its own, or the one mapped to its alias. A
    /// topic together with an alias sets or replaces the mapping.
    ///
    /// # Errors
    /// When the alias is above the maximum, or has no mapping and the topic is empty.
    #[inline]
    pub fn resolve<'a>(
        &'a mut self,
        alias: Option<NonZeroU16>,
        topic: &'a str,
    ) -> Result<&'a str, AliasError> {
        match alias {
            None => Ok(topic),
            Some(alias) => self.resolve_alias(alias, topic),
        }
    }

    fn resolve_alias<'a>(
        &'a mut self,
        alias: NonZeroU16,
        topic: &'a str,
    ) -> Result<&'a str, AliasError> {
        // Every alias from 1 to the maximum is accepted, in any order.
        // [MQTT-3.3.2-10] [MQTT-3.3.2-12] [MQTT-3.3.2-9] [MQTT-3.3.2-11]
        if alias.get() > self.max {
            return Err(AliasError::TooLarge);
        }
        let at = usize::from(alias.get() - 1);
        if topic.is_empty() {
            return match self.topics.get(at) {
                Some(known) if !known.is_empty() => Ok(known),
                _ => Err(AliasError::Unknown),
            };
        }
        if at >= self.topics.len() {
            self.topics.resize_with(at + 1, Box::default);
        }
        if *self.topics[at] != *topic {
            self.topics[at] = topic.into();
        }
        Ok(topic)
    }
}

/// How to send a topic, see [`OutboundAliases::assign`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assigned {
    /// The topic as it is, without an alias.
    None,
    /// The topic and this alias, which the receiver then maps.
    New(NonZeroU16),
    /// An empty topic and this alias.
    Known(NonZeroU16),
}

#[derive(Debug)]
struct Mapping {
    fingerprint: u64,
    /// Empty: no mapping.
    topic: Box<str>,
}

/// The aliases that this side maps at the peer. At most [`ALIASES_OUT_MAX`] topics, replaced in
/// clock order: a topic that was used since the hand last passed it stays.
#[derive(Debug, Default)]
pub struct OutboundAliases {
    /// Index: alias - 1.
    mappings: Vec<Mapping>,
    /// One bit a mapping: used since the hand passed.
    used: u32,
    hand: u8,
    max: u8,
}

/// Topics up to this length are not worth an alias: the property itself takes three bytes.
const TOPIC_LEN_MIN: usize = 4;

impl OutboundAliases {
    /// `max` is the Topic Alias Maximum of the peer; 0 means that it allows none. Allocates
    /// nothing.
    pub const fn new(max: u16) -> Self {
        // [MQTT-3.1.2-26] [MQTT-3.1.2-27] [MQTT-3.2.2-17] [MQTT-3.2.2-18]
        let max = if max < ALIASES_OUT_MAX { max } else { ALIASES_OUT_MAX };
        Self { mappings: Vec::new(), used: 0, hand: 0, max: max as u8 }
    }

    /// Decides how to send `topic`. After [`Assigned::New`] the PUBLISH must really be sent with
    /// the topic and the alias, or the mapping taken back by [`OutboundAliases::forget`].
    #[inline]
    pub fn assign(&mut self, topic: &str) -> Assigned {
        if self.max == 0 || topic.len() < TOPIC_LEN_MIN {
            return Assigned::None;
        }
        let fingerprint = fingerprint(topic);
        for (at, mapping) in self.mappings.iter().enumerate() {
            if mapping.fingerprint == fingerprint && *mapping.topic == *topic {
                self.used |= 1 << at;
                return Assigned::Known(alias_of(at));
            }
        }
        self.map(topic, fingerprint)
    }

    /// Takes a mapping back whose PUBLISH was not sent after all.
    pub fn forget(&mut self, alias: NonZeroU16) {
        let at = usize::from(alias.get() - 1);
        if at + 1 == self.mappings.len() {
            self.mappings.pop();
        } else if let Some(mapping) = self.mappings.get_mut(at) {
            *mapping = Mapping { fingerprint: 0, topic: Box::default() };
            self.used &= !(1 << at);
            self.hand = at as u8;
        }
    }

    fn map(&mut self, topic: &str, fingerprint: u64) -> Assigned {
        let len = self.mappings.len();
        if len < usize::from(self.max) {
            self.mappings.push(Mapping { fingerprint, topic: topic.into() });
            self.used |= 1 << len;
            return Assigned::New(alias_of(len)); // [MQTT-3.3.2-8]
        }
        let at = usize::from(self.hand);
        self.hand = if at + 1 == len { 0 } else { self.hand + 1 };
        if self.used & (1 << at) != 0 {
            // A second chance for the old one; the new topic goes without.
            self.used &= !(1 << at);
            return Assigned::None;
        }
        self.mappings[at] = Mapping { fingerprint, topic: topic.into() };
        Assigned::New(alias_of(at))
    }
}

fn alias_of(at: usize) -> NonZeroU16 {
    // `at` is below ALIASES_OUT_MAX.
    NonZeroU16::MIN.saturating_add(at as u16)
}

/// Length and the last bytes: topics of one publisher differ most at the end. Only a filter;
/// equality decides.
#[inline]
fn fingerprint(topic: &str) -> u64 {
    let bytes = topic.as_bytes();
    let tail = match bytes.last_chunk::<8>() {
        Some(chunk) => u64::from_le_bytes(*chunk),
        None => bytes.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)),
    };
    tail ^ (bytes.len() as u64).rotate_right(16)
}

#[cfg(test)]
#[path = "alias_tests.rs"]
mod tests;
