//! Retained messages: a new subscriber gets the current ones, and never an old value after a newer
//! one. Must not know wildcards' cost or where messages are kept.

use std::collections::BTreeMap;

use martlet_proto::{Qos, RetainHandling, topic};

use super::delivery::{delivery_bytes, remove_own};
use super::{Book, NEVER, Op, Step};

impl Book {
    /// A new delivery: if it is a retained message, no newer live value may have come before.
    pub(super) fn check_stale(&mut self, session: usize, id: u32, may_keep_flag: bool) {
        let message = &self.messages[id as usize];
        let record = &self.sessions[session];
        let Some(delivery) = record.deliveries.last() else { return };
        if !delivery.retain {
            // What waits for the store is overtaken by what does not; and of what nobody was told
            // that it is safe, a crash may leave the copy for a session only.
            let holds = message.is_certain() || self.crashes_since(id) == 0;
            if message.retain && holds && !(record.durable && delivery.qos == Qos::AtMostOnce) {
                self.sessions[session].live.insert(message.topic, id);
            }
            return;
        }
        if delivery.dup || may_keep_flag {
            return;
        }
        let Some(live) = record.live.get(message.topic).copied() else { return };
        if self.is_later(live, id) {
            let text = format!("{}\n  is older than {}", self.history(id), self.history(live));
            self.fail("retained", text);
        }
    }

    /// The values that may be retained for a topic: messages, and whether there may be none. Of
    /// messages sent after `to` nothing is known.
    fn retained_now(&self, name: &str, to: Step) -> (Vec<u32>, bool) {
        let all = self.messages.iter();
        let sent: Vec<u32> = all
            .filter(|m| m.retain && m.topic == name && m.sent <= to)
            .map(|message| message.id)
            .collect();
        let is_certain = |id: u32| self.messages[id as usize].is_certain();
        let superseded =
            |id: u32| sent.iter().any(|other| is_certain(*other) && self.is_later(*other, id));
        let candidates: Vec<u32> = sent.iter().copied().filter(|id| !superseded(*id)).collect();
        let may_be_none = !candidates.iter().any(|id| is_certain(*id))
            || candidates.iter().any(|id| {
                let message = &self.messages[*id as usize];
                message.empty || !message.is_fresh(self.now_ms)
            });
        let values = candidates.into_iter().filter(|id| !self.messages[*id as usize].empty);
        (values.collect(), may_be_none)
    }

    /// A client is at rest: its new subscriptions have brought what is retained.
    pub fn check_replays(&mut self, wire: usize) {
        let Some(session) = self.session_of(wire) else { return };
        let mut due = Vec::new();
        for (filter, ops) in &mut self.sessions[session].ops {
            let count = ops.len();
            for (i, op) in ops.iter_mut().enumerate() {
                let is_last = i + 1 == count;
                if !op.checked && op.acked != NEVER && topic::shared(filter).is_none() {
                    op.checked = true;
                    if is_last && op.packet.0 == wire && brings_retained(op, i == 0) {
                        due.push((filter.clone(), op.clone()));
                    }
                }
            }
        }
        for (filter, op) in due {
            self.check_replay(session, &filter, &op);
        }
    }

    fn check_replay(&mut self, session: usize, filter: &str, op: &Op) {
        let mut topics: Vec<&'static str> =
            self.messages.iter().filter(|m| m.retain).map(|m| m.topic).collect();
        topics.sort_unstable();
        topics.dedup();
        for name in topics.into_iter().filter(|name| topic::matches(filter, name)) {
            let (values, may_be_none) = self.retained_now(name, self.step);
            let [id] = values[..] else { continue };
            let message = &self.messages[id as usize];
            if may_be_none || message.over >= op.sent {
                continue;
            }
            let record = &self.sessions[session];
            let client = &self.clients[record.client];
            let mut standing = record.standing(name, op.acked + 1, self.step);
            remove_own(&mut standing, message.client == record.client);
            let is_own = op.wanted.is_some_and(|wanted| wanted.options.no_local)
                && message.client == record.client;
            let fits = delivery_bytes(message, client.version, &standing) <= client.packet_size_max;
            let came = record.deliveries.iter().any(|d| d.message == id && d.step > op.sent);
            // [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.8.4-4] [MQTT3-3.3.1-6] [MQTT3-3.8.4-3]
            if fits && !is_own && !came {
                let text = format!(
                    "{} subscribed to {filter} at {} and was not told {}",
                    client.id,
                    op.sent,
                    self.history(id)
                );
                return self.fail("retained", text);
            }
        }
    }

    /// At the end: a fresh subscriber got exactly what is retained.
    pub fn check_probe(&mut self, wire: usize, topics: &[&'static str]) {
        let Some(session) = self.session_of(wire) else { return };
        let record = &self.sessions[session];
        let mut got: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for delivery in &record.deliveries {
            let name = self.messages[delivery.message as usize].topic;
            got.entry(name).or_default().push(delivery.message);
        }
        for name in topics {
            let (values, may_be_none) = self.retained_now(name, self.step);
            let got = got.get(name).map_or(&[][..], Vec::as_slice);
            // [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-7] [MQTT3-3.3.1-5] [MQTT3-3.3.1-7]
            // [MQTT3-3.3.1-10] [MQTT3-3.3.1-11] [MQTT-3.3.1-8]
            let right = match got {
                [] => may_be_none,
                [one] => values.contains(one),
                _ => false,
            };
            if !right {
                let mut text = format!("of {name} the probe got {got:?}, not one of {values:?}");
                for id in got.iter().chain(&values) {
                    text += &format!("\n  {}", self.history(*id));
                }
                return self.fail("retained", text);
            }
        }
    }
}

/// Whether a subscription certainly brings what is retained.
fn brings_retained(op: &Op, is_first: bool) -> bool {
    op.wanted.is_some_and(|wanted| match wanted.options.retain_handling {
        RetainHandling::Send => true,
        RetainHandling::SendIfNew => is_first,
        RetainHandling::DoNotSend => false,
    })
}
