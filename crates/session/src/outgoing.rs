//! The sending half of QoS 1 and QoS 2: packet identifiers, what is unacknowledged, and in
//! which order it was sent.
//!
//! Lives in the session and survives the connection. It must not know what a message is (it is
//! generic over what the caller keeps of it), nor limits such as the Receive Maximum: it counts
//! what is in flight and the caller compares.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::mem;

use martlet_proto::{PacketId, Qos, ReasonCode};

/// How many packet identifiers exist: 1 to 65,535.
const IDS: u32 = 65_535;
/// Capacity, in entries, that an empty queue keeps; more is given back to the allocator.
const CAPACITY_KEPT: usize = 64;
/// Finished entries are swept out when they outnumber the unfinished ones by this many; also the
/// most that is ever tolerated per sweep, see [`Outgoing::compact_if_sparse`].
const TOMBSTONES_MIN: usize = 16;
const TOMBSTONES_MAX: usize = 4096;
/// Ages beyond this are not told apart, so that wrapping arithmetic stays ordered.
const AGE_MAX: u32 = 1 << 30;

/// The packet identifier of an acknowledgement belongs to nothing that waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownPacketId;

/// What a PUBREC did, see [`Outgoing::pubrec`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PubRec<M> {
    /// Send PUBREL. The message is given back the first time; a repeated PUBREC gives `None`.
    Release(Option<M>),
    /// The receiver refused the message: the flow is over and no PUBREL is sent.
    Finished(M),
    /// No QoS 2 flow has this identifier (version 5: PUBREL with reason 0x92).
    Unknown,
}

/// An unfinished flow, in the order of [`Outgoing::iter`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InFlight<'a, M> {
    /// The PUBLISH is unacknowledged.
    Publish {
        /// Its packet identifier.
        id: PacketId,
        /// 1 or 2.
        qos: Qos,
        /// What the caller keeps of the message.
        message: &'a M,
    },
    /// The PUBREL is unacknowledged.
    PubRel {
        /// The packet identifier of the original PUBLISH.
        id: PacketId,
    },
}

impl<M> InFlight<'_, M> {
    /// Its packet identifier.
    pub fn id(&self) -> PacketId {
        match self {
            Self::Publish { id, .. } | Self::PubRel { id } => *id,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// QoS 1 PUBLISH sent; PUBACK awaited.
    // [MQTT-4.3.2-3]
    AwaitPubAck,
    /// QoS 2 PUBLISH sent; PUBREC awaited.
    // [MQTT-4.3.3-3]
    AwaitPubRec,
    /// PUBREL sent; PUBCOMP awaited.
    // [MQTT-4.3.3-5]
    AwaitPubComp,
    /// A tombstone: keeps the distance between its neighbours.
    Finished,
}

#[derive(Debug)]
struct Entry<M> {
    /// Grows by the distance between consecutive identifiers, so that of two entries the one
    /// with the larger number was sent later, and the position of an identifier can be computed.
    seq: u32,
    id: PacketId,
    state: State,
    message: Option<M>,
}

impl<M> Entry<M> {
    fn in_flight(&self) -> Option<InFlight<'_, M>> {
        let id = self.id;
        match (self.state, &self.message) {
            (State::AwaitPubAck, Some(message)) => {
                Some(InFlight::Publish { id, qos: Qos::AtLeastOnce, message })
            }
            (State::AwaitPubRec, Some(message)) => {
                Some(InFlight::Publish { id, qos: Qos::ExactlyOnce, message })
            }
            (State::AwaitPubComp, _) => Some(InFlight::PubRel { id }),
            _ => None,
        }
    }
}

/// The identifiers in use, one bit each; made only while something older than a whole round of
/// identifiers is unfinished.
type IdBits = [u64; 1024];

/// The unacknowledged messages of one session, in send order.
///
/// Identifiers are handed out in sequence, so the entry of an identifier is found by its
/// distance from the newest. Entries finished out of order stay as tombstones until they are
/// trimmed from the front or swept out: a peer that never acknowledges one message and
/// acknowledges all others costs one entry and at most a few thousand tombstones.
#[derive(Debug)]
pub struct Outgoing<M> {
    entries: VecDeque<Entry<M>>,
    in_use: Option<Box<IdBits>>,
    /// `seq` of the newest identifier handed out (or skipped).
    seq_last: u32,
    /// Entries from this `seq` on are unsent; meaningless while there are none.
    unsent_from: u32,
    /// The newest identifier handed out (or skipped); 0 before the first.
    id_last: u16,
    unfinished: u16,
    /// The last so many unfinished flows have not been sent on the present connection.
    unsent: u16,
}

impl<M> Default for Outgoing<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M> Outgoing<M> {
    /// Nothing in flight; allocates nothing.
    pub const fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            in_use: None,
            seq_last: 0,
            unsent_from: 0,
            id_last: 0,
            unfinished: 0,
            unsent: 0,
        }
    }

    /// How many flows occupy send quota: PUBLISH sent and neither PUBACK, PUBCOMP nor an error
    /// PUBREC received. O(1).
    #[inline]
    pub fn in_flight(&self) -> usize {
        // A QoS 2 flow keeps its quota until PUBCOMP.
        usize::from(self.unfinished) // [MQTT-4.9.0-2]
    }

    /// True when nothing is in flight.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.unfinished == 0
    }

    /// Starts a flow: gives the message an unused packet identifier and keeps it until its
    /// acknowledgement. `None` (and the message is dropped) when all 65,535 identifiers are in
    /// flight. O(1) amortised.
    ///
    /// # Panics
    /// For QoS 0, which has no flow: the caller's bug.
    #[inline]
    pub fn begin(&mut self, qos: Qos, message: M) -> Option<PacketId> {
        let id = self.next_id()?; // [MQTT-4.3.2-1] [MQTT-4.3.3-1] [MQTT3-4.3.2-1] [MQTT3-4.3.3-1]
        self.begin_as(id, qos, message);
        Some(id)
    }

    /// The next identifier that no message in flight uses, without a flow: for what shares the
    /// identifiers with messages (SUBSCRIBE, UNSUBSCRIBE), or to be given to
    /// [`Outgoing::begin_as`]. The next call gives another one. `None` when all 65,535 are in
    /// flight.
    #[inline]
    pub fn next_id(&mut self) -> Option<PacketId> {
        if u32::from(self.unfinished) == IDS {
            return None;
        }
        match self.entries.front() {
            Some(oldest) if self.age(oldest.seq) + 1 >= IDS => Some(self.next_id_among_old()),
            // Everything in flight is younger than a round: the next identifier is free.
            _ => Some(self.advance()),
        }
    }

    /// As [`Outgoing::begin`], with the identifier that [`Outgoing::next_id`] gave last.
    ///
    /// # Panics
    /// For another identifier, and for QoS 0, which has no flow: the caller's bugs.
    #[inline]
    pub fn begin_as(&mut self, id: PacketId, qos: Qos, message: M) {
        assert!(id.get() == self.id_last, "not the identifier that was given last");
        let state = match qos {
            Qos::AtLeastOnce => State::AwaitPubAck,
            Qos::ExactlyOnce => State::AwaitPubRec,
            Qos::AtMostOnce => panic!("QoS 0 has no packet identifier"),
        };
        self.entries.push_back(Entry { seq: self.seq_last, id, state, message: Some(message) });
        self.unfinished += 1;
        if let Some(in_use) = &mut self.in_use {
            set_bit(in_use, id);
        }
    }

    /// As [`Outgoing::begin_as`], for a message that is not sent yet: see
    /// [`Outgoing::first_unsent`].
    ///
    /// # Panics
    /// As `begin_as` does.
    pub fn begin_unsent_as(&mut self, id: PacketId, qos: Qos, message: M) {
        if self.unsent == 0 {
            self.unsent_from = self.seq_last;
        }
        self.begin_as(id, qos, message);
        self.unsent += 1;
    }

    /// Adds a flow of an earlier life behind those that are there: a PUBLISH with its message, or
    /// (without one) a PUBREL. Its identifier must not be in flight.
    ///
    /// # Panics
    /// For QoS 0, which has no flow: the caller's bug.
    pub fn restore(&mut self, id: PacketId, qos: Qos, message: Option<M>) {
        let from = u32::from(self.id_last);
        let to = u32::from(id.get());
        // The identifiers in between were handed out and are finished.
        let distance = if to > from { to - from } else { to + IDS - from };
        self.seq_last = self.seq_last.wrapping_add(distance);
        self.id_last = id.get();
        let state = match (&message, qos) {
            (None, _) => State::AwaitPubComp,
            (Some(_), Qos::AtLeastOnce) => State::AwaitPubAck,
            (Some(_), Qos::ExactlyOnce) => State::AwaitPubRec,
            (Some(_), Qos::AtMostOnce) => panic!("QoS 0 has no packet identifier"),
        };
        self.entries.push_back(Entry { seq: self.seq_last, id, state, message });
        self.unfinished += 1;
        self.in_use = None;
    }

    /// How many flows have not been sent on the present connection: the last ones. O(1).
    #[inline]
    pub fn unsent(&self) -> usize {
        usize::from(self.unsent)
    }

    /// A new connection: nothing has been sent on it.
    pub fn rewind(&mut self) {
        self.unsent = self.unfinished;
        self.unsent_from = self.entries.front().map_or(0, |entry| entry.seq);
    }

    /// There is no connection any more on which something could be unsent.
    pub fn settle(&mut self) {
        self.unsent = 0;
    }

    /// The first flow that has not been sent on the present connection.
    pub fn first_unsent(&mut self) -> Option<InFlight<'_, M>> {
        let at = self.first_unsent_position()?;
        self.entries[at].in_flight()
    }

    /// The message of that flow, if it is a PUBLISH.
    pub fn first_unsent_mut(&mut self) -> Option<&mut M> {
        let at = self.first_unsent_position()?;
        self.entries[at].message.as_mut()
    }

    /// That flow is sent now.
    pub fn pass(&mut self) {
        if let Some(at) = self.first_unsent_position() {
            self.unsent_from = self.entries[at].seq.wrapping_add(1);
            self.unsent -= 1;
        }
    }

    fn first_unsent_position(&mut self) -> Option<usize> {
        if self.unsent == 0 {
            return None;
        }
        let from_age = self.age(self.unsent_from) as i32;
        let start = self.entries.partition_point(|entry| self.age(entry.seq) as i32 > from_age);
        let behind = self.entries.range(start..).position(|entry| entry.state != State::Finished);
        let at = start + behind?;
        // Tombstones in between are not looked at again.
        self.unsent_from = self.entries[at].seq;
        Some(at)
    }

    /// Whether the entry has not been sent on the present connection.
    fn is_unsent(&self, seq: u32) -> bool {
        self.unsent > 0 && self.age(seq) as i32 <= self.age(self.unsent_from) as i32
    }

    /// Every message that is kept of a PUBLISH, in send order, to be changed.
    pub fn messages_mut(&mut self) -> impl DoubleEndedIterator<Item = (PacketId, &mut M)> {
        self.entries.iter_mut().filter_map(|entry| Some((entry.id, entry.message.as_mut()?)))
    }

    /// The message kept of a PUBLISH.
    pub fn message_mut(&mut self, id: PacketId) -> Option<&mut M> {
        let at = self.find(id)?;
        self.entries[at].message.as_mut()
    }

    /// The unfinished flow of an identifier.
    pub fn get(&self, id: PacketId) -> Option<InFlight<'_, M>> {
        self.entries[self.find(id)?].in_flight()
    }

    /// PUBACK: the QoS 1 flow is over, and the message is given back.
    ///
    /// # Errors
    /// When no QoS 1 flow has this identifier.
    #[inline]
    pub fn puback(&mut self, id: PacketId) -> Result<M, UnknownPacketId> {
        let at = self.find(id).ok_or(UnknownPacketId)?;
        let entry = &mut self.entries[at];
        if entry.state != State::AwaitPubAck {
            return Err(UnknownPacketId);
        }
        let message = entry.message.take().ok_or(UnknownPacketId)?;
        self.finish(at);
        Ok(message)
    }

    /// PUBREC: with a reason below 0x80 the message is released and PUBREL is due; with an error
    /// the flow is over.
    pub fn pubrec(&mut self, id: PacketId, reason: ReasonCode) -> PubRec<M> {
        let Some(at) = self.find(id) else { return PubRec::Unknown };
        let entry = &mut self.entries[at];
        match entry.state {
            State::AwaitPubRec => {}
            // The PUBLISH is gone; only the PUBREL is repeated. [MQTT-4.3.3-6] [MQTT3-4.3.3-1]
            State::AwaitPubComp => return PubRec::Release(None),
            State::AwaitPubAck | State::Finished => return PubRec::Unknown,
        }
        let Some(message) = entry.message.take() else { return PubRec::Unknown };
        if reason.is_error() {
            // Treated as acknowledged and never sent again. [MQTT-4.4.0-2]
            self.finish(at);
            return PubRec::Finished(message);
        }
        entry.state = State::AwaitPubComp;
        PubRec::Release(Some(message))
    }

    /// PUBCOMP: the QoS 2 flow is over.
    ///
    /// # Errors
    /// When no flow with this identifier waits for a PUBCOMP.
    #[inline]
    pub fn pubcomp(&mut self, id: PacketId) -> Result<(), UnknownPacketId> {
        let at = self.find(id).ok_or(UnknownPacketId)?;
        if self.entries[at].state != State::AwaitPubComp {
            return Err(UnknownPacketId);
        }
        self.finish(at);
        Ok(())
    }

    /// What is unacknowledged, in the order in which the PUBLISH packets were first sent: what a
    /// resumed connection sends again, with the original identifiers.
    pub fn iter(&self) -> impl Iterator<Item = InFlight<'_, M>> {
        // [MQTT-4.4.0-1] [MQTT-4.6.0-1] [MQTT3-4.4.0-1] [MQTT3-4.6.0-1]
        self.entries.iter().filter_map(Entry::in_flight)
    }

    /// The session ends: gives everything back in send order and forgets it, also when the
    /// iterator is not run to its end. The message is `None` where PUBREL was already sent.
    pub fn drain(&mut self) -> impl Iterator<Item = (PacketId, Qos, Option<M>)> + use<M> {
        let ended = mem::take(self);
        ended.entries.into_iter().filter_map(|entry| {
            let qos = match entry.state {
                State::AwaitPubAck => Qos::AtLeastOnce,
                State::AwaitPubRec | State::AwaitPubComp => Qos::ExactlyOnce,
                State::Finished => return None,
            };
            Some((entry.id, qos, entry.message))
        })
    }

    /// Gives back all memory that what is in flight does not need; for a session that will be
    /// idle for long.
    pub fn shrink(&mut self) {
        self.compact();
        self.entries.shrink_to_fit();
    }

    /// As `next_id`, where something is unfinished for a whole round of identifiers.
    #[cold]
    fn next_id_among_old(&mut self) -> PacketId {
        let entries = &self.entries;
        let in_use = self.in_use.take().unwrap_or_else(|| {
            let mut bits: Box<IdBits> = Box::new([0; 1024]);
            for entry in entries.iter().filter(|entry| entry.state != State::Finished) {
                set_bit(&mut bits, entry.id);
            }
            bits
        });
        // Ends: next_id made sure that at least one identifier is free.
        let id = loop {
            let id = self.advance();
            if !has_bit(&in_use, id) {
                break id;
            }
        };
        self.in_use = Some(in_use);
        id
    }

    #[inline]
    fn advance(&mut self) -> PacketId {
        self.id_last = if self.id_last == u16::MAX { 1 } else { self.id_last + 1 };
        self.seq_last = self.seq_last.wrapping_add(1);
        match PacketId::new(self.id_last) {
            Some(id) => id,
            None => unreachable!("identifiers run from 1 to 65,535"),
        }
    }

    /// How many identifiers ago this entry's was handed out.
    #[inline]
    fn age(&self, seq: u32) -> u32 {
        self.seq_last.wrapping_sub(seq)
    }

    /// The position of an unfinished entry.
    #[inline]
    fn find(&self, id: PacketId) -> Option<usize> {
        let oldest = self.entries.front()?;
        // The front is never a tombstone; acknowledgements usually come in order.
        if oldest.id == id {
            return Some(0);
        }
        let ago = match u32::from(self.id_last).checked_sub(u32::from(id.get())) {
            Some(ago) => ago,
            None => u32::from(self.id_last) + IDS - u32::from(id.get()),
        };
        let oldest_age = self.age(oldest.seq);
        // Exact as long as no tombstone was swept out in between.
        let guess = oldest_age.wrapping_sub(ago) as usize;
        if let Some(entry) = self.entries.get(guess)
            && entry.id == id
        {
            return (entry.state != State::Finished).then_some(guess);
        }
        self.search(id, ago)
    }

    #[cold]
    fn search(&self, id: PacketId, ago: u32) -> Option<usize> {
        let at = self.entries.partition_point(|entry| self.age(entry.seq) > ago);
        if let Some(entry) = self.entries.get(at)
            && entry.id == id
        {
            return (entry.state != State::Finished).then_some(at);
        }
        // What is older than a round of identifiers stands at the front, in no computable place.
        self.entries
            .iter()
            .take_while(|entry| self.age(entry.seq) >= IDS)
            .position(|entry| entry.id == id && entry.state != State::Finished)
    }

    #[inline]
    fn finish(&mut self, at: usize) {
        let entry = &mut self.entries[at];
        let (id, seq) = (entry.id, entry.seq);
        entry.state = State::Finished;
        self.unfinished -= 1;
        if self.is_unsent(seq) {
            self.unsent -= 1;
        }
        if let Some(in_use) = &mut self.in_use {
            clear_bit(in_use, id);
        }
        if at == 0 {
            self.trim();
        } else {
            self.compact_if_sparse();
        }
    }

    /// Drops the tombstones at the front.
    #[inline]
    fn trim(&mut self) {
        while let Some(entry) = self.entries.front()
            && entry.state == State::Finished
        {
            self.entries.pop_front();
        }
        if self.entries.is_empty() {
            self.in_use = None;
            if self.entries.capacity() > CAPACITY_KEPT {
                self.entries = VecDeque::new();
            }
        } else if self.in_use.is_some() && !self.is_round_old() {
            self.in_use = None;
        }
    }

    /// Whether handing out identifiers in sequence could meet one that is in use.
    fn is_round_old(&self) -> bool {
        self.entries.front().is_some_and(|oldest| self.age(oldest.seq) + 1 >= IDS)
    }

    /// Sweeps when tombstones outnumber the unfinished. The upper bound keeps the number of
    /// identifiers skipped between two sweeps far below `AGE_MAX`, however the peer behaves.
    #[inline]
    fn compact_if_sparse(&mut self) {
        let unfinished = self.in_flight();
        let tombstones = self.entries.len() - unfinished;
        if tombstones > unfinished.min(TOMBSTONES_MAX) + TOMBSTONES_MIN {
            self.compact();
        }
    }

    #[cold]
    fn compact(&mut self) {
        self.entries.retain(|entry| entry.state != State::Finished);
        let seq_last = self.seq_last;
        if seq_last.wrapping_sub(self.unsent_from) > AGE_MAX {
            self.unsent_from = seq_last.wrapping_sub(AGE_MAX);
        }
        for entry in &mut self.entries {
            if seq_last.wrapping_sub(entry.seq) <= AGE_MAX {
                break; // the rest is younger
            }
            entry.seq = seq_last.wrapping_sub(AGE_MAX);
        }
        if self.entries.capacity() > CAPACITY_KEPT.max(4 * self.entries.len()) {
            self.entries.shrink_to(2 * self.entries.len());
        }
        if !self.is_round_old() {
            self.in_use = None;
        }
    }
}

fn set_bit(bits: &mut IdBits, id: PacketId) {
    bits[usize::from(id.get() >> 6)] |= 1 << (id.get() & 63);
}

fn clear_bit(bits: &mut IdBits, id: PacketId) {
    bits[usize::from(id.get() >> 6)] &= !(1 << (id.get() & 63));
}

fn has_bit(bits: &IdBits, id: PacketId) -> bool {
    bits[usize::from(id.get() >> 6)] & (1 << (id.get() & 63)) != 0
}

#[cfg(test)]
#[path = "outgoing_tests.rs"]
mod tests;
