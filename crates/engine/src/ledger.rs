//! What this shard has asked the store to do and what waits for it: the batch of the turn, the
//! batches under way, and the promises that hang on them. Must not know sessions' contents,
//! connections or the wire.

mod effects;
mod promises;

use std::collections::{BTreeMap, VecDeque};

use martlet_proto::PacketId;

use effects::Effects;
pub(crate) use effects::Receipt;
pub(crate) use promises::PromiseId;
use promises::Promises;

use crate::ids::{ConnId, Publisher, SessionKey, ShardId};
use crate::store::{
    BodyId, Join, SessionId, StoreBatch, StoreHealth, StoreLoad, StoreOp, StoreToken,
};
use crate::time::Now;

/// Bits of a join's number that the shard does not need.
const JOIN_COUNTER_BITS: u32 = 58;

/// What an operation costs in memory until it is durable, beside the message in it.
const OP_BYTES: usize = size_of::<StoreOp>() + 64;

/// What happens when a promise is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// An answer that a connection holds back may go.
    Answer { conn: ConnId, serial: u32, number: u64 },
    /// The same for the PUBREC of a durable session.
    Received { session: SessionKey, packet_id: PacketId, conn: ConnId, serial: u32, number: u64 },
    /// Another shard is told that what it sent is safe here.
    Receipt { shard: ShardId, promise: PromiseId },
    /// One reason less for a SUBACK to wait.
    Subscribe(u64),
    /// Messages of a session that has ended are safe elsewhere.
    Ended(SessionId),
    /// Nobody waits for it.
    Nothing,
}

/// What hangs on one batch.
#[derive(Debug, Default)]
struct Open {
    promises: Vec<PromiseId>,
    /// Sessions with messages that may go out when it is stored.
    sessions: Vec<SessionKey>,
    /// Connections that say nothing before it is stored.
    conns: Vec<(ConnId, u32)>,
    bytes: usize,
}

/// Who was waiting for a batch.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    pub(crate) sessions: Vec<SessionKey>,
    pub(crate) conns: Vec<(ConnId, u32)>,
}

/// The shard's side of the store port.
#[derive(Debug)]
pub(crate) struct Ledger {
    enabled: bool,
    /// Whether publishers are told of full queues, so that every message they want acknowledged is
    /// followed, and shards ask each other for receipts.
    asks_always: bool,
    shard: ShardId,
    shards: u16,
    ops: Vec<StoreOp>,
    ops_bytes: usize,
    /// The token of the batch that is being filled.
    current: Option<StoreToken>,
    /// Batches that take no more, in the order in which they were made.
    sealed: Vec<StoreBatch>,
    loads: Vec<StoreLoad>,
    /// Who waits for which answer.
    asking: BTreeMap<SessionId, SessionKey>,
    open: BTreeMap<StoreToken, Open>,
    open_bytes: usize,
    /// Clients whose sessions end with batches that were not durable when last looked at.
    ends: VecDeque<(StoreToken, Publisher)>,
    promises: Promises,
    kept: Vec<(Then, bool)>,
    effects: Option<Effects>,
    health: StoreHealth,
    pushed: u64,
    last_token: u64,
    last_session: u64,
    last_body: u64,
    last_join: u64,
}

impl Ledger {
    pub(crate) fn new(shard: ShardId, shards: u16, enabled: bool, asks_always: bool) -> Self {
        Self {
            enabled,
            asks_always,
            shard,
            shards,
            ops: Vec::new(),
            ops_bytes: 0,
            current: None,
            sealed: Vec::new(),
            loads: Vec::new(),
            asking: BTreeMap::new(),
            open: BTreeMap::new(),
            open_bytes: 0,
            ends: VecDeque::new(),
            promises: Promises::default(),
            kept: Vec::new(),
            effects: None,
            health: StoreHealth::Healthy,
            pushed: 0,
            last_token: 0,
            last_session: 0,
            last_body: 0,
            last_join: 0,
        }
    }

    /// Whether there is a store at all.
    #[inline]
    pub(crate) fn is_enabled(&self) -> bool {
        self.enabled
    }

    pub(crate) fn health(&self) -> StoreHealth {
        self.health
    }

    pub(crate) fn set_health(&mut self, health: StoreHealth) {
        self.health = health;
    }

    /// Bytes of what is not durable yet.
    pub(crate) fn open_bytes(&self) -> usize {
        self.open_bytes + self.ops_bytes
    }

    /// Numbers of an earlier life are not given again.
    pub(crate) fn begin_after(&mut self, session_number_max: u64, body_counter_max: u64) {
        self.last_session = session_number_max;
        self.last_body = body_counter_max;
    }

    /// The name of a new durable session.
    pub(crate) fn new_session(&mut self, partition: u16) -> SessionId {
        // Of the numbers not given yet each shard has every so manieth.
        let (own, step) = (u64::from(self.shard.0), u64::from(self.shards));
        self.last_session += 1;
        self.last_session += (own + step - self.last_session % step) % step;
        SessionId { partition, number: self.last_session }
    }

    /// The name of a message that several sessions may share.
    pub(crate) fn new_body(&mut self) -> BodyId {
        self.last_body += 1;
        BodyId::new(self.shard, self.last_body)
    }

    /// Asks for a change; `bytes` is what it holds of messages. The batch it stands in.
    pub(crate) fn push(&mut self, op: StoreOp, bytes: usize) -> StoreToken {
        debug_assert!(self.enabled, "without a store nothing is durable");
        self.ops.push(op);
        self.pushed += 1;
        self.ops_bytes += OP_BYTES + bytes;
        match &mut self.effects {
            Some(effects) => {
                effects.wrote = true;
                match effects.join {
                    Some(part) => part.token,
                    None => self.current_token(),
                }
            }
            None => self.current_token(),
        }
    }

    /// Changes asked for so far.
    pub(crate) fn pushed(&self) -> u64 {
        self.pushed
    }

    /// Whether something is asked of the store that the end of a turn has to hand over.
    pub(crate) fn has_unsealed(&self) -> bool {
        self.current.is_some() || !self.sealed.is_empty() || !self.loads.is_empty()
    }

    /// The batch that is being filled.
    pub(crate) fn current(&self) -> Option<StoreToken> {
        self.current
    }

    fn current_token(&mut self) -> StoreToken {
        if let Some(token) = self.current {
            return token;
        }
        let token = self.new_token();
        self.current = Some(token);
        token
    }

    fn new_token(&mut self) -> StoreToken {
        self.last_token += 1;
        let token = StoreToken(self.last_token);
        self.open.insert(token, Open::default());
        token
    }

    /// Asks for waiting messages of the session that `key` names here.
    pub(crate) fn load(&mut self, load: StoreLoad, key: SessionKey) {
        self.asking.insert(load.session, key);
        self.loads.push(load);
    }

    /// Nobody waits for an answer about this session any more.
    pub(crate) fn forget_asking(&mut self, session: SessionId) {
        self.asking.remove(&session);
    }

    /// Who asked.
    pub(crate) fn loaded(&mut self, session: SessionId) -> Option<SessionKey> {
        self.asking.remove(&session)
    }

    /// A client's session ends with the batch that is being filled.
    pub(crate) fn note_end(&mut self, client: Publisher) {
        let token = self.current_token();
        self.forget_stored_ends();
        self.ends.push_back((token, client));
    }

    fn forget_stored_ends(&mut self) {
        while self.ends.front().is_some_and(|(token, _)| self.is_stored(*token)) {
            self.ends.pop_front();
        }
    }

    /// The batch with which the client's last session ends, unless it is durable.
    pub(crate) fn end_of(&mut self, client: Publisher) -> Option<StoreToken> {
        self.forget_stored_ends();
        let last = self.ends.iter().rev().find(|(_, known)| *known == client);
        last.map(|(token, _)| *token).filter(|token| !self.is_stored(*token))
    }

    /// Whether a batch is durable.
    #[inline]
    pub(crate) fn is_stored(&self, token: StoreToken) -> bool {
        self.open.is_empty() || !self.open.contains_key(&token)
    }

    /// The session is looked at when the batch is durable.
    pub(crate) fn wake_session(&mut self, token: StoreToken, key: SessionKey) {
        if let Some(open) = self.open.get_mut(&token)
            && open.sessions.last() != Some(&key)
        {
            open.sessions.push(key);
        }
    }

    /// The connection is looked at when the batch is durable.
    pub(crate) fn wake_conn(&mut self, token: StoreToken, conn: ConnId, serial: u32) {
        if let Some(open) = self.open.get_mut(&token) {
            open.conns.push((conn, serial));
        }
    }

    /// Something happens when the batch is durable; false when it is already.
    pub(crate) fn promise_on(&mut self, token: StoreToken, then: Then) -> bool {
        let Some(open) = self.open.get_mut(&token) else { return false };
        let promise = self.promises.reserve();
        self.promises.make(promise, 1, then, false);
        open.promises.push(promise);
        true
    }

    /// Something happens when everything asked for so far is durable; false when it is.
    pub(crate) fn promise_on_all(&mut self, then: Then) -> bool {
        if self.open.is_empty() {
            return false;
        }
        let promise = self.promises.reserve();
        self.promises.make(promise, self.open.len() as u32, then, false);
        for open in self.open.values_mut() {
            open.promises.push(promise);
        }
        true
    }

    /// A promise that waits for so many things, which others will name it for.
    pub(crate) fn promise(&mut self, then: Then, left: u32) -> PromiseId {
        let promise = self.promises.reserve();
        self.promises.make(promise, left, then, false);
        promise
    }

    /// Something also happens when a promise is kept.
    pub(crate) fn also(&mut self, promise: PromiseId, then: Then) {
        let follower = self.promise(then, 1);
        self.promises.chain(promise, follower);
    }

    /// One thing that the promise waited for has come about.
    pub(crate) fn release(&mut self, promise: PromiseId, refused: bool) {
        // The message that is passing through has not come to its promise yet.
        if self.effects.as_mut().is_some_and(|effects| effects.release(promise, refused)) {
            return;
        }
        let mut next = Some((promise, refused));
        while let Some((promise, refused)) = next.take() {
            let Some(kept) = self.promises.release(promise, refused) else { return };
            next = kept.follower.map(|follower| (follower, kept.refused));
            self.kept.push((kept.then, kept.refused));
        }
    }

    /// What the promise waited for will come about with a later batch.
    pub(crate) fn wait_for(&mut self, promise: PromiseId, token: StoreToken) {
        match self.open.get_mut(&token) {
            Some(open) => open.promises.push(promise),
            None => self.release(promise, false),
        }
    }

    /// What would have been promised can be done now.
    pub(crate) fn keep_at_once(&mut self, then: Then, refused: bool) {
        self.kept.push((then, refused));
    }

    /// All promises that have been kept, oldest first, and whether something was refused.
    pub(crate) fn take_kept(&mut self) -> Vec<(Then, bool)> {
        std::mem::take(&mut self.kept)
    }

    /// Whether promises have been kept that nobody has looked at.
    #[inline]
    pub(crate) fn has_kept(&self) -> bool {
        !self.kept.is_empty()
    }

    /// A batch is durable.
    pub(crate) fn on_stored(&mut self, token: StoreToken) -> Settled {
        let Some(open) = self.open.remove(&token) else { return Settled::default() };
        self.open_bytes -= open.bytes;
        for promise in open.promises {
            self.release(promise, false);
        }
        Settled { sessions: open.sessions, conns: open.conns }
    }

    /// At the end of a turn: what is asked of the store, in the order in which it was.
    pub(crate) fn seal(&mut self, now: Now, out: &mut crate::Outputs) {
        debug_assert!(self.effects.is_none(), "effects are ended in the input that began them");
        self.seal_current(now);
        if !self.sealed.is_empty() {
            out.store.append(&mut self.sealed);
        }
        if !self.loads.is_empty() {
            out.loads.append(&mut self.loads);
        }
    }

    /// The batch that is being filled takes no more.
    fn seal_current(&mut self, now: Now) {
        if let Some(token) = self.current.take() {
            let ops = std::mem::take(&mut self.ops);
            let bytes = std::mem::take(&mut self.ops_bytes);
            self.account(token, bytes);
            self.sealed.push(StoreBatch { token, join: None, now, ops });
        }
    }

    fn account(&mut self, token: StoreToken, bytes: usize) {
        if let Some(open) = self.open.get_mut(&token) {
            open.bytes = bytes;
            self.open_bytes += bytes;
        }
    }

    pub(crate) fn check_invariants(&self) {
        assert!(self.effects.is_none(), "effects are ended");
        assert!(self.kept.is_empty(), "kept promises are acted upon");
        let bytes: usize = self.open.values().map(|open| open.bytes).sum();
        assert_eq!(bytes, self.open_bytes, "open bytes are counted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_shards_give_one_number_and_none_is_given_again() {
        let mut given = Vec::new();
        for shard in 0..3 {
            let mut ledger = Ledger::new(ShardId(shard), 3, true, false);
            ledger.begin_after(7, 0);
            given.extend((0..4).map(|_| ledger.new_session(0).number));
        }
        assert!(given.iter().all(|number| *number > 7), "{given:?}");
        let count = given.len();
        given.sort_unstable();
        given.dedup();
        assert_eq!(given.len(), count);
    }
    #[test]
    fn ends_that_are_stored_are_forgotten_though_nobody_asks() {
        let mut ledger = Ledger::new(ShardId(0), 1, true, false);
        for _ in 0..100 {
            ledger.note_end(Publisher::client("a"));
            let mut out = crate::Outputs::default();
            ledger.seal(Now::default(), &mut out);
            for batch in out.store {
                ledger.on_stored(batch.token);
            }
        }
        assert!(ledger.ends.len() <= 1, "{}", ledger.ends.len());
    }
}
