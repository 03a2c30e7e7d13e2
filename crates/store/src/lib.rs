//! Durable state on disk, behind the engine's store port: formats, group commit, restart, disk
//! trouble. Owns the data directory. Must not know sockets, routing or what a message is for.
//!
//! [`Store::open`] takes the directory, [`Store::restore`] gives back what an earlier life left,
//! [`Store::start`] hands the rest to the store thread. What that promises is the contract of
//! [`martlet_engine::store`].

#![forbid(unsafe_code)]

mod alarm;
mod backup;
mod ballast;
mod check;
mod config;
mod device;
mod disk;
mod flatten;
mod format;
mod group;
mod handle;
mod inbox;
mod journal_scan;
mod known;
mod load;
mod lock;
mod open;
mod order;
mod passport;
mod private;
mod restore;
mod room;
mod salvage;
mod stats;
#[cfg(test)]
mod test_dir;
mod thread;

pub use alarm::{Alarm, Damage};
pub use backup::{
    BackupCounts, BackupDirError, BackupError, RestoreError, backup_dir, restore_backup,
};
pub use check::{CheckError, CheckReport, Problem, StoreCounts, check};
pub use config::{Durability, StoreConfig};
pub use handle::StoreHandle;
pub use open::{Maxima, OpenError, OpenReport, Progress, RestoreReport, Store};
pub use private::keep_files_private;
pub use stats::StoreStats;
