//! The sessions of a shard: what survives a socket, found by client identifier or slot. Must not
//! know connections' contents, routing or the wire.

use std::collections::BTreeSet;

use hashbrown::HashTable;
use martlet_session::incoming::Incoming;
use martlet_session::outgoing::{InFlight, Outgoing};

use crate::delivery::{Pending, Queue};
use crate::durable::Durable;
use crate::hashing::Hashing;
use crate::ids::{ConnId, Publisher, SessionKey, ShardId};
use crate::index::FilterId;
use crate::replay::Replays;
use crate::store::{SessionRecord, WillRecord};
use crate::time::Now;
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
    /// What the store has to do with it, if it has: for good, from its creation.
    pub(crate) durable: Option<Box<Durable>>,
    /// When its connection ended, on the wall clock; `u64::MAX` while it has one.
    pub(crate) left_at_wall_ms: u64,
    /// Marks the publish for which the session stands in the merge list, and where.
    pub(crate) merge: (u32, u32),
}

impl Session {
    /// Whether nothing of it is left when its connection ends.
    #[inline]
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.expiry_s == 0
    }

    /// Bytes of what is kept in `outgoing`, counted anew.
    pub(crate) fn kept_bytes(&self) -> usize {
        let kept = self.outgoing.iter().map(|entry| match entry {
            InFlight::Publish { message, .. } => message.as_ref().map_or(0, |kept| kept.bytes()),
            InFlight::PubRel { .. } => 0,
        });
        kept.sum()
    }

    /// Messages that wait, in memory or in the store only.
    #[inline]
    pub(crate) fn queue_len(&self) -> usize {
        let tail = self.durable.as_ref().map_or(0, |durable| durable.tail.messages as usize);
        self.queue.as_ref().map_or(0, |queue| queue.len()) + tail
    }

    pub(crate) fn queue_bytes(&self) -> usize {
        let tail = self.durable.as_ref().map_or(0, |durable| durable.tail.bytes as usize);
        self.queue.as_ref().map_or(0, |queue| queue.bytes()) + tail
    }

    /// What the store knows of it, beside its messages and subscriptions.
    pub(crate) fn record(&self, now: Now) -> Box<SessionRecord> {
        let will = self.will.as_ref().map(|will| {
            let message = will.message.fields(now).to_stored();
            Box::new(WillRecord { message, delay_s: will.delay_s, expiry_s: will.expiry_s })
        });
        Box::new(SessionRecord {
            client_id: self.client_id.clone(),
            expiry_s: self.expiry_s,
            left_at_wall_ms: Some(self.left_at_wall_ms).filter(|at_ms| *at_ms != u64::MAX),
            will,
        })
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
            incoming: Incoming::new(),
            queue: None,
            subscriptions: BTreeSet::new(),
            shared: BTreeSet::new(),
            filter_bytes: 0,
            will: None,
            will_at_ms: u64::MAX,
            expires_at_ms: u64::MAX,
            replays: None,
            durable: None,
            left_at_wall_ms: u64::MAX,
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
