//! The store thread: takes what all shards have handed in, commits it as one, answers. Owns the
//! order in which things happen. Must not know formats.

use std::sync::Arc;
use std::time::{Duration, Instant};

use martlet_engine::ShardId;
use martlet_engine::store::{Join, StoreBatch, StoreEvent, StoreLoad, StoreOp, StoreToken};

use crate::config::Durability;
use crate::device::{Device, Trouble};
use crate::disk::DiskOp;
use crate::flatten::flatten;
use crate::group::Group;
use crate::inbox::{Shared, Taken};
use crate::known::{Known, Map};
use crate::load::answer;
use crate::order::{Order, Request};
use crate::stats::add;

/// Operations after which a group commit is begun even if more is there: bounds the memory of a
/// group and the time until the first of it is answered.
const GROUP_OPS_MAX: usize = 16 << 10;
/// The same in bytes of messages.
const GROUP_BYTES_MAX: usize = 4 << 20;

/// The thread's state.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) device: Device,
    pub(crate) known: Known,
    pub(crate) durability: Durability,
    group: Group,
    /// Taken from the inbox, not put into a group yet.
    order: Order,
    /// Exchanges of which some parts are in the group and some are not, by parts missing.
    halves: Map<u64, i64>,
    /// To be answered when the group is committed.
    tokens: Vec<(ShardId, StoreToken)>,
    loads: Vec<(ShardId, StoreLoad)>,
    /// When the first commit since the last sync was made, at the level `interval`.
    unsynced_since: Option<Instant>,
}

/// The thread was told to end at once, or the disk did not come back while it was ending.
#[derive(Debug)]
pub(crate) struct Ended;

impl Worker {
    pub(crate) fn new(
        shared: Arc<Shared>,
        device: Device,
        known: Known,
        durability: Durability,
        secret: u128,
    ) -> Self {
        Self {
            shared,
            device,
            known,
            durability,
            group: Group::new(secret),
            order: Order::default(),
            halves: Map::default(),
            tokens: Vec::new(),
            loads: Vec::new(),
            unsynced_since: None,
        }
    }

    /// Until it is told to stop.
    pub(crate) fn run(mut self) {
        let is_orderly = loop {
            match self.turn() {
                Ok(true) => {}
                Ok(false) => break true,
                Err(Ended) => break false,
            }
        };
        self.device.close(is_orderly, &self.shared);
        self.shared.ended();
    }

    /// One group commit with everything around it. Whether there may be more.
    fn turn(&mut self) -> Result<bool, Ended> {
        let is_idle = self.order.is_empty();
        let Taken { requests, stop } = self.shared.take(is_idle, self.next_look())?;
        self.order.extend(requests);
        if stop && self.order.is_empty() {
            self.order.drop_incomplete();
        }
        self.absorb();
        self.commit()?;
        for (shard, token) in self.tokens.drain(..) {
            add(&self.shared.counters.batches, 1);
            self.device.tell(shard, StoreEvent::Stored(token));
        }
        self.answer_loads()?;
        let ends = stop && self.order.is_empty() && self.group.is_empty();
        self.keep_time(ends)?;
        Ok(!ends)
    }

    /// When the thread has to look at something even if nobody hands anything in.
    fn next_look(&self) -> Option<Duration> {
        let sync = match (self.durability, self.unsynced_since) {
            (Durability::Interval(interval), Some(since)) => {
                Some(interval.saturating_sub(since.elapsed()))
            }
            _ => None,
        };
        [sync, self.device.next_look()].into_iter().flatten().min()
    }

    /// Puts what was handed in into the group, as much as fits; no exchange is divided.
    fn absorb(&mut self) {
        while !self.halves.is_empty()
            || self.group.ops() < GROUP_OPS_MAX && self.group.bytes() < GROUP_BYTES_MAX
        {
            match self.order.pop() {
                None => break,
                Some(Request::Load(shard, load)) => self.loads.push((shard, load)),
                Some(Request::Batch(shard, batch)) => self.put(shard, batch),
            }
        }
    }

    fn put(&mut self, shard: ShardId, batch: StoreBatch) {
        let StoreBatch { token, join, now, ops } = batch;
        add(&self.shared.counters.ops, ops.len() as u64);
        if let Some(Join { id, children }) = join {
            let missing = self.halves.entry(id).or_insert(1);
            *missing += i64::from(children) - 1;
            if *missing == 0 {
                self.halves.remove(&id);
            }
        }
        for op in ops {
            self.group.apply(op, now, &self.known);
        }
        self.tokens.push((shard, token));
    }

    /// Makes the group durable, however long that takes.
    fn commit(&mut self) -> Result<(), Ended> {
        if self.group.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        let ops = loop {
            match flatten(&self.group, &mut self.known, self.device.disk()) {
                Ok(ops) => break ops,
                Err(error) => self.device.recover(Trouble::Read(error), &self.shared)?,
            }
        };
        self.group.clear();
        if ops.is_empty() {
            return Ok(());
        }
        let is_sync = self.durability == Durability::Sync;
        while let Err(trouble) = self.device.commit(&ops, is_sync, &self.shared) {
            self.device.recover(trouble?, &self.shared)?;
        }
        self.device.works();
        if !is_sync {
            self.unsynced_since.get_or_insert_with(Instant::now);
        }
        self.count(&ops, began.elapsed());
        Ok(())
    }

    fn count(&mut self, ops: &[DiskOp], time: Duration) {
        let bytes = |op: &DiskOp| op.key.len() + op.value.as_ref().map_or(0, |value| value.len());
        let bytes = ops.iter().map(bytes).sum::<usize>() as u64;
        let counters = &self.shared.counters;
        add(&counters.commits, 1);
        add(&counters.records, ops.len() as u64);
        add(&counters.bytes, bytes);
        counters.raise_commit_max(time);
        self.device.written(bytes);
    }

    /// Answers all questions: everything that was handed in before them is committed.
    fn answer_loads(&mut self) -> Result<(), Ended> {
        for (shard, load) in std::mem::take(&mut self.loads) {
            let answer = loop {
                match answer(&load, self.device.disk()) {
                    Ok(answer) => break answer,
                    Err(error) => self.device.recover(Trouble::Read(error), &self.shared)?,
                }
            };
            add(&self.shared.counters.loads, 1);
            if !answer.damaged.is_empty() {
                self.device.damaged(answer.damaged.len() as u64, &self.shared);
            }
            let session = load.session;
            for seq in answer.damaged {
                let op = StoreOp::RemoveEntry { session, seq };
                self.group.apply(op, martlet_engine::Now::default(), &self.known);
            }
            self.device.tell(shard, StoreEvent::Loaded(Box::new(answer.loaded)));
        }
        Ok(())
    }

    /// What is due by the clock.
    fn keep_time(&mut self, ends: bool) -> Result<(), Ended> {
        if let (Durability::Interval(interval), Some(since)) =
            (self.durability, self.unsynced_since)
            && (ends || since.elapsed() >= interval)
        {
            while let Err(error) = self.device.disk().sync() {
                self.device.recover(Trouble::Write(error), &self.shared)?;
            }
            self.unsynced_since = None;
        }
        self.device.look(&self.shared)
    }
}
