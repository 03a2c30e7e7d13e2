//! An earlier life: sessions and retained messages as the store kept them. Must not know how they
//! were kept.

use std::sync::Arc;

use martlet_proto::{Qos, topic};

use super::Shard;
use crate::delivery::{Pending, Place, Terms, Written};
use crate::durable::Durable;
use crate::ids::SessionKey;
use crate::index::Subscriber;
use crate::message::Message;
use crate::store::{
    Restored, RestoredFlight, RestoredSession, StoreOp, StoredMessage, SubscriptionRecord,
    WillRecord,
};
use crate::time::MS_PER_S;
use crate::timers::Timer;
use crate::will::Will;

/// Nothing that was due while the broker was away happens earlier than so long after its start:
/// clients that come back at once find their sessions, and no will is sent for them.
const GRACE_MS: u64 = 2000;

impl Shard {
    pub(super) fn on_restored(&mut self, restored: Restored) {
        match restored {
            Restored::Begin { session_number_max, body_counter_max } => {
                self.peers.ledger.begin_after(session_number_max, body_counter_max);
            }
            Restored::Session(session) => self.restore_session(*session),
            Restored::Retained(message) => {
                let message = Arc::new(Message::restore(message, self.peers.now));
                self.restore_retained(message);
            }
        }
    }

    fn restore_session(&mut self, restored: RestoredSession) {
        let RestoredSession { session: id, record, subscriptions, incoming, flights, waiting } =
            restored;
        if let Some(slot) = self.peers.sessions.find(&record.client_id) {
            // Two with one identifier: the earlier one had ended, and the store has kept it for
            // what share groups were to get back.
            let known = self.peers.sessions.get(slot).and_then(|session| session.durable.as_ref());
            if known.is_some_and(|known| known.id.number > id.number) {
                return self.end_earlier(&Durable::restore(id, waiting), self.shares_of(flights));
            }
            if let Some(mut session) = self.take_session(slot) {
                let groups = self.take_share(&mut session);
                if let Some(durable) = session.durable {
                    self.end_earlier(&durable, groups);
                }
            }
        }
        let slot = self.peers.sessions.create(record.client_id);
        self.peers.stats.sessions += 1;
        let now = self.peers.now;
        let left_at_wall_ms = record.left_at_wall_ms.unwrap_or(now.wall_ms).min(now.wall_ms);
        let durable = Durable::restore(id, waiting);
        let will = record.will.map(|will| Box::new(restore_will(*will, now)));
        let Some(session) = self.peers.sessions.get_mut(slot) else { return };
        session.expiry_s = record.expiry_s;
        session.left_at_wall_ms = left_at_wall_ms;
        session.will = will;
        for packet_id in incoming {
            session.incoming.publish(packet_id);
        }
        session.durable = Some(Box::new(durable));
        self.restore_flights(slot, flights);
        self.peers.count_restored(slot);
        // One that ended with its connection gets nothing more.
        for subscription in subscriptions.into_iter().filter(|_| record.expiry_s > 0) {
            self.restore_subscription(slot, subscription);
        }
        self.set_restored_timers(slot);
        if record.left_at_wall_ms.is_none() {
            // Its connection ended with the broker's life, at the latest now.
            let _ = self.store_session(slot);
        }
    }

    fn end_earlier(&mut self, durable: &Durable, groups: Vec<Pending>) {
        if groups.is_empty() && !durable.tail.is_wanted_back() {
            self.peers.ledger.push(StoreOp::EndSession { session: durable.id }, 0);
        } else {
            self.start_ending(SessionKey::nobody(self.config.shard), durable, groups);
        }
    }

    /// What share groups get back of what was in flight.
    fn shares_of(&self, flights: Vec<RestoredFlight>) -> Vec<Pending> {
        let now = self.peers.now;
        let shares = flights.into_iter().filter_map(|flight| match flight {
            RestoredFlight::Publish(entry)
                if entry.terms.qos == Qos::AtLeastOnce && entry.terms.group.is_some() =>
            {
                let message = Arc::new(Message::restore(entry.message, now));
                Some(Pending::new(message, Terms::restore(entry.terms)))
            }
            _ => None,
        });
        shares.collect()
    }

    fn restore_flights(&mut self, slot: u32, flights: Vec<RestoredFlight>) {
        let now = self.peers.now;
        let Some(session) = self.peers.sessions.get_mut(slot) else { return };
        let Some(durable) = &mut session.durable else { return };
        for flight in flights {
            match flight {
                RestoredFlight::Release { seq, packet_id } => {
                    durable.releases.insert(packet_id, seq);
                    session.outgoing.restore(packet_id, Qos::ExactlyOnce, None);
                }
                RestoredFlight::Publish(entry) => {
                    let Some(packet_id) = entry.terms.packet_id else { continue };
                    // It may have been sent: that is for the receiver to tell.
                    let place = Place {
                        seq: entry.seq,
                        written: Written::Flight,
                        sent: true,
                        ..Place::default()
                    };
                    let qos = entry.terms.qos;
                    let message = Arc::new(Message::restore(entry.message, now));
                    let terms = Terms::restore(entry.terms);
                    let pending = Box::new(Pending { message, terms, place });
                    session.in_flight_bytes += pending.bytes();
                    session.outgoing.restore(packet_id, qos, Some(Some(pending)));
                }
            }
        }
    }

    fn restore_subscription(&mut self, slot: u32, record: SubscriptionRecord) {
        let SubscriptionRecord { filter, options, subscription_id } = record;
        let subscriber = Subscriber { key: slot, options, subscription_id };
        if topic::shared(&filter).is_some() {
            // Nobody waits for it: token 0 is no SUBSCRIBE.
            let _ = self.join_group(slot, &filter, subscriber, 0);
        } else {
            let _ = self.add_subscription(slot, &filter, subscriber);
        }
    }

    /// The session goes on as one whose connection has ended, at the latest now.
    fn set_restored_timers(&mut self, slot: u32) {
        let now = self.peers.now;
        let Some(session) = self.peers.sessions.get_mut(slot) else { return };
        let left_at_ms = now.to_mono_ms(session.left_at_wall_ms);
        let earliest_ms = now.mono_ms + GRACE_MS;
        let after = |seconds: u32| {
            // Counted on the wall clock: the monotonic one may have begun since.
            let at_wall_ms = session.left_at_wall_ms.saturating_add(u64::from(seconds) * MS_PER_S);
            now.to_mono_ms(at_wall_ms).max(left_at_ms).max(earliest_ms)
        };
        let key = session.key;
        if session.expiry_s != u32::MAX {
            session.expires_at_ms = after(session.expiry_s);
            self.peers.timers.set(session.expires_at_ms, Timer::SessionExpiry(key));
        }
        if let Some(will) = &session.will {
            session.will_at_ms = after(will.delay_s);
            self.peers.timers.set(session.will_at_ms, Timer::WillDelay(key));
        }
    }
}

fn restore_will(record: WillRecord, now: crate::Now) -> Will {
    let WillRecord { message, delay_s, expiry_s } = record;
    let message = StoredMessage { expires_at_wall_ms: u64::MAX, ..message };
    Will { message: Arc::new(Message::restore(message, now)), delay_s, expiry_s }
}
