//! Messages to prompt clients that are not written yet: when they are after all. Must not know how
//! they are sent.

use std::sync::Arc;

use martlet_proto::PacketId;

use super::Peers;
use crate::delivery::{Pending, Written, stored_bytes};
use crate::ledger::Ledger;
use crate::sessions::Session;
use crate::store::{SessionId, StoreOp};

/// A message is written when its acknowledgement takes so many times as long as usual.
const LINGER_FACTOR: u64 = 4;

/// How long clients take to acknowledge, on average of late.
#[derive(Debug, Default)]
pub(super) struct AckTime {
    /// In 1/64 of a millisecond.
    average: u64,
}

impl AckTime {
    /// Each sample counts for so much of the average.
    const SHIFT: u32 = 6;

    fn average_ms(&self) -> u64 {
        self.average >> Self::SHIFT
    }

    /// Samples beyond `max_ms` are of clients that were away.
    pub(super) fn add(&mut self, sample_ms: u32, max_ms: u64) {
        if u64::from(sample_ms) <= max_ms {
            self.average = self.average + u64::from(sample_ms) - (self.average >> Self::SHIFT);
        }
    }
}

impl Peers {
    /// Writes what is in flight to a session and not written: all of it, or what its client should
    /// have acknowledged by now. When to look again.
    pub(crate) fn write_young(&mut self, slot: u32, all: bool) -> Option<u64> {
        let linger_ms = if all { 0 } else { self.linger_ms() as u32 };
        let now_ms = self.now.mono_ms as u32;
        let session = self.sessions.get_mut(slot)?;
        let Session { durable, outgoing, .. } = session;
        let durable = durable.as_mut()?;
        let mut oldest_ms = None;
        for (packet_id, kept) in outgoing.messages_mut() {
            let Some(pending) = kept else { continue };
            let place = pending.place;
            if !place.sent || place.written == Written::Flight {
                continue;
            }
            let age_ms = now_ms.wrapping_sub(place.sent_at_ms);
            if age_ms < linger_ms {
                oldest_ms = oldest_ms.max(Some(age_ms));
                continue;
            }
            if let Written::Nothing(_) = place.written {
                durable.acks_promptly &= all;
            }
            write_flight(&mut self.ledger, durable.id, packet_id, pending);
        }
        oldest_ms.map(|age_ms| self.now.mono_ms + u64::from(linger_ms - age_ms))
    }

    /// A message is about to be written with its packet identifier: those before it are, too. After
    /// a restart what is in flight goes out before what waits, and order must be kept.
    pub(super) fn write_what_is_before(&mut self, slot: u32) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let Session { durable, outgoing, .. } = session;
        let Some(durable) = durable else { return };
        if !std::mem::take(&mut durable.has_unwritten) {
            return;
        }
        for (packet_id, kept) in outgoing.messages_mut() {
            if let Some(pending) = kept
                && pending.place.seq != 0
                && pending.place.written != Written::Flight
            {
                write_flight(&mut self.ledger, durable.id, packet_id, pending);
            }
        }
    }

    /// Milliseconds that a prompt client has to acknowledge a message before it is written: some
    /// times what clients need at present, for a busy broker's are not slow.
    pub(super) fn linger_ms(&self) -> u64 {
        let (min_ms, max_ms) = (self.limits.linger_min_ms, self.limits.linger_ms);
        (LINGER_FACTOR * self.ack_time.average_ms()).clamp(min_ms.min(max_ms), max_ms)
    }

    /// The shard looks at the session when its client should have acknowledged.
    pub(super) fn watch(&mut self, slot: u32) {
        let Some(session) = self.sessions.get_mut(slot) else { return };
        let key = session.key;
        if let Some(durable) = &mut session.durable
            && !std::mem::replace(&mut durable.is_watched, true)
        {
            self.lingering.push_back((self.now.mono_ms + self.linger_ms(), key));
        }
    }

    /// Looks at the sessions whose clients should have acknowledged by now.
    pub(crate) fn run_lingering(&mut self) {
        let now_ms = self.now.mono_ms;
        while let Some((_, key)) = self.lingering.pop_front_if(|(due_ms, _)| *due_ms <= now_ms) {
            let Some(slot) = self.slot_of(key) else { continue };
            let again_ms = self.write_young(slot, false);
            let session = self.sessions.get_mut(slot);
            if let Some(durable) = session.and_then(|session| session.durable.as_mut()) {
                durable.is_watched = again_ms.is_some();
            }
            if let Some(due_ms) = again_ms {
                self.lingering.push_back((due_ms.max(now_ms + 1), key));
            }
        }
    }

    /// When to look at the next of them.
    pub(crate) fn lingering_deadline_ms(&self) -> Option<u64> {
        self.lingering.front().map(|(due_ms, _)| *due_ms)
    }
}

/// Writes what the store does not know of a message in flight.
fn write_flight(
    ledger: &mut Ledger,
    session: SessionId,
    packet_id: PacketId,
    pending: &mut Pending,
) {
    let Pending { message, terms, place } = pending;
    let seq = place.seq;
    if let Written::Nothing(promise) = place.written {
        let bytes = stored_bytes(message);
        let (message, terms) = (Arc::clone(message), terms.to_entry(Some(packet_id)));
        let token = ledger.push(StoreOp::PutEntry { session, seq, message, terms }, bytes);
        if let Some(promise) = promise {
            ledger.wait_for(promise, token);
        }
    } else {
        ledger.push(StoreOp::PutFlight { session, seq, packet_id }, 0);
    }
    place.written = Written::Flight;
}
