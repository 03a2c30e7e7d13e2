//! The sessions of a shard: what survives a socket, found by client identifier or slot. Must not
//! know connections' contents, routing or the wire.

use std::collections::BTreeSet;

use hashbrown::HashTable;
use martlet_proto::PacketId;
use martlet_session::incoming::Incoming;
use martlet_session::outgoing::{InFlight, Outgoing};

use crate::delivery::{Pending, Queue};
use crate::hashing::Hashing;
use crate::ids::{ConnId, Publisher, SessionKey, ShardId};
use crate::index::FilterId;
use crate::replay::Replays;
use crate::will::Will;

/// A session [MQTT-4.1.0-1] [MQTT3-4.1.0-1].
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) client_id: Box<str>,
    pub(crate) key: SessionKey,
    /// What it signs its messages with.
    pub(crate) publisher: Publisher,
    /// Its connection, while it has one.
    pub(crate) conn: Option<ConnId>,
    /// Seconds it outlives a connection; 0: it ends with it; `u32::MAX`: for ever.
    pub(crate) expiry_s: u32,
    /// QoS 1 and 2 messages sent and not finished. Nothing is kept of a message that would never be
    /// sent again, because the session ends with its connection and no share group wants it back.
    pub(crate) outgoing: Outgoing<Option<Box<Pending>>>,
    /// Bytes of what is kept in `outgoing`.
    pub(crate) in_flight_bytes: usize,
    /// The last so many entries of `outgoing` have not been sent again on this connection.
    pub(crate) resend_left: usize,
    /// QoS 2 messages received and not released.
    pub(crate) incoming: Incoming,
    /// What waits for the window.
    pub(crate) queue: Option<Box<Queue>>,
    /// Its subscriptions in this shard's index.
    pub(crate) subscriptions: BTreeSet<FilterId>,
    /// Its shared subscriptions, whole filters.
    pub(crate) shared: BTreeSet<Box<str>>,
    /// Bytes of the filters of both.
    pub(crate) filter_bytes: u32,
    pub(crate) will: Option<Box<Will>>,
    /// When the will is due; meaningful without a connection only.
    pub(crate) will_at_ms: u64,
    /// When the session ends; meaningful without a connection only.
    pub(crate) expires_at_ms: u64,
    pub(crate) replays: Option<Box<Replays>>,
    /// Marks the publish for which the session stands in the merge list, and where.
    pub(crate) merge: (u32, u32),
}

impl Session {
    /// Whether nothing of it is left when its connection ends.
    #[inline]
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.expiry_s == 0
    }

    /// Whether a message in flight is still to be sent again on this connection.
    #[inline]
    pub(crate) fn waits_for_resend(&self, id: PacketId) -> bool {
        self.resend_left > 0 && {
            let sent = self.outgoing.in_flight() - self.resend_left;
            self.outgoing.iter().skip(sent).any(|entry| match entry {
                InFlight::Publish { id: waiting, .. } | InFlight::PubRel { id: waiting } => {
                    waiting == id
                }
            })
        }
    }

    /// Bytes of what is kept in `outgoing`, counted anew.
    pub(crate) fn kept_bytes(&self) -> usize {
        let kept = self.outgoing.iter().map(|entry| match entry {
            InFlight::Publish { message, .. } => message.as_ref().map_or(0, |kept| kept.bytes()),
            InFlight::PubRel { .. } => 0,
        });
        kept.sum()
    }

    pub(crate) fn queue_len(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.len())
    }

    pub(crate) fn queue_bytes(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.bytes())
    }
}

/// All sessions of a shard.
#[derive(Debug)]
pub(crate) struct Sessions {
    shard: ShardId,
    hashing: Hashing,
    by_client_id: HashTable<u32>,
    slots: Vec<Option<Box<Session>>>,
    free: Vec<u32>,
    generation: u32,
}

impl Sessions {
    pub(crate) fn new(shard: ShardId, seed: u64) -> Self {
        Self {
            shard,
            hashing: Hashing::new(seed),
            by_client_id: HashTable::new(),
            slots: Vec::new(),
            free: Vec::new(),
            generation: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_client_id.len()
    }

    pub(crate) fn find(&self, client_id: &str) -> Option<u32> {
        let hash = self.hashing.str(client_id);
        let slots = &self.slots;
        let same = |slot: &u32| id_of(slots, *slot) == client_id;
        self.by_client_id.find(hash, same).copied()
    }

    #[inline]
    pub(crate) fn get(&self, slot: u32) -> Option<&Session> {
        self.slots.get(slot as usize)?.as_deref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut Session> {
        self.slots.get_mut(slot as usize)?.as_deref_mut()
    }

    /// The session if it is still the one that `key` named.
    pub(crate) fn by_key(&self, key: SessionKey) -> Option<&Session> {
        self.get(key.slot()).filter(|session| session.key == key)
    }

    /// Creates a session; there must be none with this identifier.
    pub(crate) fn create(&mut self, client_id: Box<str>) -> u32 {
        debug_assert!(self.find(&client_id).is_none(), "one session per client identifier");
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            (self.slots.len() - 1) as u32
        });
        self.generation = self.generation.wrapping_add(1);
        let hash = self.hashing.str(&client_id);
        let publisher = Publisher::client(&client_id);
        let key = SessionKey::new(self.shard, self.generation, slot);
        self.slots[slot as usize] = Some(Box::new(Session {
            client_id,
            key,
            publisher,
            conn: None,
            expiry_s: 0,
            outgoing: Outgoing::new(),
            in_flight_bytes: 0,
            resend_left: 0,
            incoming: Incoming::new(),
            queue: None,
            subscriptions: BTreeSet::new(),
            shared: BTreeSet::new(),
            filter_bytes: 0,
            will: None,
            will_at_ms: u64::MAX,
            expires_at_ms: u64::MAX,
            replays: None,
            merge: (0, 0),
        }));
        let (slots, hashing) = (&self.slots, &self.hashing);
        let rehash = |slot: &u32| hashing.str(id_of(slots, *slot));
        self.by_client_id.insert_unique(hash, slot, rehash);
        slot
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<Box<Session>> {
        let hash = self.hashing.str(&self.get(slot)?.client_id);
        if let Ok(entry) = self.by_client_id.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
        self.free.push(slot);
        self.slots[slot as usize].take()
    }

    /// No session stands in a merge list any more.
    #[cold]
    pub(crate) fn forget_merges(&mut self) {
        for session in self.slots.iter_mut().flatten() {
            session.merge = (0, 0);
        }
    }

    /// Every session, in the order of their slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Session> {
        self.slots.iter().filter_map(Option::as_deref)
    }
}

fn id_of(slots: &[Option<Box<Session>>], slot: u32) -> &str {
    let session = slots[slot as usize].as_ref().expect("the identifier table names live sessions");
    &session.client_id
}
