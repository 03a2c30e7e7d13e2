//! What a person may want to read about connections and drops: data here, text by `Display`. Must
//! not know where lines go.

use std::fmt;
use std::net::SocketAddr;

use martlet_proto::{DecodeError, ReasonCode, Version};
use martlet_session::server::Violation;

use crate::input::TransportEnd;
use crate::stats::Drop as DropReason;

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something was lost or refused.
    Warning,
    /// The ordinary life of connections.
    Info,
}

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent {
    /// A client was let in.
    Connected {
        /// Who.
        client_id: Box<str>,
        /// From where.
        peer: Option<SocketAddr>,
        /// Speaking what.
        version: Version,
        /// Whether its session was there already.
        resumed: bool,
        /// Keep alive in seconds.
        keep_alive_s: u16,
        /// Seconds its session outlives the connection.
        session_expiry_s: u32,
    },
    /// A client that had been let in is gone.
    Disconnected {
        /// Who.
        client_id: Box<str>,
        /// From where.
        peer: Option<SocketAddr>,
        /// Why.
        cause: Cause,
        /// How long it was connected.
        connected_ms: u64,
    },
    /// A connection ended before it was let in.
    Refused {
        /// From where.
        peer: Option<SocketAddr>,
        /// The identifier it gave, when it came so far.
        client_id: Option<Box<str>>,
        /// Why.
        cause: Cause,
    },
    /// Messages were dropped since the last such line.
    Dropped {
        /// Why.
        reason: DropReason,
        /// How many.
        count: u64,
        /// A client it happened to, when one is known.
        client_id: Option<Box<str>>,
    },
}

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The client said DISCONNECT.
    ByClient(ReasonCode),
    /// The transport ended.
    Transport(TransportEnd),
    /// What came in was no valid packet.
    Malformed(DecodeError),
    /// What came in broke the protocol.
    Violation(Violation),
    /// The server ended it.
    ByServer(ReasonCode),
    /// No CONNECT came in time.
    ConnectTimeout,
}

impl LogEvent {
    /// How much it matters.
    #[must_use]
    pub fn level(&self) -> Level {
        match self {
            Self::Connected { .. } => Level::Info,
            Self::Disconnected { cause, .. } => match cause {
                Cause::ByClient(_) | Cause::Transport(_) => Level::Info,
                Cause::ByServer(ReasonCode::ServerShuttingDown | ReasonCode::SessionTakenOver) => {
                    Level::Info
                }
                _ => Level::Warning,
            },
            Self::Refused { .. } | Self::Dropped { .. } => Level::Warning,
        }
    }
}

/// The far end, or a dash when the transport has none.
struct Peer(Option<SocketAddr>);

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(peer) => peer.fmt(f),
            None => f.write_str("-"),
        }
    }
}

impl fmt::Display for LogEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected {
                client_id,
                peer,
                version,
                resumed,
                keep_alive_s,
                session_expiry_s,
            } => {
                let peer = Peer(*peer);
                let protocol = version_name(*version);
                let session = if *resumed { "resumed" } else { "new" };
                write!(f, "connected {client_id:?} from {peer} mqtt={protocol} session={session}")?;
                write!(f, " keep_alive={keep_alive_s}s expiry=")?;
                match session_expiry_s {
                    &u32::MAX => f.write_str("never"),
                    seconds => write!(f, "{seconds}s"),
                }
            }
            Self::Disconnected { client_id, peer, cause, connected_ms } => {
                let (peer, seconds, ms) = (Peer(*peer), connected_ms / 1000, connected_ms % 1000);
                write!(
                    f,
                    "disconnected {client_id:?} from {peer} after {seconds}.{ms:03}s: {cause}"
                )
            }
            Self::Refused { peer, client_id: Some(client_id), cause } => {
                write!(f, "refused {client_id:?} from {}: {cause}", Peer(*peer))
            }
            Self::Refused { peer, client_id: None, cause } => {
                write!(f, "refused a connection from {}: {cause}", Peer(*peer))
            }
            Self::Dropped { reason, count, client_id } => {
                write!(f, "dropped {count} messages: {}", reason.describe())?;
                client_id.as_ref().map_or(Ok(()), |id| write!(f, " (last for {id:?})"))
            }
        }
    }
}

fn version_name(version: Version) -> &'static str {
    match version {
        Version::V31 => "3.1",
        Version::V311 => "3.1.1",
        Version::V5 => "5.0",
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByClient(ReasonCode::Success) => f.write_str("client disconnected"),
            Self::ByClient(reason) => write!(f, "client disconnected: {}", reason.name()),
            Self::Transport(TransportEnd::Eof) => {
                f.write_str("connection closed by the client without DISCONNECT")
            }
            Self::Transport(TransportEnd::Reset) => f.write_str("connection reset"),
            Self::Transport(TransportEnd::Error) => f.write_str("connection failed"),
            Self::Malformed(error) => {
                write!(f, "{error} [{}] ({})", error.clause(), error.reason().name())
            }
            Self::Violation(violation) => {
                let (what, clause) = (violation.describe(), violation.clause());
                write!(f, "{what} [{clause}] ({})", violation.reason().name())
            }
            Self::ByServer(reason) => write!(f, "closed by the broker: {}", reason.name()),
            Self::ConnectTimeout => f.write_str("no CONNECT came in time"),
        }
    }
}
