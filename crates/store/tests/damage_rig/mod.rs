//! A store with something of every kind in it, written by the real store, and all that can be read
//! of it again. For the tests of damage and of backups. Uses the public interface only.

#![allow(dead_code, reason = "each test uses its part")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use martlet_engine::store::{
    BodyId, EntryTerms, Loaded, Message, Restored, RestoredFlight, RestoredSession, SessionId,
    SessionRecord, StoreBatch, StoreEvent, StoreLoad, StoreOp, StoreToken, StoredEntry,
    StoredMessage, SubscriptionRecord, Waiting, WillRecord,
};
use martlet_engine::{Now, ShardId, partition};
use martlet_proto::{PacketId, Qos};
use martlet_store::{Alarm, Damage, Durability, OpenReport, Store, StoreConfig, StoreHandle};

/// No test waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(60);
const NOW: Now = Now { mono_ms: 1_000, wall_ms: 1_700_000_000_000 };
const SHARD: ShardId = ShardId(0);
const RETAINED_BYTES: usize = 20_000;

/// A folder of its own, removed when dropped.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let nth = NEXT.fetch_add(1, Ordering::Relaxed);
        Self::named(&format!("rig-{}-{nth}", std::process::id()))
    }

    /// One under a name of its own.
    pub(crate) fn named(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("a new folder");
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A copy of another.
    pub(crate) fn copy_of(from: &Path) -> Self {
        let folder = Self::new();
        copy(from, folder.path());
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("made");
    for entry in fs::read_dir(from).expect("listed") {
        let path = entry.expect("listed").path();
        let to = to.join(path.file_name().expect("named"));
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).expect("copied");
        }
    }
}

/// All files of a folder, relative to it.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("listed") {
            let path = entry.expect("listed").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).expect("inside").to_path_buf());
            }
        }
    }
    found.sort();
    found
}

/// A running store.
pub(crate) struct Running {
    pub(crate) handle: StoreHandle,
    events: Receiver<StoreEvent>,
    alarms: Arc<Mutex<Vec<String>>>,
    token: u64,
}

/// Starts what was opened and restored.
pub(crate) fn start(store: Store) -> Running {
    let (to, events) = channel();
    let to = Mutex::new(to);
    let alarms = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&alarms);
    let events_to = move |_, event| {
        let _ = to.lock().expect("sound").send(event);
    };
    let alarm = move |alarm: Alarm| heard.lock().expect("sound").push(alarm.to_string());
    let handle = store.start(Arc::new(events_to), 1, Arc::new(alarm));
    Running { handle, events, alarms, token: 0 }
}

impl Running {
    /// Waits until it is stored.
    pub(crate) fn store(&mut self, ops: Vec<StoreOp>) {
        self.token += 1;
        let token = StoreToken(self.token);
        self.handle.submit(SHARD, StoreBatch { token, join: None, now: NOW, ops });
        loop {
            match self.events.recv_timeout(PATIENCE).expect("an answer") {
                StoreEvent::Stored(stored) if stored == token => return,
                _ => {}
            }
        }
    }

    pub(crate) fn load(&self, load: StoreLoad) -> Loaded {
        self.handle.load(SHARD, load);
        loop {
            if let StoreEvent::Loaded(loaded) =
                self.events.recv_timeout(PATIENCE).expect("an answer")
            {
                return *loaded;
            }
        }
    }

    pub(crate) fn stop(self) -> Vec<String> {
        assert!(self.handle.stop(), "stopped in time");
        self.alarms.lock().expect("sound").clone()
    }
}

fn config(dir: &Path) -> StoreConfig {
    let mut config = StoreConfig::new(dir, Durability::Interval(Duration::from_secs(1)));
    // The disk of a test may be nearly full.
    config.reserve_bytes = 0;
    config
}

fn message(topic: &str, payload: &[u8], body: Option<BodyId>) -> StoredMessage {
    let data = [topic.as_bytes(), payload].concat().into_boxed_slice();
    StoredMessage {
        data,
        topic_len: topic.len() as u32,
        forward_len: 0,
        qos: Qos::ExactlyOnce,
        retain: false,
        expires_at_wall_ms: u64::MAX,
        origin: 7,
        body,
    }
}

/// Bytes that tell where they belong, so that no other message's can be taken for them.
fn payload(name: &str, len: usize) -> Vec<u8> {
    name.bytes().cycle().take(len.max(name.len())).collect()
}

fn put_retained(topic: &str, len: usize) -> StoreOp {
    let message = message(topic, &payload(topic, len), None);
    StoreOp::PutRetained { message: Arc::new(Message::restore(message, NOW)) }
}

/// One retained message goes, the next one comes.
pub(crate) fn swap_retained(nth: u64) -> Vec<StoreOp> {
    let topic = format!("swap/{}", nth.wrapping_sub(1)).into();
    vec![StoreOp::RemoveRetained { topic }, put_retained(&format!("swap/{nth}"), 100)]
}

fn put_entry(session: SessionId, seq: u64, message: StoredMessage, id: Option<u16>) -> StoreOp {
    let terms = EntryTerms {
        qos: Qos::ExactlyOnce,
        retain: seq.is_multiple_of(3),
        subscription_ids: if seq.is_multiple_of(2) { vec![1, 5] } else { Vec::new() },
        group: seq.is_multiple_of(5).then(|| Arc::from("$share/g/t/#")),
        packet_id: id.and_then(PacketId::new),
    };
    let message = Arc::new(Message::restore(message, NOW));
    StoreOp::PutEntry { session, seq, message, terms: Box::new(terms) }
}

fn session(number: u64) -> (SessionId, Box<str>) {
    let client_id = format!("client-{number}");
    (SessionId { partition: partition(&client_id), number }, client_id.into())
}

fn put_session(number: u64) -> Vec<StoreOp> {
    let (session, client_id) = session(number);
    let will = WillRecord {
        message: message(&format!("will/{number}"), b"gone", None),
        delay_s: 60,
        expiry_s: None,
    };
    let will = number.is_multiple_of(4).then(|| Box::new(will));
    let record =
        SessionRecord { client_id, expiry_s: u32::MAX, left_at_wall_ms: Some(NOW.wall_ms), will };
    let mut ops = vec![StoreOp::PutSession { session, record: Box::new(record) }];
    for nth in 0..3 {
        let filter = match nth {
            2 => format!("long/{number}/{}", "x".repeat(1500)),
            nth => format!("t/{number}/{nth}/#"),
        };
        let subscription =
            SubscriptionRecord { filter: filter.into(), options: 2, subscription_id: 0 };
        ops.push(StoreOp::PutSubscription { session, subscription: Box::new(subscription) });
    }
    let packet_id = PacketId::new(number as u16).expect("not 0");
    ops.push(StoreOp::PutIncoming { session, packet_id });
    ops
}

/// Sessions in a filled store.
pub(crate) const SESSIONS: u64 = 12;

/// Fills a new store: first what ends up in tables, then what stays in the journal.
pub(crate) fn fill(dir: &Path) {
    let mut seqs = BTreeMap::new();
    // On a disk that seems full the store empties its journals into tables, however little it is.
    let mut full = config(dir);
    (full.reserve_bytes, full.reserve_part) = (u64::MAX, 1);
    let (store, report) = Store::open(&full).expect("opened");
    assert!(report.damage.is_empty());
    let mut running = start(store);
    for number in 1..=SESSIONS {
        running.store(put_session(number));
    }
    for round in 0..8 {
        running.store(queue(round, &mut seqs));
        running.store(retained(round));
    }
    let until = Instant::now() + PATIENCE;
    while journal_bytes(dir) > 1 << 20 {
        assert!(Instant::now() < until, "the journal is emptied");
        running.store(vec![put_retained("again", 100_000)]);
    }
    running.stop();
    let (store, _) = Store::open(&config(dir)).expect("opened");
    let mut running = start(store);
    running.store(queue(8, &mut seqs));
    running.store(retained(8));
    changes(&mut running);
    let alarms = running.stop();
    assert!(alarms.is_empty(), "{alarms:?}");
}

fn journal_bytes(dir: &Path) -> u64 {
    let journals =
        files(dir).into_iter().filter(|file| file.extension().is_some_and(|e| e == "jnl"));
    journals.map(|file| written_len(&dir.join(file))).sum()
}

/// Without the zeros of reserved space.
fn written_len(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).map_or(0, |metadata| metadata.blocks() * 512)
}

fn retained(round: u64) -> Vec<StoreOp> {
    (0..6).map(|nth| put_retained(&format!("r/{round}/{nth}"), RETAINED_BYTES)).collect()
}

/// Messages for all sessions: small ones, large ones, and one that all share.
fn queue(round: u64, seqs: &mut BTreeMap<u64, u64>) -> Vec<StoreOp> {
    let mut ops = Vec::new();
    let body = BodyId::new(SHARD, round + 1);
    let shared = message("all", &payload(&format!("all/{round};"), 30_000), Some(body));
    for number in 1..=SESSIONS {
        let (session, _) = session(number);
        let seq = seqs.entry(number).or_insert(0);
        for nth in 0..12 {
            *seq += 1;
            let topic = format!("t/{number}/{seq}");
            let len = if nth == 11 { 9_000 } else { 1_500 };
            let message = message(&topic, &payload(&format!("{topic};"), len), None);
            ops.push(put_entry(session, *seq, message, None));
        }
        *seq += 1;
        ops.push(put_entry(session, *seq, shared.clone(), None));
    }
    ops
}

/// What happens to the first messages, in small batches.
fn changes(running: &mut Running) {
    for number in 1..=SESSIONS {
        let (session, _) = session(number);
        let id = |n: u16| PacketId::new(n).expect("not 0");
        running.store(vec![StoreOp::PutFlight { session, seq: 1, packet_id: id(1) }]);
        running.store(vec![
            StoreOp::PutFlight { session, seq: 2, packet_id: id(2) },
            StoreOp::PutRelease { session, seq: 2, packet_id: id(2) },
        ]);
        running.store(vec![StoreOp::RemoveEntry { session, seq: 3 }]);
        running.store(vec![put_retained(&format!("late/{number}"), 100)]);
        running
            .store(vec![StoreOp::RemoveRetained { topic: format!("r/{}/0", number % 9).into() }]);
    }
    let (gone, _) = session(SESSIONS);
    running.store(vec![StoreOp::EndSession { session: gone }]);
    running.store(vec![put_retained(&format!("long/{}", "y".repeat(2000)), 10)]);
}

/// All that a store gives.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Content {
    pub(crate) identity: u128,
    pub(crate) sessions: BTreeMap<u64, RestoredSession>,
    pub(crate) retained: BTreeMap<String, StoredMessage>,
    pub(crate) waiting: BTreeMap<(u64, u64), StoredEntry>,
}

impl Content {
    /// Apart from how many messages wait: that is counted before they are read.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let strip = |content: &Self| {
            let mut content = content.clone();
            content.sessions.values_mut().for_each(|session| session.waiting = Waiting::default());
            content
        };
        strip(self) == strip(other)
    }
}

/// What a store said of itself meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) open: OpenReport,
    pub(crate) restore: Vec<Damage>,
    pub(crate) damaged: u64,
    pub(crate) alarms: Vec<String>,
}

impl Said {
    pub(crate) fn is_silent(&self) -> bool {
        self.open.damage.is_empty()
            && self.restore.is_empty()
            && self.damaged == 0
            && self.alarms.is_empty()
    }
}

/// Opens, restores, starts, reads all queues, writes something, stops.
pub(crate) fn read(dir: &Path, what: &str) -> (Content, Said) {
    read_with(dir, what, || ())
}

/// The same, while something happens to the files of the running store.
pub(crate) fn read_while(dir: &Path, what: &str, happens: impl FnOnce()) -> Said {
    read_with(dir, what, happens).1
}

fn read_with(dir: &Path, what: &str, happens: impl FnOnce()) -> (Content, Said) {
    let (mut store, open) =
        Store::open(&config(dir)).unwrap_or_else(|error| panic!("{what}: {error}"));
    let mut said = Said { open, ..Said::default() };
    let mut content = Content { identity: store.identity(), ..Content::default() };
    let maxima = store.maxima();
    let report = store.restore(&mut |_| (), &mut |restored| match restored {
        Restored::Begin { .. } => panic!("{what}: that is the caller's"),
        Restored::Session(session) => {
            assert!(session.session.number <= maxima.session_number, "{what}");
            let old = content.sessions.insert(session.session.number, *session);
            assert!(old.is_none(), "{what}: a session came twice");
        }
        Restored::Retained(message) => {
            content.retained.insert(message.topic().to_owned(), message);
        }
    });
    let report = report.expect("it can be read");
    said.restore = report.damage;
    let mut running = start(store);
    happens();
    for session in content.sessions.values() {
        let mut from = 1;
        loop {
            let (session, messages_max, bytes_max) = (session.session, 1000, 1 << 20);
            let loaded = running.load(StoreLoad { session, from, messages_max, bytes_max });
            said.damaged += loaded.damaged;
            let last = loaded.entries.last().map(|entry| entry.seq);
            for entry in loaded.entries {
                content.waiting.insert((session.number, entry.seq), entry);
            }
            match last {
                Some(last) if !loaded.done => from = last + 1,
                _ => break,
            }
        }
    }
    let (probe, client_id) = session(SESSIONS + 1);
    let record = SessionRecord { client_id, expiry_s: u32::MAX, left_at_wall_ms: None, will: None };
    running.store(vec![
        StoreOp::PutSession { session: probe, record: Box::new(record) },
        StoreOp::EndSession { session: probe },
    ]);
    said.alarms = running.stop();
    (content, said)
}

/// How many of the things of `whole` are missing or different in `part`; and that `part` has
/// nothing wrong.
pub(crate) fn missing(part: &Content, whole: &Content, what: &str) -> u64 {
    let mut missing = 0;
    for (topic, message) in &part.retained {
        // What was removed, and what removed it is lost, may be back.
        let is_right = match whole.retained.get(topic) {
            Some(right) => message == right,
            None => message.data[message.topic_len as usize..] == payload(topic, RETAINED_BYTES),
        };
        assert!(is_right, "{what}: the wrong message for {topic}");
    }
    missing += whole.retained.keys().filter(|t| !part.retained.contains_key(*t)).count();
    for ((number, seq), entry) in &part.waiting {
        let topic = entry.message.topic();
        if topic != "all" {
            assert_eq!(topic, format!("t/{number}/{seq}"), "{what}: another's message");
        }
        let body = &entry.message.data[topic.len()..];
        let name_len = body.iter().position(|&b| b == b';').expect("a name") + 1;
        let right = payload(std::str::from_utf8(&body[..name_len]).expect("text"), body.len());
        assert!(body == right, "{what}: a wrong message");
    }
    missing += whole.waiting.keys().filter(|k| !part.waiting.contains_key(*k)).count();
    for (number, session) in &whole.sessions {
        let Some(found) = part.sessions.get(number) else {
            missing += 1;
            continue;
        };
        assert_eq!(found.record, session.record, "{what}: session {number}");
        let is_there = |s: &&SubscriptionRecord| found.subscriptions.contains(*s);
        missing +=
            session.subscriptions.len() - session.subscriptions.iter().filter(is_there).count();
        missing += session.incoming.len() - found.incoming.len().min(session.incoming.len());
        let same = |flight: &&RestoredFlight| found.flights.contains(*flight);
        missing += session.flights.len() - session.flights.iter().filter(same).count();
    }
    missing as u64
}
