//! The simulated store: a model of the contract of the engine's store port, as free as the contract
//! allows it to be. Its caller decides when what becomes durable, when it stands still, and what a
//! crash leaves. Must not know the broker, nor how a real store keeps records.

mod records;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use martlet_engine::store::{
    Loaded, Restored, RestoredFlight, RestoredSession, Seq, SessionId, SessionRecord, StoreBatch,
    StoreEvent, StoreHealth, StoreLoad, StoreOp, StoreToken,
};
use martlet_engine::{Now, ShardId, home_of_partition, partition};

use crate::random::Random;
use records::{Held, Records, session_of};

/// What a store has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreCounts {
    /// Batches it was given.
    pub submitted: u64,
    /// Batches that became durable.
    pub stored: u64,
    /// Batches that a crash took.
    pub lost: u64,
    /// Batches that a crash kept though nobody had been told.
    pub kept: u64,
    /// Exchanges that became durable as a whole.
    pub joined: u64,
    /// Questions answered.
    pub loads: u64,
    /// Messages damaged.
    pub damaged: u64,
}

/// A batch that is not durable.
#[derive(Debug, Clone)]
struct Pending {
    /// Its place among all batches.
    serial: u64,
    /// The exchange it is part of.
    join: Option<u64>,
    token: StoreToken,
    now: Now,
    ops: Vec<StoreOp>,
}

/// What one shard has submitted.
#[derive(Debug, Default)]
struct Queue {
    /// All tokens so far.
    tokens: BTreeSet<u64>,
    /// The last that was not part of an exchange.
    last: u64,
    pending: VecDeque<Pending>,
}

/// Where the parts of one exchange are: shard and serial number.
#[derive(Debug, Default)]
struct Exchange {
    parts: Vec<(usize, u64)>,
    children: u64,
}

impl Exchange {
    fn is_complete(&self) -> bool {
        self.parts.len() as u64 == self.children + 1
    }
}

/// A question that was not answered.
#[derive(Debug)]
struct Question {
    shard: usize,
    load: StoreLoad,
    /// The answer as it would have been at once.
    early: Loaded,
}

/// A store of which nothing but what [`SimStore::commit_some`] and its like choose is durable.
#[derive(Debug)]
pub struct SimStore {
    durable: Records,
    queues: Vec<Queue>,
    exchanges: BTreeMap<u64, Exchange>,
    /// Exchanges that are over.
    over: BTreeSet<u64>,
    questions: Vec<Question>,
    events: Vec<(ShardId, StoreEvent)>,
    health: StoreHealth,
    serial: u64,
    /// Places given in this life.
    given: BTreeSet<(SessionId, Seq)>,
    /// Sessions ended in this life.
    ended: BTreeSet<SessionId>,
    /// Durable messages that cannot be read.
    damaged: BTreeSet<(SessionId, Seq)>,
    counts: StoreCounts,
}

impl SimStore {
    /// An empty store of a broker of so many shards.
    #[must_use]
    pub fn new(shards: u16) -> Self {
        Self {
            durable: Records::default(),
            queues: (0..shards).map(|_| Queue::default()).collect(),
            exchanges: BTreeMap::new(),
            over: BTreeSet::new(),
            questions: Vec::new(),
            events: Vec::new(),
            health: StoreHealth::Healthy,
            serial: 0,
            given: BTreeSet::new(),
            ended: BTreeSet::new(),
            damaged: BTreeSet::new(),
            counts: StoreCounts::default(),
        }
    }

    /// A shard hands over a batch.
    ///
    /// # Panics
    /// When the batch breaks the contract's other side: a token twice or, apart from exchanges, out
    /// of order, a place given twice, an exchange with too many parts.
    pub fn submit(&mut self, shard: ShardId, batch: StoreBatch) {
        self.counts.submitted += 1;
        self.serial += 1;
        let StoreBatch { token, join, now, ops } = batch;
        for op in &ops {
            self.check(op);
        }
        let id = join.map(|join| join.id);
        let pending = Pending { serial: self.serial, join: id, token, now, ops };
        let at = usize::from(shard.0);
        let queue = &mut self.queues[at];
        assert!(queue.tokens.insert(token.0), "{token:?} of {shard:?} comes twice");
        let Some(join) = join else {
            assert!(token.0 > queue.last, "{token:?} of {shard:?} comes after {}", queue.last);
            queue.last = token.0;
            return queue.pending.push_back(pending);
        };
        assert!(!self.over.contains(&join.id), "exchange {} is over", join.id);
        let exchange = self.exchanges.entry(join.id).or_default();
        exchange.parts.push((at, self.serial));
        self.queues[at].pending.push_back(pending);
        exchange.children += u64::from(join.children);
        let (parts, children) = (exchange.parts.len() as u64, exchange.children);
        assert!(parts <= children + 1, "exchange {}: {parts} parts of {children} + 1", join.id);
    }

    fn check(&mut self, op: &StoreOp) {
        if let StoreOp::EndSession { session } = op {
            self.ended.insert(*session);
        } else if let Some(session) = session_of(op) {
            let removes = matches!(
                op,
                StoreOp::RemoveSubscription { .. }
                    | StoreOp::RemoveEntry { .. }
                    | StoreOp::RemoveIncoming { .. }
            );
            assert!(removes || !self.ended.contains(&session), "after the end: {op:?}");
        }
        if let StoreOp::PutEntry { session, seq, message, .. } = op {
            assert!(*seq > 0 && message.data_len() > 0, "a place and a message: {op:?}");
            assert!(self.given.insert((*session, *seq)), "given twice: {op:?}");
            let there = self.durable.sessions.get(session).map(|held| &held.places);
            assert!(there.is_none_or(|there| !there.contains_key(seq)), "given again: {op:?}");
        }
    }

    /// A shard asks for waiting messages.
    ///
    /// # Panics
    /// When it asks for none.
    pub fn load(&mut self, shard: ShardId, load: StoreLoad) {
        assert!(load.messages_max > 0, "a question for nothing: {load:?}");
        let shard = usize::from(shard.0);
        let early = self.view(shard, &load).answer(&load);
        self.questions.push(Question { shard, load, early });
    }

    /// What a question finds: everything that its shard has submitted counts.
    fn view(&self, shard: usize, load: &StoreLoad) -> Held {
        let is_about = |op: &&StoreOp| session_of(op) == Some(load.session);
        let changes: Vec<(&StoreOp, Now)> = self.queues[shard]
            .pending
            .iter()
            .flat_map(|pending| pending.ops.iter().map(move |op| (op, pending.now)))
            .filter(|(op, _)| is_about(op))
            .collect();
        let held = self.durable.sessions.get(&load.session);
        // Each change takes one message away at most.
        let enough = (load.messages_max as usize).saturating_add(changes.len() + 1);
        let mut held = held.map(|held| held.front(load.from, enough)).unwrap_or_default();
        for (op, now) in changes {
            held.apply(op, now);
        }
        held
    }

    /// What the store has to say, in order.
    pub fn take_events(&mut self) -> Vec<(ShardId, StoreEvent)> {
        std::mem::take(&mut self.events)
    }

    /// Everything that can becomes durable, and every question is answered.
    pub fn pump(&mut self) {
        if self.health != StoreHealth::Healthy {
            return;
        }
        let all = self.queues.iter().map(|queue| queue.pending.len()).collect();
        self.commit(all);
        while !self.questions.is_empty() {
            self.answer(0, false);
        }
    }

    /// One group commit of whatever chance picks. Returns whether anything became durable.
    pub fn commit_some(&mut self, random: &mut Random) -> bool {
        let before = self.counts.stored;
        if self.health != StoreHealth::Healthy {
            return false;
        }
        let counts = self.any_prefixes(random);
        self.commit(counts);
        self.counts.stored > before
    }

    /// Of each shard the first so many batches: each for itself, or what was submitted by some
    /// moment.
    fn any_prefixes(&self, random: &mut Random) -> Vec<usize> {
        let pending = self.queues.iter().flat_map(|queue| &queue.pending);
        let serials = || pending.clone().map(|pending| pending.serial);
        if let (Some(first), Some(last)) = (serials().min(), serials().max())
            && random.chance(50)
        {
            let until = first + random.below((last - first) as usize + 2) as u64;
            let count = |queue: &Queue| queue.pending.partition_point(|p| p.serial < until);
            return self.queues.iter().map(count).collect();
        }
        self.queues.iter().map(|queue| any_prefix(queue.pending.len(), random)).collect()
    }

    /// Answers one question, whichever; the answer sees what came after the question, or not.
    pub fn answer_one(&mut self, random: &mut Random) {
        if !self.questions.is_empty() && self.health != StoreHealth::Failing {
            let at = random.below(self.questions.len());
            self.answer(at, random.chance(50));
        }
    }

    fn answer(&mut self, at: usize, early: bool) {
        let Question { shard, load, early: mut loaded } = self.questions.remove(at);
        if !early {
            loaded = self.view(shard, &load).answer(&load);
        }
        let is_damaged = |seq: Seq| self.damaged.contains(&(load.session, seq));
        let (lost, kept) = loaded.entries.into_iter().partition(|entry| is_damaged(entry.seq));
        loaded.entries = kept;
        let lost: Vec<_> = lost;
        loaded.damaged = lost.len() as u64;
        for entry in lost {
            self.damaged.remove(&(load.session, entry.seq));
            if let Some(held) = self.durable.sessions.get_mut(&load.session) {
                held.places.remove(&entry.seq);
            }
        }
        self.counts.loads += 1;
        self.events.push((ShardId(shard as u16), StoreEvent::Loaded(Box::new(loaded))));
    }

    /// The largest part of these prefixes in which every exchange is there as a whole.
    fn legal(&self, mut counts: Vec<usize>) -> Vec<usize> {
        let place = |shard: usize, serial: u64| {
            self.queues[shard].pending.partition_point(|pending| pending.serial < serial)
        };
        loop {
            let before = counts.clone();
            for exchange in self.exchanges.values() {
                let is_in =
                    |(shard, serial): &(usize, u64)| place(*shard, *serial) < counts[*shard];
                if exchange.is_complete() && exchange.parts.iter().all(is_in) {
                    continue;
                }
                for (shard, serial) in &exchange.parts {
                    counts[*shard] = counts[*shard].min(place(*shard, *serial));
                }
            }
            if counts == before {
                return counts;
            }
        }
    }

    /// As much of these prefixes as the contract allows becomes durable, at once.
    fn commit(&mut self, counts: Vec<usize>) {
        let mut all = Vec::new();
        for (shard, count) in self.legal(counts).into_iter().enumerate() {
            let taken = self.queues[shard].pending.drain(..count);
            all.extend(taken.map(|pending| (shard, pending)));
        }
        all.sort_by_key(|(_, pending)| pending.serial);
        for (shard, pending) in all {
            for op in &pending.ops {
                match op {
                    StoreOp::EndSession { session } => {
                        self.damaged.retain(|(other, _)| other != session);
                    }
                    StoreOp::RemoveEntry { session, seq } => {
                        self.damaged.remove(&(*session, *seq));
                    }
                    _ => {}
                }
                self.durable.apply(op, pending.now);
            }
            if let Some(id) = pending.join
                && self.exchanges.remove(&id).is_some()
            {
                self.over.insert(id);
                self.counts.joined += 1;
            }
            self.tell_stored(shard, pending.token);
        }
    }

    fn tell_stored(&mut self, shard: usize, token: StoreToken) {
        self.counts.stored += 1;
        self.events.push((ShardId(shard as u16), StoreEvent::Stored(token)));
    }

    /// The broker dies. Of what was submitted and not said to be durable the store keeps whatever
    /// the contract allows: of each shard the first so many batches, and of an exchange all or
    /// nothing. Questions and unread events are gone.
    pub fn crash(&mut self, random: &mut Random) {
        let (stored, pending) = (self.counts.stored, self.pending());
        let counts = self.any_prefixes(random);
        self.commit(counts);
        let kept = self.counts.stored - stored;
        self.counts.stored = stored;
        self.counts.kept += kept;
        self.counts.lost += pending as u64 - kept;
        self.queues.clear();
        self.exchanges.clear();
        self.over.clear();
        self.questions.clear();
        self.events.clear();
        self.given.clear();
        self.ended.clear();
    }

    /// What each of `shards` shards is told before it serves, in any order.
    ///
    /// # Panics
    /// When it was not told of a crash before.
    pub fn restore(&mut self, shards: u16, random: &mut Random) -> Vec<Vec<Restored>> {
        assert!(self.queues.is_empty(), "restored without a crash");
        self.queues = (0..shards).map(|_| Queue::default()).collect();
        // Nobody will ever ask for what has no session.
        self.durable.sessions.retain(|_, held| held.record.is_some());
        let (session_number_max, body_counter_max) = self.durable.maxima();
        let mut told: Vec<Vec<Restored>> = (0..shards).map(|_| Vec::new()).collect();
        let mut tell = |partition: u16, item: Restored| {
            told[usize::from(home_of_partition(partition, shards).0)].push(item);
        };
        for (id, held) in &self.durable.sessions {
            let Some(session) = held.restored(*id) else { continue };
            tell(id.partition, Restored::Session(Box::new(session)));
        }
        for (topic, message) in &self.durable.retained {
            tell(partition(topic), Restored::Retained(message.clone()));
        }
        for items in &mut told {
            for at in 1..items.len() {
                items.swap(at, random.below(at + 1));
            }
            items.insert(0, Restored::Begin { session_number_max, body_counter_max });
        }
        // A new shard takes a store to be well until it hears otherwise.
        self.tell_health_if(self.health != StoreHealth::Healthy);
        told
    }

    fn tell_health_if(&mut self, wanted: bool) {
        for shard in 0..self.queues.len() * usize::from(wanted) {
            self.events.push((ShardId(shard as u16), StoreEvent::Health(self.health)));
        }
    }

    /// From now on the store is like this, and says so.
    pub fn set_health(&mut self, health: StoreHealth) {
        let changes = self.health != health;
        self.health = health;
        self.tell_health_if(changes);
    }

    /// How the store is.
    #[must_use]
    pub fn health(&self) -> StoreHealth {
        self.health
    }

    /// One durable message, whichever, cannot be read any more. Flights are left alone.
    pub fn damage_one(&mut self, random: &mut Random) {
        let waiting = self.durable.sessions.iter().flat_map(|(id, held)| {
            let load = StoreLoad { session: *id, from: 0, messages_max: u32::MAX, bytes_max: !0 };
            held.answer(&load).entries.into_iter().map(|entry| (*id, entry.seq))
        });
        let waiting: Vec<(SessionId, Seq)> = waiting.collect();
        if !waiting.is_empty() && self.damaged.insert(random.pick(&waiting)) {
            self.counts.damaged += 1;
        }
    }

    /// Batches that were submitted and are not durable.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.queues.iter().map(|queue| queue.pending.len()).sum()
    }

    /// Whether there is nothing to do, even if there was time: exchanges of which parts are missing
    /// can wait.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.events.is_empty() && self.questions.is_empty() && {
            let all = self.queues.iter().map(|queue| queue.pending.len()).collect();
            self.legal(all).iter().all(|count| *count == 0)
        }
    }

    /// What it has done.
    #[must_use]
    pub fn counts(&self) -> StoreCounts {
        self.counts
    }

    /// The durable sessions.
    pub fn sessions(&self) -> impl Iterator<Item = (SessionId, &SessionRecord)> {
        self.durable.sessions.iter().filter_map(|(id, held)| Some((*id, held.record.as_ref()?)))
    }

    /// A durable session as it would be restored.
    #[must_use]
    pub fn session(&self, id: SessionId) -> Option<RestoredSession> {
        self.durable.sessions.get(&id)?.restored(id)
    }

    /// How many copies of message data a store has to keep for the entries of its sessions.
    #[must_use]
    pub fn bodies(&self) -> usize {
        self.durable.bodies()
    }
}

/// How many of `count` in a row: often none, often all.
fn any_prefix(count: usize, random: &mut Random) -> usize {
    match random.below(4) {
        0 => 0,
        1 => count,
        _ => random.below(count + 1),
    }
}

/// The flights of a session in order: payload, packet identifier, and whether only PUBREL is left.
pub(crate) fn flights(session: &RestoredSession) -> impl Iterator<Item = (&[u8], u16, bool)> {
    session.flights.iter().map(|flight| match flight {
        RestoredFlight::Publish(entry) => {
            let message = &entry.message;
            let payload = &message.data[(message.topic_len + message.forward_len) as usize..];
            (payload, entry.terms.packet_id.map_or(0, martlet_proto::PacketId::get), false)
        }
        RestoredFlight::Release { packet_id, .. } => (&[][..], packet_id.get(), true),
    })
}
