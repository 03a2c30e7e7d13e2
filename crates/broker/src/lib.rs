//! The broker as a running thing: threads, the loop that feeds each shard, mailboxes, signals,
//! wiring. Decides nothing about MQTT (that is the engine) and knows no system call (that is
//! `martlet-net`).
#![forbid(unsafe_code)]

mod accept;
mod broker;
mod carry;
mod clock;
mod company;
mod config;
mod control;
mod log;
mod mailbox;
mod reads;
mod signals;
mod storage;
mod thread;
mod transports;
mod turn;

pub use broker::{Broker, StartError};
pub use config::{Bind, LogLevel, LogTarget, ServeConfig};
pub use control::{ControlError, backup_from_broker};
pub use martlet_engine::{Limits, QueueFull, SHARDS_MAX};
pub use martlet_net::raise_descriptor_limit;
pub use martlet_store as store;
pub use martlet_store::{Durability, OpenError, StoreConfig};
pub use signals::{Interrupted, Signals};
