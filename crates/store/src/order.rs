//! The order in which what was handed in takes effect: that of each shard, with the parts of an
//! exchange all at once or not yet. Must not know what a batch does, nor the disk.
//!
//! A part stands in its shard's order like any other batch, and what follows it waits with it: so
//! nothing of a shard is ever durable without what the shard asked for before, and a publisher's
//! messages survive a crash in the order in which they came, whichever shards they went to.

use std::collections::VecDeque;

use martlet_engine::ShardId;
use martlet_engine::store::{StoreBatch, StoreLoad};

use crate::known::Map;

/// What a shard hands in.
#[derive(Debug)]
pub(crate) enum Request {
    Batch(ShardId, StoreBatch),
    Load(ShardId, StoreLoad),
}

/// A request and its place among all.
#[derive(Debug)]
struct Item {
    serial: u64,
    request: Request,
}

/// An exchange of which parts wait.
#[derive(Debug, Default)]
struct Exchange {
    /// Shard and serial number of each.
    parts: Vec<(usize, u64)>,
    /// Parts announced by those that are here.
    announced: u64,
}

impl Exchange {
    fn is_complete(&self) -> bool {
        self.parts.len() as u64 > self.announced
    }
}

/// Requests on their way.
#[derive(Debug, Default)]
pub(crate) struct Order {
    /// What waits, of each shard: nothing while there is no exchange.
    shards: Vec<VecDeque<Item>>,
    exchanges: Map<u64, Exchange>,
    /// What may take effect, in order.
    ready: VecDeque<Request>,
    serial: u64,
}

impl Order {
    /// Takes requests in the order in which they were handed in.
    pub(crate) fn extend(&mut self, requests: impl IntoIterator<Item = Request>) {
        for request in requests {
            self.push(request);
        }
        self.release();
    }

    fn push(&mut self, request: Request) {
        let (shard, join) = match &request {
            Request::Batch(shard, batch) => (shard, batch.join),
            Request::Load(shard, _) => (shard, None),
        };
        if self.exchanges.is_empty() && join.is_none() {
            self.ready.push_back(request);
            return;
        }
        let shard = usize::from(shard.0);
        self.serial += 1;
        if let Some(join) = join {
            let exchange = self.exchanges.entry(join.id).or_default();
            exchange.parts.push((shard, self.serial));
            exchange.announced += u64::from(join.children);
        }
        if self.shards.len() <= shard {
            self.shards.resize_with(shard + 1, VecDeque::new);
        }
        self.shards[shard].push_back(Item { serial: self.serial, request });
    }

    /// Moves what may take effect: of each shard as much as there is before the first part of an
    /// exchange that is incomplete, or that has a part behind such a one.
    fn release(&mut self) {
        if self.exchanges.is_empty() {
            return;
        }
        // The first serial number of each shard that has to wait.
        let mut limits = vec![u64::MAX; self.shards.len()];
        loop {
            let mut changed = false;
            for exchange in self.exchanges.values() {
                let waits = !exchange.is_complete()
                    || exchange.parts.iter().any(|(shard, serial)| *serial >= limits[*shard]);
                for (shard, serial) in exchange.parts.iter().filter(|_| waits) {
                    changed |= *serial < limits[*shard];
                    limits[*shard] = limits[*shard].min(*serial);
                }
            }
            if !changed {
                break;
            }
        }
        let mut released: Vec<Item> = Vec::new();
        for (queue, limit) in self.shards.iter_mut().zip(&limits) {
            let count = queue.partition_point(|item| item.serial < *limit);
            released.extend(queue.drain(..count));
        }
        released.sort_unstable_by_key(|item| item.serial);
        for Item { request, .. } in released {
            if let Request::Batch(_, StoreBatch { join: Some(join), .. }) = &request {
                self.exchanges.remove(&join.id);
            }
            self.ready.push_back(request);
        }
    }

    /// The next request. What belongs to one exchange comes within one call of [`Order::extend`]
    /// and is to take effect together.
    pub(crate) fn pop(&mut self) -> Option<Request> {
        self.ready.pop_front()
    }

    /// Whether nothing may take effect now.
    pub(crate) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// No more parts will come: those of incomplete exchanges are dropped, for nobody was told that
    /// they are stored, and nothing waits for them any longer.
    pub(crate) fn drop_incomplete(&mut self) {
        let exchanges = &mut self.exchanges;
        let is_incomplete = |request: &Request| match request {
            Request::Batch(_, StoreBatch { join: Some(join), .. }) => {
                exchanges.get(&join.id).is_none_or(|exchange| !exchange.is_complete())
            }
            _ => false,
        };
        for queue in &mut self.shards {
            queue.retain(|item| !is_incomplete(&item.request));
        }
        exchanges.retain(|_, exchange| exchange.is_complete());
        self.release();
        // Without exchanges nothing is left behind.
        if self.exchanges.is_empty() {
            let mut left: Vec<Item> = self.shards.iter_mut().flat_map(|q| q.drain(..)).collect();
            left.sort_unstable_by_key(|item| item.serial);
            self.ready.extend(left.into_iter().map(|item| item.request));
        }
    }
}

#[cfg(test)]
mod tests {
    use martlet_engine::Now;
    use martlet_engine::store::{Join, StoreToken};

    use super::*;

    fn batch(shard: u16, token: u64, join: Option<(u64, u32)>) -> Request {
        let join = join.map(|(id, children)| Join { id, children });
        let (token, now, ops) = (StoreToken(token), Now::default(), Vec::new());
        Request::Batch(ShardId(shard), StoreBatch { token, join, now, ops })
    }

    fn popped(order: &mut Order) -> Vec<(u16, u64)> {
        let requests = std::iter::from_fn(|| order.pop());
        let batches = requests.map(|request| match request {
            Request::Batch(shard, batch) => (shard.0, batch.token.0),
            Request::Load(shard, _) => (shard.0, 0),
        });
        batches.collect()
    }

    #[test]
    fn what_follows_a_part_waits_with_it_and_others_do_not() {
        let mut order = Order::default();
        order.extend([batch(0, 1, None), batch(0, 2, Some((7, 1))), batch(0, 3, None)]);
        assert_eq!(popped(&mut order), [(0, 1)]);
        order.extend([batch(1, 1, None), batch(2, 1, None)]);
        assert_eq!(popped(&mut order), [(1, 1), (2, 1)]);
        order.extend([batch(1, 2, Some((7, 0))), batch(1, 3, None)]);
        assert_eq!(popped(&mut order), [(0, 2), (0, 3), (1, 2), (1, 3)]);
        order.extend([batch(0, 4, None)]);
        assert_eq!(popped(&mut order), [(0, 4)]);
    }

    #[test]
    fn exchanges_that_cross_each_other_go_together() {
        let mut order = Order::default();
        order.extend([batch(0, 1, Some((7, 1))), batch(1, 1, Some((8, 1)))]);
        order.extend([batch(0, 2, Some((8, 0)))]);
        assert_eq!(popped(&mut order), [], "the second is complete, but behind the first");
        order.extend([batch(1, 2, Some((7, 0)))]);
        assert_eq!(popped(&mut order), [(0, 1), (1, 1), (0, 2), (1, 2)]);
    }

    #[test]
    fn at_the_end_nothing_waits_for_parts_that_never_come() {
        let mut order = Order::default();
        order.extend([batch(0, 1, Some((7, 1))), batch(0, 2, Some((8, 1))), batch(0, 3, None)]);
        order.extend([batch(1, 1, Some((8, 0)))]);
        assert_eq!(popped(&mut order), []);
        order.drop_incomplete();
        assert_eq!(popped(&mut order), [(0, 2), (0, 3), (1, 1)]);
    }
}
