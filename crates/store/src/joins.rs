//! Batches that wait for the other parts of their exchange. What comes later and concerns the same
//! record reaches them here, for it was meant to come after. Must not know the disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use martlet_engine::store::{EntryTerms, Join, Seq, SessionId, StoreOp, StoreToken};
use martlet_engine::{Message, Now, ShardId};

use crate::known::Map;

/// All incomplete exchanges.
#[derive(Debug, Default)]
pub(crate) struct Joins {
    waiting: Map<u64, Waiting>,
    /// Where the operation on a record is, if one waits. At most one does: a later one takes the
    /// place of the earlier.
    index: Map<Record, Place>,
}

#[derive(Debug, Default)]
struct Waiting {
    parts: Vec<Part>,
    /// Parts announced by those that are here.
    announced: u64,
}

/// One batch of an exchange.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) shard: ShardId,
    pub(crate) token: StoreToken,
    pub(crate) now: Now,
    /// Those that were overtaken are gone.
    pub(crate) ops: Vec<Option<StoreOp>>,
}

/// What an operation is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Record {
    Session(u64),
    Subscription(u64, Box<str>),
    Queue(u64, Seq),
    Incoming(u64, u16),
    Retained(Box<str>),
}

#[derive(Debug, Clone, Copy)]
struct Place {
    join: u64,
    part: usize,
    op: usize,
}

/// What waits for a session's queue: the message, or `None` where there is none to be waited for.
pub(crate) type Overlay<'a> = BTreeMap<Seq, Option<(&'a Arc<Message>, &'a EntryTerms, Now)>>;

impl Joins {
    /// Whether nothing waits: the usual case.
    pub(crate) fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Lets `op` have its effect on what waits; `None` when that was all.
    pub(crate) fn overtake(&mut self, op: StoreOp) -> Option<StoreOp> {
        if self.index.is_empty() {
            return Some(op);
        }
        if let StoreOp::EndSession { session } = &op {
            self.end(*session);
            return Some(op);
        }
        let record = record(&op)?;
        let Some(place) = self.index.get(&record).copied() else { return Some(op) };
        let slot = self.slot(place);
        match (slot.as_mut(), &op) {
            (Some(StoreOp::PutEntry { terms, .. }), StoreOp::PutFlight { packet_id, .. }) => {
                terms.packet_id = Some(*packet_id);
                None
            }
            // It never was on the disk.
            (Some(StoreOp::PutEntry { .. }), StoreOp::RemoveEntry { .. }) => {
                *slot = None;
                self.index.remove(&record);
                None
            }
            _ => {
                *slot = None;
                self.index.remove(&record);
                Some(op)
            }
        }
    }

    /// Takes a part; gives all parts when the exchange is complete.
    pub(crate) fn add(&mut self, join: Join, part: Part) -> Option<Vec<Part>> {
        let Part { shard, token, now, ops } = part;
        let waiting = self.waiting.entry(join.id).or_default();
        let part = waiting.parts.len();
        waiting.announced += u64::from(join.children);
        waiting.parts.push(Part { shard, token, now, ops: Vec::with_capacity(ops.len()) });
        for op in ops.into_iter().flatten() {
            let Some(op) = self.overtake(op) else { continue };
            let record = record(&op);
            let Some(waiting) = self.waiting.get_mut(&join.id) else { break };
            let ops = &mut waiting.parts[part].ops;
            let place = Place { join: join.id, part, op: ops.len() };
            ops.push(Some(op));
            if let Some(record) = record {
                self.index.insert(record, place);
            }
        }
        let waiting = self.waiting.get(&join.id)?;
        if (waiting.parts.len() as u64) < waiting.announced + 1 {
            return None;
        }
        let waiting = self.waiting.remove(&join.id)?;
        for op in waiting.parts.iter().flat_map(|part| part.ops.iter().flatten()) {
            if let Some(record) = record(op) {
                self.index.remove(&record);
            }
        }
        Some(waiting.parts)
    }

    /// What waits for the queue of a session, in the order of places.
    pub(crate) fn overlay(&self, session: SessionId, from: Seq) -> Overlay<'_> {
        let mut overlay = Overlay::new();
        if self.index.is_empty() {
            return overlay;
        }
        for part in self.waiting.values().flat_map(|waiting| &waiting.parts) {
            for op in part.ops.iter().flatten() {
                let (of, seq, put) = match op {
                    StoreOp::PutEntry { session, seq, message, terms } => {
                        let waits = terms.packet_id.is_none();
                        (session, seq, waits.then_some((message, &**terms, part.now)))
                    }
                    StoreOp::PutFlight { session, seq, .. }
                    | StoreOp::PutRelease { session, seq, .. }
                    | StoreOp::RemoveEntry { session, seq } => (session, seq, None),
                    _ => continue,
                };
                if *of == session && *seq >= from {
                    overlay.insert(*seq, put);
                }
            }
        }
        overlay
    }

    /// Nothing that belongs to the session waits any longer.
    fn end(&mut self, session: SessionId) {
        let parts = self.waiting.values_mut().flat_map(|waiting| &mut waiting.parts);
        for slot in parts.flat_map(|part| &mut part.ops) {
            let Some(record) = slot.as_ref().and_then(record) else { continue };
            if record.session() == Some(session.number) {
                *slot = None;
                self.index.remove(&record);
            }
        }
    }

    fn slot(&mut self, place: Place) -> &mut Option<StoreOp> {
        let waiting = self.waiting.get_mut(&place.join).expect("the index knows what waits");
        &mut waiting.parts[place.part].ops[place.op]
    }
}

impl Record {
    fn session(&self) -> Option<u64> {
        match self {
            Self::Session(number)
            | Self::Subscription(number, _)
            | Self::Queue(number, _)
            | Self::Incoming(number, _) => Some(*number),
            Self::Retained(_) => None,
        }
    }
}

/// `None` for the end of a session, which concerns many.
fn record(op: &StoreOp) -> Option<Record> {
    Some(match op {
        StoreOp::PutSession { session, .. } => Record::Session(session.number),
        StoreOp::EndSession { .. } => return None,
        StoreOp::PutSubscription { session, subscription } => {
            Record::Subscription(session.number, subscription.filter.clone())
        }
        StoreOp::RemoveSubscription { session, filter } => {
            Record::Subscription(session.number, filter.clone())
        }
        StoreOp::PutEntry { session, seq, .. }
        | StoreOp::PutFlight { session, seq, .. }
        | StoreOp::PutRelease { session, seq, .. }
        | StoreOp::RemoveEntry { session, seq } => Record::Queue(session.number, *seq),
        StoreOp::PutIncoming { session, packet_id }
        | StoreOp::RemoveIncoming { session, packet_id } => {
            Record::Incoming(session.number, packet_id.get())
        }
        StoreOp::PutRetained { message } => {
            Record::Retained(message.fields(Now::default()).topic.into())
        }
        StoreOp::RemoveRetained { topic } => Record::Retained(topic.clone()),
    })
}
