//! Counters of the store. Must not know who shows them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What a store has done since it was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreStats {
    /// Batches that are stored.
    pub batches: u64,
    /// Group commits.
    pub commits: u64,
    /// Operations that batches asked for.
    pub ops: u64,
    /// Records written and removed; less than `ops` where one overtook another.
    pub records: u64,
    /// Bytes of keys and values written.
    pub bytes: u64,
    /// Questions answered.
    pub loads: u64,
    /// Records that could not be read.
    pub damaged: u64,
    /// Times the storage engine was opened again after an error.
    pub reopened: u64,
    /// The longest group commit so far, in microseconds.
    pub commit_max_us: u64,
    /// How long commits have waited in all for tables to be written, in microseconds.
    pub congested_us: u64,
    /// Bytes that the store takes on the disk, as of the last look.
    pub disk_bytes: u64,
    /// Bytes that the file system has left, as of the last look.
    pub free_bytes: u64,
}

macro_rules! counters {
    ($($name:ident),*) => {
        /// The same, shared with the store thread.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $name: AtomicU64),* }

        impl Counters {
            pub(crate) fn read(&self) -> StoreStats {
                StoreStats { $($name: self.$name.load(Relaxed)),* }
            }
        }
    };
}

counters!(
    batches,
    commits,
    ops,
    records,
    bytes,
    loads,
    damaged,
    reopened,
    commit_max_us,
    congested_us,
    disk_bytes,
    free_bytes
);

/// Adds to a counter that only one thread writes.
pub(crate) fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Relaxed) + more, Relaxed);
}

impl Counters {
    pub(crate) fn raise_commit_max(&self, time: std::time::Duration) {
        let time_us = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.commit_max_us.fetch_max(time_us, Relaxed);
    }

    pub(crate) fn set_disk(&self, disk_bytes: u64, free_bytes: u64) {
        self.disk_bytes.store(disk_bytes, Relaxed);
        self.free_bytes.store(free_bytes, Relaxed);
    }
}
