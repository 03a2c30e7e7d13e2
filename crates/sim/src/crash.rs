//! The death of the broker and the birth of the next one from what the store kept. Must not know
//! what the clients were promised: the oracles are told what came back.

use martlet_engine::store::{Restored, RestoredSession};
use martlet_engine::{Drop, Input};

use crate::random::Random;
use crate::run::Run;
use crate::world::{World, new_hosts};

/// Turns and store steps within which a new broker has to come to rest.
const STEPS_MAX: usize = 100_000;

/// Drops that let a message be missing.
const EXCUSES: [Drop; 5] =
    [Drop::QueueFull, Drop::QueuesFull, Drop::OutboxFull, Drop::QueueOldest, Drop::Damaged];

/// What a crash left.
#[derive(Debug)]
pub(crate) struct Wreck {
    /// The durable sessions.
    pub(crate) sessions: Vec<RestoredSession>,
    /// Nothing that was submitted was lost.
    pub(crate) whole: bool,
    /// When the broker died.
    pub(crate) died_ms: u64,
}

impl World {
    /// Messages that the broker says it dropped because a queue was full or the store damaged, in
    /// this life and the earlier ones.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        let stats = self.hosts.iter().map(|host| host.shard.stats());
        let now: u64 = stats
            .map(|s| EXCUSES.map(|reason| s.dropped[reason as usize]).iter().sum::<u64>())
            .sum();
        self.dropped_before + now
    }

    /// All shards die with their mail and their connections; time passes; new ones are told what
    /// the store kept.
    pub(crate) fn crash(&mut self, down_ms: u64, random: &mut Random) -> Wreck {
        self.step += 1;
        self.life += 1;
        let died_ms = self.time_ms();
        self.dropped_before = self.dropped();
        // What was not even submitted is lost, too.
        let idle = self.hosts.iter().all(|host| host.chores.is_empty());
        for number in std::mem::take(&mut self.live) {
            let wire = &mut self.wires[number];
            let unread = wire.unread_by_client();
            let kept = if random.chance(50) { unread } else { random.below(unread + 1) };
            wire.server_dies(kept);
        }
        self.questions.clear();
        self.log.clear();
        self.births.clear();
        self.hosts.clear();
        let Some(store) = &mut self.store else { unreachable!("without a store nobody crashes") };
        let whole = idle && store.pending() == 0;
        store.crash(random);
        self.now.wall_ms += down_ms;
        // Whatever the clock of the new process shows.
        self.now.mono_ms = random.between(1, 1_000_000_000) as u64;
        let sessions: Vec<RestoredSession> =
            store.sessions().filter_map(|(id, _)| store.session(id)).collect();
        self.known = sessions.iter().map(|session| session.session).collect();
        Wreck { sessions, whole, died_ms }
    }

    /// The new shards learn what the store has.
    pub(crate) fn restore(&mut self, told: Vec<Vec<Restored>>) {
        for (shard, items) in told.into_iter().enumerate() {
            for item in items {
                self.trace.line(self.step, format_args!("shard {shard} restores {item:?}"));
                self.input(shard, Input::Restored(item));
            }
        }
        self.hear_store();
    }
}

impl Run {
    /// The broker dies, and another one takes its place.
    pub(crate) fn crash(&mut self) {
        self.absorb();
        if self.book.failure().is_some() {
            return;
        }
        let shards = self.random.pick(&[1, 2, 2, 3, 3, 8]);
        let down_ms = match self.random.below(4) {
            0 => self.random.between(1_000, 110_000) as u64,
            _ => self.random.between(0, 50) as u64,
        };
        let wreck = self.world.crash(down_ms, &mut self.random);
        let counts = self.world.store.as_ref().map(crate::SimStore::counts);
        let (step, now) = (self.world.step, self.world.time_ms());
        self.world.trace.numbers(&[step, now]);
        let text = format_args!("CRASH; {shards} shards begin at {now} ms; {counts:?}");
        self.world.trace.line(step, text);
        self.book.step = step;
        self.book.now_ms = now;
        self.book.crashed(&wreck);
        self.world.hosts = new_hosts(&self.plan, shards);
        self.book.turned_at_ms = vec![0; usize::from(shards)];
        let told = self.world.store.as_mut().map(|store| store.restore(shards, &mut self.random));
        self.world.restore(told.unwrap_or_default());
        self.recover();
    }

    /// The new broker turns until it is quiet, before it serves. It may die again.
    fn recover(&mut self) {
        let dies = self.random.chance(10);
        for _ in 0..STEPS_MAX {
            if self.book.failure().is_some() {
                return;
            }
            if dies && self.random.chance(10) {
                return self.crash();
            }
            let count = self.world.hosts.len();
            let ready: Vec<usize> =
                (0..count).filter(|shard| self.world.is_runnable(*shard)).collect();
            if ready.is_empty() {
                return self.absorb();
            }
            if self.world.store_is_runnable() && self.random.chance(20) {
                self.world.run_store(&mut self.random);
            } else {
                let shard = self.random.pick(&ready);
                self.world.run(shard, &mut self.random);
            }
            self.absorb();
        }
        self.book.fail("progress", "a new broker never comes to rest".to_owned());
    }
}
