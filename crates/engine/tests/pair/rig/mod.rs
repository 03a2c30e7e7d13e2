//! Clients of the client role and N shards with their mailboxes, byte pipes between them, and a
//! clock that is a number. Who is next and how many bytes come at once is drawn from a seed. Must
//! not know what a test expects.

mod client;
mod link;
mod random;
mod turn;
mod verbs;

use std::collections::{BTreeMap, VecDeque};

use martlet_engine::{
    AuthRequest, AuthToken, ConnId, Mail, Moved, Now, Outputs, Shard, ShardConfig, ShardId, Stats,
    TransportEnd, Verdict,
};

pub(crate) use client::{Client, Got, Happened};
pub(crate) use link::{Crossing, Cut, Way};
pub(crate) use verbs::{Q0, Q1, Q2, VERSIONS, fresh, lasting, publication};

use link::Link;
use random::Random;

/// Something that waits for a shard's next turn.
#[derive(Debug)]
enum Event {
    Mail(Mail),
    Opened(usize),
    Adopted(usize, Box<Moved>),
    Closed(usize, TransportEnd),
    Writable(usize),
    Verdict(AuthToken, Verdict),
}

/// One shard and what its loop remembers.
#[derive(Debug)]
struct Node {
    shard: Shard,
    out: Outputs,
    events: VecDeque<Event>,
    /// The transport of each connection.
    conns: BTreeMap<ConnId, usize>,
    /// Numbers that may be used again, with the turn in which they became free.
    free: VecDeque<(u64, ConnId)>,
    next_conn: u32,
    more: bool,
}

/// Shards, clients, transports, time.
#[derive(Debug)]
pub(crate) struct Rig {
    seed: u64,
    random: Random,
    nodes: Vec<Node>,
    now: Now,
    clients: BTreeMap<&'static str, Client>,
    links: Vec<Link>,
    turns: u64,
    /// Each read and write takes so many bytes, and not a random number.
    pub(crate) piece: Option<usize>,
    /// No shard has turns: the broker does not answer.
    pub(crate) broker_hangs: bool,
    /// Questions of the authentication port that have no answer yet, with their shard.
    asked: VecDeque<(usize, AuthRequest)>,
}

/// Seeds of one script on each number of shards.
const SEEDS: u64 = 6;

/// Runs the script on one, two and eight shards with a few seeds each.
pub(crate) fn on_every_size(script: impl Fn(&mut Rig)) {
    on_every_size_with(|_| {}, script);
}

/// The same with limits of its own.
pub(crate) fn on_every_size_with(tune: impl Fn(&mut ShardConfig), script: impl Fn(&mut Rig)) {
    for shards in [1, 2, 8] {
        for seed in 0..SEEDS {
            let mut rig = Rig::new(shards, seed, &tune);
            script(&mut rig);
            rig.finish();
        }
    }
}

impl Rig {
    pub(crate) fn new(shards: u16, seed: u64, tune: impl Fn(&mut ShardConfig)) -> Self {
        let node = |shard| {
            let mut config = ShardConfig::new(ShardId(shard), shards, 42);
            config.sys_interval_ms = 0;
            tune(&mut config);
            Node {
                shard: Shard::new(config),
                out: Outputs::default(),
                events: VecDeque::new(),
                conns: BTreeMap::new(),
                free: VecDeque::new(),
                next_conn: 0,
                more: false,
            }
        };
        Self {
            seed,
            random: Random::new(seed),
            nodes: (0..shards).map(node).collect(),
            now: Now { mono_ms: 5_000, wall_ms: 1_700_000_000_000 },
            clients: BTreeMap::new(),
            links: Vec::new(),
            turns: 0,
            piece: None,
            broker_hangs: false,
            asked: VecDeque::new(),
        }
    }

    /// Time passes; every deadline on the way is kept, the broker's and the clients'.
    pub(crate) fn advance_ms(&mut self, ms: u64) {
        self.settle();
        let target = self.now.mono_ms + ms;
        while let Some(due) = self.next_deadline_ms().filter(|due| *due <= target) {
            self.set_time(due.max(self.now.mono_ms));
            self.tick_clients();
            self.settle();
        }
        self.set_time(target);
        self.settle();
    }

    /// Seconds pass.
    pub(crate) fn advance_s(&mut self, seconds: u64) {
        self.advance_ms(seconds * 1000);
    }

    /// The time on the clock of clients and broker.
    pub(crate) fn now_ms(&self) -> u64 {
        self.now.mono_ms
    }

    fn next_deadline_ms(&self) -> Option<u64> {
        let shards = self.nodes.iter().filter(|_| !self.broker_hangs);
        let clients = self.clients.values().filter(|client| !client.hangs);
        shards
            .filter_map(|node| node.shard.next_deadline_ms())
            .chain(clients.filter_map(|it| it.connection.as_ref()?.next_deadline_ms()))
            .min()
    }

    fn tick_clients(&mut self) {
        let now_ms = self.now.mono_ms;
        for name in self.clients.keys().copied().collect::<Vec<_>>() {
            let client = self.client(name);
            let Some(connection) = client.connection.as_mut().filter(|_| !client.hangs) else {
                continue;
            };
            let mut out = Vec::new();
            let end = connection.tick(now_ms, &mut out).err();
            self.sent_by_client(name, &out, end.is_some());
        }
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

    /// The oldest question of the authentication port.
    pub(crate) fn question(&self) -> &AuthRequest {
        &self.asked.front().expect("the port was asked").1
    }

    /// Answers the oldest question of the authentication port.
    pub(crate) fn judge(&mut self, verdict: Verdict) {
        let (node, request) = self.asked.pop_front().expect("the port was asked");
        self.nodes[node].events.push_back(Event::Verdict(request.token, verdict));
        self.settle();
    }

    /// The end of a script: whatever was reported must have been expected.
    pub(crate) fn finish(&mut self) {
        self.settle();
        for (name, client) in &self.clients {
            assert!(client.events.is_empty(), "{name}: nobody expected {:?}", client.events);
        }
        assert!(self.asked.is_empty(), "nobody has answered {:?}", self.asked);
    }
}

impl Drop for Rig {
    #[allow(clippy::print_stderr)] // which of the runs has failed
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("with {} shards, seed {}", self.nodes.len(), self.seed);
        }
    }
}
