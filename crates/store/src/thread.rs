//! The store thread: takes what all shards have handed in, commits it as one, answers.
//! Must not know formats.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use martlet_engine::ShardId;
use martlet_engine::store::{Loaded, StoreBatch, StoreEvent, StoreLoad};

use crate::alarm::Alarm;
use crate::stats::{Counters, add};

/// How long a stop waits for a disk that does not answer.
pub(crate) const STOP_MAX: Duration = Duration::from_secs(10);

/// Where answers go.
pub(crate) type Events = Arc<dyn Fn(ShardId, StoreEvent) + Send + Sync>;
/// Where words for the log go.
pub(crate) type Alarms = Arc<dyn Fn(Alarm) + Send + Sync>;

/// What a shard hands in.
#[derive(Debug)]
pub(crate) enum Request {
    Batch(ShardId, StoreBatch),
    Load(ShardId, StoreLoad),
}

/// What the thread and its handles share.
pub(crate) struct Shared {
    inbox: Mutex<Inbox>,
    wake: Condvar,
    pub(crate) counters: Counters,
}

#[derive(Debug, Default)]
struct Inbox {
    requests: Vec<Request>,
    stop: bool,
    abandon: bool,
    ended: bool,
    thread: Option<JoinHandle<()>>,
}

impl Shared {
    pub(crate) fn new() -> Self {
        let (inbox, wake, counters) = (Mutex::default(), Condvar::new(), Counters::default());
        Self { inbox, wake, counters }
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn submit(&self, shard: ShardId, batch: StoreBatch) {
        self.push(Request::Batch(shard, batch));
    }

    pub(crate) fn load(&self, shard: ShardId, load: StoreLoad) {
        self.push(Request::Load(shard, load));
    }

    fn push(&self, request: Request) {
        self.lock().requests.push(request);
        self.wake.notify_all();
    }

    pub(crate) fn stop(&self) -> bool {
        let mut inbox = self.lock();
        inbox.stop = true;
        self.wake.notify_all();
        let wait = self.wake.wait_timeout_while(inbox, STOP_MAX, |inbox| !inbox.ended);
        inbox = wait.unwrap_or_else(PoisonError::into_inner).0;
        let ended = inbox.ended;
        let thread = inbox.thread.take().filter(|_| ended);
        drop(inbox);
        if let Some(thread) = thread {
            let _ = thread.join();
        }
        ended
    }

    pub(crate) fn abandon(&self) {
        let mut inbox = self.lock();
        inbox.abandon = true;
        self.wake.notify_all();
        let thread = inbox.thread.take();
        drop(inbox);
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// Starts the thread.
pub(crate) fn start(shared: &Arc<Shared>, events: Events, _alarm: Alarms) {
    let own = Arc::clone(shared);
    let body = move || run(&own, &events);
    let thread = std::thread::Builder::new().name("martlet-store".to_owned()).spawn(body);
    shared.lock().thread = Some(thread.expect("a thread can be made at the start"));
}

fn run(shared: &Shared, events: &Events) {
    loop {
        let mut inbox = shared.lock();
        while inbox.requests.is_empty() && !inbox.stop && !inbox.abandon {
            inbox = shared.wake.wait(inbox).unwrap_or_else(PoisonError::into_inner);
        }
        let requests = std::mem::take(&mut inbox.requests);
        let end = inbox.abandon || (inbox.stop && requests.is_empty());
        inbox.ended = end;
        drop(inbox);
        for request in requests {
            match request {
                Request::Batch(shard, batch) => {
                    add(&shared.counters.batches, 1);
                    events(shard, StoreEvent::Stored(batch.token));
                }
                Request::Load(shard, load) => {
                    add(&shared.counters.loads, 1);
                    events(shard, StoreEvent::Loaded(Box::new(nothing(&load))));
                }
            }
        }
        if end {
            shared.wake.notify_all();
            return;
        }
    }
}

fn nothing(load: &StoreLoad) -> Loaded {
    let (session, from) = (load.session, load.from);
    Loaded { session, from, entries: Vec::new(), damaged: 0, done: true }
}
