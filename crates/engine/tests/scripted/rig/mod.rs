//! The rig of the scripted tests: N shards with mailboxes in order, a virtual clock, and transports
//! that behave. It owns when turns happen and carries out what they ask for, in the documented
//! order. Must not know what a test expects.

mod client;
mod hello;
mod message;
mod turn;
mod verbs;

use std::collections::{BTreeMap, VecDeque};

use martlet_engine::{
    AuthMode, AuthRequest, ConnId, LogEvent, Mail, Moved, Now, Outputs, Shard, ShardConfig,
    ShardId, Stats, TransportEnd, Verdict,
};

pub(crate) use client::{Client, Got};
pub(crate) use hello::{Hello, v5, v31, v311};
pub(crate) use message::{Message, msg};
pub(crate) use verbs::{options, packet_id};

/// How the bytes of a client reach its shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Chunks {
    /// As they were sent.
    Whole,
    /// One by one: no packet is ever whole when it comes.
    Single,
}

/// What a shard takes first in a turn. Both happen: mail that comes while a turn runs waits for the
/// next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    Mail,
    Clients,
}

/// Something that waits for a shard's next turn.
#[derive(Debug)]
enum Event {
    Mail(Mail),
    Opened(String),
    Adopted(String, Box<Moved>),
    Closed(String, TransportEnd),
    Writable(String),
    Verdict(martlet_engine::AuthToken, Verdict),
    Shutdown,
}

/// One shard and what its loop remembers.
#[derive(Debug)]
struct Node {
    shard: Shard,
    out: Outputs,
    events: VecDeque<Event>,
    conns: BTreeMap<ConnId, String>,
    /// Numbers that may be used again, with the turn in which they became free.
    free: VecDeque<(u64, ConnId)>,
    next_conn: u32,
    more: bool,
}

/// Shards, clients, time.
#[derive(Debug)]
pub(crate) struct Rig {
    nodes: Vec<Node>,
    now: Now,
    clients: BTreeMap<String, Client>,
    chunks: Chunks,
    first: First,
    turns: u64,
    /// Connections are accepted by the shards in turn.
    accepted: usize,
    /// Numbers what clients send, so that it is read in this order.
    sent: u64,
    /// Questions of the authentication port that have no answer yet, with their shard.
    asked: VecDeque<(usize, AuthRequest)>,
    log: Vec<LogEvent>,
    /// Whether packets may be left unread at the end.
    lenient: bool,
}

/// Runs the script on one, two and eight shards, with whole and with split packets: the same must
/// happen each time.
pub(crate) fn on_every_size(script: impl Fn(&mut Rig)) {
    on_every_size_with(|_| {}, script);
}

/// The same with limits of its own.
pub(crate) fn on_every_size_with(tune: impl Fn(&mut ShardConfig), script: impl Fn(&mut Rig)) {
    for shards in [1, 2, 8] {
        for (chunks, first) in [
            (Chunks::Whole, First::Mail),
            (Chunks::Whole, First::Clients),
            (Chunks::Single, First::Clients),
        ] {
            let mut rig = Rig::new(shards, chunks, first, &tune);
            script(&mut rig);
            rig.finish();
        }
    }
}

/// For [`on_every_size_with`]: every CONNECT goes to the authentication port.
pub(crate) fn ask_port(config: &mut ShardConfig) {
    config.auth = AuthMode::Port;
}

impl Rig {
    fn new(shards: u16, chunks: Chunks, first: First, tune: &impl Fn(&mut ShardConfig)) -> Self {
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
            nodes: (0..shards).map(node).collect(),
            now: Now { mono_ms: 5_000, wall_ms: 1_700_000_000_000 },
            clients: BTreeMap::new(),
            chunks,
            first,
            turns: 0,
            accepted: 0,
            sent: 0,
            asked: VecDeque::new(),
            log: Vec::new(),
            lenient: false,
        }
    }

    /// How many shards there are.
    pub(crate) fn shards(&self) -> usize {
        self.nodes.len()
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

    /// The log so far, as lines; the log is empty afterwards.
    pub(crate) fn log_lines(&mut self) -> Vec<String> {
        self.log.drain(..).map(|event| event.to_string()).collect()
    }

    /// The broker is told to stop; not yet carried out.
    pub(crate) fn order_shutdown(&mut self) {
        self.nodes.iter_mut().for_each(|node| node.events.push_back(Event::Shutdown));
    }

    /// The oldest question of the authentication port.
    pub(crate) fn question(&mut self) -> AuthRequest {
        self.asked.front().expect("the port was asked").1.clone()
    }

    /// Whether the port has an open question.
    pub(crate) fn is_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Answers the oldest question of the authentication port; carried out with the next turn.
    pub(crate) fn order_verdict(&mut self, verdict: Verdict) {
        let (node, request) = self.asked.pop_front().expect("the port was asked");
        self.nodes[node].events.push_back(Event::Verdict(request.token, verdict));
    }

    /// Answers the oldest question of the authentication port.
    pub(crate) fn judge(&mut self, verdict: Verdict) {
        self.order_verdict(verdict);
        self.settle();
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
            assert!(client.inbox.is_empty(), "{name} got what nobody expected: {client:?}");
        }
    }
}

impl Drop for Rig {
    #[allow(clippy::print_stderr)] // which of the runs has failed
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { nodes, chunks, first, .. } = self;
            eprintln!("with {} shards, packets {chunks:?}, first {first:?}", nodes.len());
        }
    }
}
