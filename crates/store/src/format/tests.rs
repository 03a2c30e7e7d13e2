//! The formats: what is written is read back, what is not what it should be is refused, and records
//! of every version that ever was can still be read.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use martlet_engine::store::{
    BodyId, EntryTerms, SessionId, SessionRecord, StoredMessage, SubscriptionRecord, WillRecord,
};
use martlet_engine::{Message, Now};
use martlet_proto::{PacketId, Qos};
use proptest::prelude::*;

use super::key::{Name, own_bodies_prefix};
use super::{
    BodyPlace, FormatError, Key, Mark, Record, Space, decode, put_entry, put_incoming, put_mark,
    put_maxima, put_message, put_session, put_subscription, queue_range, session_prefix,
};
use crate::open::Maxima;

const SECRET: u128 = 0x0001_0203_0405_0607_0809_0a0b_0c0d_0e0f;
const NOW: Now = Now { mono_ms: 0, wall_ms: 0 };
const SESSION: SessionId = SessionId { partition: 513, number: 0x0102_0304_0506_0708 };

fn id(number: u16) -> PacketId {
    PacketId::new(number).expect("not 0")
}

fn message() -> StoredMessage {
    StoredMessage {
        data: (*b"plant/7\x01\x01\x17\x00payload").into(),
        topic_len: 7,
        forward_len: 4,
        qos: Qos::ExactlyOnce,
        retain: true,
        expires_at_wall_ms: 1_800_000_000_000,
        origin: 0xABCD,
        body: None,
    }
}

fn shared() -> StoredMessage {
    let (qos, retain, expires_at_wall_ms) = (Qos::AtLeastOnce, false, u64::MAX);
    let body = Some(BodyId(0x0400_0000_0000_0009));
    StoredMessage { qos, retain, expires_at_wall_ms, body, ..message() }
}

fn plain_terms() -> EntryTerms {
    let (qos, retain) = (Qos::AtLeastOnce, false);
    EntryTerms { qos, retain, subscription_ids: vec![], group: None, packet_id: None }
}

fn full_terms() -> EntryTerms {
    EntryTerms {
        qos: Qos::ExactlyOnce,
        retain: true,
        subscription_ids: vec![1, 268_435_455],
        group: Some(Arc::from("$share/crew/plant/#")),
        packet_id: Some(id(65_535)),
    }
}

fn session_record() -> SessionRecord {
    let client_id = "pump-é".into();
    SessionRecord { client_id, expiry_s: u32::MAX, left_at_wall_ms: None, will: None }
}

fn session_with_will() -> SessionRecord {
    let will = WillRecord { message: message(), delay_s: 30, expiry_s: Some(3600) };
    let left_at_wall_ms = Some(1_790_000_000_000);
    SessionRecord { left_at_wall_ms, expiry_s: 7, will: Some(Box::new(will)), ..session_record() }
}

fn long_filter() -> String {
    "level/".repeat(400)
}

/// One of every kind and shape, with its name in the fixtures.
fn examples() -> Vec<(&'static str, Record)> {
    let entry =
        |seq, terms, data_len, body| Record::Entry { session: SESSION, seq, terms, data_len, body };
    let subscription = |filter: &str| {
        let (options, subscription_id) = (0x2E, 268_435_455);
        Record::Subscription(
            SESSION,
            SubscriptionRecord { filter: filter.into(), options, subscription_id },
        )
    };
    let inline = BodyPlace::Inline(message());
    let data_len = message().data.len() as u32;
    let body = BodyId(0x0400_0000_0000_0009);
    let long_topic = StoredMessage {
        data: long_filter().into_bytes().into(),
        topic_len: 2400,
        forward_len: 0,
        ..message()
    };
    let maxima = Maxima { session_number: 77, body_counter: 1 << 40 };
    vec![
        ("session", Record::Session(SESSION, session_record())),
        ("session-will", Record::Session(SESSION, session_with_will())),
        ("subscription", subscription("$share/crew/plant/+/é")),
        ("subscription-long", subscription(&long_filter())),
        ("incoming", Record::Incoming(SESSION, id(258))),
        ("mark-flight", Record::Mark(SESSION, 3, Mark::Flight(id(3)))),
        ("mark-release", Record::Mark(SESSION, u64::MAX, Mark::Release(id(65_535)))),
        ("entry-inline", entry(1, plain_terms(), data_len, inline.clone())),
        ("entry-inline-full", entry(2, full_terms(), data_len, inline)),
        ("entry-shared", entry(3, full_terms(), 5, BodyPlace::Shared(body))),
        ("entry-own", entry(4, plain_terms(), 70_000, BodyPlace::Own)),
        ("maxima", Record::Maxima(maxima)),
        ("body", Record::Body(body, shared())),
        ("body-own", Record::OwnBody(SESSION, 4, message())),
        ("retained", Record::Retained(message())),
        ("retained-long", Record::Retained(long_topic)),
    ]
}

/// The space, key and value of a record as they are written today.
fn encode(record: &Record) -> (Space, Vec<u8>, Vec<u8>) {
    let mut value = Vec::new();
    let key = match record {
        Record::Session(session, record) => {
            put_session(&mut value, record);
            Key::Session(*session).to_vec()
        }
        Record::Subscription(session, record) => {
            let name = Name::new(&record.filter, SECRET);
            put_subscription(&mut value, name, record);
            Key::Subscription(*session, name).to_vec()
        }
        Record::Incoming(session, packet_id) => {
            put_incoming(&mut value);
            Key::Incoming(*session, *packet_id).to_vec()
        }
        Record::Mark(session, seq, mark) => {
            put_mark(&mut value, *mark);
            Key::Mark(*session, *seq).to_vec()
        }
        Record::Entry { session, seq, terms, data_len, body } => {
            match body {
                BodyPlace::Inline(message) => {
                    let message = Message::restore(message.clone(), NOW);
                    let place = BodyPlace::Inline(&message.fields(NOW));
                    put_entry(&mut value, terms, *data_len, place);
                }
                BodyPlace::Shared(body) => {
                    put_entry(&mut value, terms, *data_len, BodyPlace::Shared(*body));
                }
                BodyPlace::Own => put_entry(&mut value, terms, *data_len, BodyPlace::Own),
            }
            Key::Entry(*session, *seq).to_vec()
        }
        Record::Maxima(maxima) => {
            put_maxima(&mut value, *maxima);
            Key::Maxima.to_vec()
        }
        Record::Body(body, message) => {
            put_message_record(&mut value, message);
            Key::Body(*body).to_vec()
        }
        Record::OwnBody(session, seq, message) => {
            put_message_record(&mut value, message);
            Key::OwnBody(*session, *seq).to_vec()
        }
        Record::Retained(message) => {
            put_message_record(&mut value, message);
            Key::retained(message.topic(), SECRET).to_vec()
        }
    };
    let is_message = matches!(record, Record::Body(..) | Record::OwnBody(..) | Record::Retained(_));
    (if is_message { Space::Messages } else { Space::Records }, key, value)
}

fn put_message_record(value: &mut Vec<u8>, message: &StoredMessage) {
    value.push(super::RECORD_VERSION);
    put_message(value, &Message::restore(message.clone(), NOW).fields(NOW));
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}

fn fixture(name: &str) -> PathBuf {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/records-1");
    dir.join(format!("{name}.hex"))
}

/// Fixtures of version 1: never written again. A later version gets a folder of its own, and this
/// test goes on reading this one.
#[test]
fn reads_the_records_of_version_1() {
    for (name, record) in examples() {
        let text = std::fs::read_to_string(fixture(name)).unwrap_or_else(|error| {
            let (space, key, value) = encode(&record);
            panic!("{name}: {error}; {space:?}\n{}\n{}\n", hex(&key), hex(&value))
        });
        let mut lines = text.lines();
        let space = match lines.next() {
            Some("records") => Space::Records,
            Some("messages") => Space::Messages,
            other => panic!("{name}: {other:?}"),
        };
        let mut bytes = || unhex(lines.next().expect("key and value"));
        let (key, value) = (bytes(), bytes());
        assert_eq!(decode(space, &key, &value).as_ref(), Ok(&record), "{name}");
        assert_eq!(encode(&record), (space, key, value), "{name} is written as it was");
    }
}

#[test]
fn refuses_every_cut_and_every_added_byte() {
    for (name, record) in examples() {
        let (space, key, value) = encode(&record);
        for len in 0..value.len() {
            let cut = decode(space, &key, &value[..len]);
            // A message may end anywhere in its payload: its length is that of the record.
            let is_message =
                matches!(record, Record::Body(..) | Record::OwnBody(..) | Record::Retained(_))
                    || name == "session-will";
            assert!(cut.is_err() || is_message, "{name} cut to {len}");
        }
        for len in 0..key.len() {
            let cut = decode(space, &key[..len], &value);
            assert_ne!(cut.as_ref(), Ok(&record), "{name}: key cut to {len}");
        }
        let mut longer = value.clone();
        longer.push(0);
        assert_ne!(decode(space, &key, &longer).as_ref(), Ok(&record), "{name} with a byte more");
    }
}

#[test]
fn says_what_is_wrong() {
    let session = Key::Session(SESSION).to_vec();
    let cases: [(&[u8], FormatError); 5] = [
        (&[], FormatError::Short),
        (&[2], FormatError::Version(2)),
        (&[1, 0x80, 0, 0, 0, 0, 0, 0], FormatError::Value("flags")),
        (&[1, 0, 0, 0, 0, 0, 0, 1, 0xFF], FormatError::Text),
        (&[1, 0, 0, 0, 0, 0, 0, 0, 9], FormatError::Long),
    ];
    for (value, error) in cases {
        assert_eq!(decode(Space::Records, &session, value), Err(error), "{value:?}");
    }
    let keys: [(Space, &[u8]); 6] = [
        (Space::Records, &[4, 0]),
        (Space::Records, &[0xFF, 0xFF, 9]),
        (Space::Records, &[0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 9]),
        (Space::Records, &[0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 3, 0, 0]),
        (Space::Messages, &[9]),
        (Space::Messages, &[3, 4, 0, 0]),
    ];
    for (space, key) in keys {
        let error = decode(space, key, &[1]).expect_err("no key");
        assert!(matches!(error, FormatError::Key | FormatError::Short), "{key:?}: {error}");
    }
}

#[test]
fn keeps_everything_of_a_session_together_and_in_order() {
    let next = SessionId { number: SESSION.number + 1, ..SESSION };
    let keys = [
        Key::Session(SESSION).to_vec(),
        Key::Subscription(SESSION, Name::new("a", SECRET)).to_vec(),
        Key::Subscription(SESSION, Name::new("b", SECRET)).to_vec(),
        Key::Subscription(SESSION, Name::new(&long_filter(), SECRET)).to_vec(),
        Key::Incoming(SESSION, id(1)).to_vec(),
        Key::Incoming(SESSION, id(256)).to_vec(),
        Key::Mark(SESSION, 1).to_vec(),
        Key::Entry(SESSION, 1).to_vec(),
        Key::Mark(SESSION, 256).to_vec(),
        Key::Entry(SESSION, 256).to_vec(),
        Key::Session(next).to_vec(),
        Key::Maxima.to_vec(),
    ];
    assert!(keys.is_sorted());
    assert!(keys[..10].iter().all(|key| key.starts_with(&session_prefix(SESSION))));
    assert!(!keys[10].starts_with(&session_prefix(SESSION)));
    let (first, last) = queue_range(SESSION, 256);
    let in_range = |key: &Vec<u8>| first <= *key && *key <= last;
    assert_eq!(keys.iter().map(in_range).filter(|is_in| *is_in).count(), 2);
    assert!(Key::OwnBody(SESSION, 1).to_vec().starts_with(&own_bodies_prefix(SESSION)));
}

proptest! {
    #[test]
    fn never_panics(
        space in prop_oneof![Just(Space::Records), Just(Space::Messages)],
        key in prop::collection::vec(any::<u8>(), 0..40),
        value in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let _ = decode(space, &key, &value);
    }

    #[test]
    fn never_panics_on_changed_records(
        which in 0..16_usize, at in any::<prop::sample::Index>(), byte: u8, cut: bool,
    ) {
        let (_, record) = &examples()[which];
        let (space, key, mut value) = encode(record);
        let at = at.index(value.len());
        value[at] = byte;
        if cut {
            value.truncate(at);
        }
        let read = decode(space, &key, &value);
        if let Ok(Record::Retained(message) | Record::Body(_, message)) = read {
            let _ = Message::restore(message, NOW).fields(NOW);
        }
    }

    #[test]
    fn reads_what_it_writes(
        topic in "[a-zé/]{1,40}", forward in prop::collection::vec(any::<u8>(), 0..20),
        payload in prop::collection::vec(any::<u8>(), 0..200), qos in 0..3_u8, retain: bool,
        expires_at_wall_ms: u64, origin: u64, body: Option<u64>, seq: u64, grouped: bool,
        subscription_ids in prop::collection::vec(any::<u32>(), 0..4), packet_id: Option<u16>,
    ) {
        let message = StoredMessage {
            data: [topic.as_bytes(), &forward, &payload].concat().into(),
            topic_len: topic.len() as u32,
            forward_len: forward.len() as u32,
            qos: Qos::from_bits(qos).expect("below 3"),
            retain,
            expires_at_wall_ms,
            origin,
            body: body.map(BodyId),
        };
        let terms = EntryTerms {
            qos: if retain { Qos::AtLeastOnce } else { Qos::ExactlyOnce },
            retain,
            subscription_ids,
            group: grouped.then(|| Arc::from(topic.as_str())),
            packet_id: packet_id.and_then(PacketId::new),
        };
        let data_len = message.data.len() as u32;
        let entry = Record::Entry {
            session: SESSION,
            seq,
            terms,
            data_len,
            body: BodyPlace::Inline(message.clone()),
        };
        for record in [entry, Record::Retained(message)] {
            let (space, key, value) = encode(&record);
            prop_assert_eq!(decode(space, &key, &value), Ok(record));
        }
    }
}
