//! What a broker is started with. Must not know where the values come from (command line, files).

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use martlet_engine::{Limits, SHARDS_MAX};
use martlet_store::StoreConfig;

/// About what two turns of full reading produce.
const MAIL_BYTES_MAX: usize = 8 << 20;

/// Everything [`crate::Broker::start`] needs.
#[derive(Debug, Clone)]
pub struct ServeConfig {
    /// Where to listen. Anonymous clients are let in on all of them: whoever fills this in has made
    /// sure that this is meant.
    pub binds: Vec<Bind>,
    /// Threads that serve connections, 1 to [`SHARDS_MAX`].
    pub shards: u16,
    /// The bounds of the core.
    pub limits: Limits,
    /// Where and how durable state is kept; without it everything is in memory only.
    pub store: Option<StoreConfig>,
    /// How often `$SYS` topics are published, in milliseconds; 0 turns them off.
    pub sys_interval_ms: u64,
    /// Bytes of mail that may wait in the mailbox of one shard. A shard that has added more stops
    /// reading its sockets until it has been drained.
    pub mail_bytes_max: usize,
    /// How much is logged.
    pub log_level: LogLevel,
    /// Where it is logged to.
    pub log_target: LogTarget,
}

impl ServeConfig {
    /// The defaults: one shard per core, the core's limits, log lines to standard error.
    #[must_use]
    pub fn new(binds: Vec<Bind>) -> Self {
        Self {
            binds,
            shards: Self::shards_default(),
            limits: Limits::default(),
            store: None,
            sys_interval_ms: 10_000,
            mail_bytes_max: MAIL_BYTES_MAX,
            log_level: LogLevel::Normal,
            log_target: LogTarget::Stderr,
        }
    }

    /// One shard per core that this process may use.
    #[must_use]
    pub fn shards_default() -> u16 {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        u16::try_from(cores).unwrap_or(SHARDS_MAX).min(SHARDS_MAX)
    }
}

/// One address to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bind {
    /// Address and port; port 0 takes a free one.
    pub address: SocketAddr,
    /// Whether the broker does without it where the machine does not have the address (IPv6 turned
    /// off). A port that is taken is an error all the same.
    pub optional: bool,
}

impl Bind {
    /// An address that the broker does not start without.
    #[must_use]
    pub fn required(address: SocketAddr) -> Self {
        Self { address, optional: false }
    }

    /// An address that may be missing on the machine.
    #[must_use]
    pub fn optional(address: SocketAddr) -> Self {
        Self { address, optional: true }
    }
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Only what an operator should look at.
    Quiet,
    /// Also one line per connect and one per disconnect.
    Normal,
    /// Also detail.
    Verbose,
}

/// Where log lines go.
#[derive(Clone)]
pub enum LogTarget {
    /// Standard error, each turn's lines in one write.
    Stderr,
    /// A function that gets whole lines (one or several, each with its end).
    Function(Arc<dyn Fn(&str) + Send + Sync>),
}

impl fmt::Debug for LogTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stderr => "Stderr",
            Self::Function(_) => "Function",
        })
    }
}
