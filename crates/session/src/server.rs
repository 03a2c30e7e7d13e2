//! The server's side of one network connection: phase, negotiated limits, aliases, keep alive. It
//! dies with the socket. Must not know sessions, routing, clocks or sockets; times are arguments.

mod negotiate;
mod violation;

pub use negotiate::{Grant, Offer};
pub use violation::Violation;

use alloc::boxed::Box;
use core::num::NonZeroU16;

use martlet_proto::{PacketType, Publish, Version};

use crate::alias::{InboundAliases, OutboundAliases};

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing but a CONNECT may come.
    AwaitConnect,
    /// The CONNECT waits for its verdict; with an authentication method, AUTH packets may come.
    Authenticating,
    /// CONNACK with success was sent.
    Open,
    /// The end was decided: nothing that comes is looked at.
    Closing,
}

/// A connection as its server sees it.
#[derive(Debug)]
pub struct Connection {
    version: Version,
    phase: Phase,
    problem_information: bool,
    re_authenticating: bool,
    aliases_out: bool,
    keep_alive_s: u16,
    receive_max_out: u16,
    receive_max_in: u16,
    packet_size_max_out: u32,
    auth_method: Option<Box<str>>,
    inbound: InboundAliases,
    outbound: OutboundAliases,
}

impl Connection {
    /// A connection that has not said anything.
    #[must_use]
    pub fn new() -> Self {
        Self {
            version: Version::V311,
            phase: Phase::AwaitConnect,
            problem_information: true,
            re_authenticating: false,
            aliases_out: false,
            keep_alive_s: 0,
            receive_max_out: u16::MAX,
            receive_max_in: u16::MAX,
            packet_size_max_out: u32::MAX,
            auth_method: None,
            inbound: InboundAliases::new(0),
            outbound: OutboundAliases::new(0),
        }
    }

    /// The protocol version of the CONNECT; 3.1.1 before one came.
    #[must_use]
    #[inline]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Where the connection stands.
    #[must_use]
    #[inline]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// CONNACK with success goes out: once, for nothing leads back to an earlier phase
    /// [MQTT-3.2.0-2].
    pub fn open(&mut self) {
        debug_assert_eq!(self.phase, Phase::Authenticating);
        self.phase = Phase::Open;
    }

    /// The session brings QoS 2 exchanges along that earlier connections left unfinished. They do
    /// not count against this connection's quota, which starts anew with it (section 4.9).
    pub fn carry_over(&mut self, unfinished: usize) {
        let unfinished = u16::try_from(unfinished).unwrap_or(u16::MAX);
        self.receive_max_in = self.receive_max_in.saturating_add(unfinished);
    }

    /// Nothing more is looked at.
    pub fn closing(&mut self) {
        self.phase = Phase::Closing;
    }

    /// Remembers the version of a CONNECT that is refused, so that the answer speaks it.
    pub fn refuse_in(&mut self, version: Version) {
        self.version = version;
    }

    /// The authentication method of the CONNECT, if it named one.
    #[must_use]
    pub fn auth_method(&self) -> Option<&str> {
        self.auth_method.as_deref()
    }

    /// Largest packet the client takes, in bytes.
    #[must_use]
    #[inline]
    pub fn packet_size_max_out(&self) -> usize {
        self.packet_size_max_out as usize
    }

    /// The client's Receive Maximum: QoS 1 and 2 messages it takes at a time.
    #[must_use]
    #[inline]
    pub fn receive_max_out(&self) -> u16 {
        self.receive_max_out
    }

    /// Whether reason strings and user properties may go into packets other than PUBLISH, CONNACK
    /// and DISCONNECT [MQTT-3.1.2-29].
    #[must_use]
    pub fn problem_information(&self) -> bool {
        self.problem_information
    }

    /// The keep alive in force, in seconds; 0 means none.
    #[must_use]
    pub fn keep_alive_s(&self) -> u16 {
        self.keep_alive_s
    }

    /// How long the client may be silent, in milliseconds: one and a half keep alive intervals.
    #[must_use]
    #[inline]
    pub fn silence_max_ms(&self) -> Option<u64> {
        // [MQTT-3.1.2-22] [MQTT3-3.1.2-24]
        (self.keep_alive_s > 0).then(|| u64::from(self.keep_alive_s) * 1500)
    }

    /// Aliases for what goes out to this client.
    pub fn outbound_aliases(&mut self) -> &mut OutboundAliases {
        &mut self.outbound
    }

    /// Whether this client lets the server use topic aliases [MQTT-3.1.2-27].
    #[must_use]
    #[inline]
    pub fn takes_aliases(&self) -> bool {
        self.aliases_out
    }

    /// Whether a packet of this type may come now. CONNECT is for [`Connection::connect`] to judge.
    ///
    /// # Errors
    /// The [`Violation`] the client committed by sending it.
    #[inline]
    pub fn admit(&self, packet: PacketType) -> Result<(), Violation> {
        match (self.phase, packet) {
            (Phase::Open, PacketType::Publish) => Ok(()),
            // [MQTT-3.1.0-1] [MQTT3-3.1.0-1]
            (Phase::AwaitConnect, PacketType::Connect) => Ok(()),
            (Phase::AwaitConnect, _) => Err(Violation::FirstPacketNotConnect),
            // [MQTT-3.1.0-2] [MQTT3-3.1.0-2]
            (_, PacketType::Connect) => Err(Violation::SecondConnect),
            (Phase::Authenticating, PacketType::Auth | PacketType::Disconnect) => Ok(()),
            // [MQTT-3.1.2-30]
            (Phase::Authenticating, _) => Err(Violation::PacketDuringAuthentication),
            (Phase::Open | Phase::Closing, _) => Ok(()),
        }
    }

    /// Judges the flow rules of an incoming PUBLISH. `unfinished` is the number of QoS 2 exchanges
    /// the client has open, `is_new` whether this PUBLISH would open another.
    ///
    /// # Errors
    /// [`Violation::ReceiveMaximumExceeded`].
    #[inline]
    pub fn admit_qos2(&self, unfinished: usize, is_new: bool) -> Result<(), Violation> {
        // [MQTT-3.3.4-7]
        if is_new && self.version.is_v5() && unfinished >= usize::from(self.receive_max_in) {
            return Err(Violation::ReceiveMaximumExceeded);
        }
        Ok(())
    }

    /// The topic an incoming PUBLISH means, its alias looked up or set.
    ///
    /// # Errors
    /// A [`Violation`] when the alias is out of range or unknown.
    pub fn resolve_topic<'a>(&'a mut self, publish: &Publish<'a>) -> Result<&'a str, Violation> {
        let alias: Option<NonZeroU16> = publish.properties.topic_alias;
        self.inbound.resolve(alias, publish.topic).map_err(Violation::TopicAlias)
    }

    /// Judges an AUTH packet [MQTT-4.12.0-7] [MQTT-4.12.1-1]; `method` is what it names.
    ///
    /// # Errors
    /// The [`Violation`] committed by it.
    pub fn admit_auth(&mut self, again: bool, method: Option<&str>) -> Result<(), Violation> {
        // [MQTT-4.12.0-7]
        let Some(own) = self.auth_method.as_deref() else {
            return Err(Violation::AuthWithoutMethod);
        };
        // [MQTT-4.12.0-5]
        if method != Some(own) {
            return Err(Violation::AuthMethodChanged);
        }
        match (self.phase, again) {
            (Phase::Authenticating, false) => Ok(()),
            (Phase::Open, true) if !self.re_authenticating => {
                self.re_authenticating = true;
                Ok(())
            }
            (Phase::Open, false) if self.re_authenticating => Ok(()),
            // [MQTT-4.12.0-3] [MQTT-4.12.1-1]
            _ => Err(Violation::UnexpectedAuth),
        }
    }

    /// The re-authentication ended.
    pub fn re_authenticated(&mut self) {
        self.re_authenticating = false;
    }
}

impl Default for Connection {
    fn default() -> Self {
        Self::new()
    }
}
