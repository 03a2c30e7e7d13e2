//! Measures the store alone, without a broker: `store_load DIR WHAT ...`; without words it says
//! what.
//! Owns workloads and figures; must not know how the store works.
#![allow(clippy::print_stdout, reason = "its purpose")]

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use martlet_engine::store::{
    BodyId, EntryTerms, Message, Restored, SessionId, SessionRecord, StoreBatch, StoreEvent,
    StoreHealth, StoreOp, StoreToken, StoredMessage,
};
use martlet_engine::{Now, PARTITIONS, ShardId};
use martlet_proto::Qos;
use martlet_store::{Durability, Store, StoreConfig, StoreHandle};

const NOW: Now = Now { mono_ms: 5_000, wall_ms: 1_000_000 };
const SHARD: ShardId = ShardId(0);

/// How many batches are stored, and how long the slowest took.
#[derive(Default)]
struct Done {
    stored: Mutex<u64>,
    more: Condvar,
    latencies_us: Mutex<Vec<u32>>,
    full: AtomicBool,
}

struct Bench {
    handle: StoreHandle,
    done: Arc<Done>,
    submitted: Arc<Mutex<Vec<Instant>>>,
    token: u64,
}

impl Bench {
    fn start(store: Store) -> Self {
        let done = Arc::new(Done::default());
        let submitted = Arc::new(Mutex::new(Vec::<Instant>::new()));
        let (own, times) = (Arc::clone(&done), Arc::clone(&submitted));
        let began = Instant::now();
        let events = move |_, event| {
            if let StoreEvent::Health(health) = &event {
                println!("{:?}: {health:?}", began.elapsed());
                own.full.store(*health != StoreHealth::Healthy, Ordering::Relaxed);
            }
            if let StoreEvent::Stored(StoreToken(token)) = event {
                let began = times.lock().unwrap()[token as usize - 1];
                own.latencies_us.lock().unwrap().push(began.elapsed().as_micros() as u32);
                *own.stored.lock().unwrap() = token;
                own.more.notify_one();
            }
        };
        let handle = store.start(Arc::new(events), 1, Arc::new(|alarm| println!("{alarm}")));
        Self { handle, done, submitted, token: 0 }
    }

    /// Hands a batch in when no more than `window` are under way.
    fn submit(&mut self, ops: Vec<StoreOp>, window: u64) {
        self.token += 1;
        self.submitted.lock().unwrap().push(Instant::now());
        let batch = StoreBatch { token: StoreToken(self.token), join: None, now: NOW, ops };
        self.handle.submit(SHARD, batch);
        self.wait(self.token.saturating_sub(window));
    }

    fn wait(&self, token: u64) {
        let stored = self.done.stored.lock().unwrap();
        let _done = self.done.more.wait_while(stored, |stored| *stored < token).unwrap();
    }

    fn finish(self, what: &str, messages: u64, began: Instant, cpu_began: Duration) {
        self.wait(self.token);
        let (wall, cpu) = (began.elapsed(), cpu() - cpu_began);
        let stats = self.handle.stats();
        let mut latencies = std::mem::take(&mut *self.done.latencies_us.lock().unwrap());
        latencies.sort_unstable();
        let at = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize];
        println!(
            "{what}: {:.0} messages/s, CPU {:.2} us/message, batch p50 {} us, p99 {} us, \
             max {} us; {} commits, {} records, {} MB, disk {} MB, \
             longest commit {} us, congested {} us",
            messages as f64 / wall.as_secs_f64(),
            cpu.as_secs_f64() * 1e6 / messages as f64,
            at(0.5),
            at(0.99),
            at(1.0),
            stats.commits,
            stats.records,
            stats.bytes / 1_000_000,
            stats.disk_bytes / 1_000_000,
            stats.commit_max_us,
            stats.congested_us,
        );
        self.handle.stop();
    }
}

/// CPU time of this process.
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    let _ = stat;
    let mut total = Duration::ZERO;
    for task in fs::read_dir("/proc/self/task").unwrap().flatten() {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let ns = text.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0);
        total += Duration::from_nanos(ns);
    }
    total
}

fn rss_mb() -> u64 {
    let text = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096 / 1_000_000
}

fn session(number: u64) -> SessionId {
    SessionId { partition: (number * 7 % u64::from(PARTITIONS)) as u16, number }
}

fn put_session(session: SessionId) -> StoreOp {
    let client_id = format!("client-{}", session.number).into();
    let record = SessionRecord { client_id, expiry_s: 100, left_at_wall_ms: None, will: None };
    StoreOp::PutSession { session, record: Box::new(record) }
}

fn message(topic: &str, bytes: usize, body: Option<BodyId>) -> Arc<Message> {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let mut data = topic.as_bytes().to_vec();
    let mut word = COUNT.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    while data.len() < topic.len() + bytes {
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        data.extend_from_slice(&word.to_le_bytes());
    }
    data.truncate(topic.len() + bytes);
    let topic_len = topic.len() as u32;
    let stored = StoredMessage {
        data: data.into(),
        topic_len,
        forward_len: 0,
        qos: Qos::AtLeastOnce,
        retain: false,
        expires_at_wall_ms: u64::MAX,
        origin: 7,
        body,
    };
    Arc::new(Message::restore(stored, NOW))
}

fn put_entry(session: SessionId, seq: u64, message: Arc<Message>) -> StoreOp {
    let terms = EntryTerms {
        qos: Qos::AtLeastOnce,
        retain: false,
        subscription_ids: vec![],
        group: None,
        packet_id: None,
    };
    StoreOp::PutEntry { session, seq, message, terms: Box::new(terms) }
}

/// Every message is written and removed; `lag` batches later, or in the same one with 0.
fn churn(bench: &mut Bench, messages: u64, per_batch: u64, lag: u64, bytes: usize, shared: u64) {
    let sessions = 1000;
    bench.submit((1..=sessions).map(|number| put_session(session(number))).collect(), 1);
    let batches = messages / per_batch;
    for batch in 0..batches + lag {
        let mut ops = Vec::with_capacity(per_batch as usize * 2);
        if batch < batches {
            for at in batch * per_batch..(batch + 1) * per_batch {
                let body = (shared > 1).then(|| BodyId::new(SHARD, at / shared));
                let seq = at / sessions + 1;
                ops.push(put_entry(
                    session(at % sessions + 1),
                    seq,
                    message("a/topic", bytes, body),
                ));
            }
        }
        if batch >= lag {
            for at in (batch - lag) * per_batch..(batch - lag + 1) * per_batch {
                let (session, seq) = (session(at % sessions + 1), at / sessions + 1);
                ops.push(StoreOp::RemoveEntry { session, seq });
            }
        }
        bench.submit(ops, 2);
    }
}

/// The same at a steady pace: so many batches each millisecond, never waiting for an answer.
fn paced(bench: &mut Bench, messages: u64, per_ms: u64, lag: u64, bytes: usize) {
    let sessions = 1000;
    bench.submit((1..=sessions).map(|number| put_session(session(number))).collect(), 1);
    let began = Instant::now();
    let batches = messages / per_ms;
    for batch in 0..batches + lag {
        let place = |at: u64| (session(at % sessions + 1), at / sessions + 1);
        let mut ops = Vec::with_capacity(per_ms as usize * 2);
        let of = |batch: u64| batch * per_ms..(batch + 1) * per_ms;
        if batch < batches {
            ops.extend(of(batch).map(|at| {
                let (session, seq) = place(at);
                put_entry(session, seq, message("a/topic", bytes, None))
            }));
        }
        if batch >= lag {
            ops.extend(of(batch - lag).map(|at| {
                let (session, seq) = place(at);
                StoreOp::RemoveEntry { session, seq }
            }));
        }
        let due = began + Duration::from_millis(batch);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        bench.submit(ops, u64::MAX);
    }
}

fn fill(bench: &mut Bench, sessions: u64, each: u64, retained: u64, bytes: usize) {
    for number in 1..=sessions {
        let id = session(number);
        let mut ops = vec![put_session(id)];
        ops.extend((1..=each).map(|seq| put_entry(id, seq, message("a/topic", bytes, None))));
        bench.submit(ops, 16);
    }
    for first in (0..retained).step_by(100) {
        let put = |at| StoreOp::PutRetained {
            message: message(&format!("plant/{}/sensor/{at}", at % 977), bytes, None),
        };
        bench.submit((first..(first + 100).min(retained)).map(put).collect(), 16);
    }
}

/// Writes until the disk is full and some more, then removes everything, and says what happens.
fn full(bench: &mut Bench, bytes: usize, file_to_fill: Option<&str>) {
    let one = session(1);
    bench.submit(vec![put_session(one)], 1);
    let began = Instant::now();
    let mut seq = 0;
    let (mut full_at, mut stuck) = (None, 0);
    while stuck < 20 && seq < 2_000_000 {
        if bench.done.full.load(Ordering::Relaxed) {
            // As the broker does: what would have to be stored is refused.
            full_at.get_or_insert(seq);
            stuck += 1;
            std::thread::sleep(Duration::from_millis(100));
            continue;
        }
        bench.token += 1;
        bench.submitted.lock().unwrap().push(Instant::now());
        let ops: Vec<StoreOp> = (0..100)
            .map(|at| put_entry(one, seq + at + 1, message("a/topic", bytes, None)))
            .collect();
        seq += 100;
        let batch = StoreBatch { token: StoreToken(bench.token), join: None, now: NOW, ops };
        bench.handle.submit(SHARD, batch);
        let stored = bench.done.stored.lock().unwrap();
        let wait =
            bench.done.more.wait_timeout_while(stored, Duration::from_millis(300), |stored| {
                *stored < bench.token
            });
        if wait.unwrap().1.timed_out() {
            stuck += 1;
        }
    }
    let stored = *bench.done.stored.lock().unwrap();
    println!(
        "{:?}: {seq} handed in, full at {full_at:?}, {} stored, {:?}",
        began.elapsed(),
        stored * 100,
        bench.handle.stats()
    );
    if let Some(file) = file_to_fill {
        let _ = fs::remove_file(file);
    }
    for first in (1..=seq).step_by(100) {
        let ops = (first..first + 100).map(|seq| StoreOp::RemoveEntry { session: one, seq });
        bench.submit(ops.collect(), u64::MAX);
    }
    let removing = Instant::now();
    while *bench.done.stored.lock().unwrap() < bench.token && removing.elapsed().as_secs() < 20 {
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::sleep(Duration::from_secs(3));
    println!(
        "removed all of it: {} of {} batches stored after {:?}, {:?}",
        *bench.done.stored.lock().unwrap(),
        bench.token,
        removing.elapsed(),
        bench.handle.stats()
    );
    println!("stopped in order: {}", bench.handle.stop());
}

fn open(config: &StoreConfig) -> Store {
    let began = Instant::now();
    let (mut store, report) = Store::open(config).unwrap_or_else(|error| panic!("{error}"));
    let opened = began.elapsed();
    let maxima = store.maxima();
    let numbered = began.elapsed();
    let (mut items, mut kept) = (0_u64, Vec::new());
    let restored = store.restore(&mut |_| (), &mut |item| {
        items += 1;
        if let Restored::Retained(message) = item {
            kept.push(message);
        }
    });
    let restored = restored.unwrap_or_else(|error| panic!("{error}"));
    println!(
        "open {opened:?}, numbers at {numbered:?} {maxima:?}, restored {:?} at {:?}, rss {} MB, \
         {report:?}",
        restored.total,
        began.elapsed(),
        rss_mb()
    );
    store
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let number = |at: usize, or: u64| words.get(at).and_then(|it| it.parse().ok()).unwrap_or(or);
    let [_, dir, what, ..] = &words[..] else {
        println!(
            "store_load DIR churn|elide|fan|paced|fill|full|restore [messages] [per batch] [lag] \
             [bytes]"
        );
        return;
    };
    let interval = std::env::var("INTERVAL_MS").ok().and_then(|ms| ms.parse().ok());
    let durability =
        interval.map_or(Durability::Sync, |ms| Durability::Interval(Duration::from_millis(ms)));
    let config = StoreConfig::new(dir, durability);
    let store = open(&config);
    let mut bench = Bench::start(store);
    let (messages, per_batch) = (number(3, 1_000_000), number(4, 1000));
    let (lag, bytes) = (number(5, 10), number(6, 100) as usize);
    let (began, cpu_began) = (Instant::now(), cpu());
    match what.as_str() {
        "churn" => churn(&mut bench, messages, per_batch, lag, bytes, 1),
        "elide" => churn(&mut bench, messages, per_batch, 0, bytes, 1),
        "fan" => churn(&mut bench, messages, per_batch, lag, bytes, 10),
        "paced" => paced(&mut bench, messages, per_batch, lag, bytes),
        "full" => {
            full(&mut bench, number(3, 200) as usize, words.get(4).map(String::as_str));
            return;
        }
        "fill" => fill(&mut bench, number(3, 10_000), number(4, 100), number(5, 1_000_000), bytes),
        _ => {}
    }
    if bench.token > 0 {
        bench.finish(what, messages, began, cpu_began);
    } else {
        bench.handle.stop();
    }
    println!("rss {} MB", rss_mb());
}
