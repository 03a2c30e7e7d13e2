//! A connection on its way to its home shard. Must not know sockets: the transport travels beside
//! it.

use std::net::SocketAddr;

/// What one shard gives another with a transport: nothing was answered yet, so it is the bytes that
/// were read (the CONNECT first) and who sent them.
#[derive(Debug)]
pub struct Moved {
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) unread: Vec<u8>,
    /// When the transport was opened, for the CONNECT timeout.
    pub(crate) opened_at_ms: u64,
}
