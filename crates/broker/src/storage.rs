//! The store at the broker's start and end: it is opened, what it kept is given to the shards, and
//! they are turned until they have nothing left to tell each other. Must not know formats or MQTT.

use std::fmt::Display;
use std::sync::Arc;

use martlet_engine::store::{Restored, StoreBatch, StoreEvent};
use martlet_engine::{Input, Outputs, Shard, ShardId, home_of_partition, partition};
use martlet_store::{Alarm, OpenError, Progress, Store, StoreConfig, StoreHandle};

use crate::clock::Clock;
use crate::config::{LogLevel, LogTarget};
use crate::log::Log;
use crate::mailbox::{Letter, Mailbox};

/// Turns that a start may need at most before the shards have nothing left to tell each other: far
/// beyond what any number of sessions brings about.
const SETTLE_TURNS_MAX: usize = 1_000_000;

/// A start that takes long says how far it is so often.
const PROGRESS_INTERVAL_MS: u64 = 1000;

/// An open store before its thread runs.
#[derive(Debug)]
pub(crate) struct Storage {
    store: Store,
    log: Diary,
    /// What the shards asked for while they were restored.
    early: Vec<(ShardId, StoreBatch)>,
}

/// Lines from outside of any shard.
#[derive(Debug, Clone)]
struct Diary {
    clock: Clock,
    level: LogLevel,
    target: LogTarget,
}

impl Diary {
    fn write(&self, act: impl FnOnce(&mut Log)) {
        let mut log = Log::new(self.level, self.target.clone());
        act(&mut log);
        log.flush();
    }

    fn warn(&self, line: impl Display) {
        self.write(|log| log.warn(self.clock.now(), line));
    }

    fn info(&self, line: impl Display) {
        self.write(|log| log.info(self.clock.now(), line));
    }
}

impl Storage {
    /// Opens the data directory. Damage is set aside and told.
    pub(crate) fn open(
        config: &StoreConfig,
        clock: Clock,
        level: LogLevel,
        target: LogTarget,
    ) -> Result<Self, OpenError> {
        let (store, report) = Store::open(config)?;
        let log = Diary { clock, level, target };
        for damage in report.damage {
            log.warn(damage);
        }
        Ok(Self { store, log, early: Vec::new() })
    }

    /// The server's own identity.
    pub(crate) fn identity(&self) -> u128 {
        self.store.identity()
    }

    /// Gives the shards what they knew in an earlier life. When it returns, each knows what the
    /// others want.
    pub(crate) fn restore(&mut self, shards: &mut [Shard]) -> Result<(), OpenError> {
        let Self { store, log, early } = self;
        let now = log.clock.now();
        let mut out = Outputs::default();
        let maxima = store.maxima();
        for shard in shards.iter_mut() {
            let begin = Restored::Begin {
                session_number_max: maxima.session_number,
                body_counter_max: maxima.body_counter,
            };
            shard.step(now, Input::Restored(begin), &mut out);
        }
        let count = shards.len() as u16;
        let mut told_ms = now.mono_ms;
        let mut tell = |progress: Progress| {
            let at_ms = log.clock.mono_ms();
            if at_ms < told_ms + PROGRESS_INTERVAL_MS {
                return;
            }
            told_ms = at_ms;
            let Progress { sessions, messages, retained } = progress;
            log.info(format_args!(
                "starting: {sessions} sessions, {messages} waiting messages, {retained} retained \
                 messages so far"
            ));
        };
        let report = store.restore(&mut tell, &mut |restored| {
            let home = match &restored {
                Restored::Session(session) => home_of_partition(session.session.partition, count),
                Restored::Retained(message) => home_of_partition(partition(message.topic()), count),
                Restored::Begin { .. } => return,
            };
            let shard = &mut shards[usize::from(home.0)];
            shard.step(now, Input::Restored(restored), &mut out);
        })?;
        for damage in report.damage {
            log.warn(damage);
        }
        let Progress { sessions, messages, retained } = report.total;
        if sessions + retained > 0 {
            log.info(format_args!(
                "restored {sessions} sessions with {messages} waiting messages, and {retained} \
                 retained messages"
            ));
        }
        settle(shards, log, early);
        Ok(())
    }

    /// Starts the store thread. Its events go into the shards' mailboxes.
    pub(crate) fn start(self, mailboxes: Arc<[Mailbox]>) -> StoreHandle {
        let Self { store, log, early } = self;
        let shards = mailboxes.len() as u16;
        let events = move |shard: ShardId, event: StoreEvent| {
            mailboxes[usize::from(shard.0)].post(Letter::Store(event));
        };
        let alarm = move |alarm: Alarm| log.warn(alarm);
        let handle = store.start(Arc::new(events), shards, Arc::new(alarm));
        for (shard, batch) in early {
            handle.submit(shard, batch);
        }
        handle
    }
}

/// Turns the shards until no mail is under way.
fn settle(shards: &mut [Shard], log: &Diary, early: &mut Vec<(ShardId, StoreBatch)>) {
    for _ in 0..SETTLE_TURNS_MAX {
        let now = log.clock.now();
        let mut mail = Vec::new();
        let mut more = false;
        for (shard, id) in shards.iter_mut().zip(0..) {
            let mut out = Outputs::default();
            shard.step(now, Input::TurnEnd, &mut out);
            more |= out.more;
            early.extend(out.store.drain(..).map(|batch| (ShardId(id), batch)));
            mail.append(&mut out.mail);
        }
        if mail.is_empty() && !more {
            return;
        }
        let mut out = Outputs::default();
        for (to, batch) in mail {
            shards[usize::from(to.0)].step(now, Input::Mail(batch), &mut out);
        }
    }
}
