//! The real store, in a directory that goes with the test.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use martlet_engine::ShardId;
use martlet_engine::store::{Restored, SessionId, StoreBatch, StoreEvent, StoreLoad};
use martlet_store::{Durability, Store, StoreConfig, StoreHandle};

use crate::{SHARDS, Subject};

/// Marks the end of what was submitted: no test has a session of this number.
const LAST: SessionId = SessionId { partition: 0, number: u64::MAX };
/// A test does not hang.
const LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Real {
    dir: PathBuf,
    /// Whether the directory goes with it.
    is_own: bool,
    handle: StoreHandle,
    events: Receiver<(ShardId, StoreEvent)>,
}

fn open(dir: &Path) -> (StoreHandle, Receiver<(ShardId, StoreEvent)>, Vec<Restored>) {
    let (mut store, report) =
        Store::open(&StoreConfig::new(dir, Durability::Sync)).expect("nobody else has it");
    assert!(report.damage.is_empty(), "a crash is no damage: {report:?}");
    let maxima = store.maxima();
    let mut restored = vec![Restored::Begin {
        session_number_max: maxima.session_number,
        body_counter_max: maxima.body_counter,
    }];
    let report = store.restore(&mut |_| (), &mut |item| restored.push(item));
    let report = report.expect("it can be read");
    assert!(report.damage.is_empty() && report.orphans == 0, "a crash is no damage: {report:?}");
    let (send, events) = channel();
    let send = Mutex::new(send);
    let tell = move |shard, event| {
        let _ = send.lock().expect("nobody panics").send((shard, event));
    };
    let handle = store.start(Arc::new(tell), SHARDS, Arc::new(|alarm| panic!("{alarm}")));
    (handle, events, restored)
}

impl Real {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("martlet-store-contract-{}-{count}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&dir);
        let (handle, events, _) = open(&dir);
        Self { dir, is_own: true, handle, events }
    }

    /// The store in a directory that stays.
    pub(crate) fn open(dir: &Path) -> (Self, Vec<Restored>) {
        let (handle, events, restored) = open(dir);
        (Self { dir: dir.to_owned(), is_own: false, handle, events }, restored)
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        self.handle.abandon();
        if self.is_own {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

impl Subject for Real {
    fn submit(&mut self, shard: ShardId, batch: StoreBatch) {
        self.handle.submit(shard, batch);
    }

    fn load(&mut self, shard: ShardId, load: StoreLoad) {
        self.handle.load(shard, load);
    }

    fn settle(&mut self) -> Vec<(ShardId, StoreEvent)> {
        let load = StoreLoad { session: LAST, from: 1, messages_max: 1, bytes_max: 1 };
        // Of a shard of which nothing waits for an exchange: it is answered behind all that can be.
        self.handle.load(ShardId(63), load);
        let mut events = Vec::new();
        loop {
            match self.events.recv_timeout(LIMIT).expect("every question is answered") {
                (_, StoreEvent::Loaded(loaded)) if loaded.session == LAST => return events,
                event => events.push(event),
            }
        }
    }

    fn crash(&mut self) -> Vec<Restored> {
        self.handle.abandon();
        let (handle, events, restored) = open(&self.dir);
        (self.handle, self.events) = (handle, events);
        restored
    }
}
