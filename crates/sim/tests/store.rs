//! The simulated store keeps the contract of the store port and uses its freedom. Must not know the
//! broker.

use std::sync::Arc;

use martlet_engine::store::{
    BodyId, EntryTerms, Join, Loaded, Message, Restored, RestoredSession, Seq, SessionId,
    SessionRecord, StoreBatch, StoreEvent, StoreHealth, StoreLoad, StoreOp, StoreToken,
    StoredMessage,
};
use martlet_engine::{Now, ShardId};
use martlet_proto::{PacketId, Qos};
use martlet_sim::{Random, SimStore};

const NOW: Now = Now { mono_ms: 5_000, wall_ms: 1_000_000 };
const ONE: SessionId = SessionId { partition: 1, number: 1 };
const TWO: SessionId = SessionId { partition: 2, number: 2 };

fn stored(text: &str, body: Option<BodyId>) -> StoredMessage {
    StoredMessage {
        data: format!("topic{text}").into_bytes().into(),
        topic_len: 5,
        forward_len: 0,
        qos: Qos::ExactlyOnce,
        retain: false,
        expires_at_wall_ms: u64::MAX,
        origin: 7,
        body,
    }
}

fn message(text: &str) -> Arc<Message> {
    Arc::new(Message::restore(stored(text, None), NOW))
}

fn terms() -> Box<EntryTerms> {
    let (qos, group) = (Qos::AtLeastOnce, None);
    Box::new(EntryTerms { qos, retain: false, subscription_ids: vec![], group, packet_id: None })
}

fn session(session: SessionId) -> StoreOp {
    let client_id = format!("client-{}", session.number).into();
    let record = SessionRecord { client_id, expiry_s: 100, left_at_wall_ms: None, will: None };
    StoreOp::PutSession { session, record: Box::new(record) }
}

fn entry(session: SessionId, seq: Seq, text: &str) -> StoreOp {
    StoreOp::PutEntry { session, seq, message: message(text), terms: terms() }
}

fn id(number: u16) -> PacketId {
    PacketId::new(number).expect("not 0")
}

/// A store and the tokens of its shards.
struct Bench {
    store: SimStore,
    tokens: [u64; 3],
    random: Random,
}

impl Bench {
    fn new(seed: u64) -> Self {
        Self { store: SimStore::new(3), tokens: [0; 3], random: Random::new(seed) }
    }

    fn submit(&mut self, shard: u16, join: Option<(u64, u32)>, ops: Vec<StoreOp>) -> u64 {
        let token = &mut self.tokens[usize::from(shard)];
        *token += 1;
        let token = StoreToken(*token);
        let join = join.map(|(id, children)| Join { id, children });
        self.store.submit(ShardId(shard), StoreBatch { token, join, now: NOW, ops });
        token.0
    }

    fn told(&mut self, shard: u16) -> Vec<u64> {
        let events = self.store.take_events().into_iter().filter(|(to, _)| to.0 == shard);
        let tokens = events.filter_map(|(_, event)| match event {
            StoreEvent::Stored(token) => Some(token.0),
            _ => None,
        });
        tokens.collect()
    }

    fn reborn(&mut self) -> Vec<RestoredSession> {
        self.store.crash(&mut self.random);
        let told = self.store.restore(1, &mut self.random);
        self.tokens = [0; 3];
        let sessions = told.into_iter().flatten().filter_map(|item| match item {
            Restored::Session(session) => Some(*session),
            _ => None,
        });
        sessions.collect()
    }

    fn ask(&mut self, session: SessionId, from: Seq, messages_max: u32, bytes_max: u64) -> Loaded {
        self.store.load(ShardId(0), StoreLoad { session, from, messages_max, bytes_max });
        self.store.answer_one(&mut self.random);
        let answer = self.store.take_events().into_iter().find_map(|(_, event)| match event {
            StoreEvent::Loaded(loaded) => Some(*loaded),
            _ => None,
        });
        answer.expect("a healthy store answers")
    }
}

fn seqs(loaded: &Loaded) -> Vec<Seq> {
    loaded.entries.iter().map(|entry| entry.seq).collect()
}

#[test]
fn a_crash_keeps_what_was_stored_and_of_the_rest_the_first_batches() {
    let mut lengths = [0; 6];
    for seed in 0..200 {
        let mut bench = Bench::new(seed);
        bench.submit(0, None, vec![session(ONE)]);
        bench.submit(0, None, vec![entry(ONE, 1, "a")]);
        bench.store.pump();
        assert_eq!(bench.told(0), [1, 2]);
        for seq in 2..6 {
            bench.submit(0, None, vec![entry(ONE, seq, "b")]);
        }
        let waiting = bench.reborn()[0].waiting;
        assert!((1..=5).contains(&waiting.messages), "{waiting:?}");
        assert_eq!((waiting.first, waiting.last), (1, waiting.messages));
        lengths[waiting.messages as usize] += 1;
    }
    assert!(lengths[1..].iter().all(|count| *count > 0), "{lengths:?}");
}

#[test]
fn shards_are_independent_and_told_in_order() {
    let (mut only_one, mut only_two) = (false, false);
    for seed in 0..100 {
        let mut bench = Bench::new(seed);
        bench.submit(0, None, vec![session(ONE)]);
        bench.submit(1, None, vec![session(TWO)]);
        for seq in 1..5 {
            bench.submit(0, None, vec![entry(ONE, seq, "a")]);
        }
        let mut told = Vec::new();
        while told.len() < 3 {
            bench.store.commit_some(&mut bench.random);
            told.extend(bench.told(0));
        }
        assert!(told.iter().copied().eq(1..=told.len() as u64), "{told:?}");
        let mut bench = Bench::new(seed);
        bench.submit(0, None, vec![session(ONE)]);
        bench.submit(1, None, vec![session(TWO)]);
        let numbers: Vec<u64> = bench.reborn().iter().map(|s| s.session.number).collect();
        only_one |= numbers == [1];
        only_two |= numbers == [2];
    }
    assert!(only_one && only_two);
}

#[test]
fn the_parts_of_an_exchange_become_durable_together_or_not_at_all() {
    let (mut both, mut none) = (0, 0);
    for seed in 0..100 {
        let mut bench = Bench::new(seed);
        bench.submit(0, None, vec![session(ONE)]);
        bench.submit(1, None, vec![session(TWO)]);
        bench.store.pump();
        bench.store.take_events();
        let root = bench.submit(0, Some((9, 2)), vec![entry(ONE, 1, "x")]);
        bench.submit(1, Some((9, 0)), vec![entry(TWO, 1, "x")]);
        // It waits for its last part, and what follows waits with it.
        bench.submit(0, None, vec![entry(ONE, 2, "y")]);
        bench.store.pump();
        assert_eq!(bench.told(0), [0; 0]);
        let last = bench.submit(2, Some((9, 0)), vec![]);
        let sessions = bench.reborn();
        let counts: Vec<u64> = sessions.iter().map(|s| s.waiting.messages).collect();
        match counts.iter().sum::<u64>() {
            2 | 3 => both += 1,
            0 => none += 1,
            _ => panic!("{counts:?}"),
        }
        assert_eq!((root, last), (2, 1));
    }
    assert!(both > 10 && none > 10, "{both} {none}");
}

#[test]
fn an_incomplete_exchange_never_survives_and_its_end_is_told_to_all_its_shards() {
    let mut bench = Bench::new(1);
    bench.submit(0, None, vec![session(ONE)]);
    bench.store.pump();
    bench.store.take_events();
    bench.submit(0, Some((4, 1)), vec![entry(ONE, 1, "x")]);
    bench.store.pump();
    assert_eq!(bench.told(0), [0; 0]);
    bench.submit(1, Some((4, 0)), vec![]);
    bench.store.pump();
    let events = bench.store.take_events();
    let told: Vec<u16> = events.iter().map(|(shard, _)| shard.0).collect();
    assert_eq!(told, [0, 1]);
    bench.submit(0, Some((5, 1)), vec![entry(ONE, 2, "x")]);
    bench.store.pump();
    assert_eq!(bench.reborn()[0].waiting.messages, 1);
}

#[test]
fn removals_and_ends_stand_behind_an_exchange() {
    let mut bench = Bench::new(1);
    bench.submit(0, None, vec![session(ONE), session(TWO)]);
    bench.submit(0, Some((1, 1)), vec![entry(ONE, 1, "x"), entry(ONE, 2, "y"), entry(TWO, 1, "z")]);
    bench.submit(0, None, vec![StoreOp::RemoveEntry { session: ONE, seq: 1 }]);
    bench.submit(0, None, vec![StoreOp::EndSession { session: TWO }]);
    bench.store.pump();
    bench.submit(1, Some((1, 0)), vec![]);
    bench.store.pump();
    let sessions = bench.reborn();
    assert_eq!(sessions.len(), 1);
    let waiting = sessions[0].waiting;
    assert_eq!((waiting.messages, waiting.first, waiting.last), (1, 2, 2));
}

#[test]
fn a_later_retained_message_stands_behind_an_exchange() {
    let mut bench = Bench::new(1);
    let put = |text| StoreOp::PutRetained { message: message(text) };
    bench.submit(0, Some((1, 1)), vec![put("old")]);
    bench.submit(0, None, vec![put("new")]);
    bench.store.pump();
    bench.submit(1, Some((1, 0)), vec![]);
    bench.store.pump();
    bench.store.crash(&mut bench.random);
    let told = bench.store.restore(1, &mut bench.random);
    let retained = told.into_iter().flatten().find_map(|item| match item {
        Restored::Retained(message) => Some(message.data),
        _ => None,
    });
    assert_eq!(retained.as_deref(), Some(b"topicnew".as_slice()));
}

#[test]
fn a_question_sees_what_was_submitted_before_it() {
    for seed in 0..20 {
        let mut bench = Bench::new(seed);
        bench.submit(0, None, vec![session(ONE)]);
        for seq in 1..6 {
            bench.submit(0, None, vec![entry(ONE, seq, "abcde")]);
        }
        bench.submit(0, Some((1, 1)), vec![entry(ONE, 6, "abcde")]);
        bench.submit(
            0,
            None,
            vec![
                StoreOp::PutFlight { session: ONE, seq: 2, packet_id: id(4) },
                StoreOp::RemoveEntry { session: ONE, seq: 3 },
            ],
        );
        let all = bench.ask(ONE, 1, 10, u64::MAX);
        assert_eq!((seqs(&all), all.done), (vec![1, 4, 5, 6], true));
        let some = bench.ask(ONE, 2, 2, u64::MAX);
        assert_eq!((seqs(&some), some.done), (vec![4, 5], false));
        let few = bench.ask(ONE, 1, 10, 11);
        assert_eq!((seqs(&few), few.done), (vec![1, 4], false));
        let one = bench.ask(ONE, 5, 1, 0);
        assert_eq!((seqs(&one), one.done), (vec![5], false));
        assert!(bench.ask(TWO, 0, 1, 1).done);
    }
}

#[test]
fn flights_come_back_in_order_with_what_is_left_of_them() {
    let mut bench = Bench::new(3);
    bench.submit(0, None, vec![session(ONE)]);
    bench.submit(0, None, (1..5).map(|seq| entry(ONE, seq, "m")).collect());
    bench.submit(
        0,
        None,
        vec![
            StoreOp::PutFlight { session: ONE, seq: 3, packet_id: id(30) },
            StoreOp::PutFlight { session: ONE, seq: 1, packet_id: id(10) },
            StoreOp::PutRelease { session: ONE, seq: 1, packet_id: id(10) },
            StoreOp::PutIncoming { session: ONE, packet_id: id(8) },
            StoreOp::PutIncoming { session: ONE, packet_id: id(7) },
            StoreOp::RemoveIncoming { session: ONE, packet_id: id(9) },
        ],
    );
    bench.store.pump();
    let sessions = bench.reborn();
    let flights = format!("{:?}", sessions[0].flights);
    assert!(flights.starts_with("[Release { seq: 1, packet_id: PacketId(10)"), "{flights}");
    assert!(flights.contains("Publish(StoredEntry { seq: 3"), "{flights}");
    assert_eq!(sessions[0].incoming, [id(7), id(8)]);
    assert_eq!((sessions[0].waiting.messages, sessions[0].waiting.last), (2, 4));
}

#[test]
fn a_sick_store_stores_nothing_and_heals() {
    let mut bench = Bench::new(1);
    bench.store.set_health(StoreHealth::Full);
    bench.store.set_health(StoreHealth::Full);
    bench.submit(0, None, vec![session(ONE)]);
    bench.store.pump();
    let events = bench.store.take_events();
    assert_eq!(events.len(), 3, "each shard is told once: {events:?}");
    bench.store.set_health(StoreHealth::Healthy);
    bench.store.take_events();
    bench.store.pump();
    assert_eq!(bench.told(0), [1]);
}

#[test]
fn damaged_messages_are_counted_and_gone() {
    let mut bench = Bench::new(1);
    bench.submit(0, None, vec![session(ONE), entry(ONE, 1, "a"), entry(ONE, 2, "b")]);
    bench.store.pump();
    bench.store.take_events();
    bench.store.damage_one(&mut bench.random);
    let first = bench.ask(ONE, 0, 10, u64::MAX);
    assert_eq!((first.entries.len(), first.damaged), (1, 1));
    let again = bench.ask(ONE, 0, 10, u64::MAX);
    assert_eq!((again.entries.len(), again.damaged), (1, 0));
}

#[test]
fn a_shared_body_counts_once() {
    let mut bench = Bench::new(1);
    let body = Arc::new(Message::restore(stored("m", Some(BodyId::new(ShardId(0), 5))), NOW));
    let put = |session, seq| {
        let message = Arc::clone(&body);
        StoreOp::PutEntry { session, seq, message, terms: terms() }
    };
    bench.submit(0, None, vec![session(ONE), session(TWO), put(ONE, 1), put(TWO, 1)]);
    bench.submit(0, None, vec![entry(ONE, 2, "own")]);
    bench.store.pump();
    assert_eq!(bench.store.bodies(), 2);
    bench.submit(0, None, vec![StoreOp::EndSession { session: ONE }]);
    bench.store.pump();
    assert_eq!(bench.store.bodies(), 1);
}

#[test]
fn sessions_and_retained_messages_come_to_their_homes_whatever_the_number_of_shards() {
    for shards in [1_u16, 2, 5] {
        let mut bench = Bench::new(1);
        bench.submit(0, None, vec![session(ONE), session(TWO)]);
        bench.submit(0, None, vec![StoreOp::PutRetained { message: message("r") }]);
        bench.store.pump();
        bench.store.crash(&mut bench.random);
        let told = bench.store.restore(shards, &mut bench.random);
        assert_eq!(told.len(), usize::from(shards));
        for items in &told {
            assert!(matches!(items[0], Restored::Begin { session_number_max: 2, .. }));
        }
        let count = told.iter().map(|items| items.len() - 1).sum::<usize>();
        assert_eq!(count, 3);
    }
}
