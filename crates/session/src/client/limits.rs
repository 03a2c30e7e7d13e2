//! What the server allows on this connection, as its CONNACK says. Knows no state of flows.

use martlet_proto::{ConnAck, Publish, Qos, Version};

use super::error::PublishError;

/// The longest packet that MQTT can express: 268,435,455 bytes after a fixed header of 5.
pub(super) const PACKET_SIZE_MAX: usize = 268_435_460;

/// The limits of a server. Before version 5 they are those of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// How many QoS 1 and 2 messages may be unacknowledged.
    pub receive_max: u16,
    /// The highest QoS of a message to the server.
    pub qos_max: Qos,
    /// Whether the server has retained messages.
    pub retain_available: bool,
    /// The largest packet, in bytes with its fixed header.
    pub packet_size_max: usize,
    /// The highest topic alias; 0 for none.
    pub topic_alias_max: u16,
    /// Whether filters may have wildcards.
    pub wildcard_available: bool,
    /// Whether SUBSCRIBE may have an identifier.
    pub subscription_ids_available: bool,
    /// Whether there are shared subscriptions.
    pub shared_available: bool,
}

impl ServerLimits {
    /// What holds when the server says nothing.
    pub(super) const fn unlimited() -> Self {
        Self {
            receive_max: u16::MAX,
            qos_max: Qos::ExactlyOnce,
            retain_available: true,
            packet_size_max: PACKET_SIZE_MAX,
            topic_alias_max: 0,
            wildcard_available: true,
            subscription_ids_available: true,
            shared_available: true,
        }
    }

    pub(super) fn of(connack: &ConnAck<'_>) -> Self {
        let said = &connack.properties;
        let default = Self::unlimited();
        Self {
            receive_max: said.receive_max.unwrap_or(default.receive_max), // [MQTT-4.9.0-1]
            qos_max: said.qos_max.unwrap_or(default.qos_max),
            retain_available: said.retain_available.unwrap_or(true),
            packet_size_max: said.packet_size_max.map_or(default.packet_size_max, |bytes| {
                usize::try_from(bytes).unwrap_or(usize::MAX).min(default.packet_size_max)
            }),
            topic_alias_max: said.topic_alias_max.unwrap_or(0), // [MQTT-3.2.2-18]
            wildcard_available: said.wildcard_available.unwrap_or(true),
            subscription_ids_available: said.subscription_ids_available.unwrap_or(true),
            shared_available: said.shared_available.unwrap_or(true),
        }
    }

    /// Whether the server wants such a message, apart from its size.
    pub(super) fn admit(&self, qos: Qos, retain: bool) -> Result<(), PublishError> {
        if qos > self.qos_max {
            return Err(PublishError::QosNotSupported); // [MQTT-3.2.2-11]
        }
        if retain && !self.retain_available {
            return Err(PublishError::RetainNotSupported); // [MQTT-3.2.2-14]
        }
        Ok(())
    }

    /// Whether the server takes a packet of this length.
    pub(super) fn fits(&self, encoded_len: usize) -> bool {
        encoded_len <= self.packet_size_max // [MQTT-3.2.2-15]
    }

    pub(super) fn publish_fits(&self, publish: &Publish<'_>, version: Version) -> bool {
        self.fits(publish.encoded_len(version))
    }
}
