//! A store on a small file system that runs full and gets room again. Needs the right to mount one
//! in a namespace of its own (`unshare -rm`); where that is not given, the test says so and ends.

#![allow(clippy::print_stderr, reason = "says when it cannot be tried")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use martlet_engine::store::{
    EntryTerms, Message, Restored, SessionId, SessionRecord, StoreBatch, StoreEvent, StoreHealth,
    StoreOp, StoreToken, StoredMessage,
};
use martlet_engine::{Now, ShardId};
use martlet_proto::Qos;
use martlet_store::{Durability, Store, StoreConfig, StoreHandle};

const NOW: Now = Now { mono_ms: 0, wall_ms: 0 };
const SESSION: SessionId = SessionId { partition: 3, number: 1 };
/// Where the child finds the small file system.
const CHILD: &str = "MARTLET_STORE_FULL_CHILD";
const LIMIT: Duration = Duration::from_secs(60);
const PER_BATCH: u64 = 50;

struct Bench {
    handle: StoreHandle,
    events: Receiver<StoreEvent>,
    token: u64,
    stored: u64,
    health: StoreHealth,
}

impl Bench {
    fn open(dir: &Path) -> (Self, u64) {
        let config = StoreConfig::new(dir, Durability::Sync);
        let (mut store, report) = Store::open(&config).expect("nobody has it");
        assert!(report.damage.is_empty(), "{report:?}");
        let mut waiting = 0;
        let report = store.restore(&mut |_| (), &mut |item| {
            if let Restored::Session(session) = item {
                waiting = session.waiting.messages;
            }
        });
        let report = report.expect("it can be read");
        assert!(report.damage.is_empty(), "{report:?}");
        let (send, events) = channel();
        let send = std::sync::Mutex::new(send);
        let tell = move |_, event| {
            let _ = send.lock().expect("nobody panics").send(event);
        };
        let handle = store.start(Arc::new(tell), 1, Arc::new(|_| ()));
        (Self { handle, events, token: 0, stored: 0, health: StoreHealth::Healthy }, waiting)
    }

    fn submit(&mut self, ops: Vec<StoreOp>) {
        self.token += 1;
        let batch = StoreBatch { token: StoreToken(self.token), join: None, now: NOW, ops };
        self.handle.submit(ShardId(0), batch);
    }

    /// Takes what the store says until `done`.
    fn wait(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let until = Instant::now() + LIMIT;
        while !done(self) {
            let left = until.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(StoreEvent::Stored(StoreToken(token))) => {
                    assert_eq!(token, self.stored + 1, "in order");
                    self.stored = token;
                }
                Ok(StoreEvent::Health(health)) => {
                    assert_ne!(health, self.health, "said once");
                    self.health = health;
                }
                Ok(StoreEvent::Loaded(_)) => {}
                Err(error) => panic!("{what}: {error}, {:?}", self.handle.stats()),
            }
        }
    }

    /// Puts messages until the store says that it is full; the next free place.
    fn fill(&mut self, mut seq: u64) -> u64 {
        while self.health == StoreHealth::Healthy {
            self.submit((seq..seq + PER_BATCH).map(put).collect());
            seq += PER_BATCH;
            let token = self.token.saturating_sub(4);
            self.wait("while filling", |bench| {
                bench.stored >= token || bench.health != StoreHealth::Healthy
            });
        }
        assert_eq!(self.health, StoreHealth::Full);
        seq
    }
}

fn put(seq: u64) -> StoreOp {
    let mut data = format!("topic{seq}").into_bytes();
    data.resize(200, b'x');
    let stored = StoredMessage {
        data: data.into(),
        topic_len: 5,
        forward_len: 0,
        qos: Qos::AtLeastOnce,
        retain: false,
        expires_at_wall_ms: u64::MAX,
        origin: 1,
        body: None,
    };
    let terms = EntryTerms {
        qos: Qos::AtLeastOnce,
        retain: false,
        subscription_ids: vec![],
        group: None,
        packet_id: None,
    };
    let message = Arc::new(Message::restore(stored, NOW));
    StoreOp::PutEntry { session: SESSION, seq, message, terms: Box::new(terms) }
}

fn remove(from: u64, to: u64) -> Vec<StoreOp> {
    (from..to).map(|seq| StoreOp::RemoveEntry { session: SESSION, seq }).collect()
}

fn put_session() -> StoreOp {
    let client_id = "one".into();
    let record = SessionRecord { client_id, expiry_s: 9, left_at_wall_ms: None, will: None };
    StoreOp::PutSession { session: SESSION, record: Box::new(record) }
}

/// Takes all room that is left.
fn fill_up(path: &Path) {
    use std::io::Write;
    let mut file = std::fs::File::create(path).expect("there is room for a name");
    for size in [1 << 16, 1 << 12] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
}

/// Not a test, but what the test below starts.
#[test]
fn child() {
    let Ok(small) = std::env::var(CHILD) else { return };
    let small = PathBuf::from(small);
    let dir = small.join("data");
    // The store itself fills it, and its messages are taken.
    let (mut bench, _) = Bench::open(&dir);
    bench.submit(vec![put_session()]);
    let full = bench.fill(1);
    let token = bench.token;
    bench.wait("what was handed in is stored all the same", |bench| bench.stored == token);
    for seq in (1..full).step_by(100) {
        bench.submit(remove(seq, (seq + 100).min(full)));
    }
    let token = bench.token;
    bench.wait("after removing", |bench| {
        bench.stored == token && bench.health == StoreHealth::Healthy
    });
    // Somebody else takes the last byte; it fills and is emptied all the same.
    let next = bench.fill_after(full, 20);
    fill_up(&small.join("other"));
    let next = bench.fill(next);
    bench.submit(remove(full, next - 10));
    let token = bench.token;
    bench.wait("with no room at all", |bench| bench.stored == token);
    std::fs::remove_file(small.join("other")).expect("it is ours");
    bench.wait("after the other is gone", |bench| bench.health == StoreHealth::Healthy);
    bench.submit(vec![put(next)]);
    let token = bench.token;
    bench.wait("healthy again", |bench| bench.stored == token);
    bench.handle.abandon();
    let (bench, waiting) = Bench::open(&dir);
    assert_eq!(waiting, 11);
    assert!(bench.handle.stop());
}

impl Bench {
    /// Puts some messages on a healthy disk.
    fn fill_after(&mut self, seq: u64, batches: u64) -> u64 {
        for batch in 0..batches {
            let first = seq + batch * PER_BATCH;
            self.submit((first..first + PER_BATCH).map(put).collect());
        }
        let token = self.token;
        self.wait("on a healthy disk", |bench| bench.stored == token);
        seq + batches * PER_BATCH
    }
}

#[test]
fn says_that_it_is_full_and_heals() {
    let name = format!("martlet-store-full-{}", std::process::id());
    let small = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&small).expect("it can be made");
    let program = std::env::current_exe().expect("this test");
    let mount = "mount -t tmpfs -o size=32m tmpfs \"$1\" || exit 77; exec \"$2\" --exact child \
                 --nocapture";
    let status = Command::new("unshare")
        .args(["-rm", "sh", "-c", mount, "sh"])
        .arg(&small)
        .arg(program)
        .env(CHILD, &small)
        .status();
    let _ = std::fs::remove_dir(&small);
    match status {
        Ok(status) if status.success() => {}
        Ok(status) if [Some(77), Some(1)].contains(&status.code()) => {
            eprintln!("not tried: a file system cannot be mounted here ({status})");
        }
        Err(error) => eprintln!("not tried: {error}"),
        Ok(status) => panic!("{status}"),
    }
}
