//! What is in the scripted store: sessions with all that belongs to them, and retained messages.
//! Must not know batches or which of them are durable.

use std::collections::{BTreeMap, BTreeSet};

use martlet_engine::Now;
use martlet_engine::store::{
    EntryTerms, Loaded, RestoredFlight, RestoredSession, Seq, SessionId, SessionRecord, StoreLoad,
    StoreOp, StoredEntry, StoredMessage, SubscriptionRecord, Waiting,
};
use martlet_proto::PacketId;

/// One message of a session.
#[derive(Debug, Clone, Default)]
pub(super) struct Entry {
    pub(super) message: Option<(StoredMessage, EntryTerms)>,
    pub(super) flight: Option<PacketId>,
    pub(super) release: Option<PacketId>,
}

impl Entry {
    pub(super) fn packet_id(&self) -> Option<PacketId> {
        let given = self.message.as_ref().and_then(|(_, terms)| terms.packet_id);
        self.release.or(self.flight).or(given)
    }
}

/// One session.
#[derive(Debug, Clone, Default)]
pub(super) struct Kept {
    pub(super) record: Option<SessionRecord>,
    pub(super) subscriptions: BTreeMap<Box<str>, SubscriptionRecord>,
    pub(super) incoming: BTreeSet<PacketId>,
    pub(super) entries: BTreeMap<Seq, Entry>,
}

/// Everything.
#[derive(Debug, Clone, Default)]
pub(super) struct Records {
    pub(super) sessions: BTreeMap<SessionId, Kept>,
    pub(super) retained: BTreeMap<String, StoredMessage>,
}

/// The session that a change is about.
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
    pub(super) fn apply(&mut self, op: &StoreOp, now: Now) {
        match op {
            StoreOp::EndSession { session } => drop(self.sessions.remove(session)),
            StoreOp::PutRetained { message } => {
                let message = message.fields(now).to_stored();
                self.retained.insert(message.topic().to_owned(), message);
            }
            StoreOp::RemoveRetained { topic } => drop(self.retained.remove(&**topic)),
            _ => {
                let session = session_of(op).expect("all others are about one");
                self.sessions.entry(session).or_default().apply(op, now);
            }
        }
    }
}

impl Kept {
    fn apply(&mut self, op: &StoreOp, now: Now) {
        match op {
            StoreOp::PutSession { record, .. } => self.record = Some((**record).clone()),
            StoreOp::PutSubscription { subscription, .. } => {
                let filter = subscription.filter.clone();
                self.subscriptions.insert(filter, (**subscription).clone());
            }
            StoreOp::RemoveSubscription { filter, .. } => drop(self.subscriptions.remove(filter)),
            StoreOp::PutEntry { seq, message, terms, .. } => {
                let message = (message.fields(now).to_stored(), (**terms).clone());
                self.entries.entry(*seq).or_default().message = Some(message);
            }
            StoreOp::PutFlight { seq, packet_id, .. } => {
                self.entries.entry(*seq).or_default().flight = Some(*packet_id);
            }
            StoreOp::PutRelease { seq, packet_id, .. } => {
                self.entries.entry(*seq).or_default().release = Some(*packet_id);
            }
            StoreOp::RemoveEntry { seq, .. } => drop(self.entries.remove(seq)),
            StoreOp::PutIncoming { packet_id, .. } => {
                self.incoming.insert(*packet_id);
            }
            StoreOp::RemoveIncoming { packet_id, .. } => {
                self.incoming.remove(packet_id);
            }
            StoreOp::EndSession { .. }
            | StoreOp::PutRetained { .. }
            | StoreOp::RemoveRetained { .. } => {}
        }
    }

    /// Messages that wait: they are neither in flight nor released.
    fn waiting(&self) -> impl Iterator<Item = (Seq, &(StoredMessage, EntryTerms))> {
        let waiting = self.entries.iter().filter(|(_, entry)| entry.packet_id().is_none());
        waiting.filter_map(|(seq, entry)| Some((*seq, entry.message.as_ref()?)))
    }

    pub(super) fn answer(&self, load: &StoreLoad) -> Loaded {
        let (mut entries, mut bytes, mut done) = (Vec::new(), 0, true);
        for (seq, (message, terms)) in self.waiting().filter(|(seq, _)| *seq >= load.from) {
            let is_full = entries.len() >= load.messages_max as usize || bytes >= load.bytes_max;
            if is_full && !entries.is_empty() {
                done = false;
                break;
            }
            bytes += message.data.len() as u64;
            entries.push(StoredEntry { seq, message: message.clone(), terms: terms.clone() });
        }
        Loaded { session: load.session, from: load.from, entries, damaged: 0, done }
    }

    pub(super) fn restored(&self, session: SessionId) -> Option<RestoredSession> {
        let flights = self.entries.iter().filter_map(|(seq, entry)| {
            let (seq, packet_id) = (*seq, entry.packet_id()?);
            if entry.release.is_some() {
                return Some(RestoredFlight::Release { seq, packet_id });
            }
            let (message, terms) = entry.message.clone()?;
            let terms = EntryTerms { packet_id: Some(packet_id), ..terms };
            Some(RestoredFlight::Publish(StoredEntry { seq, message, terms }))
        });
        let mut waiting = Waiting::default();
        for (seq, (message, terms)) in self.waiting() {
            if waiting.messages == 0 {
                waiting.first = seq;
            }
            waiting.messages += 1;
            waiting.bytes += message.data.len() as u64;
            waiting.grouped |= terms.group.is_some();
        }
        waiting.last = self.entries.keys().last().copied().unwrap_or(0);
        Some(RestoredSession {
            session,
            record: self.record.clone()?,
            subscriptions: self.subscriptions.values().cloned().collect(),
            incoming: self.incoming.iter().copied().collect(),
            flights: flights.collect(),
            waiting,
        })
    }
}
