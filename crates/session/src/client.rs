//! The client role: what a client of MQTT 3.1, 3.1.1 or 5.0 does, as a function of what came in.
//!
//! Two types, two lifetimes. [`ClientSession`] survives the network connection: unacknowledged
//! messages, QoS 2 identifiers, messages that wait for their turn, requests that wait for their
//! answer. [`ClientConnection`] dies with it: handshake, limits of the server, topic aliases, keep
//! alive. There is no I/O: bytes of the server go into [`ClientConnection::receive`], bytes for
//! the server are appended to a `Vec<u8>` that the caller writes out, what happened comes back as
//! [`Event`]s that borrow from the received bytes. There is no clock either: `now_ms` is any
//! clock in milliseconds that never runs backwards, and [`ClientConnection::next_deadline_ms`]
//! says when [`ClientConnection::tick`] is due.
//!
//! Once a method returned an [`End`], write what is left in the buffer, close the transport, and
//! call [`ClientConnection::transport_closed`]. A reconnect opens a new `ClientConnection` with
//! the same session.

mod acknowledge;
mod authenticate;
mod connection;
mod error;
mod event;
mod handshake;
mod keep_alive;
mod limits;
mod publish;
mod reader;
mod receive;
mod request;
mod session;

pub use connection::{ClientConnection, ConnectionOptions, Phase};
pub use error::{
    AckError, AuthError, ConnectError, DisconnectError, End, PublishError, RequestError, Violation,
};
pub use event::{Event, Publication, Token};
pub use limits::ServerLimits;
pub use request::{SubscribeRequest, UnsubscribeRequest};
pub use session::ClientSession;
