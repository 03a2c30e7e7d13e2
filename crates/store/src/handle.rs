//! How shards reach the store thread. Must not know what it does with what it is given.

use std::fmt;
use std::sync::Arc;

use martlet_engine::ShardId;
use martlet_engine::store::{StoreBatch, StoreLoad};

use crate::stats::StoreStats;
use crate::thread::Shared;

/// The way to a running store, for any thread.
#[derive(Clone)]
pub struct StoreHandle {
    pub(crate) shared: Arc<Shared>,
}

impl StoreHandle {
    /// Hands in a batch; [`martlet_engine::store::StoreEvent::Stored`] follows when it is stored.
    pub fn submit(&self, shard: ShardId, batch: StoreBatch) {
        self.shared.submit(shard, batch);
    }

    /// Asks for messages; [`martlet_engine::store::StoreEvent::Loaded`] follows.
    pub fn load(&self, shard: ShardId, load: StoreLoad) {
        self.shared.load(shard, load);
    }

    /// What the store has done so far.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        self.shared.counters.read()
    }

    /// Makes everything that was handed in durable and ends the thread. Waits at most
    /// [`crate::thread::STOP_MAX`]; whether all was done in that time.
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
