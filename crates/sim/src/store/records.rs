//! What is in the simulated store: sessions with all that belongs to them, and retained messages.
//! Changes are applied one by one. Must not know batches, shards or which of them are durable.

use std::collections::{BTreeMap, BTreeSet};

use martlet_engine::Now;
use martlet_engine::store::{
    EntryTerms, Loaded, RestoredFlight, RestoredSession, Seq, SessionId, SessionRecord, StoreLoad,
    StoreOp, StoredEntry, StoredMessage, SubscriptionRecord, Waiting,
};
use martlet_proto::PacketId;

/// Everything in a store.
#[derive(Debug, Clone, Default)]
pub(super) struct Records {
    pub(super) sessions: BTreeMap<SessionId, Held>,
    pub(super) retained: BTreeMap<Box<str>, StoredMessage>,
}

/// What is kept of one session.
#[derive(Debug, Clone, Default)]
pub(super) struct Held {
    /// Without it the rest is an orphan, and as good as not there.
    pub(super) record: Option<SessionRecord>,
    pub(super) subscriptions: BTreeMap<Box<str>, SubscriptionRecord>,
    pub(super) incoming: BTreeSet<PacketId>,
    pub(super) places: BTreeMap<Seq, Place>,
}

/// What is kept of one message of a session. The three parts come in this order, but a part of an
/// exchange may come late: then the later ones are there first.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    pub(super) entry: Option<(StoredMessage, EntryTerms)>,
    pub(super) flight: Option<PacketId>,
    pub(super) release: Option<PacketId>,
}

impl Place {
    fn packet_id(&self) -> Option<PacketId> {
        self.flight.or(self.entry.as_ref().and_then(|(_, terms)| terms.packet_id))
    }

    /// The message, if it waits.
    fn waiting(&self) -> Option<&(StoredMessage, EntryTerms)> {
        let waits = self.release.is_none() && self.packet_id().is_none();
        self.entry.as_ref().filter(|_| waits)
    }
}

/// The session that a change is about; `None`: it is about a retained message.
pub(super) fn session_of(op: &StoreOp) -> Option<SessionId> {
    match op {
        StoreOp::PutSession { session, .. }
        | StoreOp::EndSession { session }
        | StoreOp::PutSubscription { session, .. }
        | StoreOp::RemoveSubscription { session, .. }
        | StoreOp::PutEntry { session, .. }
        | StoreOp::PutFlight { session, .. }
        | StoreOp::PutRelease { session, .. }
        | StoreOp::RemoveEntry { session, .. }
        | StoreOp::PutIncoming { session, .. }
        | StoreOp::RemoveIncoming { session, .. } => Some(*session),
        StoreOp::PutRetained { .. } | StoreOp::RemoveRetained { .. } => None,
    }
}

impl Records {
    /// Applies one change; `now` is the time of its batch.
    pub(super) fn apply(&mut self, op: &StoreOp, now: Now) {
        match op {
            StoreOp::EndSession { session } => drop(self.sessions.remove(session)),
            StoreOp::PutRetained { message } => {
                let stored = message.fields(now).to_stored();
                self.retained.insert(stored.topic().into(), stored);
            }
            StoreOp::RemoveRetained { topic } => drop(self.retained.remove(topic)),
            _ => {
                let Some(session) = session_of(op) else { return };
                let held = self.sessions.entry(session).or_default();
                held.apply(op, now);
                if held.is_empty() {
                    self.sessions.remove(&session);
                }
            }
        }
    }

    /// The bodies that several entries share, and each entry that does not.
    pub(super) fn bodies(&self) -> usize {
        let places = self.sessions.values().flat_map(|held| held.places.values());
        let entries = places.filter_map(|place| place.entry.as_ref());
        let mut shared = BTreeSet::new();
        entries.filter(|(message, _)| message.body.is_none_or(|body| shared.insert(body))).count()
    }

    /// The largest session number, and the largest counter of a body.
    pub(super) fn maxima(&self) -> (u64, u64) {
        let number = self.sessions.keys().map(|session| session.number).max();
        let places = self.sessions.values().flat_map(|held| held.places.values());
        let bodies = places.filter_map(|place| place.entry.as_ref()?.0.body);
        let counter = bodies.map(|body| body.counter()).max();
        (number.unwrap_or(0), counter.unwrap_or(0))
    }
}

impl Held {
    fn is_empty(&self) -> bool {
        self.record.is_none()
            && self.subscriptions.is_empty()
            && self.incoming.is_empty()
            && self.places.is_empty()
    }

    /// Applies one change of this session.
    pub(super) fn apply(&mut self, op: &StoreOp, now: Now) {
        match op {
            StoreOp::PutSession { record, .. } => self.record = Some((**record).clone()),
            StoreOp::EndSession { .. } => *self = Self::default(),
            StoreOp::PutSubscription { subscription, .. } => {
                let filter = subscription.filter.clone();
                self.subscriptions.insert(filter, (**subscription).clone());
            }
            StoreOp::RemoveSubscription { filter, .. } => {
                self.subscriptions.remove(filter);
            }
            StoreOp::PutEntry { seq, message, terms, .. } => {
                let entry = (message.fields(now).to_stored(), (**terms).clone());
                self.places.entry(*seq).or_default().entry = Some(entry);
            }
            StoreOp::PutFlight { seq, packet_id, .. } => {
                self.places.entry(*seq).or_default().flight = Some(*packet_id);
            }
            StoreOp::PutRelease { seq, packet_id, .. } => {
                self.places.entry(*seq).or_default().release = Some(*packet_id);
            }
            StoreOp::RemoveEntry { seq, .. } => {
                self.places.remove(seq);
            }
            StoreOp::PutIncoming { packet_id, .. } => {
                self.incoming.insert(*packet_id);
            }
            StoreOp::RemoveIncoming { packet_id, .. } => {
                self.incoming.remove(packet_id);
            }
            StoreOp::PutRetained { .. } | StoreOp::RemoveRetained { .. } => {}
        }
    }

    /// The places from `from` on, until so many messages wait there.
    pub(super) fn front(&self, from: Seq, messages: usize) -> Self {
        let mut waiting = 0;
        let mut front = Self::default();
        for (seq, place) in self.places.range(from..) {
            if waiting >= messages {
                break;
            }
            waiting += usize::from(place.waiting().is_some());
            front.places.insert(*seq, place.clone());
        }
        front
    }

    /// The answer to a question, as if nothing were damaged.
    pub(super) fn answer(&self, load: &StoreLoad) -> Loaded {
        let mut entries = Vec::new();
        let (mut bytes, mut done) = (0, true);
        for (seq, place) in self.places.range(load.from..) {
            let Some((message, terms)) = place.waiting() else { continue };
            if entries.len() >= load.messages_max as usize
                || !entries.is_empty() && bytes >= load.bytes_max
            {
                done = false;
                break;
            }
            bytes += message.data.len() as u64;
            let (message, terms) = (message.clone(), terms.clone());
            entries.push(StoredEntry { seq: *seq, message, terms });
        }
        Loaded { session: load.session, from: load.from, entries, damaged: 0, done }
    }

    /// The session as a shard is told of it; `None`: it is an orphan.
    pub(super) fn restored(&self, session: SessionId) -> Option<RestoredSession> {
        let record = self.record.clone()?;
        let mut waiting = Waiting::default();
        let mut flights = Vec::new();
        for (seq, place) in &self.places {
            let (seq, packet_id) = (*seq, place.packet_id());
            if let Some(packet_id) = place.release {
                flights.push(RestoredFlight::Release { seq, packet_id });
            } else if let (Some((message, terms)), Some(_)) = (&place.entry, packet_id) {
                let terms = EntryTerms { packet_id, ..terms.clone() };
                let message = message.clone();
                flights.push(RestoredFlight::Publish(StoredEntry { seq, message, terms }));
            } else if let Some((message, terms)) = place.waiting() {
                if waiting.messages == 0 {
                    waiting.first = seq;
                }
                waiting.messages += 1;
                waiting.bytes += message.data.len() as u64;
                waiting.grouped |= terms.group.is_some();
            }
            waiting.last = seq;
        }
        Some(RestoredSession {
            session,
            record,
            subscriptions: self.subscriptions.values().cloned().collect(),
            incoming: self.incoming.iter().copied().collect(),
            flights,
            waiting,
        })
    }
}
