//! The rig of the durability tests: N shards with a scripted store behind them, a virtual clock,
//! transports that behave, and a death after which other shards go on. It owns when turns happen
//! and when the store says what. Must not know what a test expects.

// Clients speak as in the other scripted tests.
#[allow(dead_code)]
#[path = "../../scripted/rig/client.rs"]
mod client;
#[allow(dead_code)]
#[path = "../../scripted/rig/hello.rs"]
mod hello;
#[allow(dead_code)]
#[path = "../../scripted/rig/message.rs"]
mod message;
mod records;
mod store;
mod turn;
#[allow(dead_code)]
#[path = "../../scripted/rig/verbs.rs"]
mod verbs;

use std::collections::{BTreeMap, VecDeque};

use martlet_engine::store::{StoreBatch, StoreEvent, StoreHealth, StoreLoad};
use martlet_engine::{
    ConnId, Mail, Moved, Now, Outputs, Shard, ShardConfig, ShardId, Stats, TransportEnd,
    home_of_partition, partition,
};

pub(crate) use client::{Client, Got};
pub(crate) use hello::{Hello, v5, v311};
pub(crate) use message::{Message, msg};
use store::Store;
pub(crate) use store::{entries_of, joins_of};
pub(crate) use verbs::{options, packet_id};

/// What a shard takes first in a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    Events,
    Clients,
}

/// Something that waits for a shard's next turn.
#[derive(Debug)]
enum Event {
    Mail(Mail),
    Store(StoreEvent),
    Opened(String),
    Adopted(String, Box<Moved>),
    Closed(String, TransportEnd),
    Writable(String),
}

/// One shard and what its loop remembers.
#[derive(Debug)]
struct Node {
    shard: Shard,
    out: Outputs,
    events: VecDeque<Event>,
    conns: BTreeMap<ConnId, String>,
    next_conn: u32,
    more: bool,
}

/// Shards, clients, a store, time.
pub(crate) struct Rig {
    nodes: Vec<Node>,
    now: Now,
    clients: BTreeMap<String, Client>,
    tune: Box<dyn Fn(&mut ShardConfig)>,
    store: Store,
    /// The store does what it is asked for as soon as the shards are quiet.
    auto: bool,
    first: First,
    turns: u64,
    accepted: usize,
    sent: u64,
    /// Packets left unread at the end do not matter.
    lenient: bool,
}

/// Runs the script on one, two and eight shards: the same must happen each time.
pub(crate) fn on_every_size(script: impl Fn(&mut Rig)) {
    on_every_size_with(|_| {}, script);
}

/// The same with limits of its own.
pub(crate) fn on_every_size_with(
    tune: impl Fn(&mut ShardConfig) + Copy + 'static,
    script: impl Fn(&mut Rig),
) {
    on_sizes(&[1, 2, 8], tune, script);
}

/// Runs the script on so many shards each.
pub(crate) fn on_sizes(
    sizes: &[u16],
    tune: impl Fn(&mut ShardConfig) + Copy + 'static,
    script: impl Fn(&mut Rig),
) {
    for shards in sizes {
        for first in [First::Events, First::Clients] {
            let mut rig = Rig::new(*shards, first, Box::new(tune));
            script(&mut rig);
            rig.finish();
        }
    }
}

fn node(shard: u16, shards: u16, tune: &dyn Fn(&mut ShardConfig)) -> Node {
    let mut config = ShardConfig::new(ShardId(shard), shards, 42);
    config.sys_interval_ms = 0;
    config.store = true;
    (config.limits.linger_min_ms, config.limits.linger_ms) = (20, 20);
    tune(&mut config);
    Node {
        shard: Shard::new(config),
        out: Outputs::default(),
        events: VecDeque::new(),
        conns: BTreeMap::new(),
        next_conn: 0,
        more: false,
    }
}

impl Rig {
    fn new(shards: u16, first: First, tune: Box<dyn Fn(&mut ShardConfig)>) -> Self {
        Self {
            nodes: (0..shards).map(|shard| node(shard, shards, &tune)).collect(),
            now: Now { mono_ms: 5_000, wall_ms: 1_700_000_000_000 },
            clients: BTreeMap::new(),
            tune,
            store: Store::new(shards),
            auto: true,
            first,
            turns: 0,
            accepted: 0,
            sent: 0,
            lenient: false,
        }
    }

    /// How many shards there are.
    pub(crate) fn shards(&self) -> usize {
        self.nodes.len()
    }

    /// A name that begins with `prefix` and whose home is the shard `n`, counted round and round.
    pub(crate) fn name_at(&self, prefix: &str, n: usize) -> String {
        let shards = self.nodes.len();
        let wanted = ShardId((n % shards) as u16);
        let mut names = (0..).map(|i: u32| format!("{prefix}{i}"));
        let found = names.find(|name| home_of_partition(partition(name), shards as u16) == wanted);
        found.expect("one in so many")
    }

    /// The shard whose home a name is.
    pub(crate) fn home(&self, name: &str) -> usize {
        usize::from(home_of_partition(partition(name), self.nodes.len() as u16).0)
    }

    /// From now on the store says nothing before it is told to.
    pub(crate) fn hold(&mut self) {
        self.settle();
        self.auto = false;
        let _ = self.store.take_log();
    }

    /// The store does again what it is asked for.
    pub(crate) fn go_on(&mut self) {
        self.auto = true;
        self.settle();
    }

    /// All that was submitted becomes durable, and the shards hear of it. What they submit then
    /// waits.
    pub(crate) fn commit(&mut self) {
        self.settle();
        self.store.commit();
        self.settle();
    }

    /// What one shard has submitted apart from parts of exchanges becomes durable.
    pub(crate) fn commit_shard(&mut self, shard: usize) {
        self.settle();
        self.store.commit_ordinary(shard, usize::MAX);
        self.settle();
    }

    /// The first so many of those batches become durable.
    pub(crate) fn commit_some(&mut self, shard: usize, count: usize) {
        self.settle();
        self.store.commit_ordinary(shard, count);
        self.settle();
    }

    /// What was submitted becomes durable, but the shards do not hear of it: for a kill.
    pub(crate) fn commit_in_silence(&mut self) {
        self.settle();
        self.store.commit();
        self.store.forget_events();
    }

    /// All questions are answered, as of when they were asked or as of now.
    pub(crate) fn answer_loads(&mut self, late: bool) {
        self.settle();
        self.store.answer_all(late);
        self.settle();
    }

    /// One question is answered, counted from the oldest.
    pub(crate) fn answer_load(&mut self, at: usize, late: bool) {
        self.settle();
        self.store.answer(at, late);
        self.settle();
    }

    /// The open questions.
    pub(crate) fn questions(&mut self) -> Vec<StoreLoad> {
        self.settle();
        self.store.questions()
    }

    /// What was asked of the store since the last look, as lines, sorted: shards have no order.
    pub(crate) fn ops(&mut self) -> Vec<String> {
        let mut lines = self.ops_in_order();
        lines.sort();
        lines
    }

    /// The same as it came.
    pub(crate) fn ops_in_order(&mut self) -> Vec<String> {
        self.settle();
        self.store.take_lines()
    }

    /// The batches since the last look.
    pub(crate) fn batches(&mut self) -> Vec<(ShardId, StoreBatch)> {
        self.settle();
        self.store.take_log()
    }

    /// What of the batches is not durable.
    pub(crate) fn pending(&mut self) -> usize {
        self.settle();
        self.store.pending()
    }

    /// What a session has in the store, as lines.
    pub(crate) fn stored(&self, client_id: &str) -> Vec<String> {
        self.store.lines_of(client_id)
    }

    /// The topics that are retained in the store.
    pub(crate) fn stored_retained(&self) -> Vec<String> {
        self.store.retained()
    }

    /// A message of a session cannot be read any more; the store will notice when it is asked.
    pub(crate) fn damage(&mut self, client_id: &str, payload: &str) {
        self.store.damage(client_id, payload);
    }

    /// A message of a session is not there any more, and nobody knows that it was.
    pub(crate) fn lose(&mut self, client_id: &str, payload: &str) {
        self.store.lose(client_id, payload);
    }

    /// How the store is from now on.
    pub(crate) fn set_health(&mut self, health: StoreHealth) {
        self.store.set_health(health);
        self.settle();
    }

    /// The broker dies with all that is not durable, is away for a while and comes back with so
    /// many shards.
    pub(crate) fn kill(&mut self, shards: u16, away_ms: u64) {
        self.now = Now { mono_ms: 1_000, wall_ms: self.now.wall_ms + away_ms };
        self.nodes = (0..shards).map(|shard| node(shard, shards, &self.tune)).collect();
        for client in self.clients.values_mut() {
            client.lose_server();
        }
        self.accepted = 0;
        self.auto = true;
        let restored = self.store.restart(shards, self.first == First::Clients);
        for (n, items) in restored.into_iter().enumerate() {
            for item in items {
                self.step(n, martlet_engine::Input::Restored(item));
            }
        }
        self.nodes.iter_mut().for_each(|node| node.more = true);
        self.settle();
    }

    /// Time passes; every deadline on the way is kept.
    pub(crate) fn advance_ms(&mut self, ms: u64) {
        self.settle();
        let target = self.now.mono_ms + ms;
        loop {
            let deadlines = self.nodes.iter().filter_map(|node| node.shard.next_deadline_ms());
            match deadlines.min() {
                Some(due) if due <= target => self.set_time(due.max(self.now.mono_ms)),
                _ => break,
            }
            self.settle();
        }
        self.set_time(target);
        self.settle();
    }

    /// Seconds pass.
    pub(crate) fn advance_s(&mut self, seconds: u64) {
        self.advance_ms(seconds * 1000);
    }

    fn set_time(&mut self, mono_ms: u64) {
        self.now.wall_ms += mono_ms - self.now.mono_ms;
        self.now.mono_ms = mono_ms;
    }

    /// The counters of all shards together.
    pub(crate) fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        self.nodes.iter().for_each(|node| sum.add(&node.shard.stats()));
        sum
    }

    /// How often messages were dropped for this reason.
    pub(crate) fn dropped(&self, reason: martlet_engine::Drop) -> u64 {
        self.stats().dropped[reason as usize]
    }

    /// Publishes with QoS 1; its receiver is prompt, so the answer is that one's.
    pub(crate) fn publish_later(&mut self, name: &str, topic: &str, payload: &str) {
        self.send_message(name, &msg(topic, payload).qos(1));
    }

    /// The client takes everything again, from the next write on.
    pub(crate) fn read_again(&mut self, name: &str) {
        self.client(name).window = usize::MAX;
    }

    /// Packets that nobody has looked at do not matter in this script.
    pub(crate) fn ignore_the_rest(&mut self) {
        self.lenient = true;
    }

    /// The end of a script: whatever was sent must have been expected.
    fn finish(&mut self) {
        self.settle();
        if self.lenient {
            return;
        }
        for (name, client) in &self.clients {
            assert!(client.inbox_len() == 0, "{name} got what nobody expected: {client:?}");
        }
    }
}

/// The same client with another name for its transport.
pub(crate) fn named(mut hello: Hello, name: &str) -> Hello {
    name.clone_into(&mut hello.name);
    hello
}

impl Client {
    /// The other end died.
    fn lose_server(&mut self) {
        (self.at, self.closed) = (None, true);
        self.to_server.clear();
        self.raw.clear();
    }
}

impl std::fmt::Debug for Rig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rig").field("clients", &self.clients).finish_non_exhaustive()
    }
}

impl Drop for Rig {
    #[allow(clippy::print_stderr)] // which of the runs has failed
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("with {} shards, first {:?}", self.nodes.len(), self.first);
        }
    }
}
