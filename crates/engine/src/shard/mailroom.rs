//! The outgoing mail of a turn: one batch per destination, and one before all others for retained
//! messages. Must not know what is in it.

use crate::ids::ShardId;
use crate::mail::{Mail, MailItem};

/// Batches being filled.
#[derive(Debug)]
pub(super) struct Mailroom {
    own: ShardId,
    batches: Vec<Mail>,
    /// What goes into retained stores.
    retained: Vec<Mail>,
}

impl Mailroom {
    pub(super) fn new(own: ShardId, shards: u16) -> Self {
        let batches = || (0..shards).map(|_| Mail::new(own)).collect();
        Self { own, batches: batches(), retained: batches() }
    }

    /// The batch for another shard.
    #[inline]
    pub(super) fn to(&mut self, shard: ShardId) -> &mut Mail {
        debug_assert_ne!(shard, self.own, "a shard does not write to itself");
        &mut self.batches[usize::from(shard.0)]
    }

    /// The batch for another shard's retained store. It is pushed before every other batch of the
    /// turn: whoever gets a message live finds it in the store as well, if it asks.
    pub(super) fn for_store(&mut self, shard: ShardId) -> &mut Mail {
        debug_assert_ne!(shard, self.own, "a shard does not write to itself");
        &mut self.retained[usize::from(shard.0)]
    }

    /// Adds one item, made anew for each other shard.
    pub(super) fn broadcast(&mut self, mut item: impl FnMut() -> MailItem) {
        for (i, batch) in self.batches.iter_mut().enumerate() {
            if i != usize::from(self.own.0) {
                batch.push(item());
            }
        }
    }

    /// Hands the batches out and starts new ones.
    pub(super) fn seal(&mut self, out: &mut Vec<(ShardId, Mail)>) {
        for batches in [&mut self.retained, &mut self.batches] {
            for (i, batch) in batches.iter_mut().enumerate() {
                if !batch.is_empty() {
                    out.push((ShardId(i as u16), std::mem::replace(batch, Mail::new(self.own))));
                }
            }
        }
    }
}
