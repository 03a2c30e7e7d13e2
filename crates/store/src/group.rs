//! One group commit while it is put together: what all batches in it come to. What one batch undoes
//! of another never reaches the disk. Must not know the disk; [`crate::flatten`] writes it.

use std::sync::Arc;

use martlet_engine::Message;
use martlet_engine::Now;
use martlet_engine::store::{EntryTerms, Seq, SessionId, StoreOp};

use crate::format::{Key, Mark, Name, Space, put_session, put_subscription};
use crate::known::{Known, Map, QueueKey};

/// What becomes of one record.
#[derive(Debug)]
pub(crate) enum Change<T> {
    /// It stays as it is on the disk.
    Keep,
    Put(T),
    Remove,
}

/// A message as it is to be written.
#[derive(Debug)]
pub(crate) struct EntryPut {
    pub(crate) message: Arc<Message>,
    pub(crate) terms: Box<EntryTerms>,
    pub(crate) now: Now,
}

/// What becomes of one place in a queue.
#[derive(Debug)]
pub(crate) struct QueueChange {
    pub(crate) session: SessionId,
    pub(crate) seq: Seq,
    pub(crate) entry: Change<EntryPut>,
    pub(crate) mark: Change<Mark>,
}

/// What becomes of a received QoS 2 message.
#[derive(Debug)]
pub(crate) struct IncomingChange {
    pub(crate) session: SessionId,
    pub(crate) packet_id: u16,
    pub(crate) is_there: bool,
}

/// What becomes of any other record, with its key.
#[derive(Debug)]
pub(crate) struct NamedChange {
    pub(crate) session: Option<SessionId>,
    pub(crate) space: Space,
    pub(crate) key: Box<[u8]>,
    pub(crate) value: NamedValue,
}

#[derive(Debug)]
pub(crate) enum NamedValue {
    Session(Vec<u8>),
    Bytes(Vec<u8>),
    /// A retained message: several in one group are written once.
    Message(Arc<Message>, Now),
    Remove,
}

/// How much is in each of a group's lists: what lies before a mark was there when it was set.
#[derive(Debug, Clone, Copy, Default)]
struct Lengths {
    queue: usize,
    incoming: usize,
    named: usize,
}

/// See above.
#[derive(Debug, Default)]
pub(crate) struct Group {
    /// The store's identity, for the keys of long names.
    secret: u128,
    pub(crate) queue: Vec<QueueChange>,
    queue_index: Map<QueueKey, usize>,
    pub(crate) incoming: Vec<IncomingChange>,
    incoming_index: Map<(u64, u16), usize>,
    pub(crate) named: Vec<NamedChange>,
    /// One for each space: keys of different spaces may be the same bytes.
    named_index: [Map<Box<[u8]>, usize>; 2],
    /// Sessions that ended, with what of them had been put in before.
    pub(crate) ended: Vec<SessionId>,
    ended_at: Map<u64, Lengths>,
    ops: usize,
    bytes: usize,
}

impl Group {
    pub(crate) fn new(secret: u128) -> Self {
        Self { secret, ..Self::default() }
    }

    /// Operations put in.
    pub(crate) fn ops(&self) -> usize {
        self.ops
    }

    /// Bytes of messages put in.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ops == 0
    }

    /// Forgets everything, keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.queue.clear();
        self.queue_index.clear();
        self.incoming.clear();
        self.incoming_index.clear();
        self.named.clear();
        self.named_index.iter_mut().for_each(Map::clear);
        self.ended.clear();
        self.ended_at.clear();
        (self.ops, self.bytes) = (0, 0);
    }

    /// Puts one operation in, after all others.
    pub(crate) fn apply(&mut self, op: StoreOp, now: Now, known: &Known) {
        self.ops += 1;
        match op {
            StoreOp::PutSession { session, record } => {
                let mut value = Vec::with_capacity(64);
                put_session(&mut value, &record);
                self.name(Some(session), Key::Session(session), NamedValue::Session(value));
            }
            StoreOp::EndSession { session } => self.end(session),
            StoreOp::PutSubscription { session, subscription } => {
                let name = Name::new(&subscription.filter, self.secret);
                let mut value = Vec::with_capacity(8);
                put_subscription(&mut value, name, &subscription);
                let key = Key::Subscription(session, name);
                self.name(Some(session), key, NamedValue::Bytes(value));
            }
            StoreOp::RemoveSubscription { session, filter } => {
                let key = Key::Subscription(session, Name::new(&filter, self.secret));
                self.name(Some(session), key, NamedValue::Remove);
            }
            StoreOp::PutEntry { session, seq, message, terms } => {
                self.bytes += message.data_len();
                let put = EntryPut { message, terms, now };
                self.place(session, seq).entry = Change::Put(put);
            }
            StoreOp::PutFlight { session, seq, packet_id } => {
                let change = self.place(session, seq);
                match &mut change.entry {
                    Change::Put(put) => put.terms.packet_id = Some(packet_id),
                    _ => change.mark = Change::Put(Mark::Flight(packet_id)),
                }
            }
            StoreOp::PutRelease { session, seq, packet_id } => {
                let change = self.place(session, seq);
                change.remove_entry(known);
                change.mark = Change::Put(Mark::Release(packet_id));
            }
            StoreOp::RemoveEntry { session, seq } => {
                let change = self.place(session, seq);
                change.remove_entry(known);
                change.mark = match known.mark((session.number, seq)) {
                    Some(_) => Change::Remove,
                    None => Change::Keep,
                };
            }
            StoreOp::PutIncoming { session, packet_id } => {
                self.receive(session, packet_id.get(), true);
            }
            StoreOp::RemoveIncoming { session, packet_id } => {
                self.receive(session, packet_id.get(), false);
            }
            StoreOp::PutRetained { message } => {
                self.bytes += message.data_len();
                let topic = Arc::clone(&message);
                let key = Key::retained(topic.fields(now).topic, self.secret);
                self.name(None, key, NamedValue::Message(message, now));
            }
            StoreOp::RemoveRetained { topic } => {
                self.name(None, Key::retained(&topic, self.secret), NamedValue::Remove);
            }
        }
    }

    /// Whether what was put in at `at` in the list of queues still stands.
    pub(crate) fn queue_stands(&self, at: usize) -> bool {
        let number = self.queue[at].session.number;
        self.ended_at.get(&number).is_none_or(|ended| at >= ended.queue)
    }

    pub(crate) fn incoming_stands(&self, at: usize) -> bool {
        let number = self.incoming[at].session.number;
        self.ended_at.get(&number).is_none_or(|ended| at >= ended.incoming)
    }

    pub(crate) fn named_stands(&self, at: usize) -> bool {
        let Some(session) = self.named[at].session else { return true };
        self.ended_at.get(&session.number).is_none_or(|ended| at >= ended.named)
    }

    fn end(&mut self, session: SessionId) {
        let lengths = Lengths {
            queue: self.queue.len(),
            incoming: self.incoming.len(),
            named: self.named.len(),
        };
        if self.ended_at.insert(session.number, lengths).is_none() {
            self.ended.push(session);
        }
    }

    fn place(&mut self, session: SessionId, seq: Seq) -> &mut QueueChange {
        let (next, key) = (self.queue.len(), (session.number, seq));
        let ended = self.ended_at.get(&session.number).map_or(0, |ended| ended.queue);
        let at = self.queue_index.entry(key).or_insert(next);
        if *at < ended {
            *at = next;
        }
        let at = *at;
        if at == next {
            let (entry, mark) = (Change::Keep, Change::Keep);
            self.queue.push(QueueChange { session, seq, entry, mark });
        }
        &mut self.queue[at]
    }

    fn receive(&mut self, session: SessionId, packet_id: u16, is_there: bool) {
        let next = self.incoming.len();
        let ended = self.ended_at.get(&session.number).map_or(0, |ended| ended.incoming);
        let at = self.incoming_index.entry((session.number, packet_id)).or_insert(next);
        if *at < ended {
            *at = next;
        }
        if *at == next {
            self.incoming.push(IncomingChange { session, packet_id, is_there });
        } else {
            self.incoming[*at].is_there = is_there;
        }
    }

    fn name(&mut self, session: Option<SessionId>, key: Key<'_>, value: NamedValue) {
        let space = key.space();
        let mut bytes = Vec::with_capacity(64);
        key.put(&mut bytes);
        let ended = session.and_then(|session| self.ended_at.get(&session.number));
        let ended = ended.map_or(0, |ended| ended.named);
        let next = self.named.len();
        let index = &mut self.named_index[space as usize];
        let at = match index.get_mut(&bytes[..]) {
            Some(at) if *at >= ended => *at,
            Some(at) => {
                *at = next;
                next
            }
            None => {
                index.insert(bytes.clone().into_boxed_slice(), next);
                next
            }
        };
        if at == next {
            self.named.push(NamedChange { session, space, key: bytes.into_boxed_slice(), value });
        } else {
            self.named[at].value = value;
        }
    }
}

impl QueueChange {
    /// The message goes: with this group it never came, or it is on the disk.
    fn remove_entry(&mut self, known: &Known) {
        let is_new = matches!(self.entry, Change::Put(_));
        let is_released =
            matches!(known.mark((self.session.number, self.seq)), Some(Mark::Release(_)));
        self.entry = if is_new || is_released { Change::Keep } else { Change::Remove };
    }
}
