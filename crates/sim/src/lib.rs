//! The simulator: the second caller of `Shard::step`. It runs a whole broker of several shards with
//! its clients on virtual time, with faults chosen by a seed, and compares what the clients see
//! with what the standard allows. The same seed gives the same run, bit for bit. There are no
//! clocks, sockets or threads in here; the program `martlet-sim` spreads seeds over threads.

#![forbid(unsafe_code)]

pub mod client;
mod crash;
mod evil;
mod finale;
mod host;
pub mod oracle;
mod plan;
mod port;
mod random;
mod run;
mod scripted;
pub mod store;
mod trace;
mod wire;
mod world;

pub use plan::Plan;
pub use random::Random;
pub use run::{Outcome, Run, run_seed};
pub use scripted::{Received, run_script};
pub use store::SimStore;
