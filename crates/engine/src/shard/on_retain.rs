//! The retained messages whose home is this shard. Must not know who asks for them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use martlet_proto::Qos;

use super::Shard;
use crate::mail::MailItem;
use crate::message::{Message, NEVER, PublishView};
use crate::retained::{Cursor, RetainedStore, ScanEnd, compare_topics};
use crate::stats::Drop;
use crate::store::StoreOp;

/// A batch for a replay is full with so many bytes: it may have to wait for a slow client, and be
/// replaced in the store meanwhile.
const BATCH_BYTES: usize = 1 << 20;

/// Steps of a scan between two looks at the bytes found.
const SCAN_STEPS: usize = 8;

/// Expired messages removed in one turn.
const EXPIRED_PER_TURN_MAX: usize = 1024;

/// The store and what it holds.
#[derive(Debug)]
pub(super) struct Retained {
    pub(super) store: RetainedStore<Arc<Message>>,
    bytes: usize,
    /// Messages of an earlier life that are still to be put in, all at once: one by one in no
    /// order, finding their places takes most of a start.
    restored: Vec<Arc<Message>>,
    /// When to look whether a topic's message has expired.
    expiries: BinaryHeap<Reverse<(u64, Box<str>)>>,
}

impl Retained {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            store: RetainedStore::new(seed),
            bytes: 0,
            restored: Vec::new(),
            expiries: BinaryHeap::new(),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Replaces what is retained for the topic; an empty payload removes it [MQTT-3.3.1-5]
    /// [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT3-3.3.1-5] [MQTT3-3.3.1-7] [MQTT3-3.3.1-10]
    /// [MQTT3-3.3.1-11].
    fn set(&mut self, message: &Arc<Message>) {
        let topic = message.topic();
        if message.payload().is_empty() {
            self.remove(topic);
            return;
        }
        self.bytes += message.bytes();
        if let Some(old) = self.store.insert(topic, Arc::clone(message)) {
            self.bytes -= old.bytes();
        }
        if message.expires_at_ms != NEVER {
            self.expiries.push(Reverse((message.expires_at_ms, topic.into())));
            self.sweep_expiries();
        }
    }

    /// Forgets the expiries of messages that were replaced, when they are the most: a topic that is
    /// published again and again must not fill the memory.
    fn sweep_expiries(&mut self) {
        if self.expiries.len() <= expiries_max(self.store.len()) {
            return;
        }
        let mortal = self.store.iter().filter(|(_, message)| message.expires_at_ms != NEVER);
        let entry = mortal.map(|(topic, message)| Reverse((message.expires_at_ms, topic.into())));
        self.expiries = entry.collect();
    }

    /// Whether there was one.
    fn remove(&mut self, topic: &str) -> bool {
        let old = self.store.remove(topic);
        self.bytes -= old.as_ref().map_or(0, |old| old.bytes());
        old.is_some()
    }

    /// Removes what has expired; its topics.
    fn expire(&mut self, now_ms: u64) -> Vec<Box<str>> {
        let mut expired = Vec::new();
        // What is left is due at once: the caller turns again.
        for _ in 0..EXPIRED_PER_TURN_MAX {
            let due = |Reverse((at_ms, _)): &Reverse<(u64, Box<str>)>| *at_ms <= now_ms;
            if !self.expiries.peek().is_some_and(due) {
                break;
            }
            let Some(Reverse((_, topic))) = self.expiries.pop() else { break };
            if self.store.get(&topic).is_some_and(|message| message.expires_at_ms <= now_ms) {
                self.remove(&topic);
                expired.push(topic);
            }
        }
        expired
    }

    pub(super) fn next_ms(&self) -> Option<u64> {
        self.expiries.peek().map(|Reverse((at_ms, _))| *at_ms)
    }

    /// The next matching messages that have not expired, and whether they are the last; takes what
    /// the scan visited off `budget`.
    pub(super) fn scan(
        &self,
        filter: &str,
        cursor: &mut Cursor,
        budget: &mut usize,
        now_ms: u64,
    ) -> (Vec<Arc<Message>>, bool) {
        let (mut found, mut bytes) = (Vec::new(), 0);
        while *budget > 0 && bytes < BATCH_BYTES {
            let before = cursor.steps();
            let end =
                self.store.scan(filter, cursor, SCAN_STEPS.min(*budget), &mut |_, message| {
                    if message.expires_at_ms > now_ms {
                        bytes += message.bytes();
                        found.push(Arc::clone(message));
                    }
                });
            *budget -= (cursor.steps() - before) as usize;
            if end == ScanEnd::Done {
                return (found, true);
            }
        }
        (found, false)
    }

    pub(super) fn check_invariants(&self) {
        let bytes: usize = self.store.iter().map(|(_, message)| message.bytes()).sum();
        assert_eq!(bytes, self.bytes, "retained bytes are counted");
        // Messages may have been removed since the last sweep.
        let mortal = self.store.iter().filter(|(_, message)| message.expires_at_ms != NEVER);
        assert!(self.expiries.len() >= mortal.count(), "every expiry is watched");
    }
}

/// The broker's own figures are of this life only.
fn is_stored(topic: &str) -> bool {
    !topic.starts_with("$SYS/")
}

/// Expiries from which on those of replaced messages are forgotten.
fn expiries_max(messages: usize) -> usize {
    2 * messages + 1024
}

impl Shard {
    /// Sends a retained message to the store of its topic's home [MQTT-3.3.1-8] [MQTT3-3.3.1-12]:
    /// only called with the RETAIN flag.
    #[cold]
    pub(super) fn retain(&mut self, view: &mut PublishView<'_>) {
        let home = self.homes.of(view.topic);
        let message = view.keep(&mut self.peers.frames);
        if home == self.config.shard {
            self.keep_retained(&message);
        } else {
            // The message itself may be for nobody: what it leaves is there.
            let receipt = match message.qos {
                Qos::AtMostOnce => None,
                _ => self.peers.ledger.ask_receipt(self.peers.ledger.is_enabled()),
            };
            self.mailroom.for_store(home).push(MailItem::Retain(message, receipt));
        }
    }

    /// Stores a message at its home, if there is room.
    pub(super) fn keep_retained(&mut self, message: &Arc<Message>) {
        let limits = &self.config.limits;
        let replaced = self.retained.store.get(message.topic()).map(|old| old.bytes());
        let bytes = self.retained.bytes - replaced.unwrap_or(0) + message.bytes();
        let is_full = bytes > limits.retained_bytes_max
            || replaced.is_none() && self.retained.store.len() >= limits.retained_messages_max;
        if is_full && !message.payload().is_empty() {
            self.peers.drop_message(Drop::RetainedFull, None);
            // What was retained is out of date all the same.
            if self.retained.remove(message.topic()) {
                self.store_no_retained(message.topic().into());
            }
            return;
        }
        if self.peers.ledger.is_enabled() && is_stored(message.topic()) {
            if !message.payload().is_empty() {
                let put = StoreOp::PutRetained { message: Arc::clone(message) };
                self.peers.ledger.push(put, message.data_len());
            } else if replaced.is_some() {
                self.store_no_retained(message.topic().into());
            }
        }
        self.retained.set(message);
    }

    fn store_no_retained(&mut self, topic: Box<str>) {
        if self.peers.ledger.is_enabled() && is_stored(&topic) {
            self.peers.ledger.push(StoreOp::RemoveRetained { topic }, 0);
        }
    }

    /// A retained message of an earlier life.
    pub(super) fn restore_retained(&mut self, message: Arc<Message>) {
        self.retained.restored.push(message);
    }

    /// All of them have come.
    pub(super) fn finish_restore(&mut self) {
        let mut restored = std::mem::take(&mut self.retained.restored);
        restored.sort_unstable_by(|a, b| compare_topics(a.topic(), b.topic()));
        for message in &restored {
            self.retained.set(message);
        }
    }

    /// Whether some of them are still to be put in.
    #[inline]
    pub(super) fn is_restoring(&self) -> bool {
        !self.retained.restored.is_empty()
    }

    pub(super) fn expire_retained(&mut self) {
        for topic in self.retained.expire(self.peers.now.mono_ms) {
            self.store_no_retained(topic);
        }
    }
}
