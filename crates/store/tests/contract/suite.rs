//! What every store promises, one promise after the other; the numbers are those of the contract.

use martlet_engine::store::{
    RestoredFlight, SessionRecord, StoreOp, StoreToken, SubscriptionRecord, WillRecord,
};
use martlet_engine::{Message, partition};

use crate::Subject;
use crate::make::{
    Desk, FIRST, NOW, ONE, SECOND, TWO, id, message_of, put_entry, put_session, put_subscription,
    record_of, remove_entry, shared, stored_message, terms, texts,
};
use crate::model;

/// 2: once each, in order; also those without anything in them.
pub(crate) fn answers_each_batch_once_and_in_order(store: &mut dyn Subject) {
    let mut desk = Desk::new(store);
    desk.submit(FIRST, vec![put_session(ONE)]);
    desk.submit(FIRST, vec![]);
    for seq in 1..=100 {
        desk.submit(FIRST, vec![put_entry(ONE, seq, "x")]);
    }
    desk.submit(SECOND, vec![put_session(TWO)]);
    let events = desk.store.settle();
    let of = |shard| events.iter().filter(move |(to, _)| *to == shard);
    let tokens = of(FIRST).map(|(_, event)| match event {
        martlet_engine::store::StoreEvent::Stored(StoreToken(token)) => *token,
        other => panic!("{other:?}"),
    });
    assert!(tokens.eq(1..=102));
    assert_eq!(of(SECOND).count(), 1);
    assert_eq!(desk.stored(FIRST), []);
}

/// 1, 3: all that was stored, and all of it.
pub(crate) fn gives_everything_back_after_a_crash(store: &mut dyn Subject) {
    let mut desk = Desk::new(store);
    let will = WillRecord { message: stored_message("will", b"gone"), delay_s: 5, expiry_s: None };
    let record = SessionRecord { will: Some(Box::new(will)), ..record_of(ONE) };
    let retained = stored_message("kept/here", b"now");
    let ops = vec![
        StoreOp::PutSession { session: ONE, record: Box::new(record.clone()) },
        put_subscription(ONE, "b/#"),
        put_subscription(ONE, "$share/g/a"),
        StoreOp::PutIncoming { session: ONE, packet_id: id(500) },
        StoreOp::PutIncoming { session: ONE, packet_id: id(7) },
        put_entry(ONE, 1, "first"),
        put_entry(ONE, 2, "second"),
        StoreOp::PutRetained { message: message_of(retained.clone()) },
    ];
    desk.submit(FIRST, ops);
    assert_eq!(desk.stored(FIRST), [1]);
    for _ in 0..2 {
        let life = desk.crash();
        assert_eq!(life.retained, std::slice::from_ref(&retained));
        let [session] = &life.sessions[..] else { panic!("{life:?}") };
        assert_eq!(session.session, ONE);
        assert_eq!(session.record, record);
        let filters = session.subscriptions.iter().map(|record| &*record.filter);
        assert!(filters.eq(["$share/g/a", "b/#"]));
        let expected = SubscriptionRecord { filter: "b/#".into(), options: 1, subscription_id: 9 };
        assert_eq!(session.subscriptions[1], expected);
        assert_eq!(session.incoming, [id(7), id(500)]);
        let waiting = session.waiting;
        assert_eq!((waiting.messages, waiting.bytes), (2, 21));
        assert_eq!((waiting.first, waiting.last, waiting.grouped), (1, 2, false));
        let loaded = desk.load(ONE);
        assert_eq!(texts(&loaded), [(1, "first".to_owned()), (2, "second".to_owned())]);
        assert!(loaded.done && loaded.damaged == 0);
    }
}

/// 7: the last one counts, in one batch and in several.
pub(crate) fn keeps_the_last_of_what_is_written_twice(store: &mut dyn Subject) {
    let mut desk = Desk::new(store);
    let retained = |text: &str| StoreOp::PutRetained {
        message: message_of(stored_message("r", text.as_bytes())),
    };
    let record = SessionRecord { expiry_s: 5, ..record_of(ONE) };
    desk.submit(FIRST, vec![put_session(ONE), retained("1"), retained("2")]);
    desk.submit(FIRST, vec![put_subscription(ONE, "a"), put_subscription(ONE, "a")]);
    desk.stored(FIRST);
    let record_now = record.clone();
    let again = StoreOp::PutSession { session: ONE, record: Box::new(record_now) };
    let gone = StoreOp::RemoveSubscription { session: ONE, filter: "a".into() };
    desk.submit(FIRST, vec![again, retained("3"), gone]);
    desk.submit(FIRST, vec![put_subscription(ONE, "b"), retained("4")]);
    desk.stored(FIRST);
    let life = desk.crash();
    assert_eq!(life.retained, [stored_message("r", b"4")]);
    assert_eq!(life.sessions[0].record, record);
    assert_eq!(life.sessions[0].subscriptions.len(), 1);
    desk.submit(FIRST, vec![StoreOp::RemoveRetained { topic: "r".into() }]);
    desk.stored(FIRST);
    assert_eq!(desk.crash().retained, []);
}

/// 7: neither is an error.
pub(crate) fn takes_what_is_already_there_or_already_gone(store: &mut dyn Subject) {
    let mut desk = Desk::new(store);
    let incoming = StoreOp::PutIncoming { session: ONE, packet_id: id(1) };
    let gone = StoreOp::RemoveIncoming { session: ONE, packet_id: id(2) };
    desk.submit(FIRST, vec![remove_entry(ONE, 4), gone.clone(), put_session(ONE)]);
    desk.stored(FIRST);
    desk.submit(FIRST, vec![incoming.clone(), incoming.clone(), gone]);
    desk.stored(FIRST);
    desk.submit(FIRST, vec![incoming, StoreOp::RemoveRetained { topic: "none".into() }]);
    desk.submit(FIRST, vec![StoreOp::EndSession { session: TWO }, remove_entry(ONE, 4)]);
    assert_eq!(desk.stored(FIRST), [3, 4]);
    let life = desk.crash();
    assert_eq!(life.sessions.len(), 1);
    assert_eq!(life.sessions[0].incoming, [id(1)]);
}

/// Waiting, in flight from the start, in flight later, released, done with.
pub(crate) fn tells_waiting_from_flights_and_releases(store: &mut dyn Subject) {
    let mut desk = Desk::new(store);
    let mut in_flight = terms();
    in_flight.packet_id = Some(id(11));
    let flight = |seq, packet_id| StoreOp::PutFlight { session: ONE, seq, packet_id };
    let release = |seq, packet_id| StoreOp::PutRelease { session: ONE, seq, packet_id };
    let message = crate::make::message("1");
    let direct = StoreOp::PutEntry { session: ONE, seq: 1, message, terms: in_flight };
    desk.submit(FIRST, vec![put_session(ONE), direct]);
    desk.submit(FIRST, (2..=7).map(|seq| put_entry(ONE, seq, "queued")).collect());
    desk.submit(FIRST, vec![flight(2, id(12)), put_entry(ONE, 8, "8"), release(8, id(18))]);
    desk.stored(FIRST);
    desk.submit(FIRST, vec![flight(3, id(13)), flight(4, id(14)), release(4, id(14))]);
    desk.submit(FIRST, vec![flight(5, id(15)), release(5, id(15)), remove_entry(ONE, 5)]);
    desk.stored(FIRST);
    let loaded = desk.load(ONE);
    assert_eq!(texts(&loaded), [(6, "queued".to_owned()), (7, "queued".to_owned())]);
    let life = desk.crash();
    let flights = life.sessions[0].flights.iter().map(|flight| match flight {
        RestoredFlight::Publish(entry) => (entry.seq, entry.terms.packet_id, true),
        RestoredFlight::Release { seq, packet_id } => (*seq, Some(*packet_id), false),
    });
    let flights: Vec<_> = flights.collect();
    let (yes, no) = (true, false);
    let one = [(1, Some(id(11)), yes), (2, Some(id(12)), yes), (3, Some(id(13)), yes)];
    let two = [(4, Some(id(14)), no), (8, Some(id(18)), no)];
    assert_eq!(flights, [&one[..], &two[..]].concat());
    let waiting = life.sessions[0].waiting;
    assert_eq!((waiting.messages, waiting.first, waiting.last), (2, 6, 8));
    desk.submit(FIRST, [1, 2, 3, 4, 6, 8].map(|seq| remove_entry(ONE, seq)).to_vec());
    desk.stored(FIRST);
    let session = desk.crash().sessions.remove(0);
    assert_eq!(session.flights, []);
    assert_eq!((session.waiting.messages, session.waiting.last), (1, 7));
}

/// A body lives as long as one entry refers to it.
pub(crate) fn shares_bodies_and_lets_go_of_them(store: &mut dyn Subject) {
    let mut desk = Desk::new(store);
    let entry = |session, seq, body| {
        let message = shared("a text that two sessions wait for", body);
        StoreOp::PutEntry { session, seq, message, terms: terms() }
    };
    desk.submit(FIRST, vec![put_session(ONE), put_session(TWO)]);
    desk.submit(FIRST, vec![entry(ONE, 1, 1), entry(TWO, 1, 1), entry(ONE, 2, 2)]);
    desk.stored(FIRST);
    desk.submit(FIRST, vec![remove_entry(ONE, 1), entry(TWO, 2, 3), remove_entry(TWO, 2)]);
    desk.stored(FIRST);
    let loaded = desk.load(TWO);
    assert_eq!(texts(&loaded), [(1, "a text that two sessions wait for".to_owned())]);
    let body = loaded.entries[0].message.body.expect("it is shared");
    assert_eq!(body.counter(), 1);
    let life = desk.crash();
    assert_eq!(life.sessions[1].waiting.bytes, 38);
    assert!(life.body_counter_max >= 2);
    desk.submit(FIRST, vec![remove_entry(TWO, 1), entry(TWO, 3, 1)]);
    desk.submit(FIRST, vec![remove_entry(ONE, 2)]);
    desk.stored(FIRST);
    desk.crash();
    assert_eq!(texts(&desk.load(ONE)), []);
    assert_eq!(desk.load(TWO).entries[0].seq, 3);
}

/// Bounds of a question.
pub(crate) fn answers_questions_in_order_and_within_bounds(store: &mut dyn Subject) {
    let mut desk = Desk::new(store);
    desk.submit(FIRST, vec![put_session(ONE), put_session(TWO)]);
    desk.submit(FIRST, (1..=10).map(|seq| put_entry(ONE, seq, "12345")).collect());
    let seqs = |loaded: &martlet_engine::store::Loaded| {
        loaded.entries.iter().map(|entry| entry.seq).collect::<Vec<_>>()
    };
    let loaded = desk.load_some(ONE, 3, 4, u64::MAX);
    assert_eq!((seqs(&loaded), loaded.done), (vec![3, 4, 5, 6], false));
    // Ten bytes each: the second reaches the bound.
    let loaded = desk.load_some(ONE, 1, 100, 20);
    assert_eq!((seqs(&loaded), loaded.done), (vec![1, 2], false));
    let loaded = desk.load_some(ONE, 1, 100, 0);
    assert_eq!((seqs(&loaded), loaded.done), (vec![1], false));
    let loaded = desk.load_some(ONE, 9, 2, u64::MAX);
    assert_eq!((seqs(&loaded), loaded.done), (vec![9, 10], true));
    let loaded = desk.load_some(ONE, 11, 2, u64::MAX);
    assert_eq!((seqs(&loaded), loaded.done), (vec![], true));
    let loaded = desk.load(TWO);
    assert_eq!((seqs(&loaded), loaded.done, loaded.from), (vec![], true, 1));
}

/// 5: also what waits for its exchange.
pub(crate) fn lets_a_question_see_what_was_submitted_before(store: &mut dyn Subject) {
    let mut desk = Desk::new(store);
    desk.submit(FIRST, vec![put_session(ONE)]);
    desk.submit(FIRST, vec![put_entry(ONE, 1, "1"), put_entry(ONE, 3, "3")]);
    desk.submit_part(FIRST, Some((9, 1)), vec![put_entry(ONE, 2, "2"), put_entry(ONE, 4, "4")]);
    desk.submit_part(SECOND, Some((9, 0)), vec![]);
    desk.submit(FIRST, vec![remove_entry(ONE, 1)]);
    let text = |seq: u64| (seq, seq.to_string());
    assert_eq!(texts(&desk.load(ONE)), [text(2), text(3), text(4)]);
    let loaded = desk.load_some(ONE, 1, 2, u64::MAX);
    assert_eq!((texts(&loaded), loaded.done), (vec![text(2), text(3)], false));
    let loaded = desk.load_some(ONE, 4, 1, u64::MAX);
    assert_eq!((texts(&loaded), loaded.done), (vec![text(4)], true));
}

/// 6: in the same batch, in a later one, and in incomplete exchanges.
pub(crate) fn leaves_nothing_of_an_ended_session(store: &mut dyn Subject) {
    let mut desk = Desk::new(store);
    let everything = |session| {
        vec![
            put_session(session),
            put_subscription(session, "a/b"),
            StoreOp::PutIncoming { session, packet_id: id(3) },
            put_entry(session, 1, &"long ".repeat(1000)),
            put_entry(session, 2, "short"),
            StoreOp::PutFlight { session, seq: 2, packet_id: id(3) },
        ]
    };
    let end = |session| StoreOp::EndSession { session };
    desk.submit(FIRST, [everything(ONE), vec![end(ONE)]].concat());
    desk.submit(FIRST, everything(TWO));
    desk.stored(FIRST);
    desk.submit_part(FIRST, Some((1, 1)), vec![put_entry(TWO, 3, "part")]);
    desk.submit(FIRST, vec![end(TWO)]);
    desk.submit_part(SECOND, Some((1, 0)), vec![]);
    desk.stored(FIRST);
    assert_eq!(texts(&desk.load(TWO)), []);
    assert_eq!(desk.crash().sessions, []);
}

/// 4: complete, and told to both shards.
pub(crate) fn stores_an_exchange_as_a_whole(store: &mut dyn Subject) {
    let mut desk = Desk::new(store);
    desk.submit(FIRST, vec![put_session(ONE)]);
    desk.submit(SECOND, vec![put_session(TWO)]);
    desk.store.settle();
    let incoming = StoreOp::PutIncoming { session: ONE, packet_id: id(1) };
    desk.submit_part(FIRST, Some((1, 2)), vec![incoming]);
    desk.submit(FIRST, vec![]);
    assert_eq!(desk.stored(FIRST), [], "what follows a part waits with it");
    desk.submit_part(SECOND, Some((1, 0)), vec![put_entry(TWO, 1, "one")]);
    assert_eq!(desk.stored(SECOND), []);
    desk.submit_part(SECOND, Some((1, 0)), vec![put_entry(TWO, 2, "two")]);
    let events = desk.store.settle();
    assert_eq!(events.len(), 4, "{events:?}");
    let life = desk.crash();
    assert_eq!(life.sessions[0].incoming, [id(1)]);
    assert_eq!(life.sessions[1].waiting.messages, 2);
}

/// 4: none of it.
pub(crate) fn loses_an_incomplete_exchange_as_a_whole(store: &mut dyn Subject) {
    let mut desk = Desk::new(store);
    desk.submit(FIRST, vec![put_session(ONE)]);
    desk.submit(SECOND, vec![put_session(TWO)]);
    desk.store.settle();
    let incoming = StoreOp::PutIncoming { session: ONE, packet_id: id(1) };
    desk.submit_part(FIRST, Some((1, 2)), vec![incoming]);
    desk.submit_part(SECOND, Some((1, 0)), vec![put_entry(TWO, 1, "one")]);
    desk.submit(SECOND, vec![put_entry(TWO, 2, "two")]);
    desk.store.settle();
    let life = desk.crash();
    assert_eq!(life.sessions[0].incoming, []);
    assert_eq!(life.sessions[1].waiting.messages, 0, "nor what follows it");
}

/// 4: what is removed behind a part does not come back with it.
pub(crate) fn keeps_the_order_around_an_exchange(store: &mut dyn Subject) {
    let mut desk = Desk::new(store);
    desk.submit(FIRST, vec![put_session(ONE)]);
    let part = [1, 2, 3].map(|seq| put_entry(ONE, seq, "x")).to_vec();
    desk.submit_part(FIRST, Some((5, 1)), part);
    desk.submit(FIRST, vec![remove_entry(ONE, 1)]);
    desk.stored(FIRST);
    desk.submit(FIRST, vec![remove_entry(ONE, 3)]);
    desk.submit_part(SECOND, Some((5, 0)), vec![put_session(TWO)]);
    assert_eq!(desk.stored(FIRST), [2, 3, 4]);
    let life = desk.crash();
    assert_eq!(life.sessions.len(), 2);
    assert_eq!(life.sessions[0].waiting.messages, 1);
    assert_eq!(texts(&desk.load(ONE)), [(2, "x".to_owned())]);
}

/// As long as MQTT allows, and messages of some size.
pub(crate) fn keeps_long_names_and_large_messages(store: &mut dyn Subject) {
    let mut desk = Desk::new(store);
    let name = |last: char| format!("{}{last}", "é".repeat(32_767));
    let retained = |last| message_of(stored_message(&name(last), b"kept"));
    let put = |last| StoreOp::PutRetained { message: retained(last) };
    desk.submit(FIRST, vec![put_session(ONE), put('a'), put('b'), put('c')]);
    let subscriptions = ['b', 'a', 'c'].map(|last| put_subscription(ONE, &name(last)));
    desk.submit(FIRST, [&subscriptions[..], &[put_subscription(ONE, "z")]].concat());
    let large = message_of(stored_message("t", &vec![7; 300_000]));
    let entry = StoreOp::PutEntry { session: ONE, seq: 1, message: large, terms: terms() };
    desk.submit(FIRST, vec![entry]);
    desk.stored(FIRST);
    let gone = StoreOp::RemoveRetained { topic: name('c').into() };
    let left = StoreOp::RemoveSubscription { session: ONE, filter: name('c').into() };
    desk.submit(FIRST, vec![gone, put('b'), left]);
    desk.stored(FIRST);
    let life = desk.crash();
    assert_eq!(life.retained.len(), 2);
    assert!(life.retained.iter().all(|message| partition(message.topic()) < 1024));
    let filters = life.sessions[0].subscriptions.iter().map(|record| record.filter.to_string());
    assert!(filters.eq(["z".to_owned(), name('a'), name('b')]));
    let loaded = desk.load(ONE);
    assert_eq!(loaded.entries[0].message.data.len(), 300_001);
    let again = Message::restore(loaded.entries[0].message.clone(), NOW);
    assert_eq!(again.fields(NOW).payload.len(), 300_000);
}

/// Numbers are not given twice.
pub(crate) fn counts_on_from_the_largest_numbers(store: &mut dyn Subject) {
    let mut desk = Desk::new(store);
    let entry = |session, body| {
        let message = shared("shared", body);
        StoreOp::PutEntry { session, seq: 1, message, terms: terms() }
    };
    desk.submit(FIRST, vec![put_session(ONE), put_session(TWO), entry(ONE, 77)]);
    desk.stored(FIRST);
    let life = desk.crash();
    assert_eq!(life.session_number_max, 2);
    assert!(life.body_counter_max >= 77);
}

/// 1, 2, 3 and 6 with random batches and crashes at random moments.
pub(crate) fn keeps_a_prefix_of_each_shard_whatever_happens(store: &mut dyn Subject) {
    model::run(store, 40, 1);
}
