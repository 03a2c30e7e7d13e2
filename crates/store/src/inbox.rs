//! What handles and the store thread share: the inbox and the wish to end. Must not know what is
//! done with what is in it.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::disk::{Disk, DiskSnapshot};
use crate::order::Request;
use crate::stats::Counters;
use crate::thread::Ended;

/// How long a stop waits for a disk that does not answer.
pub(crate) const STOP_MAX: Duration = Duration::from_secs(10);

/// See above.
pub(crate) struct Shared {
    inbox: Mutex<Inbox>,
    /// For the thread.
    wake: Condvar,
    /// For those who wait for its end.
    end: Condvar,
    pub(crate) counters: Counters,
}

#[derive(Default)]
struct Inbox {
    requests: Vec<Request>,
    /// Whether the thread waits: only then it has to be woken.
    sleeps: bool,
    /// When to give up while stopping.
    stop: Option<Instant>,
    abandon: bool,
    ended: bool,
    thread: Option<JoinHandle<()>>,
    /// The open engine; there is none while it is being opened again.
    disk: Option<Arc<Disk>>,
}

/// What the thread finds.
pub(crate) struct Taken {
    pub(crate) requests: Vec<Request>,
    /// Nothing more will come that anybody waits for.
    pub(crate) stop: bool,
}

impl Shared {
    pub(crate) fn new() -> Self {
        let (inbox, wake, end) = (Mutex::default(), Condvar::new(), Condvar::new());
        Self { inbox, wake, end, counters: Counters::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a request in. After the end it is dropped: nobody will be answered.
    pub(crate) fn push(&self, request: Request) {
        let mut inbox = self.lock();
        if inbox.ended {
            return;
        }
        inbox.requests.push(request);
        if std::mem::take(&mut inbox.sleeps) {
            drop(inbox);
            self.wake.notify_one();
        }
    }

    /// Everything that was handed in. With `wait` it waits for something, at most for `limit`.
    pub(crate) fn take(&self, wait: bool, limit: Option<Duration>) -> Result<Taken, Ended> {
        let mut inbox = self.lock();
        if wait {
            inbox = self.sleep(inbox, limit, |inbox| !inbox.requests.is_empty());
        }
        if inbox.abandon {
            return Err(Ended);
        }
        let requests = std::mem::take(&mut inbox.requests);
        Ok(Taken { requests, stop: inbox.stop.is_some() })
    }

    /// Waits for a time in which only the end is of interest.
    pub(crate) fn pause(&self, time: Duration) -> Result<(), Ended> {
        let until = Instant::now() + time;
        let mut inbox = self.lock();
        loop {
            let is_late = inbox.stop.is_some_and(|stop| Instant::now() > stop);
            if inbox.abandon || is_late {
                return Err(Ended);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let wait = self.wake.wait_timeout(inbox, left);
            inbox = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn sleep<'a>(
        &'a self,
        mut inbox: MutexGuard<'a, Inbox>,
        limit: Option<Duration>,
        is_enough: impl Fn(&Inbox) -> bool,
    ) -> MutexGuard<'a, Inbox> {
        let until = limit.map(|limit| Instant::now() + limit);
        while !is_enough(&inbox) && inbox.stop.is_none() && !inbox.abandon {
            inbox.sleeps = true;
            inbox = match until {
                None => self.wake.wait(inbox).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    let wait = self.wake.wait_timeout(inbox, left);
                    wait.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        inbox.sleeps = false;
        inbox
    }

    pub(crate) fn started(&self, thread: JoinHandle<()>) {
        self.lock().thread = Some(thread);
    }

    /// The thread's last word.
    pub(crate) fn ended(&self) {
        let mut inbox = self.lock();
        inbox.ended = true;
        inbox.requests.clear();
        inbox.disk = None;
        drop(inbox);
        self.end.notify_all();
    }

    /// See [`crate::StoreHandle::stop`].
    pub(crate) fn stop(&self) -> bool {
        let mut inbox = self.lock();
        let until = *inbox.stop.get_or_insert_with(|| Instant::now() + STOP_MAX);
        self.wake.notify_all();
        // The thread gives up by itself; what is more than that is a call that does not return.
        let limit = until.saturating_duration_since(Instant::now()) + STOP_MAX / 2;
        let wait = self.end.wait_timeout_while(inbox, limit, |inbox| !inbox.ended);
        inbox = wait.unwrap_or_else(PoisonError::into_inner).0;
        let has_ended = inbox.ended;
        let thread = inbox.thread.take().filter(|_| has_ended);
        drop(inbox);
        thread.map_or(has_ended, |thread| thread.join().is_ok())
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

    /// The engine was opened or is about to be closed.
    pub(crate) fn set_disk(&self, disk: Option<Arc<Disk>>) {
        self.lock().disk = disk;
    }

    /// The store as it is; `None` while it is being opened again, or after its end.
    pub(crate) fn snapshot(&self) -> Option<DiskSnapshot> {
        self.lock().disk.as_ref().map(|disk| disk.snapshot())
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
