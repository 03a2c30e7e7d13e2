//! One message for one session: what is remembered of it while it waits or is in flight. Must not
//! know connections or routing.

use std::collections::VecDeque;
use std::sync::Arc;

use martlet_proto::{PacketId, Qos};

use crate::durable::ENTRY_BYTES;
use crate::ledger::PromiseId;
use crate::message::Message;
use crate::store::{EntryTerms, Seq, StoreToken};

/// The subscription identifiers of the subscriptions a message matched.
#[derive(Debug, Clone, Default)]
pub(crate) enum SubscriptionIdList {
    #[default]
    None,
    One([u32; 1]),
    Many(Vec<u32>),
}

impl SubscriptionIdList {
    /// 0 stands for "no identifier".
    #[inline]
    pub(crate) fn one(id: u32) -> Self {
        if id == 0 { Self::None } else { Self::One([id]) }
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u32] {
        match self {
            Self::None => &[],
            Self::One(one) => one,
            Self::Many(many) => many,
        }
    }

    /// Adds an identifier, unless it is 0.
    pub(crate) fn add(&mut self, id: u32) {
        if id == 0 {
            return;
        }
        match self {
            Self::None => *self = Self::One([id]),
            Self::One([first]) => *self = Self::Many(vec![*first, id]),
            Self::Many(many) => many.push(id),
        }
    }
}

/// How one session is to get a message.
#[derive(Debug, Clone, Default)]
pub(crate) struct Terms {
    pub(crate) qos: Qos,
    /// The RETAIN flag it sees.
    pub(crate) retain: bool,
    pub(crate) ids: SubscriptionIdList,
    /// The share group that chose the session: its whole filter.
    pub(crate) group: Option<Arc<str>>,
}

impl Terms {
    /// As the store keeps them.
    pub(crate) fn to_entry(&self, packet_id: Option<PacketId>) -> Box<EntryTerms> {
        Box::new(EntryTerms {
            qos: self.qos,
            retain: self.retain,
            subscription_ids: self.ids.as_slice().to_vec(),
            group: self.group.clone(),
            packet_id,
        })
    }

    /// As they were kept.
    pub(crate) fn restore(entry: EntryTerms) -> Self {
        let EntryTerms { qos, retain, subscription_ids, group, .. } = entry;
        let mut ids = SubscriptionIdList::None;
        for id in subscription_ids {
            ids.add(id);
        }
        Self { qos, retain, ids, group }
    }
}

/// Where a message stands in the store.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Place {
    /// Its place among those of its session; 0: the store knows nothing of it and never will.
    pub(crate) seq: Seq,
    /// The batch that has to be durable before it goes out; 0: none.
    pub(crate) token: StoreToken,
    pub(crate) written: Written,
    /// It was sent, on whatever connection.
    pub(crate) sent: bool,
    /// When it was sent last, in monotonic milliseconds (their low bits).
    pub(crate) sent_at_ms: u32,
}

/// What the store was given of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Written {
    /// Nothing yet: its acknowledgement is expected soon. Its publisher waits for the one or the
    /// other.
    Nothing(Option<PromiseId>),
    /// The message, not that it is in flight.
    #[default]
    Waiting,
    /// Everything.
    Flight,
}

/// A QoS 1 or 2 message that waits for its turn or for its acknowledgement.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub(crate) message: Arc<Message>,
    pub(crate) terms: Terms,
    pub(crate) place: Place,
}

impl Pending {
    /// A message that only memory holds.
    pub(crate) fn new(message: Arc<Message>, terms: Terms) -> Self {
        Self { message, terms, place: Place::default() }
    }

    /// What it costs a queue: memory; for a durable session the same whether it is in memory or
    /// not.
    pub(crate) fn bytes(&self) -> usize {
        match self.place.seq {
            0 => self.message.bytes() + size_of::<Self>(),
            _ => stored_bytes(&self.message),
        }
    }
}

/// What a message costs the queue of a durable session.
pub(crate) fn stored_bytes(message: &Message) -> usize {
    message.data_len() + ENTRY_BYTES
}

/// Messages waiting for a session, in order.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    items: VecDeque<Pending>,
    bytes: usize,
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn push(&mut self, pending: Pending) {
        self.bytes += pending.bytes();
        self.items.push_back(pending);
    }

    pub(crate) fn front(&self) -> Option<&Pending> {
        self.items.front()
    }

    /// What is in it, in order; it is empty then.
    pub(crate) fn take(&mut self) -> VecDeque<Pending> {
        self.bytes = 0;
        std::mem::take(&mut self.items)
    }

    pub(crate) fn pop(&mut self) -> Option<Pending> {
        let pending = self.items.pop_front()?;
        self.bytes -= pending.bytes();
        Some(pending)
    }
}
