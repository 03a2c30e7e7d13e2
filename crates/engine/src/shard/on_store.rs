//! What the store says: batches are durable, messages are read back, its health has changed. Here
//! promises are kept. Must not know files or when a store writes.

use std::collections::BTreeMap;

use martlet_proto::{PacketId, ReasonCode};

use super::Shard;
use crate::delivery::{Pending, Place, Terms};
use crate::durable::Durable;
use crate::ids::{ConnId, SessionKey};
use crate::ledger::{Receipt, Then};
use crate::log::Cause;
use crate::message::Message;
use crate::stats::Drop;
use crate::store::{Loaded, Seq, SessionId, StoreEvent, StoreLoad, StoreOp, StoreToken};

/// Messages of an ended session that are read at once to be given back to their share groups.
const GIVE_BACK_MESSAGES: u32 = 256;

/// Bytes of them.
const GIVE_BACK_BYTES: u64 = 1 << 20;

/// Sessions that have ended while share groups still have to get messages back from them: in the
/// store they end when these are safe elsewhere.
#[derive(Debug, Default)]
pub(super) struct Endings {
    by_session: BTreeMap<SessionId, Ending>,
}

#[derive(Debug)]
struct Ending {
    member: SessionKey,
    /// Messages given back and not safe yet.
    left: u32,
    /// Where to read on, if there is more.
    from: Option<Seq>,
    /// To be given back with the first that are read.
    kept: Vec<Pending>,
    /// A question of the session itself has no answer yet, which must not be taken for another's.
    owed: bool,
    /// A question waits for that answer.
    waits: bool,
}

impl Shard {
    pub(super) fn on_store(&mut self, event: StoreEvent) {
        match event {
            StoreEvent::Stored(token) => self.on_stored(token),
            StoreEvent::Loaded(loaded) => self.on_loaded(*loaded),
            // The store tells people of it itself.
            StoreEvent::Health(health) => self.peers.ledger.set_health(health),
        }
    }

    fn on_stored(&mut self, token: StoreToken) {
        let settled = self.peers.ledger.on_stored(token);
        for (conn, serial) in settled.conns {
            self.peers.lift_embargo(conn, serial);
        }
        self.keep_promises();
        for key in settled.sessions {
            if let Some(slot) = self.peers.slot_of(key) {
                self.peers.feed(slot);
                self.note_replays(slot);
            }
        }
    }

    /// Does what was promised for when something is safe.
    pub(super) fn keep_promises(&mut self) {
        while self.peers.ledger.has_kept() {
            for (then, refused) in self.peers.ledger.take_kept() {
                self.keep_promise(then, refused);
            }
        }
    }

    fn keep_promise(&mut self, then: Then, refused: bool) {
        match then {
            Then::Answer { conn, serial, number } => {
                self.answer(conn, serial, number, refused);
            }
            Then::Received { session, packet_id, conn, serial, number } => {
                self.on_received_safe(session, packet_id, refused);
                self.answer(conn, serial, number, refused);
            }
            Then::Receipt { shard, promise } => self.give_receipt(shard, promise, refused),
            Then::Subscribe(token) => self.on_subscribe_opening(token),
            Then::Ended(session) => self.on_given_back(session),
            Then::Nothing => {}
        }
    }

    fn answer(&mut self, conn: ConnId, serial: u32, number: u64, refused: bool) {
        let known = self.peers.conns.get(conn).filter(|conn| conn.serial == serial);
        let Some(is_v5) = known.map(|conn| conn.proto.version().is_v5()) else { return };
        if refused && !is_v5 {
            return self.end(conn, Cause::ByServer(ReasonCode::QuotaExceeded));
        }
        let reason = refused.then_some(ReasonCode::QuotaExceeded);
        self.peers.answer(conn, serial, number, reason);
    }

    /// A QoS 2 message is where it has to be; or it was refused, and its identifier is free again.
    fn on_received_safe(&mut self, key: SessionKey, packet_id: PacketId, refused: bool) {
        let Some(slot) = self.peers.slot_of(key) else { return };
        let Some(session) = self.peers.sessions.get_mut(slot) else { return };
        if refused {
            session.incoming.refuse(packet_id);
        }
        let Some(durable) = &mut session.durable else { return };
        durable.unsettled.retain(|(known, _)| *known != packet_id);
        if refused {
            let session = durable.id;
            self.peers.ledger.push(StoreOp::RemoveIncoming { session, packet_id }, 0);
        }
    }

    fn on_loaded(&mut self, loaded: Loaded) {
        if self.endings.by_session.contains_key(&loaded.session) {
            return self.on_loaded_for_groups(loaded);
        }
        let Some(key) = self.peers.ledger.loaded(loaded.session) else { return };
        self.peers.on_loaded(key, loaded);
        if let Some(slot) = self.peers.slot_of(key) {
            self.peers.feed(slot);
            self.note_replays(slot);
        }
    }

    /// A durable session has ended with messages that share groups want back: `kept`, and perhaps
    /// some in the store. They get them when all of them are safe where they are, and the store has
    /// answered: a message must not be with the next member while the exchange that brought it may
    /// still come to nothing; and after a start groups and members have to find each other first.
    pub(super) fn start_ending(
        &mut self,
        member: SessionKey,
        durable: &Durable,
        kept: Vec<Pending>,
    ) {
        let session = durable.id;
        let from = if durable.tail.is_wanted_back() { durable.tail.from } else { Seq::MAX };
        let left = 1 + u32::from(self.peers.ledger.promise_on_all(Then::Ended(session)));
        let owed = durable.asked.is_some();
        let ending = Ending { member, left, from: Some(from), kept, owed, waits: false };
        self.endings.by_session.insert(session, ending);
        self.on_given_back(session);
    }

    fn give_back_safely(&mut self, session: SessionId, groups: Vec<Pending>) {
        let Some(ending) = self.endings.by_session.get_mut(&session) else { return };
        ending.left += groups.len() as u32;
        let member = ending.member;
        for pending in groups {
            let promise = self.peers.ledger.promise(Then::Ended(session), 1);
            self.give_back(member, pending, Some(Receipt { promise, join: 0 }));
        }
    }

    /// One message less to be given back: the next are read, or the session ends in the store.
    fn on_given_back(&mut self, session: SessionId) {
        let Some(ending) = self.endings.by_session.get_mut(&session) else { return };
        ending.left -= 1;
        if ending.left > 0 {
            return;
        }
        if ending.from.is_none() {
            self.endings.by_session.remove(&session);
            self.peers.ledger.push(StoreOp::EndSession { session }, 0);
            return;
        }
        ending.left = 1;
        match ending.owed {
            true => ending.waits = true,
            false => self.read_on(session),
        }
    }

    fn read_on(&mut self, session: SessionId) {
        let Some(ending) = self.endings.by_session.get(&session) else { return };
        let Some(from) = ending.from else { return };
        let load = StoreLoad {
            session,
            from,
            messages_max: GIVE_BACK_MESSAGES,
            bytes_max: GIVE_BACK_BYTES,
        };
        self.peers.ledger.load(load, ending.member);
    }

    fn on_loaded_for_groups(&mut self, loaded: Loaded) {
        let Loaded { session, from, entries, damaged, done } = loaded;
        let Some(ending) = self.endings.by_session.get_mut(&session) else { return };
        if std::mem::take(&mut ending.owed) {
            if std::mem::take(&mut ending.waits) {
                self.read_on(session);
            }
            return;
        }
        let next = entries.last().map_or(from, |entry| entry.seq + 1);
        ending.from = (!done).then_some(next);
        let mut kept = std::mem::take(&mut ending.kept);
        for _ in 0..damaged {
            self.peers.drop_message(Drop::Damaged, None);
        }
        let _ = self.peers.ledger.loaded(session);
        let now = self.peers.now;
        let groups = entries.into_iter().filter(|entry| entry.terms.group.is_some());
        let groups = groups.map(|entry| {
            let message = std::sync::Arc::new(Message::restore(entry.message, now));
            let place = Place { seq: entry.seq, ..Place::default() };
            Pending { message, terms: Terms::restore(entry.terms), place }
        });
        kept.extend(groups);
        self.give_back_safely(session, kept);
        self.on_given_back(session);
    }
}
