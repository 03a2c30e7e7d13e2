//! What one message leaves to be made durable while it passes through a turn: gathered from its
//! first to its last delivery, and then one promise. Must not know messages.

use super::{JOIN_COUNTER_BITS, Join, Ledger, PromiseId, StoreBatch, StoreToken, Then};
use crate::time::Now;

/// What another shard is asked to answer when its part is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Receipt {
    pub(crate) promise: PromiseId,
    /// The exchange that its part belongs to; 0: none.
    pub(crate) join: u64,
}

/// The part of a joined exchange that is being made.
#[derive(Debug, Clone, Copy)]
pub(super) struct JoinPart {
    id: u64,
    children: u32,
    pub(super) token: StoreToken,
}

/// The effects of the message that is passing through.
#[derive(Debug)]
pub(super) struct Effects {
    /// Reserved for the promise.
    promise: PromiseId,
    left: u32,
    pub(super) wrote: bool,
    refused: bool,
    may_join: bool,
    pub(super) join: Option<JoinPart>,
    ops_start: usize,
    bytes_start: usize,
}

impl Effects {
    /// Something that the promise was going to wait for has come about already. Whether it is this
    /// promise.
    pub(super) fn release(&mut self, promise: PromiseId, refused: bool) -> bool {
        let is_this = self.promise == promise;
        if is_this {
            self.left -= 1;
            self.refused |= refused;
        }
        is_this
    }
}

impl Ledger {
    /// A message begins to pass through. `join`: the exchange of another shard that it is part of;
    /// 0: none. `may_join`: what it leaves has to be safe all at once.
    #[inline]
    pub(crate) fn begin_effects(&mut self, join: u64, may_join: bool) {
        debug_assert!(self.effects.is_none(), "one message at a time");
        if !self.enabled && !self.asks_always {
            return;
        }
        self.start_effects(join, may_join);
    }

    fn start_effects(&mut self, join: u64, may_join: bool) {
        let promise = self.promises.reserve();
        let (ops_start, bytes_start) = (self.ops.len(), self.ops_bytes);
        self.effects = Some(Effects {
            promise,
            left: 0,
            wrote: false,
            refused: false,
            may_join,
            join: None,
            ops_start,
            bytes_start,
        });
        if join != 0 && self.enabled {
            self.join(join);
        }
    }

    /// Whether what the message leaves on several shards has to be safe all at once.
    pub(crate) fn may_join(&self) -> bool {
        let may_join = |effects: &Effects| effects.may_join && effects.join.is_none();
        self.enabled && self.effects.as_ref().is_some_and(may_join)
    }

    /// What the message leaves here becomes durable together with what it leaves on other shards,
    /// if it has to.
    pub(crate) fn join_effects(&mut self) {
        if self.may_join() {
            self.last_join += 1;
            self.join(u64::from(self.shard.0) << JOIN_COUNTER_BITS | self.last_join);
        }
    }

    fn join(&mut self, id: u64) {
        let token = self.new_token();
        if let Some(effects) = &mut self.effects {
            debug_assert!(!effects.wrote, "a join is known before the first write");
            effects.join = Some(JoinPart { id, children: 0, token });
        }
    }

    /// Whether the message's effects are part of a join.
    pub(crate) fn is_joined(&self) -> bool {
        self.effects.as_ref().is_some_and(|effects| effects.join.is_some())
    }

    /// The message goes to another shard, which is to answer when its part is safe. `durable`:
    /// there may be something to be made safe.
    pub(crate) fn ask_receipt(&mut self, durable: bool) -> Option<Receipt> {
        let asks_always = self.asks_always;
        let effects = self.effects.as_mut()?;
        if !durable && !asks_always {
            return None;
        }
        effects.left += 1;
        let join = effects.join.as_mut().map_or(0, |part| {
            part.children += 1;
            part.id
        });
        Some(Receipt { promise: effects.promise, join })
    }

    /// The message was sent to a session and is not written yet: its acknowledgement may come
    /// first.
    pub(crate) fn wait_young(&mut self) -> Option<PromiseId> {
        let effects = self.effects.as_mut()?;
        effects.left += 1;
        Some(effects.promise)
    }

    /// Somebody's queue had no room for the message, and its publisher is to know.
    pub(crate) fn refuse_effects(&mut self) {
        if let Some(effects) = &mut self.effects {
            effects.refused = true;
        }
    }

    /// Whether a queue had no room.
    pub(crate) fn is_refused(&self) -> bool {
        self.effects.as_ref().is_some_and(|effects| effects.refused)
    }

    /// Whether something of the message has to be waited for.
    #[inline]
    pub(crate) fn waits(&self) -> bool {
        self.effects
            .as_ref()
            .is_some_and(|effects| effects.left > 0 || effects.wrote || effects.join.is_some())
    }

    /// The message has passed through and left nothing to wait for.
    pub(crate) fn cancel_effects(&mut self) {
        debug_assert!(!self.waits(), "something is waited for");
        if let Some(effects) = self.effects.take() {
            self.promises.give_back(effects.promise);
        }
    }

    /// The message has passed through: `then` happens when all it left is safe. The promise, unless
    /// there is nothing to wait for (and nothing happens).
    pub(crate) fn end_effects(&mut self, now: Now, then: Then) -> Option<PromiseId> {
        let mut effects = self.effects.take()?;
        let mut token = self.current;
        if let Some(part) = effects.join {
            let ops = self.ops.split_off(effects.ops_start);
            let bytes = self.ops_bytes - effects.bytes_start;
            self.ops_bytes = effects.bytes_start;
            // What the turn asked for before stays before it.
            self.seal_current(now);
            self.account(part.token, bytes);
            let join = Some(Join { id: part.id, children: part.children });
            self.sealed.push(StoreBatch { token: part.token, join, now, ops });
            token = Some(part.token);
            effects.wrote = true;
        }
        if effects.wrote
            && let Some(open) = token.and_then(|token| self.open.get_mut(&token))
        {
            effects.left += 1;
            open.promises.push(effects.promise);
        }
        if effects.left == 0 {
            self.promises.give_back(effects.promise);
            return None;
        }
        self.promises.make(effects.promise, effects.left, then, effects.refused);
        Some(effects.promise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreOp;
    use crate::{ConnId, ShardId};

    const THEN: Then = Then::Answer { conn: ConnId(1), serial: 1, number: 0 };

    #[test]
    fn what_comes_about_while_the_message_passes_is_not_waited_for() {
        let mut ledger = Ledger::new(ShardId(0), 1, true, false);
        ledger.begin_effects(0, false);
        let (too_large, sent) = (ledger.wait_young(), ledger.wait_young());
        assert!(too_large.is_some() && too_large == sent, "one promise");
        let promise = too_large.expect("effects have begun");
        ledger.release(promise, false);
        assert!(ledger.waits(), "the other delivery");
        assert_eq!(ledger.end_effects(Now::default(), THEN), Some(promise));
        ledger.release(promise, false);
        assert_eq!(ledger.take_kept(), [(THEN, false)]);
    }

    #[test]
    fn a_part_of_a_join_stands_where_it_was_made() {
        let remove = |topic: &str| StoreOp::RemoveRetained { topic: topic.into() };
        let mut ledger = Ledger::new(ShardId(0), 1, true, false);
        ledger.push(remove("before"), 0);
        ledger.begin_effects(7, false);
        ledger.push(remove("part"), 0);
        assert!(ledger.end_effects(Now::default(), THEN).is_some());
        ledger.push(remove("behind"), 0);
        let mut out = crate::Outputs::default();
        ledger.seal(Now::default(), &mut out);
        let joined: Vec<bool> = out.store.iter().map(|batch| batch.join.is_some()).collect();
        assert_eq!(joined, [false, true, false]);
        for token in 1..=3 {
            ledger.on_stored(StoreToken(token));
        }
        assert_eq!((ledger.open_bytes(), ledger.take_kept().len()), (0, 1));
    }
}
