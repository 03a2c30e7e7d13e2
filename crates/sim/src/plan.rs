//! What kind of run a seed stands for: how many shards and clients, which faults, which limits.
//! Must not know how a run goes.

use martlet_engine::{Limits, QueueFull};

use crate::random::Random;

/// How a durable broker's store behaves, and how often the broker dies.
#[derive(Debug, Clone)]
pub struct StorePlan {
    /// The broker dies in so many of 1000 steps.
    pub crash_permille: usize,
    /// How often the store does something, beside 45 for the shards.
    pub weight: usize,
    /// It stands still for a while, now and then.
    pub stalls: bool,
    /// It is full or failing for a while, now and then.
    pub sickens: bool,
    /// It loses messages, now and then.
    pub damages: bool,
    /// The monitor has a durable session, so that every message has a durable effect.
    pub monitored: bool,
}

/// The parameters of one run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// Shards of the broker.
    pub shards: u16,
    /// Well-behaved clients, beside the monitor.
    pub clients: usize,
    /// Clients that break every rule.
    pub evil: usize,
    /// Clients that speak the protocol and acknowledge what they like.
    pub unruly: usize,
    /// Random actions of clients before the finale.
    pub acts: usize,
    /// The broker's limits.
    pub limits: Limits,
    /// CONNECTs are judged by the scripted authentication port.
    pub auth_port: bool,
    /// Percent of turns whose outputs are carried out with nothing in between.
    pub atomic_percent: usize,
    /// A shard that gets a turn rarely.
    pub slow_shard: Option<usize>,
    /// Bytes that a transport holds towards a client before it blocks.
    pub pipe_bytes: usize,
    /// Percent of reads that take everything there is.
    pub whole_reads_percent: usize,
    /// Percent of connection ends that are abrupt.
    pub abrupt_percent: usize,
    /// Topic families in use: share groups beside ordinary topics.
    pub shared: bool,
    /// Interval of `$SYS` in milliseconds; 0: off.
    pub sys_interval_ms: u64,
    /// The broker is shut down at the end.
    pub shutdown: bool,
    /// Largest step of time, in milliseconds.
    pub time_step_max_ms: usize,
    /// The broker has a store.
    pub store: Option<StorePlan>,
    /// Check the invariants after each input, not only after each turn.
    pub check_each_input: bool,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x706c_616e);
        let shards = random.pick(&[1, 2, 2, 3, 3, 8]);
        let slow = shards > 1 && random.chance(40);
        let mut plan = Self {
            seed,
            shards,
            clients: random.between(2, 7),
            evil: if random.chance(30) { random.between(1, 2) } else { 0 },
            unruly: usize::from(random.chance(30)),
            acts: random.pick(&[60, 150, 300, 500]),
            limits: limits(&mut random),
            auth_port: random.chance(20),
            atomic_percent: random.pick(&[0, 30, 80, 100]),
            slow_shard: slow.then(|| random.below(usize::from(shards))),
            pipe_bytes: random.pick(&[64, 700, 5_000, 1_000_000]),
            whole_reads_percent: random.pick(&[20, 70, 95]),
            abrupt_percent: random.pick(&[10, 50, 90]),
            shared: random.chance(50),
            sys_interval_ms: if random.chance(15) { 1000 } else { 0 },
            shutdown: random.chance(25),
            time_step_max_ms: random.pick(&[20, 500, 5_000]),
            check_each_input: random.chance(12),
            store: None,
        };
        plan.add_store(&mut Random::new(seed ^ 0x7374_6f72));
        plan
    }

    /// Half of the seeds have a store. The other draws do not depend on it.
    fn add_store(&mut self, random: &mut Random) {
        if random.chance(45) {
            return;
        }
        self.store = Some(StorePlan {
            crash_permille: random.pick(&[0, 2, 4, 10, 30]),
            weight: random.pick(&[3, 15, 40]),
            stalls: random.chance(25),
            sickens: random.chance(20),
            damages: random.chance(5),
            monitored: random.chance(35),
        });
        let limits = &mut self.limits;
        limits.window_messages = random.pick(&[1, 2, 10, 256]);
        limits.window_bytes = random.pick(&[1, 200, 100_000]);
        limits.linger_ms = random.pick(&[0, 1, 20, 1_000]);
        limits.held_max = random.pick(&[1, 3, 4096]);
        limits.unstored_bytes_max = random.pick(&[300, 5_000, 1 << 26]);
        limits.queue_full =
            random.pick(&[QueueFull::DropNew, QueueFull::DropOldest, QueueFull::Refuse]);
        limits.stored_queue_messages_max = random.pick(&[3, 20, 100_000, 100_000, 100_000]);
    }

    /// Whether a queue may come to its bounds.
    #[must_use]
    pub fn bounds_queues(limits: &Limits) -> bool {
        limits.queue_messages_max.min(limits.stored_queue_messages_max) < 1000
    }
}

fn limits(random: &mut Random) -> Limits {
    let defaults = Limits::default();
    // Small enough to be reached by the acknowledgements and messages of a run; the first is the
    // lower.
    let marks = [(100, 200), (100, 3_000), (64 * 1024, 256 * 1024)];
    let (outbox_low_bytes, outbox_pause_bytes) = random.pick(&marks);
    Limits {
        receive_max: random.pick(&[1, 4, 1024]),
        topic_alias_max: random.pick(&[0, 2, 64]),
        in_flight_max: random.pick(&[1, 3, 1024]),
        outbox_low_bytes,
        outbox_pause_bytes,
        replay_budget: random.pick(&[1, 2, 256]),
        queue_messages_max: random.pick(&[5, 100_000, 100_000, 100_000]),
        keep_alive_max_s: random.pick(&[0, 0, 30]),
        session_expiry_max_s: random.pick(&[u32::MAX, u32::MAX, 20]),
        ..defaults
    }
}
