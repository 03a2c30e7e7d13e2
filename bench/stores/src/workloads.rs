//! Workloads that are bound by time: what the broker's store thread asks of its engine.
//!
//! Owns their shapes and sizes. `growth` has the one that is bound by count.

use std::collections::VecDeque;
use std::path::Path;
use std::time::{Duration, Instant};

use martlet_bench_meter::Durations;

use crate::Result;
use crate::batch::{Batch, Space, entry_key};
use crate::engines::{Engine, Store};
use crate::figures::{self, Start};

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Each message is put, and removed when it is the oldest of 10,000.
    Churn { commit: u64 },
    /// Each message is put for 10,000 sessions, and removed when it is the oldest of 10.
    FanOut { shared: bool },
    /// The message of one of 10,000 topics is replaced.
    Retained { commit: u64 },
}

/// A workload.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// For the table.
    pub(crate) about: &'static str,
    pub(crate) shape: Shape,
    /// It takes so many times the seconds that were asked for.
    pub(crate) times: u64,
}

const fn churn(name: &'static str, about: &'static str, commit: u64, times: u64) -> Workload {
    Workload { name, about, shape: Shape::Churn { commit }, times }
}

/// All of them, in the order of the table.
pub(crate) const WORKLOADS: &[Workload] = &[
    churn("churn1", "queue, 1 message a commit", 1, 1),
    churn("churn10", "queue, 10 a commit", 10, 1),
    churn("churn100", "queue, 100 a commit", 100, 1),
    churn("churn1000", "queue, 1000 a commit", 1000, 1),
    churn("soak", "queue, 100 a commit, ten times as long", 100, 10),
    Workload {
        name: "fanout",
        about: "1 body and 10,000 references a message and commit; each reference counts",
        shape: Shape::FanOut { shared: true },
        times: 1,
    },
    Workload {
        name: "fanout-inline",
        about: "the same with 10,000 copies of the body",
        shape: Shape::FanOut { shared: false },
        times: 1,
    },
    Workload {
        name: "retained1",
        about: "10,000 retained topics overwritten, 1 a commit",
        shape: Shape::Retained { commit: 1 },
        times: 1,
    },
    Workload {
        name: "retained100",
        about: "10,000 retained topics overwritten, 100 a commit",
        shape: Shape::Retained { commit: 100 },
        times: 1,
    },
];

/// Sessions of the queue workloads.
pub(crate) const SESSIONS: u64 = 1000;
/// Messages that wait for their acknowledgement.
const WINDOW: usize = 10_000;
/// Sessions that want each message.
const FAN_OUT: u64 = 10_000;
/// Messages of the fan-out that wait for their acknowledgements.
const FAN_OUT_WINDOW: u64 = 10;
const TOPICS: u64 = 10_000;
/// What stands in an entry beside the number of its body: QoS, flags, a subscription identifier.
const REFERENCE_BYTES: usize = 16;

/// Numbers and bytes that look random and are the same in every run (xorshift).
pub(crate) struct Random {
    state: u64,
    pool: Vec<u8>,
}

impl Random {
    const POOL_BYTES: u64 = 1 << 20;

    pub(crate) fn new() -> Self {
        let mut random = Self { state: 0x2545_F491_4F6C_DD1D, pool: Vec::new() };
        let words = Self::POOL_BYTES / 8;
        random.pool = (0..words).flat_map(|_| random.next().to_le_bytes()).collect();
        random
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    /// 150 to 220 bytes that do not compress.
    pub(crate) fn value(&mut self) -> &[u8] {
        let number = self.next();
        let (len, from) = (150 + number % 71, (number >> 16) % (Self::POOL_BYTES - 256));
        &self.pool[from as usize..(from + len) as usize]
    }
}

/// Runs a workload on a fresh store and says what it cost.
pub(crate) fn run(workload: &Workload, engine: Engine, folder: &Path, secs: u64) -> Result {
    let mut run = Run {
        store: engine.open(folder)?,
        random: Random::new(),
        batch: Batch::default(),
        window: VecDeque::new(),
        next: 0,
    };
    run.fill(workload.shape)?;
    let start = Start::now(folder)?;
    let mut commits = Durations::default();
    let mut messages = 0;
    while start.elapsed() < Duration::from_secs(secs * workload.times) {
        messages += run.build(workload.shape);
        let before = Instant::now();
        run.store.commit(&run.batch)?;
        commits.note(before.elapsed());
    }
    start.say("", messages)?;
    figures::say_commits(&mut commits);
    figures::say("disk_mb", martlet_bench_meter::disk_bytes(folder)? as f64 / 1e6);
    Ok(())
}

struct Run {
    store: Box<dyn Store>,
    random: Random,
    batch: Batch,
    window: VecDeque<[u8; 18]>,
    next: u64,
}

impl Run {
    /// Brings the store to its steady state.
    fn fill(&mut self, shape: Shape) -> Result {
        match shape {
            Shape::Churn { .. } => {
                while self.window.len() < WINDOW {
                    self.batch.clear();
                    (0..1000).for_each(|_| self.put_entry());
                    self.store.commit(&self.batch)?;
                }
            }
            Shape::FanOut { .. } => {
                for _ in 0..FAN_OUT_WINDOW {
                    self.build(shape);
                    self.store.commit(&self.batch)?;
                }
            }
            Shape::Retained { .. } => {
                self.batch.clear();
                (0..TOPICS).for_each(|topic| self.put_retained(topic));
                self.store.commit(&self.batch)?;
            }
        }
        Ok(())
    }

    /// Fills the batch; returns the messages in it (for a fan-out: the references).
    fn build(&mut self, shape: Shape) -> u64 {
        self.batch.clear();
        match shape {
            Shape::Churn { commit } => {
                for _ in 0..commit {
                    self.put_entry();
                    let oldest = self.window.pop_front().expect("the window is full");
                    self.batch.remove(Space::Entries, &oldest);
                }
                commit
            }
            Shape::FanOut { shared } => {
                self.fan_out(shared);
                FAN_OUT
            }
            Shape::Retained { commit } => {
                for _ in 0..commit {
                    let topic = self.random.next() % TOPICS;
                    self.put_retained(topic);
                }
                commit
            }
        }
    }

    fn put_entry(&mut self) {
        let key = entry_key(self.random.next() % SESSIONS, self.next);
        self.next += 1;
        self.batch.put(Space::Entries, &key, self.random.value());
        self.window.push_back(key);
    }

    fn fan_out(&mut self, shared: bool) {
        let message = self.next;
        self.next += 1;
        let body = self.random.value().to_vec();
        let reference = [&message.to_be_bytes()[..], &body[..REFERENCE_BYTES - 8]].concat();
        if shared {
            self.batch.put(Space::Bodies, &message.to_be_bytes(), &body);
        }
        let value = if shared { &reference } else { &body };
        for session in 0..FAN_OUT {
            self.batch.put(Space::Entries, &entry_key(session, message), value);
        }
        let Some(old) = message.checked_sub(FAN_OUT_WINDOW) else { return };
        for session in 0..FAN_OUT {
            self.batch.remove(Space::Entries, &entry_key(session, old));
        }
        if shared {
            self.batch.remove(Space::Bodies, &old.to_be_bytes());
        }
    }

    fn put_retained(&mut self, topic: u64) {
        let (site, line) = (topic % 10, topic / 10 % 100);
        let topic = format!("site/{site}/line/{line}/device/{topic}/state");
        self.batch.put(Space::Retained, topic.as_bytes(), self.random.value());
    }
}
