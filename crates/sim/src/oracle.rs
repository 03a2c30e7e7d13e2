//! The shadow model: what every client said and saw, and what the broker logged, as intervals of
//! steps. Each family of rules has its own file. Must not know the engine's insides.
//!
//! A client's packet takes effect somewhere between the step in which it was sent and the step in
//! which its answer was read. What certainly held in that interval is required; what may have held
//! is allowed.

mod crash;
mod delivery;
mod ending;
mod limits;
mod message;
mod order;
mod retained;
mod session;
mod shared;
mod waiting;
mod wills;

use std::collections::BTreeMap;
use std::fmt;

use martlet_engine::store::StoreHealth;
use martlet_proto::Version;

pub use crash::Flight;
pub use delivery::{Delivery, forward};
pub use message::{Kind, Message, PAYLOAD_HEAD, payload_id};
pub use session::{ConnectRecord, Credentials, DisconnectRecord, Op, Session, Wanted, WireRecord};
use wills::Will;

/// A point in the run.
pub type Step = u64;

/// After everything.
pub const NEVER: Step = u64::MAX;

/// A rule that was broken, with what is known about it.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The oracle that noticed.
    pub oracle: &'static str,
    /// When.
    pub step: Step,
    /// What.
    pub text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at step {}: {}", self.oracle, self.step, self.text)
    }
}

/// What the model knows of a client.
#[derive(Debug)]
pub struct ClientRecord {
    /// Its identifier.
    pub id: String,
    /// Its protocol.
    pub version: Version,
    /// The largest packet it takes.
    pub packet_size_max: usize,
    /// Its Receive Maximum.
    pub receive_max: usize,
    /// Its Topic Alias Maximum.
    pub alias_max: u16,
    /// The session it has at the broker.
    pub session: Option<usize>,
    /// The wire over which it is connected, by the broker's log.
    pub connected: Option<usize>,
    /// When its session ends, while it is not connected.
    pub expires_at_ms: u64,
    /// When it has surely ended.
    pub gone_at_ms: u64,
    /// The store does not know when its connection ended: that was with the broker.
    pub unwritten: bool,
}

/// The model.
#[derive(Debug, Default)]
pub struct Book {
    /// Every message there ever was; the number is the index.
    pub messages: Vec<Message>,
    /// Every session there ever was.
    pub sessions: Vec<Session>,
    /// What is known of each wire; nothing of those of evil clients.
    pub wires: BTreeMap<usize, WireRecord>,
    /// The clients.
    pub clients: Vec<ClientRecord>,
    /// The current step.
    pub step: Step,
    /// The current time.
    pub now_ms: u64,
    /// The end of the last turn of each shard.
    pub turned_at_ms: Vec<u64>,
    /// The broker was told to stop.
    pub shutting_down: bool,
    /// The broker's limits.
    pub limits: martlet_engine::Limits,
    /// The broker has a store.
    pub store: bool,
    /// There are evil clients.
    pub has_strangers: bool,
    /// When brokers died.
    pub crashes: Vec<Step>,
    health: Vec<(Step, StoreHealth)>,
    wills: Vec<Will>,
    /// Acknowledged messages that may still be in the mail.
    unsettled: Vec<u32>,
    failure: Option<Failure>,
}

impl Book {
    /// A model of a broker of so many shards to which nothing has happened.
    #[must_use]
    pub fn new(clients: Vec<ClientRecord>, shards: usize, limits: martlet_engine::Limits) -> Self {
        Self { clients, turned_at_ms: vec![0; shards], limits, ..Self::default() }
    }

    /// Notes the first broken rule.
    pub fn fail(&mut self, oracle: &'static str, text: String) {
        if self.failure.is_none() {
            self.failure = Some(Failure { oracle, step: self.step, text });
        }
    }

    /// The first broken rule, if any.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// No shard has anything to do: what was acknowledged before has reached every session.
    pub fn on_quiet(&mut self) {
        for id in std::mem::take(&mut self.unsettled) {
            let message = &mut self.messages[id as usize];
            message.settled = self.step;
            message.over = message.over.min(self.step);
        }
        self.settle_wills();
    }

    /// The client's session for now, by the broker's log.
    #[must_use]
    pub fn session_of(&self, wire: usize) -> Option<usize> {
        self.wires.get(&wire)?.session
    }
}
