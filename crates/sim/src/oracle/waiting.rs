//! Answers that wait for the store, and answers that say no: nobody waits without reason, nobody is
//! refused without reason. Must not know what came of the messages.

use martlet_engine::QueueFull;
use martlet_engine::store::StoreHealth;
use martlet_proto::{Qos, ReasonCode};

use super::{Book, NEVER, Step};
use crate::plan::Plan;

impl Book {
    /// The store's health has changed.
    pub fn health_changed(&mut self, health: StoreHealth) {
        if self.health.last().map_or(StoreHealth::Healthy, |(_, last)| *last) != health {
            self.health.push((self.step, health));
        }
    }

    /// Whether the store was like this at some time since `from`.
    fn was(&self, health: StoreHealth, from: Step) -> bool {
        let ends = self.health.iter().skip(1).map(|(step, _)| *step).chain([NEVER]);
        self.health.iter().zip(ends).any(|((_, is), end)| *is == health && end >= from)
    }

    /// Whether a full queue is the publisher's trouble.
    pub(super) fn refuses_when_full(&self) -> bool {
        self.limits.queue_full == QueueFull::Refuse && Plan::bounds_queues(&self.limits)
    }

    /// Whether what was sent at `from` may be refused with this reason.
    #[must_use]
    pub fn may_refuse(&self, from: Step, reason: ReasonCode) -> bool {
        match reason {
            ReasonCode::QuotaExceeded => {
                self.was(StoreHealth::Full, from) || self.refuses_when_full()
            }
            ReasonCode::ImplementationSpecificError => self.was(StoreHealth::Failing, from),
            // MQTT 3 has no other word for it in SUBACK.
            ReasonCode::UnspecifiedError => {
                self.was(StoreHealth::Full, from) || self.was(StoreHealth::Failing, from)
            }
            _ => false,
        }
    }

    /// A publisher reads that its message was refused: nobody knows what became of it.
    pub fn refused(&mut self, id: u32) {
        self.given_up(id);
        self.messages[id as usize].refused = true;
    }

    /// The shards have done everything but what waits for the store. `waiting` are the client's
    /// messages without an answer, and whether that would be PUBCOMP.
    pub fn check_unheld(&mut self, client: usize, wire: usize, waiting: &[(u32, bool)]) {
        // The answers of a durable session, which are given in order, may wait for one another.
        let durable = |session: usize| self.sessions[session].durable;
        let is_durable = self.session_of(wire).is_none_or(durable);
        let sick = self.health.last().filter(|(_, is)| *is != StoreHealth::Healthy);
        let is_v5 = self.clients[client].version.is_v5();
        let mut fault = None;
        for (id, released) in waiting {
            let message = &self.messages[*id as usize];
            let is_effective = is_durable || self.has_durable_effect(*id);
            let since = sick.map_or(NEVER, |(step, _)| *step);
            if !is_effective {
                fault = Some((*id, "waits for nothing"));
            } else if is_v5 && !released && !is_durable && since < message.last_sent {
                fault = Some((*id, "waits for a sick store"));
            }
            // What comes behind it waits with it.
            if is_effective {
                break;
            }
        }
        if let Some((id, fault)) = fault {
            self.fail("waiting", format!("{fault}: {}", self.history(id)));
        }
    }

    /// Whether the store may have to do with what becomes of a message.
    fn has_durable_effect(&self, id: u32) -> bool {
        let message = &self.messages[id as usize];
        // Nobody knows what evil clients are subscribed to.
        message.retain
            || self.has_strangers
            || self.sessions.iter().any(|session| {
                let lives = session.died.is_none_or(|died| died >= message.sent);
                session.durable && lives && {
                    let standing = session.standing(message.topic, message.sent, self.step);
                    standing.possible.iter().any(|w| w.options.qos > Qos::AtMostOnce)
                }
            })
    }
}
