//! Random batches of all shards against a plain model: after each crash every shard must be as it
//! was after some batch between the last that was said to be stored and the last submitted.

use std::collections::{BTreeMap, BTreeSet};

use martlet_engine::store::{
    RestoredFlight, RestoredSession, Seq, SessionId, StoreEvent, StoreOp, StoredEntry,
};
use martlet_engine::{ShardId, home_of_partition};
use martlet_proto::PacketId;

use crate::chance::Chance;
use crate::make::{Desk, message, message_of, put_session, shared, stored_message, terms};
use crate::{SHARDS, Subject};

/// A place in a queue: its text and packet identifier, or its release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Entry(String, Option<PacketId>),
    Release(PacketId),
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Session {
    subscriptions: BTreeSet<String>,
    incoming: BTreeSet<PacketId>,
    queue: BTreeMap<Seq, Place>,
}

/// Everything of one shard.
pub(crate) type State = BTreeMap<SessionId, Session>;

pub(crate) struct Shard {
    pub(crate) id: ShardId,
    /// After each batch; the first is what the life began with.
    states: Vec<State>,
    /// How many batches are said to be stored.
    stored: usize,
    next_seq: BTreeMap<SessionId, Seq>,
    /// The first place of a session in this life.
    first_seq: Seq,
}

/// Lives of the store with random batches.
pub(crate) fn run(store: &mut dyn Subject, lives: u64, seed: u64) {
    let mut chance = Chance::new(seed);
    let mut desk = Desk::new(store);
    let mut shards: Vec<Shard> = (0..SHARDS).map(|id| Shard::new(ShardId(id))).collect();
    let (mut number, mut body) = (0, 0);
    for life in 0..lives {
        for _ in 0..chance.below(30) {
            let shard = &mut shards[chance.below(u64::from(SHARDS)) as usize];
            let ops = shard.batch(&mut chance, &mut number, &mut body);
            desk.submit(shard.id, ops);
            if chance.below(4) == 0 {
                for (to, event) in desk.store.settle() {
                    if let StoreEvent::Stored(token) = event {
                        let shard = &mut shards[usize::from(to.0)];
                        assert_eq!(token.0 as usize, shard.stored + 1);
                        shard.stored += 1;
                    }
                }
            }
        }
        let restored = desk.crash();
        let mut found: Vec<State> = vec![State::new(); usize::from(SHARDS)];
        for session in restored.sessions {
            assert!(session.session.number <= restored.session_number_max);
            let state = read_back(&mut desk, &session);
            let shard = home_of_partition(session.session.partition, SHARDS);
            found[usize::from(shard.0)].insert(session.session, state);
        }
        for (shard, found) in shards.iter_mut().zip(found) {
            let allowed = &shard.states[shard.stored..];
            assert!(
                allowed.contains(&found),
                "life {life}, {:?}: {found:#?}\nis none of {allowed:#?}",
                shard.id
            );
            *shard = Shard { states: vec![found], stored: 0, ..shard.clone_names() };
        }
    }
}

/// What was restored, with what a question gives.
pub(crate) fn read_back(desk: &mut Desk<'_>, restored: &RestoredSession) -> Session {
    let mut queue = BTreeMap::new();
    for flight in &restored.flights {
        match flight {
            RestoredFlight::Publish(entry) => {
                queue.insert(entry.seq, place(entry));
            }
            RestoredFlight::Release { seq, packet_id } => {
                queue.insert(*seq, Place::Release(*packet_id));
            }
        }
    }
    let loaded = desk.load(restored.session);
    assert_eq!(loaded.damaged, 0);
    assert_eq!(loaded.entries.len() as u64, restored.waiting.messages);
    let bytes: usize = loaded.entries.iter().map(|entry| entry.message.data.len()).sum();
    assert_eq!(bytes as u64, restored.waiting.bytes);
    queue.extend(loaded.entries.iter().map(|entry| (entry.seq, place(entry))));
    Session {
        subscriptions: restored.subscriptions.iter().map(|it| it.filter.to_string()).collect(),
        incoming: restored.incoming.iter().copied().collect(),
        queue,
    }
}

fn place(entry: &StoredEntry) -> Place {
    let payload = &entry.message.data[entry.message.topic_len as usize..];
    Place::Entry(String::from_utf8_lossy(payload).into_owned(), entry.terms.packet_id)
}

impl Shard {
    fn new(id: ShardId) -> Self {
        Self::resume(id, State::new(), 1)
    }

    /// A shard that begins a life with something; places are given from `first_seq` on.
    pub(crate) fn resume(id: ShardId, state: State, first_seq: Seq) -> Self {
        let next_seq = BTreeMap::new();
        Self { id, states: vec![state], stored: 0, next_seq, first_seq }
    }

    /// Batches so far.
    pub(crate) fn batches(&self) -> u64 {
        self.states.len() as u64 - 1
    }

    /// What it may be found as when so many of its batches are stored.
    pub(crate) fn states_from(&self, stored: u64) -> &[State] {
        &self.states[stored as usize..]
    }

    fn clone_names(&self) -> Self {
        let next_seq = self.next_seq.clone();
        Self { next_seq, ..Self::resume(self.id, State::new(), self.first_seq) }
    }

    /// A random batch, and the state after it.
    pub(crate) fn batch(
        &mut self,
        chance: &mut Chance,
        number: &mut u64,
        body: &mut u64,
    ) -> Vec<StoreOp> {
        let mut state = self.states.last().cloned().unwrap_or_default();
        let mut ops = Vec::new();
        for _ in 0..chance.below(6) {
            if state.is_empty() || chance.below(12) == 0 {
                *number += 1;
                let session = self.session(chance, *number);
                ops.push(put_session(session));
                state.insert(session, Session::default());
                continue;
            }
            let at = chance.below(state.len() as u64) as usize;
            let session = *state.keys().nth(at).expect("below the length");
            if chance.below(30) == 0 {
                state.remove(&session);
                ops.push(StoreOp::EndSession { session });
                continue;
            }
            let next = self.next_seq.entry(session).or_insert(self.first_seq);
            let held = state.get_mut(&session).expect("one of its keys");
            ops.extend(change(chance, session, held, next, body));
        }
        self.states.push(state);
        ops
    }

    fn session(&self, chance: &mut Chance, number: u64) -> SessionId {
        let mut partition = chance.below(1024) as u16;
        while home_of_partition(partition, SHARDS) != self.id {
            partition = (partition + 1) % 1024;
        }
        SessionId { partition, number }
    }
}

/// One random change of a session.
fn change(
    chance: &mut Chance,
    session: SessionId,
    held: &mut Session,
    next: &mut Seq,
    body: &mut u64,
) -> Option<StoreOp> {
    let packet_id = PacketId::new(1 + chance.below(5) as u16).expect("not 0");
    let filter = format!("filter/{}", chance.below(4));
    let some = |held: &Session, chance: &mut Chance| {
        let count = held.queue.len().max(1) as u64;
        held.queue.iter().nth(chance.below(count) as usize).map(|(seq, it)| (*seq, it.clone()))
    };
    Some(match chance.below(10) {
        0 => {
            held.subscriptions.insert(filter.clone());
            crate::make::put_subscription(session, &filter)
        }
        1 => {
            held.subscriptions.remove(&filter);
            StoreOp::RemoveSubscription { session, filter: filter.into() }
        }
        2 => {
            held.incoming.insert(packet_id);
            StoreOp::PutIncoming { session, packet_id }
        }
        3 => {
            held.incoming.remove(&packet_id);
            StoreOp::RemoveIncoming { session, packet_id }
        }
        4 => {
            let (seq, place) = some(held, chance)?;
            let Place::Entry(text, None) = place else { return None };
            held.queue.insert(seq, Place::Entry(text, Some(packet_id)));
            StoreOp::PutFlight { session, seq, packet_id }
        }
        5 => {
            let (seq, place) = some(held, chance)?;
            let Place::Entry(_, Some(packet_id)) = place else { return None };
            held.queue.insert(seq, Place::Release(packet_id));
            StoreOp::PutRelease { session, seq, packet_id }
        }
        6 | 7 => {
            let (seq, _) = some(held, chance)?;
            held.queue.remove(&seq);
            StoreOp::RemoveEntry { session, seq }
        }
        _ => put(chance, session, held, next, body, packet_id),
    })
}

fn put(
    chance: &mut Chance,
    session: SessionId,
    held: &mut Session,
    next: &mut Seq,
    body: &mut u64,
    packet_id: PacketId,
) -> StoreOp {
    let seq = *next;
    *next += 1;
    let packet_id = (chance.below(2) == 0).then_some(packet_id);
    let (text, message) = match chance.below(3) {
        0 => (seq.to_string(), message(&seq.to_string())),
        1 => {
            // Some share a body, of this batch or an earlier one.
            *body += chance.below(2);
            let text = format!("body {}", *body + 1);
            let message = shared(&text, *body + 1);
            (text, message)
        }
        _ => {
            let text = "large ".repeat(200 + (seq % 100) as usize);
            let message = message_of(stored_message("topic", text.as_bytes()));
            (text, message)
        }
    };
    let mut terms = terms();
    terms.packet_id = packet_id;
    held.queue.insert(seq, Place::Entry(text, packet_id));
    StoreOp::PutEntry { session, seq, message, terms }
}
