//! The broker core: a pure function of state, time and input.
//!
//! [`Shard::step`] takes one [`Input`] at a time; what it asks for stands in [`Outputs`] after
//! [`Input::TurnEnd`]. There are no sockets, clocks, threads, channels, locks, files or log writers
//! in here: time is an argument, randomness a seed, and whatever acts is the caller. The production
//! loop and the simulator are two callers of the same function.

#![forbid(unsafe_code)]

mod auth;
mod config;
mod connecting;
mod conns;
mod delivery;
mod durable;
mod frame_pool;
mod groups;
mod hashing;
mod ids;
pub mod index;
mod input;
pub mod interest;
mod ledger;
mod log;
mod mail;
mod message;
mod moved;
mod outbox;
mod output;
mod peers;
mod replay;
pub mod retained;
mod sessions;
mod shard;
mod stats;
pub mod store;
mod sys_load;
mod time;
mod timers;
mod will;

pub use auth::{AuthRequest, AuthStep, AuthToken, Verdict};
pub use config::{AuthMode, Limits, QueueFull, ShardConfig};
pub use ids::{ConnId, PARTITIONS, SHARDS_MAX, ShardId, home_of_partition, partition};
pub use input::{Input, TransportEnd};
pub use log::{Cause, Level, LogEvent};
pub use mail::Mail;
pub use message::{Message, MessageFields};
pub use moved::Moved;
pub use outbox::Outbox;
pub use output::Outputs;
pub use shard::Shard;
pub use stats::{Drop, Stats};
pub use time::Now;
