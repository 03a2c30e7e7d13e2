//! What a shard is told: one enum. Must not know how the caller came by it.

use std::net::SocketAddr;

use crate::auth::{AuthToken, Verdict};
use crate::ids::ConnId;
use crate::mail::Mail;
use crate::moved::Moved;
use crate::store::{Restored, StoreEvent, StoreFigures};

/// One thing that happened. The caller feeds any number of them, then [`Input::TurnEnd`].
#[derive(Debug)]
pub enum Input<'a> {
    /// A transport was accepted. `conn` is not in use: never named before, or named by
    /// `Outputs::close`, `Outputs::moves` or [`Input::Closed`] in an earlier turn.
    Opened {
        /// The caller's number for it.
        conn: ConnId,
        /// The far end, for the log.
        peer: Option<SocketAddr>,
    },
    /// Bytes arrived. All of them are taken; an incomplete packet is kept by the shard, and when
    /// the connection moves to another shard the unread rest travels with it.
    Bytes {
        /// The connection.
        conn: ConnId,
        /// What came in.
        bytes: &'a [u8],
    },
    /// A connection that another shard handed over, under its new number.
    Adopted {
        /// The caller's number for it here.
        conn: ConnId,
        /// What the other shard gave.
        moved: Box<Moved>,
    },
    /// The transport ended by itself. Not given after `Outputs::close` or `Outputs::moves` named
    /// it.
    Closed {
        /// The connection.
        conn: ConnId,
        /// How it ended.
        end: TransportEnd,
    },
    /// The transport took bytes from the front of the outbox.
    Wrote {
        /// The connection.
        conn: ConnId,
        /// How many.
        bytes: usize,
    },
    /// A batch from another shard.
    Mail(Mail),
    /// The answer to an [`crate::AuthRequest`].
    Verdict {
        /// The request's token.
        token: AuthToken,
        /// The answer.
        verdict: Verdict,
    },
    /// Something from the store.
    Store(StoreEvent),
    /// The store's figures, for `$SYS`: to the first shard, from time to time.
    StoreFigures(StoreFigures),
    /// Something of an earlier life, before any other input.
    Restored(Restored),
    /// The broker stops: every client is told and closed.
    Shutdown,
    /// The end of a turn: timers run, pending work is paced on, mail is sealed.
    TurnEnd,
}

/// How a transport ended without the shard asking for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportEnd {
    /// The peer closed its side.
    Eof,
    /// The peer reset the connection.
    Reset,
    /// Reading or writing failed otherwise.
    Error,
}
