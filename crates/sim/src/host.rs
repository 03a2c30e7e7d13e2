//! One shard with what a thread of the broker has around it: a mailbox, connection numbers and the
//! outputs that are still to be carried out. Must not know MQTT, nor what the other hosts do.

use std::collections::VecDeque;

use martlet_engine::store::{StoreBatch, StoreEvent, StoreLoad};
use martlet_engine::{AuthToken, ConnId, Mail, Moved, Outputs, Shard, ShardId, Verdict};

/// Something in a mailbox, in the order in which it was pushed.
#[derive(Debug)]
pub enum Letter {
    /// A batch of another shard.
    Mail(Mail),
    /// A connection of another shard: its wire and what belongs to it.
    Moved(usize, Box<Moved>),
    /// The authentication port has decided.
    Verdict(AuthToken, Verdict),
    /// The store has something to say.
    Store(StoreEvent),
    /// The broker stops.
    Shutdown,
}

/// One thing to carry out. Between two of them other shards may have turns.
#[derive(Debug)]
pub enum Chore {
    /// Hand a batch to the store.
    Store(StoreBatch),
    /// Ask the store.
    Load(StoreLoad),
    /// Push a batch to another shard.
    Mail(ShardId, Mail),
    /// Write a connection's outbox once.
    Write(ConnId),
    /// Write once more and close.
    Close(ConnId),
    /// Hand a connection over.
    Move(ConnId, ShardId, Box<Moved>),
}

/// A shard and its surroundings.
#[derive(Debug)]
pub struct Host {
    /// The shard.
    pub shard: Shard,
    /// What it asks for.
    pub out: Outputs,
    /// What others told it.
    pub mailbox: VecDeque<Letter>,
    /// What is still to be done of the last turn's outputs.
    pub chores: VecDeque<Chore>,
    /// Connections whose transport takes bytes again.
    pub rewrite: Vec<ConnId>,
    /// Another turn is wanted without waiting for anything.
    pub more: bool,
    /// The step of the last turn.
    pub turned: u64,
    /// The time of the last turn's end.
    pub turned_at_ms: u64,
    /// The wire of each connection number.
    wires: Vec<Option<usize>>,
    free: Vec<u32>,
    /// Given back in this turn: not to be used before the next.
    freed: Vec<u32>,
}

impl Host {
    /// A host for a new shard.
    #[must_use]
    pub fn new(shard: Shard) -> Self {
        Self {
            shard,
            out: Outputs::default(),
            mailbox: VecDeque::new(),
            chores: VecDeque::new(),
            rewrite: Vec::new(),
            // The first turn sets the shard's own timers.
            more: true,
            turned: 0,
            turned_at_ms: 0,
            wires: Vec::new(),
            free: Vec::new(),
            freed: Vec::new(),
        }
    }

    /// A number for a new connection over `wire`: the one given back last, if any.
    pub fn number(&mut self, wire: usize) -> ConnId {
        let number = self.free.pop().unwrap_or_else(|| {
            self.wires.push(None);
            (self.wires.len() - 1) as u32
        });
        assert!(self.wires[number as usize].is_none(), "the number is free");
        self.wires[number as usize] = Some(wire);
        ConnId(number)
    }

    /// The wire of a connection.
    #[must_use]
    pub fn wire(&self, conn: ConnId) -> Option<usize> {
        *self.wires.get(conn.0 as usize)?
    }

    /// The connection is gone; its number may be used again from the next turn on.
    pub fn release(&mut self, conn: ConnId) -> Option<usize> {
        let wire = self.wires.get_mut(conn.0 as usize)?.take()?;
        self.freed.push(conn.0);
        Some(wire)
    }

    /// A turn begins: the numbers given back before may be used again.
    pub fn reuse_numbers(&mut self) {
        self.free.append(&mut self.freed);
    }

    /// Whether nothing is left to do, apart from bytes that could be read.
    #[must_use]
    pub fn is_quiet(&self, now_ms: u64) -> bool {
        !self.more
            && self.mailbox.is_empty()
            && self.chores.is_empty()
            && self.rewrite.is_empty()
            && self.shard.next_deadline_ms().is_none_or(|at_ms| at_ms > now_ms)
    }
}
