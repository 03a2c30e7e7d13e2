//! The real store in a process of its own that is killed at random moments: what it said to be
//! stored is there, and every shard is as it was after one of its batches.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use martlet_engine::store::{Restored, StoreBatch, StoreEvent, StoreLoad, StoreToken};
use martlet_engine::{ShardId, home_of_partition};
use martlet_store::{Durability, Store, StoreConfig};

use crate::SHARDS;
use crate::chance::Chance;
use crate::make::{Desk, Life, NOW};
use crate::model::{Shard, State, read_back};
use crate::real::Real;

/// Tells the child where and in which life it is.
const CHILD: &str = "MARTLET_STORE_KILLED_CHILD";
const LIVES: u64 = 8;
/// Batches under way at most.
const WINDOW: u64 = 64;
/// Lines until the child is killed, at most.
const LINES_MAX: u64 = 400;

/// The batches of one life, the same in the child and in the parent.
struct Plan {
    chance: Chance,
    shards: Vec<Shard>,
    number: u64,
    body: u64,
}

impl Plan {
    fn new(life: u64, states: Vec<State>) -> Self {
        let first = (life + 1) * 1_000_000;
        let shard = |(id, state)| Shard::resume(ShardId(id), state, first);
        let shards = (0..SHARDS).zip(states).map(shard).collect();
        Self { chance: Chance::new(life + 77), shards, number: first, body: first }
    }

    /// The next batch, and whose.
    fn next(&mut self) -> (ShardId, StoreBatch) {
        let shard = &mut self.shards[self.chance.below(u64::from(SHARDS)) as usize];
        let ops = shard.batch(&mut self.chance, &mut self.number, &mut self.body);
        let token = StoreToken(shard.batches());
        (shard.id, StoreBatch { token, join: None, now: NOW, ops })
    }
}

/// What a store holds, by shard.
fn states(dir: &Path) -> Vec<State> {
    let (mut real, restored) = Real::open(dir);
    let life = Life::new(restored);
    let mut desk = Desk::new(&mut real);
    let mut states = vec![State::new(); usize::from(SHARDS)];
    for session in life.sessions {
        let state = read_back(&mut desk, &session);
        let home = home_of_partition(session.session.partition, SHARDS);
        states[usize::from(home.0)].insert(session.session, state);
    }
    states
}

/// Not a test, but what the test below starts.
#[test]
fn child() {
    let Ok(told) = std::env::var(CHILD) else { return };
    let (life, dir) = told.split_once(' ').expect("life and directory");
    let (life, dir) = (life.parse().expect("a number"), PathBuf::from(dir));
    let mut plan = Plan::new(life, states(&dir));
    let config = StoreConfig::new(&dir, Durability::Sync);
    let (mut store, _) = Store::open(&config).expect("nobody else has it");
    store.restore(&mut |_| (), &mut |_: Restored| ()).expect("it can be read");
    let out = Mutex::new(std::io::stdout());
    let stored = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&stored);
    let main = std::thread::current();
    let events = move |shard: ShardId, event| {
        if let StoreEvent::Stored(StoreToken(token)) = event {
            let line = format!("\nstored {} {token}\n", shard.0);
            let mut out = out.lock().expect("nobody panics");
            let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
            count.fetch_add(1, Ordering::SeqCst);
            main.unpark();
        }
    };
    let handle = store.start(Arc::new(events), SHARDS, Arc::new(|alarm| panic!("{alarm}")));
    for submitted in 0_u64.. {
        while submitted >= stored.load(Ordering::SeqCst) + WINDOW {
            std::thread::park_timeout(Duration::from_secs(1));
        }
        let (shard, batch) = plan.next();
        handle.submit(shard, batch);
        if submitted % 50 == 49 {
            let session = crate::make::ONE;
            handle.load(shard, StoreLoad { session, from: 1, messages_max: 9, bytes_max: 9 });
        }
    }
}

#[test]
fn keeps_what_it_said_to_be_stored_when_it_is_killed() {
    let dir = std::env::temp_dir().join(format!("martlet-store-killed-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let mut chance = Chance::new(5);
    let mut before = vec![State::new(); usize::from(SHARDS)];
    for life in 0..LIVES {
        let lines = chance.below(LINES_MAX);
        let (stored, total) = run_and_kill(&dir, life, lines);
        let mut plan = Plan::new(life, before);
        for _ in 0..total + WINDOW + 1 {
            plan.next();
        }
        let found = states(&dir);
        for (shard, (found, stored)) in plan.shards.iter().zip(found.iter().zip(stored)) {
            let allowed = shard.states_from(stored);
            assert!(allowed.contains(found), "life {life}, {:?}, {stored} stored", shard.id);
        }
        before = found;
    }
    let _ = std::fs::remove_dir_all(&dir);
}

/// How many batches the child said to be stored: of each shard, and in all.
fn run_and_kill(dir: &Path, life: u64, lines: u64) -> (Vec<u64>, u64) {
    let program = std::env::current_exe().expect("this test");
    let mut child = Command::new(program)
        .args(["--exact", "killed::child", "--nocapture"])
        .env(CHILD, format!("{life} {}", dir.display()))
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test again");
    let out = BufReader::new(child.stdout.take().expect("piped"));
    let (mut stored, mut total) = (vec![0; usize::from(SHARDS)], 0);
    let mut is_killed = false;
    for line in out.lines() {
        let line = line.expect("text");
        let Some((shard, token)) = line.strip_prefix("stored ").and_then(|it| it.split_once(' '))
        else {
            continue;
        };
        let shard: usize = shard.parse().expect("a shard");
        // The last line may be cut off; then it was not said.
        let Ok(token) = token.parse::<u64>() else { break };
        if token != stored[shard] + 1 {
            assert!(is_killed, "{line} after {}", stored[shard]);
            break;
        }
        stored[shard] = token;
        total += 1;
        if total >= lines && !is_killed {
            child.kill().expect("it runs");
            is_killed = true;
        }
    }
    assert!(is_killed || lines == 0, "the child ended by itself");
    let _ = child.kill();
    child.wait().expect("it was started");
    (stored, total)
}
