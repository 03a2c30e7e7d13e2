//! The scripted store: it records what it is given, and makes durable and answers what and when it
//! is told. Must not know shards beyond their numbers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use martlet_engine::store::{
    Join, Loaded, Restored, Seq, SessionId, StoreBatch, StoreEvent, StoreHealth, StoreLoad,
    StoreOp, StoredMessage,
};
use martlet_engine::{Message, Now, ShardId, home_of_partition, partition};
use martlet_proto::Qos;

use super::records::{Records, session_of};

/// A batch that is not durable, with its place among all batches.
#[derive(Debug)]
struct Waiting {
    serial: u64,
    batch: StoreBatch,
}

/// A question, with the answer as it would have been at once.
#[derive(Debug)]
struct Question {
    shard: usize,
    load: StoreLoad,
    early: Loaded,
}

#[derive(Debug, Default)]
pub(super) struct Store {
    durable: Records,
    ordinary: Vec<VecDeque<Waiting>>,
    joins: BTreeMap<u64, Vec<(usize, Waiting)>>,
    over: BTreeSet<u64>,
    tokens: BTreeSet<(usize, u64)>,
    questions: Vec<Question>,
    events: Vec<(usize, StoreEvent)>,
    health: StoreHealth,
    serial: u64,
    log: Vec<(ShardId, StoreBatch)>,
    /// Client identifiers, and payloads, for the lines.
    names: BTreeMap<SessionId, String>,
    payloads: BTreeMap<(SessionId, Seq), String>,
    damaged: BTreeSet<(SessionId, Seq)>,
}

/// The text of a payload.
fn text(payload: &[u8]) -> String {
    String::from_utf8_lossy(payload).into_owned()
}

fn payload_of(message: &StoredMessage) -> String {
    text(&message.data[(message.topic_len + message.forward_len) as usize..])
}

fn payload(message: &Message) -> String {
    text(message.fields(Now::default()).payload)
}

/// All messages that batches write, with whose they are.
pub(crate) fn entries_of(batches: &[(ShardId, StoreBatch)]) -> Vec<(ShardId, &StoreOp)> {
    let ops = batches.iter().flat_map(|(shard, batch)| batch.ops.iter().map(|op| (*shard, op)));
    ops.filter(|(_, op)| matches!(op, StoreOp::PutEntry { .. })).collect()
}

/// The parts of exchanges among batches.
pub(crate) fn joins_of(batches: &[(ShardId, StoreBatch)]) -> Vec<(ShardId, Join, &StoreBatch)> {
    let parts = batches.iter().filter_map(|(shard, batch)| Some((*shard, batch.join?, batch)));
    parts.collect()
}

impl Store {
    pub(super) fn new(shards: u16) -> Self {
        Self { ordinary: (0..shards).map(|_| VecDeque::new()).collect(), ..Self::default() }
    }

    pub(super) fn submit(&mut self, shard: ShardId, batch: StoreBatch) {
        let n = usize::from(shard.0);
        assert!(self.tokens.insert((n, batch.token.0)), "a token is one batch: {batch:?}");
        assert!(!batch.ops.is_empty() || batch.join.is_some(), "a batch for nothing");
        for op in &batch.ops {
            self.note(op);
        }
        self.log.push((shard, batch.clone()));
        self.serial += 1;
        let waiting = Waiting { serial: self.serial, batch };
        match waiting.batch.join {
            None => {
                let last = self.ordinary[n].back();
                assert!(last.is_none_or(|last| last.batch.token < waiting.batch.token), "in order");
                self.ordinary[n].push_back(waiting);
            }
            Some(join) => {
                assert!(!self.over.contains(&join.id), "a part for what is over: {waiting:?}");
                self.joins.entry(join.id).or_default().push((n, waiting));
                assert!(self.left(join.id) >= 0, "too many parts: {:?}", self.joins[&join.id]);
            }
        }
    }

    /// Remembers names, and checks that no place is given twice.
    fn note(&mut self, op: &StoreOp) {
        match op {
            StoreOp::PutSession { session, record } => {
                self.names.insert(*session, record.client_id.to_string());
                let same = self.names.keys().filter(|known| known.number == session.number);
                assert_eq!(same.count(), 1, "a number is one session: {op:?}");
            }
            StoreOp::PutEntry { session, seq, message, .. } => {
                let known = self.payloads.insert((*session, *seq), payload(message));
                assert!(known.is_none() && *seq > 0, "a place is one message: {op:?}");
            }
            _ => {}
        }
    }

    /// Parts that an exchange still waits for.
    fn left(&self, id: u64) -> i64 {
        let parts = &self.joins[&id];
        let announced = parts.iter().filter_map(|(_, part)| part.batch.join);
        let announced: i64 = announced.map(|join| i64::from(join.children)).sum();
        announced + 1 - parts.len() as i64
    }

    pub(super) fn load(&mut self, shard: ShardId, load: StoreLoad) {
        assert!(load.messages_max > 0, "a question for nothing");
        let n = usize::from(shard.0);
        let early = self.view(n, &load);
        self.questions.push(Question { shard: n, load, early });
    }

    /// The answer from what is durable and all that the shard has submitted.
    fn view(&self, shard: usize, load: &StoreLoad) -> Loaded {
        let mut records = Records::default();
        if let Some(kept) = self.durable.sessions.get(&load.session) {
            records.sessions.insert(load.session, kept.clone());
        }
        let parts = self.joins.values().flatten();
        let parts = parts.filter(|(from, _)| *from == shard).map(|(_, part)| part);
        let mut all: Vec<&Waiting> = self.ordinary[shard].iter().chain(parts).collect();
        all.sort_by_key(|waiting| waiting.serial);
        for waiting in all {
            for op in &waiting.batch.ops {
                if session_of(op) == Some(load.session) {
                    records.apply(op, waiting.batch.now);
                }
            }
        }
        records.sessions.remove(&load.session).unwrap_or_default().answer(load)
    }

    /// All that can becomes durable.
    pub(super) fn commit(&mut self) {
        for shard in 0..self.ordinary.len() {
            self.commit_ordinary(shard, usize::MAX);
        }
        let complete: Vec<u64> =
            self.joins.keys().copied().filter(|id| self.left(*id) == 0).collect();
        for id in complete {
            self.over.insert(id);
            let parts = self.joins.remove(&id).expect("known");
            for (_, part) in &parts {
                self.make_durable(part);
            }
            for (shard, part) in parts {
                self.events.push((shard, StoreEvent::Stored(part.batch.token)));
            }
        }
    }

    pub(super) fn commit_ordinary(&mut self, shard: usize, count: usize) {
        for _ in 0..count.min(self.ordinary[shard].len()) {
            let waiting = self.ordinary[shard].pop_front().expect("counted");
            self.make_durable(&waiting);
            self.events.push((shard, StoreEvent::Stored(waiting.batch.token)));
        }
    }

    fn make_durable(&mut self, waiting: &Waiting) {
        for op in &waiting.batch.ops {
            self.durable.apply(op, waiting.batch.now);
            // What is gone is gone from the parts of earlier exchanges as well.
            let gone: &dyn Fn(&StoreOp) -> bool = match op {
                StoreOp::EndSession { session } => &move |o| session_of(o) == Some(*session),
                StoreOp::RemoveEntry { session, seq } => &move |other| match other {
                    StoreOp::PutEntry { session: s, seq: q, .. }
                    | StoreOp::PutFlight { session: s, seq: q, .. }
                    | StoreOp::PutRelease { session: s, seq: q, .. } => (s, q) == (session, seq),
                    _ => false,
                },
                _ => continue,
            };
            for (_, part) in self.joins.values_mut().flatten() {
                if part.serial < waiting.serial {
                    part.batch.ops.retain(|op| !gone(op));
                }
            }
        }
    }

    /// Whether there was anything to do.
    pub(super) fn do_everything(&mut self) -> bool {
        if self.health == StoreHealth::Healthy {
            self.commit();
        }
        self.answer_all(true);
        !self.events.is_empty()
    }

    pub(super) fn answer_all(&mut self, late: bool) {
        while !self.questions.is_empty() {
            self.answer(0, late);
        }
    }

    pub(super) fn answer(&mut self, at: usize, late: bool) {
        let Question { shard, load, early } = self.questions.remove(at);
        let mut loaded = if late { self.view(shard, &load) } else { early };
        let session = load.session;
        let is_damaged = |seq: Seq| self.damaged.contains(&(session, seq));
        let gone: Vec<Seq> = loaded.entries.iter().map(|entry| entry.seq).collect();
        let gone: Vec<Seq> = gone.into_iter().filter(|seq| is_damaged(*seq)).collect();
        loaded.entries.retain(|entry| !gone.contains(&entry.seq));
        loaded.damaged = gone.len() as u64;
        for seq in gone {
            self.durable.sessions.entry(session).or_default().entries.remove(&seq);
        }
        self.events.push((shard, StoreEvent::Loaded(Box::new(loaded))));
    }

    pub(super) fn questions(&self) -> Vec<StoreLoad> {
        self.questions.iter().map(|question| question.load.clone()).collect()
    }

    pub(super) fn take_events(&mut self) -> Vec<(usize, StoreEvent)> {
        std::mem::take(&mut self.events)
    }

    pub(super) fn forget_events(&mut self) {
        self.events.clear();
    }

    pub(super) fn pending(&self) -> usize {
        let ordinary: usize = self.ordinary.iter().map(VecDeque::len).sum();
        ordinary + self.joins.values().map(Vec::len).sum::<usize>()
    }

    pub(super) fn set_health(&mut self, health: StoreHealth) {
        self.health = health;
        for shard in 0..self.ordinary.len() {
            self.events.push((shard, StoreEvent::Health(health)));
        }
    }

    /// What is not durable is lost; what is goes to so many new shards, in the one order or the
    /// other.
    pub(super) fn restart(&mut self, shards: u16, reversed: bool) -> Vec<Vec<Restored>> {
        let durable = std::mem::take(&mut self.durable);
        let (names, payloads) =
            (std::mem::take(&mut self.names), std::mem::take(&mut self.payloads));
        *self = Self { durable, names, ..Self::new(shards) };
        // Places of what was lost may be given again.
        self.payloads = payloads;
        let durable = &self.durable;
        let is_there = |session: &SessionId, seq: &Seq| {
            durable.sessions.get(session).is_some_and(|kept| kept.entries.contains_key(seq))
        };
        self.payloads.retain(|(session, seq), _| is_there(session, seq));
        let bodies = durable.sessions.values().flat_map(|kept| kept.entries.values());
        let bodies = bodies.filter_map(|entry| entry.message.as_ref()?.0.body);
        let body_counter_max = bodies.map(|body| body.counter()).max().unwrap_or(0);
        let numbers = durable.sessions.keys().map(|session| session.number);
        let session_number_max = numbers.max().unwrap_or(0);
        let begin = || Restored::Begin { session_number_max, body_counter_max };
        let mut told: Vec<Vec<Restored>> = (0..shards).map(|_| vec![begin()]).collect();
        let home = |partition| usize::from(home_of_partition(partition, shards).0);
        for (id, kept) in &durable.sessions {
            if let Some(session) = kept.restored(*id) {
                told[home(id.partition)].push(Restored::Session(Box::new(session)));
            }
        }
        for (topic, message) in &durable.retained {
            told[home(partition(topic))].push(Restored::Retained(message.clone()));
        }
        for items in told.iter_mut().filter(|_| reversed) {
            items[1..].reverse();
        }
        told
    }

    fn find(&self, client_id: &str, payload: &str) -> (SessionId, Seq) {
        let found = self.durable.sessions.iter().find_map(|(id, kept)| {
            let entry = kept.entries.iter().find(|(_, entry)| {
                entry.message.as_ref().is_some_and(|(message, _)| payload_of(message) == payload)
            });
            let is_it = kept.record.as_ref().is_some_and(|r| &*r.client_id == client_id);
            is_it.then_some(())?;
            Some((*id, *entry?.0))
        });
        found.unwrap_or_else(|| panic!("{client_id} has no {payload} in the store"))
    }

    pub(super) fn damage(&mut self, client_id: &str, payload: &str) {
        let place = self.find(client_id, payload);
        self.damaged.insert(place);
    }

    pub(super) fn lose(&mut self, client_id: &str, payload: &str) {
        let (session, seq) = self.find(client_id, payload);
        self.durable.sessions.get_mut(&session).expect("found").entries.remove(&seq);
    }

    pub(super) fn take_log(&mut self) -> Vec<(ShardId, StoreBatch)> {
        std::mem::take(&mut self.log)
    }

    pub(super) fn take_lines(&mut self) -> Vec<String> {
        let log = self.take_log();
        log.iter().flat_map(|(_, batch)| batch.ops.iter().map(|op| self.line(op))).collect()
    }

    fn name(&self, session: SessionId) -> &str {
        self.names.get(&session).map_or("?", String::as_str)
    }

    fn place(&self, session: SessionId, seq: Seq) -> String {
        let payload = self.payloads.get(&(session, seq)).map_or("?", String::as_str);
        format!("{} {payload}", self.name(session))
    }

    /// One change for a person: its kind, whose, what.
    fn line(&self, op: &StoreOp) -> String {
        match op {
            StoreOp::PutSession { session, record } => {
                let state = if record.left_at_wall_ms.is_some() { "away" } else { "here" };
                let will = if record.will.is_some() { " will" } else { "" };
                format!("session {} {}s {state}{will}", self.name(*session), record.expiry_s)
            }
            StoreOp::EndSession { session } => format!("end {}", self.name(*session)),
            StoreOp::PutSubscription { session, subscription } => {
                format!("subscribe {} {}", self.name(*session), subscription.filter)
            }
            StoreOp::RemoveSubscription { session, filter } => {
                format!("unsubscribe {} {filter}", self.name(*session))
            }
            StoreOp::PutEntry { session, seq, terms, .. } => {
                let id = terms.packet_id.map_or(String::new(), |id| format!(" id {}", id.get()));
                let qos = if terms.qos == Qos::AtLeastOnce { 1 } else { 2 };
                format!("entry {} qos {qos}{id}", self.place(*session, *seq))
            }
            StoreOp::PutFlight { session, seq, packet_id } => {
                format!("flight {} id {}", self.place(*session, *seq), packet_id.get())
            }
            StoreOp::PutRelease { session, seq, packet_id } => {
                format!("release {} id {}", self.place(*session, *seq), packet_id.get())
            }
            StoreOp::RemoveEntry { session, seq } => {
                format!("remove {}", self.place(*session, *seq))
            }
            StoreOp::PutIncoming { session, packet_id } => {
                format!("incoming {} {}", self.name(*session), packet_id.get())
            }
            StoreOp::RemoveIncoming { session, packet_id } => {
                format!("released {} {}", self.name(*session), packet_id.get())
            }
            StoreOp::PutRetained { message } => {
                format!("retain {} {}", message.fields(Now::default()).topic, payload(message))
            }
            StoreOp::RemoveRetained { topic } => format!("unretain {topic}"),
        }
    }

    /// What is durable of the sessions of a client, one line each.
    pub(super) fn lines_of(&self, client_id: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for kept in self.durable.sessions.values() {
            let Some(record) = &kept.record else { continue };
            if &*record.client_id != client_id {
                continue;
            }
            lines.push(format!("session {}s", record.expiry_s));
            lines.extend(kept.subscriptions.keys().map(|filter| format!("subscribed {filter}")));
            lines.extend(kept.incoming.iter().map(|id| format!("incoming {}", id.get())));
            for entry in kept.entries.values() {
                let message = entry.message.as_ref().map(|(message, _)| payload_of(message));
                let state = match (entry.release, entry.packet_id()) {
                    (Some(id), _) => format!("released {}", id.get()),
                    (_, Some(id)) => format!("in flight {}", id.get()),
                    _ => "waits".to_owned(),
                };
                lines.push(format!("{} {state}", message.unwrap_or_default()));
            }
        }
        lines
    }

    pub(super) fn retained(&self) -> Vec<String> {
        self.durable.retained.keys().cloned().collect()
    }
}
