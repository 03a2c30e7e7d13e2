//! MQTT 3.1, 3.1.1 and 5.0: bytes to packets and back.
//!
//! This crate owns the wire format: framing, packets, properties, reason codes, topic names and
//! topic filters. It knows nothing of sockets, sessions, time or threads, keeps no state between
//! two packets, and allocates nothing: a decoded packet borrows from the bytes it was read from,
//! and an encoder writes into whatever implements [`Put`].
//!
//! There is one packet model, the version 5.0 superset. The version is a parameter of the codec:
//! what a version does not know is skipped on write and is absent after a read.
//!
//! No input makes a function of this crate panic. The writers panic only when their caller breaks a
//! documented rule.
//!
//! ```
//! use martlet_proto::{Framing, Packet, Sender, Version, decode, frame};
//!
//! let bytes = [0x30, 0x05, 0x00, 0x03, b'a', b'/', b'b'];
//! let Framing::Complete(first) = frame(&bytes, 1024)? else { panic!("all the bytes are there") };
//! let Packet::Publish(publish) = decode(&first, Version::V311, Sender::Client)? else { panic!("it
//! is a PUBLISH") }; assert_eq!(publish.topic, "a/b");
//! # Ok::<(), martlet_proto::DecodeError>(())
//! ```
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod error;
mod forward;
mod frame;
mod packet;
mod property;
mod put;
mod qos;
mod read;
mod reason;
mod text;
pub mod topic;
mod user;
pub mod varint;
mod version;

pub use error::{DecodeError, DecodeErrorKind};
pub use forward::{ForwardFields, ForwardProperties};
pub use frame::{Frame, Framing, Sender, connect_version, frame};
pub use packet::ack::{Ack, ReasonProperties};
pub use packet::auth::Auth;
pub use packet::connack::{ConnAck, ConnAckProperties};
pub use packet::connect::{Connect, ConnectProperties, Will};
pub use packet::disconnect::Disconnect;
pub use packet::publish::{Publish, PublishProperties, decode_publish};
pub use packet::suback::SubAck;
pub use packet::subscribe::{RetainHandling, Subscribe, SubscribeFilters, SubscriptionOptions};
pub use packet::unsuback::UnsubAck;
pub use packet::unsubscribe::{Unsubscribe, UnsubscribeFilters};
pub use packet::{Packet, PacketType, decode};
pub use property::Property;
pub use put::{Put, SliceBuf};
pub use qos::{PacketId, Qos};
pub use reason::ReasonCode;
pub use user::{SubscriptionIds, UserProperties};
pub use version::Version;
