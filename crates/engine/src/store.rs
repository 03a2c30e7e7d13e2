//! The store port as data: batches and questions out, completions in, each with a token; and what
//! a shard is told of an earlier life before it serves. Must not know files, engines or formats.
//!
//! # The contract
//!
//! A store that stands behind this port, real or simulated, promises:
//!
//! 1. **Atomic.** Of a [`StoreBatch`] either everything survives a crash or nothing.
//! 2. **In order.** Batches of one shard become durable in the order in which they were submitted,
//!    and [`StoreEvent::Stored`] is given once for each, in that order. Between shards nothing is
//!    promised, but for joins.
//! 3. **True.** `Stored` is given only when the batch survives what the durability level says.
//!    There is no "failed": while the disk is full or broken the store keeps what it was given,
//!    says so once ([`StoreEvent::Health`]), and goes on when it can.
//! 4. **Joined.** The parts of one [`Join`] become durable together or not at all. A part stands in
//!    its shard's order: what the shard submits later waits with it.
//! 5. **Read your writes.** A [`StoreLoad`] sees every batch that its shard submitted before it.
//! 6. **The end is the end.** After [`StoreOp::EndSession`] nothing of that session is left.
//! 7. **Idempotent.** Writing the same record again, or removing what is not there, is no error.

use std::sync::Arc;

use martlet_proto::{PacketId, Qos};

pub use crate::message::Message;
use crate::time::Now;

/// A durable session in the store, for ever: a number is never given to another session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    /// The partition of its client identifier, below [`crate::PARTITIONS`].
    pub partition: u16,
    /// Unique in the broker.
    pub number: u64,
}

/// The position of a message among those of its session: grows by one with each, from 1.
pub type Seq = u64;

/// A message that several sessions share, in the store. Unique in the broker, for ever: the number
/// of the shard that gave it stands in the highest 6 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BodyId(pub u64);

impl BodyId {
    const COUNTER_BITS: u32 = 58;

    /// The `counter`th message of `shard`.
    #[must_use]
    pub fn new(shard: crate::ShardId, counter: u64) -> Self {
        Self(u64::from(shard.0) << Self::COUNTER_BITS | counter)
    }

    /// Its number among those of its shard.
    #[must_use]
    pub fn counter(self) -> u64 {
        self.0 & ((1 << Self::COUNTER_BITS) - 1)
    }
}

/// Numbers the batches of one shard, from 1, without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StoreToken(pub u64);

/// A batch that becomes durable together with others, of other shards: the state of one QoS 2
/// exchange whose message went to several shards.
///
/// The exchange is complete when as many parts have been submitted as all submitted parts
/// together announced as `children`, plus one. A part is submitted before any of its
/// children can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Join {
    /// The exchange, unique in one life of the broker.
    pub id: u64,
    /// How many more parts follow because of this one.
    pub children: u32,
}

/// What one turn of a shard asks to be made durable.
#[derive(Debug, Clone)]
pub struct StoreBatch {
    /// To be given back.
    pub token: StoreToken,
    /// The exchange it is part of, if any.
    pub join: Option<Join>,
    /// The time at which it was made: ties the monotonic times in messages to the wall clock.
    pub now: Now,
    /// What to do, in this order.
    pub ops: Vec<StoreOp>,
}

/// One change.
#[derive(Debug, Clone)]
pub enum StoreOp {
    /// Creates or replaces what is known of a session.
    PutSession {
        /// Which.
        session: SessionId,
        /// All of it.
        record: Box<SessionRecord>,
    },
    /// Removes a session and everything that belongs to it.
    EndSession {
        /// Which.
        session: SessionId,
    },
    /// Creates or replaces a subscription; shared ones with their whole filter.
    PutSubscription {
        /// Whose.
        session: SessionId,
        /// The rest.
        subscription: Box<SubscriptionRecord>,
    },
    /// Removes a subscription.
    RemoveSubscription {
        /// Whose.
        session: SessionId,
        /// The whole filter.
        filter: Box<str>,
    },
    /// A message for a session, waiting or (with a packet identifier) in flight. Never given twice
    /// for the same `seq`.
    PutEntry {
        /// Whose.
        session: SessionId,
        /// Its place.
        seq: Seq,
        /// What. A message with a body identifier is kept once for all sessions.
        message: Arc<Message>,
        /// How.
        terms: Box<EntryTerms>,
    },
    /// The waiting message `seq` has got a packet identifier.
    PutFlight {
        /// Whose.
        session: SessionId,
        /// Its place.
        seq: Seq,
        /// Its packet identifier.
        packet_id: PacketId,
    },
    /// QoS 2: the receiver has the message `seq`; what is left of it is its PUBREL.
    PutRelease {
        /// Whose.
        session: SessionId,
        /// Its place.
        seq: Seq,
        /// Its packet identifier.
        packet_id: PacketId,
    },
    /// The message `seq` is done with, whatever it was: waiting, in flight or released.
    RemoveEntry {
        /// Whose.
        session: SessionId,
        /// Its place.
        seq: Seq,
    },
    /// A QoS 2 message was received from the session's client.
    PutIncoming {
        /// Whose.
        session: SessionId,
        /// Its packet identifier.
        packet_id: PacketId,
    },
    /// Its PUBREL came.
    RemoveIncoming {
        /// Whose.
        session: SessionId,
        /// Its packet identifier.
        packet_id: PacketId,
    },
    /// Creates or replaces the retained message of its topic.
    PutRetained {
        /// The message.
        message: Arc<Message>,
    },
    /// Removes the retained message of a topic.
    RemoveRetained {
        /// The topic name.
        topic: Box<str>,
    },
}

/// What is known of a session beside its messages and subscriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// Its client identifier.
    pub client_id: Box<str>,
    /// Seconds it outlives a connection; `u32::MAX`: for ever; 0: it ends with it, and so at the
    /// latest when the broker starts again.
    pub expiry_s: u32,
    /// When its connection ended, in wall-clock milliseconds; `None`: it has one.
    pub left_at_wall_ms: Option<u64>,
    /// The will that is to be published when its time comes.
    pub will: Option<Box<WillRecord>>,
}

/// A will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WillRecord {
    /// The Will Message; its expiry stands in `expiry_s`.
    pub message: StoredMessage,
    /// Will Delay Interval in seconds.
    pub delay_s: u32,
    /// Message Expiry Interval in seconds, counted from the publication.
    pub expiry_s: Option<u32>,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionRecord {
    /// The whole filter.
    pub filter: Box<str>,
    /// Subscription options as their byte (section 3.8.3.1).
    pub options: u8,
    /// 0: none.
    pub subscription_id: u32,
}

/// On what terms a session gets a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryTerms {
    /// 1 or 2: the QoS of the delivery.
    pub qos: Qos,
    /// The RETAIN flag of the delivery.
    pub retain: bool,
    /// Identifiers of the subscriptions it matched.
    pub subscription_ids: Vec<u32>,
    /// The share group that chose the session: its whole filter.
    pub group: Option<Arc<str>>,
    /// With one it is in flight.
    pub packet_id: Option<PacketId>,
}

/// A message as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// Topic name, forwarded properties (encoded as in PUBLISH) and payload, one after the other.
    pub data: Box<[u8]>,
    /// Bytes of the topic name.
    pub topic_len: u32,
    /// Bytes of the forwarded properties.
    pub forward_len: u32,
    /// The QoS it was published with.
    pub qos: Qos,
    /// The RETAIN flag it was published with.
    pub retain: bool,
    /// When it expires, in wall-clock milliseconds; `u64::MAX`: never.
    pub expires_at_wall_ms: u64,
    /// Who published it, as a number that means the same in every life of the broker.
    pub origin: u64,
    /// What several sessions know it by.
    pub body: Option<BodyId>,
}

impl StoredMessage {
    /// The topic name.
    ///
    /// # Panics
    /// When it is not UTF-8: whoever reads a store has checked it.
    #[must_use]
    pub fn topic(&self) -> &str {
        core::str::from_utf8(&self.data[..self.topic_len as usize]).expect("checked by the store")
    }
}

/// A message of a session as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEntry {
    /// Its place.
    pub seq: Seq,
    /// What.
    pub message: StoredMessage,
    /// How; with the packet identifier of the latest [`StoreOp::PutFlight`].
    pub terms: EntryTerms,
}

/// A question: the next waiting messages of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreLoad {
    /// Whose.
    pub session: SessionId,
    /// From this place on.
    pub from: Seq,
    /// Messages wanted at most; at least one.
    pub messages_max: u32,
    /// No further message is given once those found have so many bytes of data.
    pub bytes_max: u64,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Whose.
    pub session: SessionId,
    /// The `from` of the question.
    pub from: Seq,
    /// In order. What is in flight or released is left out.
    pub entries: Vec<StoredEntry>,
    /// Messages that could not be read: they are lost, and removed.
    pub damaged: u64,
    /// No waiting message follows.
    pub done: bool,
}

/// How the store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StoreHealth {
    /// It takes what it is given.
    #[default]
    Healthy,
    /// The disk is full, or nearly.
    Full,
    /// The disk fails otherwise.
    Failing,
}

/// What a store has done since the start, for those who watch it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreFigures {
    /// Group commits.
    pub commits: u64,
    /// Operations asked for.
    pub ops: u64,
    /// Records written and removed; less than `ops` where one overtook another.
    pub records: u64,
    /// Bytes of keys and values written.
    pub bytes: u64,
    /// Records that could not be read.
    pub damaged: u64,
    /// Bytes that the store takes on the disk.
    pub disk_bytes: u64,
    /// Bytes that the file system has left.
    pub free_bytes: u64,
}

/// What the store tells a shard.
#[derive(Debug)]
pub enum StoreEvent {
    /// A batch is durable.
    Stored(StoreToken),
    /// The answer to a question.
    Loaded(Box<Loaded>),
    /// The store's health has changed.
    Health(StoreHealth),
}

/// One thing of an earlier life. A shard is given [`Restored::Begin`], then in any order the
/// sessions and retained messages whose home it is, before any other input.
#[derive(Debug)]
pub enum Restored {
    /// The first thing, for every shard.
    Begin {
        /// No session has a larger number.
        session_number_max: u64,
        /// No body has a larger [`BodyId::counter`].
        body_counter_max: u64,
    },
    /// A session with all that belongs to it, but its waiting messages.
    Session(Box<RestoredSession>),
    /// A retained message.
    Retained(StoredMessage),
}

/// A session of an earlier life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredSession {
    /// Which.
    pub session: SessionId,
    /// What is known of it.
    pub record: SessionRecord,
    /// Its subscriptions, ordered by filter.
    pub subscriptions: Vec<SubscriptionRecord>,
    /// QoS 2 messages received and not released, in ascending order.
    pub incoming: Vec<PacketId>,
    /// Messages in flight, and what is left of QoS 2 messages, in order.
    pub flights: Vec<RestoredFlight>,
    /// Its waiting messages.
    pub waiting: Waiting,
}

/// A message that was in flight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RestoredFlight {
    /// Its PUBLISH is unacknowledged.
    Publish(StoredEntry),
    /// Its PUBREL is unacknowledged.
    Release {
        /// Its place.
        seq: Seq,
        /// Its packet identifier.
        packet_id: PacketId,
    },
}

/// Messages that wait in the store for one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waiting {
    /// How many.
    pub messages: u64,
    /// Bytes of their data (topic, forwarded properties, payload).
    pub bytes: u64,
    /// The place of the first; meaningless without any.
    pub first: Seq,
    /// The largest place in use by anything of the session, waiting or not; 0: none.
    pub last: Seq,
    /// Whether one of them came by a share group.
    pub grouped: bool,
}
