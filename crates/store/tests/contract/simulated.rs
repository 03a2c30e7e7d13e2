//! The simulated store.

use martlet_engine::ShardId;
use martlet_engine::store::{Restored, StoreBatch, StoreEvent, StoreLoad};
use martlet_sim::{Random, SimStore};

use crate::{SHARDS, Subject};

pub(crate) struct Simulated {
    store: SimStore,
    random: Random,
}

impl Simulated {
    pub(crate) fn new() -> Self {
        Self { store: SimStore::new(SHARDS), random: Random::new(1) }
    }
}

impl Subject for Simulated {
    fn submit(&mut self, shard: ShardId, batch: StoreBatch) {
        self.store.submit(shard, batch);
    }

    fn load(&mut self, shard: ShardId, load: StoreLoad) {
        self.store.load(shard, load);
    }

    fn settle(&mut self) -> Vec<(ShardId, StoreEvent)> {
        self.store.pump();
        self.store.take_events()
    }

    fn crash(&mut self) -> Vec<Restored> {
        self.store.crash(&mut self.random);
        // A home has one shard; what all of them are told is one life.
        let told = self.store.restore(SHARDS, &mut self.random);
        let mut begun = false;
        let is_wanted = |item: &Restored| {
            !matches!(item, Restored::Begin { .. }) || !std::mem::replace(&mut begun, true)
        };
        told.into_iter().flatten().filter(is_wanted).collect()
    }
}
