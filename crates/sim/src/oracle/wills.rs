//! Wills: each is published exactly when it has to be. Must not know who receives it.

use martlet_engine::Cause;
use martlet_proto::ReasonCode;

use super::{Book, NEVER, Step};

/// What is to become of a will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Its connection lives.
    Armed,
    /// It is published at this time, unless the session is resumed before.
    Due(u64),
    /// It is published.
    Published,
    /// It may be published or not.
    Either,
    /// It is not published.
    Discarded,
}

/// The will of one connection.
#[derive(Debug, Clone)]
pub(super) struct Will {
    pub(super) client: usize,
    pub(super) wire: usize,
    pub(super) message: u32,
    delay_s: u32,
    /// It may be published from then on, when it is due.
    pub(super) earliest_ms: u64,
    /// It was published before a crash that may not have kept that.
    pub(super) undone: bool,
    pub(super) fate: Fate,
}

impl Will {
    /// The will of a connection that was let in.
    pub(super) fn new(client: usize, wire: usize, message: u32, delay_s: u32) -> Self {
        Self { client, wire, message, delay_s, earliest_ms: 0, undone: false, fate: Fate::Armed }
    }
}

impl Book {
    pub(super) fn arm_will(&mut self, will: Will) {
        self.wills.push(will);
    }

    /// The end of a transport was told to the broker.
    pub fn transport_ended(&mut self, wire: usize, step: Step, now_ms: u64) {
        if let Some(record) = self.wires.get_mut(&wire) {
            record.transport_ended = record.transport_ended.min(step);
            record.transport_ended_ms = record.transport_ended_ms.min(now_ms);
        }
    }

    /// A connection ends: its will is discarded, published or delayed.
    /// `ended_ms` is when that was, `session_ends_ms` when its session ends.
    pub(super) fn will_meets_end(
        &mut self,
        wire: usize,
        cause: Cause,
        ended_ms: u64,
        session_ends_ms: u64,
    ) {
        let step = self.step;
        let Some(i) = self.wills.iter().position(|w| w.wire == wire && w.fate == Fate::Armed)
        else {
            return;
        };
        let ended = self.wires.get(&wire).map_or(NEVER, |record| record.transport_ended);
        // Whoever takes over may have been waiting for the shard since it was opened.
        let client = self.wills[i].client;
        let rivals = self.wires.values().filter(|w| w.client == client && w.ended.is_none());
        let ended = rivals.map(|record| record.opened).fold(ended, Step::min);
        let will = &mut self.wills[i];
        // [MQTT-3.1.2-8] [MQTT-3.1.2-10] [MQTT-3.14.4-3] [MQTT3-3.1.2-8] [MQTT3-3.1.2-10]
        // [MQTT3-3.14.4-3]
        if cause == Cause::ByClient(ReasonCode::Success) {
            will.fate = Fate::Discarded;
            return;
        }
        let due_ms = session_ends_ms.min(ended_ms + u64::from(will.delay_s) * 1000);
        let message = &mut self.messages[will.message as usize];
        // The transport may have ended a little before the broker logs it.
        message.sent = step.min(ended);
        message.last_sent = step;
        message.sent_ms = ended_ms;
        will.fate = Fate::Due(due_ms);
        will.earliest_ms = due_ms;
        if due_ms <= ended_ms {
            will.fate = Fate::Published;
            let id = will.message;
            self.acknowledged(id);
        }
    }

    /// A client is let in: a delayed will is cancelled, or published because its session has ended.
    pub(super) fn will_meets_connection(&mut self, client: usize, resumed: bool) {
        let now_ms = self.now_ms;
        let mut published = Vec::new();
        for will in self.wills.iter_mut().filter(|will| will.client == client) {
            let Fate::Due(due_ms) = will.fate else { continue };
            // [MQTT-3.1.3-9]
            will.fate = match resumed {
                true if !will.undone && now_ms < due_ms.min(will.earliest_ms) => Fate::Discarded,
                true => Fate::Either,
                false => Fate::Published,
            };
            if will.fate == Fate::Discarded {
                self.messages[will.message as usize].sent = NEVER;
            }
            if will.fate == Fate::Published {
                published.push(will.message);
            }
        }
        for message in published {
            self.acknowledged(message);
        }
    }

    /// Nothing is left to do: wills whose time has come are published.
    pub(super) fn settle_wills(&mut self) {
        let now_ms = self.now_ms;
        let mut published = Vec::new();
        for will in &mut self.wills {
            if matches!(will.fate, Fate::Due(due_ms) if due_ms <= now_ms) {
                will.fate = Fate::Published;
                published.push(will.message);
            }
        }
        for message in published {
            self.acknowledged(message);
        }
    }

    /// A client receives a will.
    pub(super) fn will_delivered(&mut self, id: u32) {
        let Some(will) = self.wills.iter().find(|will| will.message == id) else {
            let text =
                format!("the will of a connection that was never let in: {}", self.history(id));
            return self.fail("wills", text);
        };
        let allowed = match will.fate {
            Fate::Armed => self.wires.get(&will.wire).is_some_and(|w| w.transport_ended != NEVER),
            Fate::Discarded => false,
            Fate::Due(_) => will.undone || will.earliest_ms <= self.now_ms,
            Fate::Published | Fate::Either => true,
        };
        // [MQTT-3.1.2-8] [MQTT-3.1.2-10] [MQTT-3.1.3-9] [MQTT3-3.1.2-8] [MQTT3-3.1.2-10]
        if !allowed {
            let text = format!("at {} ms {will:?}: {}", self.now_ms, self.history(id));
            self.fail("wills", text);
        }
    }
}
