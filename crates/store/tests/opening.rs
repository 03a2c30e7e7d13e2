//! Opening, refusing and stopping a store. Must not know what the records look like.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use martlet_engine::store::{
    Message, Restored, SessionId, SessionRecord, StoreBatch, StoreEvent, StoreOp, StoreToken,
    StoredMessage, SubscriptionRecord,
};
use martlet_engine::{Now, ShardId};
use martlet_proto::Qos;
use martlet_store::{Durability, OpenError, Store, StoreConfig, StoreHandle};

const NOW: Now = Now { mono_ms: 0, wall_ms: 0 };
const LIMIT: Duration = Duration::from_secs(30);

struct Dir(PathBuf);

impl Dir {
    fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("martlet-store-opening-{}-{count}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&dir);
        Self(dir)
    }

    fn config(&self) -> StoreConfig {
        StoreConfig::new(&self.0, Durability::Sync)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn start(store: Store) -> (StoreHandle, Receiver<StoreEvent>) {
    let (send, events) = channel();
    let send = std::sync::Mutex::new(send);
    let tell = move |_, event| {
        let _ = send.lock().expect("nobody panics").send(event);
    };
    (store.start(Arc::new(tell), 1, Arc::new(|alarm| panic!("{alarm}"))), events)
}

fn put(number: u64) -> StoreOp {
    let session = SessionId { partition: 3, number };
    let client_id = format!("client-{number}").into();
    let record = SessionRecord { client_id, expiry_s: 9, left_at_wall_ms: None, will: None };
    StoreOp::PutSession { session, record: Box::new(record) }
}

fn batch(token: u64, ops: Vec<StoreOp>) -> StoreBatch {
    StoreBatch { token: StoreToken(token), join: None, now: NOW, ops }
}

fn sessions(store: &mut Store) -> u64 {
    let mut count = 0;
    store
        .restore(&mut |_| (), &mut |item| count += u64::from(matches!(item, Restored::Session(_))))
        .expect("it can be read");
    count
}

#[test]
fn has_one_owner_at_a_time() {
    let dir = Dir::new();
    let (store, report) = Store::open(&dir.config()).expect("nobody has it");
    assert!(report.created);
    let error = Store::open(&dir.config()).expect_err("it is taken");
    assert!(matches!(error, OpenError::Locked { pid: Some(pid), .. } if pid == std::process::id()));
    let text = error.to_string();
    assert!(text.contains("in use by process") && !text.contains('\n'), "{text}");
    drop(store);
    let (store, report) = Store::open(&dir.config()).expect("it was let go");
    assert!(!report.created);
    let (handle, _events) = start(store);
    assert!(matches!(Store::open(&dir.config()), Err(OpenError::Locked { .. })));
    assert!(handle.stop());
    Store::open(&dir.config()).expect("it was let go");
}

#[test]
fn keeps_its_identity() {
    let dir = Dir::new();
    let identity = Store::open(&dir.config()).expect("nobody has it").0.identity();
    assert_ne!(identity, 0);
    assert_eq!(Store::open(&dir.config()).expect("nobody has it").0.identity(), identity);
    let other = Dir::new();
    assert_ne!(Store::open(&other.config()).expect("nobody has it").0.identity(), identity);
    fs::write(dir.0.join("identity"), "martlet st").expect("it can be written");
    let (store, report) = Store::open(&dir.config()).expect("damage is no error");
    assert_ne!(store.identity(), identity);
    let [damage] = &report.damage[..] else { panic!("{report:?}") };
    assert!(damage.aside.as_ref().is_some_and(|aside| aside.exists()));
}

#[test]
fn refuses_what_is_no_directory() {
    let dir = Dir::new();
    fs::write(&dir.0, "a file").expect("it can be written");
    let error = Store::open(&dir.config()).expect_err("no directory").to_string();
    assert!(error.contains(&dir.0.display().to_string()), "{error}");
    fs::remove_file(&dir.0).expect("it is ours");
}

/// A stop waits for everything that was handed in.
#[test]
fn stores_everything_before_it_stops() {
    for durability in [Durability::Sync, Durability::Interval(Duration::from_secs(3600))] {
        let dir = Dir::new();
        let config = StoreConfig { durability, ..dir.config() };
        let (handle, events) = start(Store::open(&config).expect("nobody has it").0);
        for number in 1..=500 {
            handle.submit(ShardId(0), batch(number, vec![put(number)]));
        }
        assert!(handle.stop() && handle.stop());
        let tokens = events.try_iter().map(|event| match event {
            StoreEvent::Stored(StoreToken(token)) => token,
            other => panic!("{other:?}"),
        });
        assert!(tokens.eq(1..=500));
        handle.submit(ShardId(0), batch(501, vec![put(501)]));
        let (mut store, report) = Store::open(&config).expect("it was let go");
        assert!(report.damage.is_empty(), "{report:?}");
        assert_eq!(sessions(&mut store), 500);
        assert_eq!(store.maxima().session_number, 500);
    }
}

/// At the level `interval` a batch is stored before the device has it.
#[test]
fn answers_before_the_interval_is_over() {
    let dir = Dir::new();
    let durability = Durability::Interval(Duration::from_secs(3600));
    let config = StoreConfig { durability, ..dir.config() };
    let (handle, events) = start(Store::open(&config).expect("nobody has it").0);
    handle.submit(ShardId(0), batch(1, vec![put(1)]));
    let event = events.recv_timeout(LIMIT).expect("it is answered");
    assert!(matches!(event, StoreEvent::Stored(StoreToken(1))));
    handle.abandon();
    let (mut store, _) = Store::open(&config).expect("it was let go");
    assert_eq!(sessions(&mut store), 1);
}

/// What one batch undoes of another costs nothing.
#[test]
fn writes_nothing_that_is_undone_in_time() {
    let dir = Dir::new();
    let (handle, events) = start(Store::open(&dir.config()).expect("nobody has it").0);
    let session = SessionId { partition: 3, number: 1 };
    let data = (*b"topic and payload").into();
    let stored = StoredMessage {
        data,
        topic_len: 5,
        forward_len: 0,
        qos: Qos::AtLeastOnce,
        retain: false,
        expires_at_wall_ms: u64::MAX,
        origin: 1,
        body: None,
    };
    let message = Arc::new(Message::restore(stored, NOW));
    let terms = martlet_engine::store::EntryTerms {
        qos: Qos::AtLeastOnce,
        retain: false,
        subscription_ids: vec![],
        group: None,
        packet_id: None,
    };
    let incoming = martlet_proto::PacketId::new(1).expect("not 0");
    let ops = (1..=1000).flat_map(|seq| {
        let (message, terms) = (Arc::clone(&message), Box::new(terms.clone()));
        [
            StoreOp::PutEntry { session, seq, message, terms },
            StoreOp::PutIncoming { session, packet_id: incoming },
            StoreOp::RemoveEntry { session, seq },
            StoreOp::RemoveIncoming { session, packet_id: incoming },
        ]
    });
    handle.submit(ShardId(0), batch(1, ops.collect()));
    let event = events.recv_timeout(LIMIT).expect("it is answered");
    assert!(matches!(event, StoreEvent::Stored(StoreToken(1))));
    let stats = handle.stats();
    assert_eq!((stats.ops, stats.records, stats.commits), (4000, 0, 0));
    assert!(handle.stop());
}

/// Whoever restores a store is told how far it is, once it takes a second.
#[test]
fn restores_nothing_of_a_new_store() {
    let dir = Dir::new();
    let (mut store, _) = Store::open(&dir.config()).expect("nobody has it");
    let report = store.restore(&mut |_| panic!("it is quick"), &mut |item| panic!("{item:?}"));
    let report = report.expect("it can be read");
    assert_eq!((report.orphans, report.total.sessions), (0, 0));
}

#[test]
fn long_names_are_found_again_when_the_identity_is_lost() {
    let dir = Dir::new();
    let long = "x".repeat(2000);
    let session = SessionId { partition: 3, number: 1 };
    let record = SubscriptionRecord { filter: long.clone().into(), options: 1, subscription_id: 0 };
    let subscription = Box::new(record);
    let stored = StoredMessage {
        data: long.as_bytes().into(),
        topic_len: 2000,
        forward_len: 0,
        qos: Qos::AtLeastOnce,
        retain: true,
        expires_at_wall_ms: u64::MAX,
        origin: 1,
        body: None,
    };
    let message = Arc::new(Message::restore(stored, NOW));
    let put_subscription = StoreOp::PutSubscription { session, subscription };
    let life = |ops: Vec<StoreOp>| {
        let (mut store, report) = Store::open(&dir.config()).expect("opened");
        let mut found = (0, 0);
        let restored = store.restore(&mut |_| (), &mut |restored| match restored {
            Restored::Session(session) => found.0 += session.subscriptions.len(),
            Restored::Retained(_) => found.1 += 1,
            Restored::Begin { .. } => {}
        });
        assert!(restored.expect("restored").damage.is_empty());
        let (handle, _events) = start(store);
        handle.submit(ShardId(0), batch(1, ops));
        assert!(handle.stop());
        (found, report.damage.len())
    };
    life(vec![put(1), put_subscription, StoreOp::PutRetained { message }]);
    fs::remove_file(dir.0.join("identity")).expect("removed");
    assert_eq!(life(vec![]), ((1, 1), 1));
    let remove = StoreOp::RemoveSubscription { session, filter: long.clone().into() };
    let remove_retained = StoreOp::RemoveRetained { topic: long.into() };
    assert_eq!(life(vec![remove, remove_retained]), ((1, 1), 0));
    assert_eq!(life(vec![]), ((0, 0), 0), "they were removed under the keys that they have");
}
