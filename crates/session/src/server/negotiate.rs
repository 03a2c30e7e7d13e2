//! CONNECT against what the server offers: the negotiated limits, and what CONNACK must say about
//! them. Must not know sessions or who is allowed in.

use alloc::boxed::Box;

use martlet_proto::{ConnAckProperties, Connect, Version};

use super::{Connection, Phase, Violation};
use crate::alias::{InboundAliases, OutboundAliases};

/// What the server offers to every client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offer {
    /// Unfinished QoS 2 exchanges taken from a client (Receive Maximum).
    pub receive_max: u16,
    /// Largest packet taken, in bytes.
    pub packet_size_max: u32,
    /// Topic aliases a client may set up.
    pub topic_alias_max: u16,
    /// Messages in flight to a client, whatever larger Receive Maximum it allows.
    pub in_flight_max: u16,
    /// Longest session expiry interval granted, in seconds; `u32::MAX` is "never".
    pub session_expiry_max_s: u32,
    /// Longest keep alive granted, in seconds; 0 grants everything.
    pub keep_alive_max_s: u16,
}

/// What one client got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Seconds the session outlives the connection; 0: it ends with it; `u32::MAX`: for ever.
    pub session_expiry_s: u32,
    /// Whether that differs from what the client asked for.
    pub session_expiry_lowered: bool,
    /// The keep alive the server imposes, in seconds, when it is not the client's.
    pub server_keep_alive_s: Option<u16>,
}

impl Grant {
    /// The CONNACK properties that tell a v5 client its limits; the rest is empty.
    #[must_use]
    pub fn conn_ack_properties(&self, offer: &Offer) -> ConnAckProperties<'static> {
        ConnAckProperties {
            session_expiry_s: self.session_expiry_lowered.then_some(self.session_expiry_s),
            receive_max: (offer.receive_max != u16::MAX).then_some(offer.receive_max),
            packet_size_max: Some(offer.packet_size_max),
            topic_alias_max: (offer.topic_alias_max > 0).then_some(offer.topic_alias_max),
            server_keep_alive_s: self.server_keep_alive_s,
            ..ConnAckProperties::default()
        }
    }
}

impl Connection {
    /// Takes the terms of a CONNECT. The connection waits for its verdict afterwards.
    ///
    /// # Errors
    /// The [`Violation`] the packet commits although it is well formed.
    pub fn connect(&mut self, connect: &Connect<'_>, offer: &Offer) -> Result<Grant, Violation> {
        self.version = connect.version;
        self.phase = Phase::Authenticating;
        // [MQTT3-3.1.3-7] [MQTT3-3.1.3-8]
        if connect.client_id.is_empty() && !connect.version.is_v5() && !connect.clean_start {
            return Err(Violation::EmptyClientId);
        }
        let properties = &connect.properties;
        self.problem_information = properties.request_problem_information;
        // [MQTT-4.9.0-1] The send quota starts at the client's Receive Maximum or our own bound.
        self.receive_max_out =
            properties.receive_max.unwrap_or(u16::MAX).min(offer.in_flight_max).max(1);
        self.receive_max_in = offer.receive_max;
        self.packet_size_max_out = properties.packet_size_max.unwrap_or(u32::MAX);
        self.auth_method = properties.auth_method.map(Box::from);
        // [MQTT-3.3.2-7] Aliases start empty with every connection.
        self.inbound = InboundAliases::new(offer.topic_alias_max);
        // [MQTT-3.1.2-26] [MQTT-3.1.2-27]
        let aliases_out_max = properties.topic_alias_max.unwrap_or(0);
        self.aliases_out = aliases_out_max > 0;
        self.outbound = OutboundAliases::new(aliases_out_max);
        Ok(self.grant(connect, offer))
    }

    fn grant(&mut self, connect: &Connect<'_>, offer: &Offer) -> Grant {
        let asked_s = match connect.version {
            Version::V5 => connect.properties.session_expiry_s.unwrap_or(0),
            // [MQTT3-3.1.2-4] [MQTT3-3.1.2-6]
            Version::V31 | Version::V311 if connect.clean_start => 0,
            Version::V31 | Version::V311 => u32::MAX,
        };
        let session_expiry_s = asked_s.min(offer.session_expiry_max_s);
        let max_s = offer.keep_alive_max_s;
        let asked_keep_alive_s = connect.keep_alive_s;
        let too_long = max_s > 0 && (asked_keep_alive_s == 0 || asked_keep_alive_s > max_s);
        let server_keep_alive_s = (too_long && connect.version.is_v5()).then_some(max_s);
        // [MQTT-3.2.2-21] [MQTT-3.2.2-22]
        self.keep_alive_s = server_keep_alive_s.unwrap_or(asked_keep_alive_s);
        Grant {
            session_expiry_s,
            session_expiry_lowered: session_expiry_s != asked_s,
            server_keep_alive_s,
        }
    }
}
