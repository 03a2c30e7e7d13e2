//! What a shard asks for. Must not know how it is carried out.

use crate::auth::AuthRequest;
use crate::ids::{ConnId, ShardId};
use crate::log::LogEvent;
use crate::mail::Mail;
use crate::moved::Moved;

/// Everything one turn produced. The caller carries it out after [`crate::Input::TurnEnd`] in this
/// order and empties it: mail, writes, closes, moves, log. Mail first: an acknowledgement that a
/// client sees must mean that what it acknowledges is already in the other shards' mailboxes.
#[derive(Debug, Default)]
pub struct Outputs {
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
