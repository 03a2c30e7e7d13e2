//! What a shard asks for. Must not know how it is carried out.

use crate::auth::AuthRequest;
use crate::ids::{ConnId, ShardId};
use crate::log::LogEvent;
use crate::mail::Mail;
use crate::moved::Moved;
use crate::store::{StoreBatch, StoreLoad};

/// Everything one turn produced. The caller carries it out after [`crate::Input::TurnEnd`] in this
/// order and empties it: store, mail, writes, closes, moves, log. Mail before writes: an
/// acknowledgement that a
/// client sees must mean that what it acknowledges is already in the other shards' mailboxes.
#[derive(Debug, Default)]
pub struct Outputs {
    /// Batches for the store, to be submitted in this order before anything else: what other shards
    /// do because of this turn must not reach the store first.
    pub store: Vec<StoreBatch>,
    /// Questions for the store, after the batches.
    pub loads: Vec<StoreLoad>,
    /// Batches to append to the mailboxes of other shards, in this order; at most two a shard.
    pub mail: Vec<(ShardId, Mail)>,
    /// Connections with unsent bytes, each once: write `Shard::outbox` once, then give
    /// [`crate::Input::Wrote`].
    pub dirty: Vec<ConnId>,
    /// Connections to close after what one write takes of their outbox.
    /// One that ended by itself in the same turn ([`crate::Input::Closed`]) may stand here or in
    /// `moves`, too: pass it over.
    pub close: Vec<ConnId>,
    /// Connections to hand to another shard, which gets [`crate::Input::Adopted`].
    pub moves: Vec<(ConnId, ShardId, Box<Moved>)>,
    /// Connections not to read any more.
    pub pause: Vec<ConnId>,
    /// Connections to read again.
    pub resume: Vec<ConnId>,
    /// Questions for the authentication port.
    pub auth: Vec<AuthRequest>,
    /// What a person may want to read.
    pub log: Vec<LogEvent>,
    /// Work is left: run another turn without waiting for anything.
    pub more: bool,
}

impl Outputs {
    /// Forgets everything, keeps the memory.
    pub fn clear(&mut self) {
        self.store.clear();
        self.loads.clear();
        self.mail.clear();
        self.dirty.clear();
        self.close.clear();
        self.moves.clear();
        self.pause.clear();
        self.resume.clear();
        self.auth.clear();
        self.log.clear();
        self.more = false;
    }
}
