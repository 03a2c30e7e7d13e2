//! A transport between a client and a shard: two streams of bytes with delay, limits and sudden
//! ends. Must not know MQTT.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use martlet_engine::ConnId;

/// How the client ended its side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientEnd {
    /// It sent its end behind its last bytes.
    Fin,
    /// It reset the connection: what was not read is lost.
    Reset,
}

/// Where the server's side of a wire is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Waiting to be accepted by a shard.
    Backlog(usize),
    /// A connection of a shard.
    At(usize, ConnId),
    /// On the way to another shard.
    Moving,
    /// Closed by the server, or its end was told to the shard.
    Gone,
}

/// What a client's read gives.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientRead {
    /// Some bytes.
    Bytes(Vec<u8>),
    /// Nothing yet.
    Nothing,
    /// The server closed its side.
    End,
}

/// A transport.
#[derive(Debug)]
pub struct Wire {
    to_server: VecDeque<u8>,
    to_client: VecDeque<u8>,
    /// How the client ended its side, if it did.
    pub client_end: Option<ClientEnd>,
    /// The server ended its side.
    pub server_ended: bool,
    /// The server closed before everything it had to say was taken.
    pub truncated: bool,
    /// Nobody reads what the server writes any more.
    pub deaf: bool,
    /// Where the server's side is.
    pub place: Place,
    /// The shard does not want to read it.
    pub paused: bool,
    /// The last write did not take everything; no other is tried until the client has read.
    pub blocked: bool,
    /// Bytes the client has written in all.
    pub sent: u64,
    /// How many of them the server has read.
    pub read: u64,
    /// When it was paused last.
    pub paused_ms: u64,
    /// When the server last read the end of a packet.
    pub heard_ms: u64,
    /// Ends of the packets that the server has not read.
    boundaries: VecDeque<u64>,
}

impl Wire {
    /// A new wire that waits to be accepted by `shard`.
    #[must_use]
    pub fn new(shard: usize) -> Self {
        Self {
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            client_end: None,
            server_ended: false,
            truncated: false,
            deaf: false,
            place: Place::Backlog(shard),
            paused: false,
            blocked: false,
            sent: 0,
            read: 0,
            paused_ms: 0,
            heard_ms: 0,
            boundaries: VecDeque::new(),
        }
    }

    /// The address that stands for a wire in the broker's log.
    #[must_use]
    pub fn peer(number: usize) -> SocketAddr {
        let [_, a, b, c] = (number as u32).to_be_bytes();
        SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, a, b, c)), 1883)
    }

    /// The wire that an address stands for.
    #[must_use]
    pub fn number(peer: SocketAddr) -> usize {
        let IpAddr::V4(address) = peer.ip() else { unreachable!("wires have version 4 addresses") };
        let [_, a, b, c] = address.octets();
        u32::from_be_bytes([0, a, b, c]) as usize
    }

    /// The client writes a packet; returns where in the stream it ends.
    pub fn client_writes(&mut self, packet: &[u8]) -> u64 {
        self.sent += packet.len() as u64;
        if self.client_end.is_none() && self.place != Place::Gone {
            self.to_server.extend(packet);
            self.boundaries.push_back(self.sent);
        }
        self.sent
    }

    /// The client reads at most `count` bytes.
    pub fn client_reads(&mut self, count: usize) -> ClientRead {
        if self.to_client.is_empty() {
            return if self.server_ended { ClientRead::End } else { ClientRead::Nothing };
        }
        let count = count.min(self.to_client.len());
        ClientRead::Bytes(self.to_client.drain(..count).collect())
    }

    /// Whether a read of the client gives something.
    #[must_use]
    pub fn client_can_read(&self) -> bool {
        !self.to_client.is_empty() || self.server_ended
    }

    /// The client ends its side. With a reset, `kept` bytes are still there to be read.
    pub fn client_ends(&mut self, end: ClientEnd, kept: usize) {
        if self.client_end.is_none() {
            self.client_end = Some(end);
            if end == ClientEnd::Reset {
                self.to_server.truncate(kept);
                self.stop_reading();
            }
        }
    }

    /// The server is gone, all of a sudden: of what it wrote the first `kept` bytes arrive.
    pub fn server_dies(&mut self, kept: usize) {
        self.place = Place::Gone;
        self.server_ended = true;
        self.truncated = true;
        self.blocked = false;
        self.to_client.truncate(kept);
        self.to_server.clear();
    }

    /// The client will not read any more.
    pub fn stop_reading(&mut self) {
        self.deaf = true;
        self.to_client.clear();
    }

    /// Bytes the server can read.
    #[must_use]
    pub fn readable(&self) -> usize {
        self.to_server.len()
    }

    /// Bytes the client can read.
    #[must_use]
    pub fn unread_by_client(&self) -> usize {
        self.to_client.len()
    }

    /// The server reads at most `count` bytes.
    pub fn server_reads(&mut self, count: usize, now_ms: u64) -> Vec<u8> {
        let count = count.min(self.to_server.len());
        self.read += count as u64;
        while self.boundaries.front().is_some_and(|end| *end <= self.read) {
            self.boundaries.pop_front();
            self.heard_ms = now_ms;
        }
        self.to_server.drain(..count).collect()
    }

    /// The server writes; nobody reads what goes to a client that has reset.
    pub fn server_writes(&mut self, bytes: &[u8]) {
        if !self.deaf {
            self.to_client.extend(bytes);
        }
    }
}
