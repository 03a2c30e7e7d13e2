//! How shards reach the store thread. Must not know what it does with what it is given.

use std::fmt;
use std::sync::Arc;

use martlet_engine::ShardId;
use martlet_engine::store::{StoreBatch, StoreLoad};

use crate::disk::DiskSnapshot;
use crate::inbox::Shared;
use crate::order::Request;
use crate::stats::StoreStats;

/// The way to a running store, for any thread.
#[derive(Clone)]
pub struct StoreHandle {
    pub(crate) shared: Arc<Shared>,
    pub(crate) identity: u128,
}

impl StoreHandle {
    /// Hands in a batch; [`martlet_engine::store::StoreEvent::Stored`] follows when it is stored.
    pub fn submit(&self, shard: ShardId, batch: StoreBatch) {
        self.shared.push(Request::Batch(shard, batch));
    }

    /// Asks for messages; [`martlet_engine::store::StoreEvent::Loaded`] follows.
    pub fn load(&self, shard: ShardId, load: StoreLoad) {
        self.shared.push(Request::Load(shard, load));
    }

    /// What the store has done so far.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        self.shared.counters.read()
    }

    /// Everything that is committed, at this moment; `None` while the engine is being opened again.
    #[expect(dead_code, reason = "for backups of a running broker")]
    pub(crate) fn disk_snapshot(&self) -> Option<DiskSnapshot> {
        self.shared.snapshot()
    }

    /// The server's own identity: see [`crate::Store::identity`].
    #[must_use]
    pub fn identity(&self) -> u128 {
        self.identity
    }

    /// Makes everything that was handed in durable and ends the thread. On a disk that does not
    /// take it this gives up after ten seconds or so; whether all was done.
    pub fn stop(&self) -> bool {
        self.shared.stop()
    }

    /// Ends the thread as a crash would: what is not stored yet is lost. For tests.
    #[doc(hidden)]
    pub fn abandon(&self) {
        self.shared.abandon();
    }
}

impl fmt::Debug for StoreHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreHandle").finish_non_exhaustive()
    }
}
