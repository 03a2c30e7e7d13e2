//! What a durable session has beside an ordinary one: its name in the store, the part of its queue
//! that only the store holds, and what of it is not written yet. Must not know what a batch is.

use std::collections::BTreeMap;

use martlet_proto::PacketId;

use crate::ledger::PromiseId;
use crate::store::{Seq, SessionId, StoreToken, Waiting};

/// A queued message costs its session's budget so much beside its data: the store keeps a key and
/// terms with it.
pub(crate) const ENTRY_BYTES: usize = 64;

/// The durable side of a session.
#[derive(Debug)]
pub(crate) struct Durable {
    pub(crate) id: SessionId,
    last_seq: Seq,
    /// What waits in the store only, behind the queue in memory.
    pub(crate) tail: Tail,
    /// The question for the next of it that has no answer yet.
    pub(crate) asked: Option<Asked>,
    /// Its client has acknowledged quickly of late: what is sent to it need not be written at once.
    pub(crate) acks_promptly: bool,
    /// The store may not know of some message that it is in flight.
    pub(crate) has_unwritten: bool,
    /// The shard looks at it when what is in flight should have been acknowledged.
    pub(crate) is_watched: bool,
    /// Places of the QoS 2 messages of which only the PUBREL is left.
    pub(crate) releases: BTreeMap<PacketId, Seq>,
    /// QoS 2 messages received whose PUBREC waits.
    pub(crate) unsettled: Vec<(PacketId, PromiseId)>,
    /// The last batch with a queued message that is part of a join: the store may be asked for
    /// messages when it is durable.
    pub(crate) joined: StoreToken,
}

/// A question to the store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) from: Seq,
    /// What has joined the tail since: the answer cannot know of it.
    pub(crate) since: Tail,
    /// The answer is of no use any more.
    pub(crate) is_stale: bool,
}

/// Messages that only the store holds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tail {
    pub(crate) messages: u64,
    /// Their cost to the session's budget.
    pub(crate) bytes: u64,
    /// No message of it stands before this place.
    pub(crate) from: Seq,
    /// One of them may have come by a share group.
    pub(crate) grouped: bool,
}

impl Tail {
    /// Whether share groups may want something of it back.
    pub(crate) fn is_wanted_back(&self) -> bool {
        self.messages > 0 && self.grouped
    }

    /// Adds a message behind the others.
    pub(crate) fn add(&mut self, seq: Seq, bytes: u64, grouped: bool) {
        if self.messages == 0 {
            (self.from, self.grouped) = (seq, false);
        }
        self.messages += 1;
        self.bytes += bytes;
        self.grouped |= grouped;
    }
}

impl Durable {
    pub(crate) fn new(id: SessionId) -> Self {
        Self {
            id,
            last_seq: 0,
            tail: Tail::default(),
            asked: None,
            acks_promptly: false,
            has_unwritten: false,
            is_watched: false,
            releases: BTreeMap::new(),
            unsettled: Vec::new(),
            joined: StoreToken(0),
        }
    }

    /// A session of an earlier life.
    pub(crate) fn restore(id: SessionId, waiting: Waiting) -> Self {
        let tail = Tail {
            messages: waiting.messages,
            bytes: waiting.bytes + waiting.messages * ENTRY_BYTES as u64,
            from: waiting.first,
            grouped: waiting.grouped,
        };
        Self { tail, last_seq: waiting.last, ..Self::new(id) }
    }

    pub(crate) fn next_seq(&mut self) -> Seq {
        self.last_seq += 1;
        self.last_seq
    }

    /// The PUBREC of this message is on its way.
    pub(crate) fn unsettled(&self, id: PacketId) -> Option<PromiseId> {
        self.unsettled.iter().find(|(known, _)| *known == id).map(|(_, promise)| *promise)
    }
}
