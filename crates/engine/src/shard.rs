//! The broker core: one shard. A thin owner; each kind of event has its own file under `shard/`.
//! Must not know sockets, clocks, threads, channels, files or logging.

mod answer;
mod gates;
mod mailroom;
mod on_ack;
mod on_auth;
mod on_bytes;
mod on_close;
mod on_connect;
mod on_disconnect;
mod on_group;
mod on_mail;
mod on_publish;
mod on_replay;
mod on_restore;
mod on_retain;
mod on_store;
mod on_subscribe;
mod on_sys;
mod on_timer;
mod on_unsubscribe;
mod router;

use crate::config::ShardConfig;
use crate::groups::Groups;
use crate::ids::{ConnId, Homes, SessionKey};
use crate::input::Input;
use crate::outbox::Outbox;
use crate::output::Outputs;
use crate::peers::Peers;
use crate::store::{StoreHealth, StoreToken};
use crate::time::Now;
use gates::Gates;
use mailroom::Mailroom;
use on_auth::AuthDesk;
use on_retain::Retained;
use on_store::Endings;
use on_subscribe::PendingSubscribes;
use on_sys::SysDesk;
use router::Router;

/// Publishers of durable messages stop being read one by one; with so many times as much the whole
/// shard stops.
const AHEAD_FACTOR: usize = 4;

/// One shard of the broker: the sessions whose home it is, their connections, and what it keeps for
/// everybody (retained messages and share groups whose home it is).
///
/// It is driven by one function: [`Shard::step`] with an [`Input`], any number of times, and
/// [`Input::TurnEnd`] at the end of each turn; then the caller carries out the [`Outputs`].
#[derive(Debug)]
pub struct Shard {
    config: ShardConfig,
    homes: Homes,
    peers: Peers,
    router: Router,
    retained: Retained,
    groups: Groups,
    gates: Gates,
    pending: PendingSubscribes,
    endings: Endings,
    mailroom: Mailroom,
    auth: AuthDesk,
    sys: SysDesk,
    /// Sessions with retained messages still to be told.
    replaying: std::collections::VecDeque<SessionKey>,
    /// Numbers the replays and their questions to other shards.
    replay_number: u64,
    /// Connections that were in `Outputs::close`, with their serials: forgotten one turn later.
    doomed: Vec<(ConnId, u32)>,
    /// Connections to be named in `Outputs::close` at the end of this turn.
    closing: Vec<(ConnId, u32)>,
    /// Connections to be named in `Outputs::moves` at the end of this turn.
    moving: Vec<(ConnId, crate::ShardId, Box<crate::Moved>)>,
    /// New connections in the order in which their CONNECT is due.
    connect_deadlines: std::collections::VecDeque<(u64, ConnId, u32)>,
    /// Makes assigned client identifiers unique.
    assigned: u64,
    shutting_down: bool,
    /// A topic that came by alias, while its message passes.
    topic_scratch: String,
}

impl Shard {
    /// An empty shard.
    ///
    /// # Panics
    /// When the configuration names a shard that cannot exist: a bug of the caller.
    #[must_use]
    pub fn new(config: ShardConfig) -> Self {
        let homes = Homes::new(config.shards);
        assert!(config.shard.0 < config.shards, "shard {:?} of {}", config.shard, config.shards);
        Self {
            homes,
            peers: Peers::new(&config),
            router: Router::new(config.seed),
            retained: Retained::new(config.seed),
            groups: Groups::default(),
            gates: Gates::new(config.shard, config.shards),
            pending: PendingSubscribes::default(),
            endings: Endings::default(),
            mailroom: Mailroom::new(config.shard, config.shards),
            auth: AuthDesk::default(),
            sys: SysDesk::new(&config),
            replaying: std::collections::VecDeque::new(),
            replay_number: 0,
            doomed: Vec::new(),
            closing: Vec::new(),
            moving: Vec::new(),
            connect_deadlines: std::collections::VecDeque::new(),
            assigned: 0,
            shutting_down: false,
            topic_scratch: String::new(),
            config,
        }
    }

    /// Takes one input. What it asks for stands in `out` after [`Input::TurnEnd`].
    pub fn step(&mut self, now: Now, input: Input<'_>, out: &mut Outputs) {
        self.peers.now = now;
        match input {
            Input::Bytes { conn, bytes } => self.on_bytes(conn, bytes),
            Input::Wrote { conn, bytes } => self.on_wrote(conn, bytes, out),
            Input::Opened { conn, peer } => self.on_opened(conn, peer, now.mono_ms),
            Input::Adopted { conn, moved } => self.on_adopted(conn, &moved),
            Input::Closed { conn, end } => self.on_closed(conn, end),
            Input::Mail(mail) => self.on_mail(mail),
            Input::Verdict { token, verdict } => self.on_verdict(token, verdict),
            Input::Store(event) => self.on_store(event),
            Input::StoreFigures(figures) => self.sys.store = Some(figures),
            Input::Restored(restored) => self.on_restored(restored),
            Input::Shutdown => self.on_shutdown(),
            Input::TurnEnd => return self.on_turn_end(out),
        }
        if self.peers.ledger.has_kept() {
            self.keep_promises();
        }
    }

    /// When the next [`Input::TurnEnd`] is due at the latest, in monotonic milliseconds.
    #[must_use]
    pub fn next_deadline_ms(&self) -> Option<u64> {
        let connect = self.connect_deadlines.front().map(|(at, ..)| *at);
        let times = [
            self.peers.timers.next_ms(),
            connect,
            self.sys.deadline_ms(),
            self.peers.drops_deadline_ms(),
            self.retained.next_ms(),
            self.peers.lingering_deadline_ms(),
        ];
        times.into_iter().flatten().min()
    }

    /// The unsent bytes of a connection; `None` when there are none, or none that may be sent yet.
    #[inline]
    pub fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox> {
        let conn = self.peers.conns.get_mut(conn)?;
        // The caller may have the number from an earlier connection.
        conn.outbox.as_deref_mut().filter(|_| conn.embargo == StoreToken(0))
    }

    /// Whether so much waits for a store that works that no socket should be read: what needs no
    /// answer would not stop otherwise.
    #[must_use]
    pub fn is_ahead_of_store(&self) -> bool {
        let ledger = &self.peers.ledger;
        ledger.health() == StoreHealth::Healthy
            && ledger.open_bytes() > AHEAD_FACTOR * self.config.limits.unstored_bytes_max
    }

    /// What the shard has counted.
    #[must_use]
    pub fn stats(&self) -> crate::Stats {
        self.current_stats()
    }

    /// Whether the home of this client identifier is this shard.
    #[must_use]
    pub fn is_home_of(&self, client_id: &str) -> bool {
        self.homes.of(client_id) == self.config.shard
    }

    fn on_wrote(&mut self, conn: ConnId, bytes: usize, out: &mut Outputs) {
        if let Some(slot) = self.peers.wrote(conn, bytes) {
            self.peers.feed(slot);
            // Both are asked: the second also notes that the session's replays go on.
            out.more |= self.replays_wait_for(slot) || self.peers.has_dirty();
        }
        // The next turn's end tells the caller, and nothing else may bring that turn about.
        out.more |= self.peers.has_resumed() || self.peers.ledger.has_unsealed();
    }

    fn on_turn_end(&mut self, out: &mut Outputs) {
        if self.is_restoring() {
            self.finish_restore();
        }
        self.forget_doomed();
        self.run_timers();
        self.peers.run_lingering();
        self.run_replays(out);
        self.publish_sys();
        self.acknowledge_interest(out);
        self.keep_promises();
        self.peers.ledger.seal(self.peers.now, out);
        self.doomed.extend_from_slice(&self.closing);
        out.close.extend(self.closing.drain(..).map(|(id, _)| id));
        out.moves.append(&mut self.moving);
        out.auth.append(&mut self.auth.requests);
        self.peers.flush_into(out);
        self.mailroom.seal(&mut out.mail);
    }

    /// Forgets the connections that the caller has closed since they were named.
    fn forget_doomed(&mut self) {
        for (id, serial) in std::mem::take(&mut self.doomed) {
            if self.peers.conns.get(id).is_some_and(|conn| conn.serial == serial) {
                self.peers.remove_conn(id);
            }
        }
    }

    /// Whether this shard would send a message with this topic to another one, and whether that one
    /// has a subscription for it. For the simulator: when no mail is under way, the second implies
    /// the first.
    #[must_use]
    pub fn interest_of(&self, other: &Self, topic: &str) -> (bool, bool) {
        let told = self.router.interested(topic).iter().any(|shard| shard == other.config.shard.0);
        (told, other.router.has_match(topic))
    }

    /// Asserts what must always hold between turns. For debug builds and the simulator: it looks at
    /// everything.
    ///
    /// # Panics
    /// When an invariant is broken: a bug of this crate.
    pub fn check_invariants(&self) {
        self.peers.check_invariants();
        self.router.check_invariants(&self.peers.sessions);
        self.retained.check_invariants();
        self.groups.check_invariants(self.router.shares.subscriptions_len());
    }
}
