//! Share groups: each message goes to one member of each group. Must not know which.

use std::collections::BTreeMap;

use martlet_proto::{Qos, topic};

use super::{Book, NEVER};

/// What is known of one group and one message.
#[derive(Debug, Default)]
struct Group {
    /// A member was there all the time.
    certain: bool,
    /// A member's session ended since.
    lost_member: bool,
    /// A member died with the broker, maybe with the message.
    shattered: bool,
    /// A member may get the message with QoS 1, and then another one again.
    lowered: bool,
    /// The message may be too large for a member; then it may be dropped.
    too_large: bool,
}

impl Book {
    /// At the end: how often each message came to share groups. `dropped` is what the broker says
    /// it dropped.
    pub fn check_shared(&mut self, dropped: u64) {
        let mut missing = Vec::new();
        let mut surplus = None;
        for message in self.messages.iter().filter(|message| message.topic.starts_with('g')) {
            if message.qos == Qos::AtMostOnce || message.empty || message.settled == NEVER {
                continue;
            }
            let groups = self.groups_of(message.id);
            let sessions = self.sessions.iter().filter(|session| !self.is_watcher(session.client));
            let copies: u32 =
                sessions.map(|s| s.copies.get(&message.id).copied().unwrap_or(0)).sum();
            // [MQTT-4.8.2-4] [MQTT-4.8.2-5] A QoS 2 message ends with the session that it was sent
            // to.
            let is_due = |group: &&Group| {
                let may_be_lost = group.too_large
                    || group.shattered
                    || group.lost_member && message.qos == Qos::ExactlyOnce;
                group.certain && !may_be_lost
            };
            let least = groups.values().filter(is_due).count() as u32;
            if copies < least && message.is_fresh(self.now_ms) {
                missing.push(message.id);
            }
            // [MQTT-4.8.2-3] [MQTT-4.8.2-5]
            let lowered = groups.values().any(|group| group.lowered);
            // Its way from one member to another is not undone by a crash, only repeated.
            let crashed = self.crashes_since(message.id) > 0 || self.refuses_when_full();
            let exact = message.qos == Qos::ExactlyOnce && !lowered && !crashed;
            if exact && copies > groups.len() as u32 {
                surplus = Some(message.id);
            }
        }
        if missing.len() as u64 > dropped {
            let text = format!("{} missing, {}", missing.len(), self.history(missing[0]));
            return self.fail("shared", text);
        }
        if let Some(id) = surplus {
            let text = format!("more than one of each group got {}", self.history(id));
            self.fail("shared", text);
        }
    }

    /// The monitor and the probe see everything by ordinary subscriptions.
    fn is_watcher(&self, client: usize) -> bool {
        matches!(self.clients[client].id.as_str(), "monitor" | "probe")
    }

    fn groups_of(&self, id: u32) -> BTreeMap<&str, Group> {
        let message = &self.messages[id as usize];
        let mut groups: BTreeMap<&str, Group> = BTreeMap::new();
        for session in &self.sessions {
            for (filter, ops) in &session.ops {
                let Some(shared) = topic::shared(filter) else { continue };
                if !topic::matches(shared.filter, message.topic) {
                    continue;
                }
                let is_possible = ops.iter().any(|op| op.wanted.is_some() && op.sent <= self.step);
                if !is_possible || session.died.is_some_and(|died| died < message.sent) {
                    continue;
                }
                let group = groups.entry(filter.as_str()).or_default();
                let stays = ops.iter().all(|op| op.wanted.is_some())
                    && ops.first().is_some_and(|op| op.acked < message.sent);
                let lives =
                    session.died.is_none() && self.clients[session.client].connected.is_some();
                group.certain |= stays && lives;
                let grants = ops.iter().filter_map(|op| op.wanted);
                group.lowered |= grants.into_iter().any(|w| w.options.qos < Qos::ExactlyOnce);
                // Topic, properties and headers take less than that.
                let size_max = self.clients[session.client].packet_size_max;
                group.too_large |= size_max < message.payload_bytes + 200;
                group.lost_member |= session.died.is_some();
                // What a session had in memory only may have been on its way back to the group.
                let in_memory = !session.durable && session.died.is_some();
                group.shattered |= session.lost || !session.gaps.is_empty();
                group.shattered |= in_memory && self.crashes_since(id) > 0;
            }
        }
        groups
    }
}
