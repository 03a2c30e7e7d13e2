//! What the client role tells its caller. Borrowed from the received bytes wherever it can be;
//! must not know how it came about.

use martlet_proto::{
    Auth, ConnAck, Disconnect, ForwardProperties, Publish, Qos, ReasonCode, ReasonProperties,
    SubAck, UnsubAck,
};

use super::error::{PublishError, RequestError};

/// Names one command (a QoS 1 or 2 message, a SUBSCRIBE, an UNSUBSCRIBE) of a session until its
/// outcome is reported. Never reused within a session, also not across connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub(super) u64);

impl Token {
    /// The number behind it: 0, 1, 2, ... in the order of the commands.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// A message to publish. It cannot hold what a client must not send: a subscription identifier,
/// or a DUP flag and a topic alias, which belong to the packet and not to the message.
// [MQTT-3.3.4-6]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publication<'a> {
    /// A topic name: no wildcards, 1 to 65,535 bytes.
    pub topic: &'a str,
    /// The application's bytes.
    pub payload: &'a [u8],
    /// Quality of service of the way to the server.
    pub qos: Qos,
    /// Whether the server keeps it for later subscribers.
    pub retain: bool,
    /// Message Expiry Interval in seconds (version 5; not sent in earlier versions).
    pub message_expiry_s: Option<u32>,
    /// Payload format, content type, response topic, correlation data and user properties
    /// (version 5; not sent in earlier versions).
    pub forward: ForwardProperties<'a>,
}

/// Something happened that the application wants to know.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event<'a> {
    /// The server accepted the connection. Unacknowledged and waiting messages follow at once.
    Connected(&'a ConnAck<'a>),
    /// The server refused the connection; [`End::Refused`](super::End::Refused) follows.
    Refused(&'a ConnAck<'a>),
    /// A message for the application. The topic is always the real one, also where the server
    /// sent an alias. With manual acknowledgements a `packet_id` must be passed to
    /// [`ClientConnection::acknowledge`](super::ClientConnection::acknowledge).
    Message(&'a Publish<'a>),
    /// A QoS 1 or 2 message came to its end at the server, well or with an error reason.
    Published {
        /// What `publish` returned.
        token: Token,
        /// Of the PUBACK, of the PUBREC, or of the PUBCOMP when only that one has an error. That
        /// the server has forgotten the identifier of a resumed exchange is none.
        reason: ReasonCode,
        /// Of the packet that ended it.
        properties: ReasonProperties<'a>,
    },
    /// A waiting or unacknowledged message cannot be sent to this server: it was dropped.
    PublishFailed {
        /// What `publish` returned.
        token: Token,
        /// What stands against it.
        error: PublishError,
    },
    /// The session ended before this message was acknowledged: it may or may not have arrived.
    Discarded {
        /// What `publish` returned.
        token: Token,
        /// The message, for who wants to publish it again; `None` when the server had already
        /// confirmed it with PUBREC.
        publication: Option<&'a Publication<'a>>,
    },
    /// The answer to a SUBSCRIBE: one code for each filter, in order.
    Subscribed {
        /// What `subscribe` returned.
        token: Token,
        /// The packet; its codes are those of version 5 (0, 1, 2, or 0x80 and above).
        ack: &'a SubAck<'a>,
    },
    /// The answer to an UNSUBSCRIBE.
    Unsubscribed {
        /// What `unsubscribe` returned.
        token: Token,
        /// The packet; it has no codes before version 5.
        ack: &'a UnsubAck<'a>,
    },
    /// A waiting SUBSCRIBE or UNSUBSCRIBE cannot be sent to this server: it was dropped.
    RequestFailed {
        /// What `subscribe` or `unsubscribe` returned.
        token: Token,
        /// What stands against it.
        error: RequestError,
    },
    /// A step of the authentication. With reason 0x18 the application answers with
    /// [`ClientConnection::auth`](super::ClientConnection::auth); with reason 0 a
    /// re-authentication is complete.
    Auth(&'a Auth<'a>),
    /// The server says goodbye (version 5);
    /// [`End::ServerDisconnected`](super::End::ServerDisconnected) follows.
    Disconnected(&'a Disconnect<'a>),
}
