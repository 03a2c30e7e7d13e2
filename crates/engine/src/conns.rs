//! The connections of a shard, by the caller's number. Must not know sessions' contents or routing.

use std::net::SocketAddr;

use martlet_session::server::{Connection, Phase};

use crate::auth::AuthToken;
use crate::connecting::Connecting;
use crate::ids::ConnId;
use crate::log::Cause;
use crate::outbox::Outbox;
use crate::peers::Held;
use crate::store::StoreToken;

/// A connection: what dies with the socket.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) proto: Connection,
    /// The slot of its session once it is open.
    pub(crate) session: Option<u32>,
    /// Tells this connection from an earlier one with the same number.
    pub(crate) serial: u32,
    /// Unsent bytes; nothing while there are none.
    pub(crate) outbox: Option<Box<Outbox>>,
    /// The bytes of an incomplete packet, or what waits behind a pending verdict.
    pub(crate) unread: Vec<u8>,
    /// A CONNECT on its way through authentication.
    pub(crate) connecting: Option<Box<Connecting>>,
    /// The verdict that is awaited.
    pub(crate) auth_token: Option<AuthToken>,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) opened_at_ms: u64,
    /// When the last whole packet came.
    pub(crate) heard_at_ms: u64,
    /// When its transport last took bytes, as far as that matters: since it is not read.
    pub(crate) took_at_ms: u64,
    /// On the dirty list of this turn.
    pub(crate) dirty: bool,
    /// The caller was told not to read it.
    pub(crate) paused: bool,
    /// Another shard sent it here: this is its home, whatever its identifier says.
    pub(crate) settled: bool,
    /// Why it is being closed.
    pub(crate) end: Option<Cause>,
    /// Answers that wait for the store.
    pub(crate) held: Option<Box<Held>>,
    /// Nothing is said before this batch is durable: its CONNACK promises what is in it. 0: none.
    pub(crate) embargo: StoreToken,
}

impl Conn {
    pub(crate) fn new(serial: u32, peer: Option<SocketAddr>, opened_at_ms: u64) -> Self {
        Self {
            proto: Connection::new(),
            session: None,
            serial,
            outbox: None,
            unread: Vec::new(),
            connecting: None,
            auth_token: None,
            peer,
            opened_at_ms,
            heard_at_ms: opened_at_ms,
            took_at_ms: opened_at_ms,
            dirty: false,
            paused: false,
            settled: false,
            end: None,
            held: None,
            embargo: StoreToken(0),
        }
    }

    /// Whether what comes has to wait for a verdict on the CONNECT.
    pub(crate) fn is_held(&self) -> bool {
        self.auth_token.is_some() && self.proto.phase() == Phase::Authenticating
    }

    /// Whether it is not read because of answers that wait for the store.
    pub(crate) fn stalls(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.stalls())
    }

    /// Unsent bytes.
    #[inline]
    pub(crate) fn outbox_len(&self) -> usize {
        self.outbox.as_ref().map_or(0, |outbox| outbox.len())
    }
}

/// All connections of a shard.
#[derive(Debug, Default)]
pub(crate) struct Conns {
    slots: Vec<Option<Box<Conn>>>,
    serial: u32,
}

impl Conns {
    #[inline]
    pub(crate) fn get(&self, id: ConnId) -> Option<&Conn> {
        self.slots.get(id.0 as usize)?.as_deref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.slots.get_mut(id.0 as usize)?.as_deref_mut()
    }

    pub(crate) fn insert(&mut self, id: ConnId, peer: Option<SocketAddr>, now_ms: u64) -> u32 {
        let index = id.0 as usize;
        if index >= self.slots.len() {
            self.slots.resize_with(index + 1, || None);
        }
        self.serial = self.serial.wrapping_add(1);
        assert!(self.slots[index].is_none(), "connection number {index} is in use");
        self.slots[index] = Some(Box::new(Conn::new(self.serial, peer, now_ms)));
        self.serial
    }

    pub(crate) fn remove(&mut self, id: ConnId) -> Option<Box<Conn>> {
        self.slots.get_mut(id.0 as usize)?.take()
    }

    /// Every connection, in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (ConnId, &Conn)> {
        let numbered = self.slots.iter().enumerate();
        numbered.filter_map(|(i, slot)| Some((ConnId(i as u32), slot.as_deref()?)))
    }
}
