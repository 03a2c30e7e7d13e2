//! Deliveries: nobody gets what is not for them, everybody gets what is, as often and in the way
//! that was asked for. Must not know connections beyond their sessions.

use martlet_proto::{
    ForwardFields, ForwardProperties, PacketId, Publish, PublishProperties, Qos, SubscriptionIds,
    UserProperties, Version, topic,
};

use super::session::Standing;
use super::{Book, Kind, Message, NEVER, Step, payload_id};
use crate::client::{GROUP_TOPICS, PLAIN_TOPICS};

/// A message as a client got it.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The message.
    pub message: u32,
    /// Over which wire it came.
    pub wire: usize,
    /// When it was read.
    pub step: Step,
    /// The QoS it came with.
    pub qos: Qos,
    /// The DUP flag it came with.
    pub dup: bool,
    /// The RETAIN flag it came with.
    pub retain: bool,
    /// The Subscription Identifiers, sorted.
    pub ids: Vec<u32>,
    /// The client recognised it as one it had.
    pub again: bool,
}

impl Book {
    /// A client reads a PUBLISH. `name` is its topic, aliases resolved; `again` says that the
    /// client has it already. Returns the message, when it is one of the run's.
    pub fn delivered(
        &mut self,
        wire: usize,
        publish: &Publish<'_>,
        name: &str,
        again: bool,
    ) -> Option<u32> {
        let Some(session) = self.session_of(wire) else {
            self.fail("delivery", format!("PUBLISH over wire {wire} before its session"));
            return None;
        };
        let Some(id) = payload_id(publish.payload) else {
            self.nameless_delivered(session, name, publish);
            return None;
        };
        if self.messages.get(id as usize).is_none() {
            self.fail("delivery", format!("message {id} was never published"));
            return None;
        }
        let mut ids: Vec<u32> = publish.properties.subscription_ids.iter().collect();
        ids.sort_unstable();
        self.sessions[session].deliveries.push(Delivery {
            message: id,
            wire,
            step: self.step,
            qos: publish.qos,
            dup: publish.dup,
            retain: publish.retain,
            ids,
            again,
        });
        self.check_content(session, id, publish, name);
        if self.messages[id as usize].kind == Kind::Will {
            self.will_delivered(id);
        }
        if !again {
            self.new_to_client(session, id);
        }
        Some(id)
    }

    /// Messages without a name: `$SYS`, removals of retained messages, and those of evil clients.
    fn nameless_delivered(&mut self, session: usize, name: &str, publish: &Publish<'_>) {
        let record = &self.sessions[session];
        let standing = record.standing(name, record.drained, self.step);
        let own = PLAIN_TOPICS.contains(&name) || GROUP_TOPICS.contains(&name);
        // [MQTT-3.3.2-3] [MQTT-4.7.2-1] [MQTT3-4.7.2-1]
        if standing.possible.is_empty() || own && !publish.payload.is_empty() {
            let text = format!(
                "{} gets {name} ({} bytes) and wants no such thing",
                self.clients[record.client].id,
                publish.payload.len()
            );
            self.fail("delivery", text);
        }
    }

    /// The message is what was published.
    fn check_content(&mut self, session: usize, id: u32, publish: &Publish<'_>, name: &str) {
        let message = &self.messages[id as usize];
        let version = self.clients[self.sessions[session].client].version;
        let pairs = message.user_properties();
        let pairs: Vec<(&str, &str)> =
            pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut same = message.topic == name && message.payload() == publish.payload;
        if version.is_v5() {
            // [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18]
            // [MQTT-3.3.2-20]
            let mut encoded = Vec::new();
            let forward = forward(message, &pairs, &mut encoded);
            same &= publish.properties.forward == forward;
            // [MQTT-3.3.2-6]
            same &= match (message.expiry_s, publish.properties.message_expiry_s) {
                (None, None) => true,
                (Some(full), Some(left)) => {
                    let passed_ms = self.now_ms - message.sent_ms;
                    let least = (u64::from(full) * 1000).saturating_sub(passed_ms).div_ceil(1000);
                    left <= full && u64::from(left) >= least
                }
                _ => false,
            };
        }
        if !same {
            let text = format!("altered, as {name} {publish:?}: {}", self.history(id));
            self.fail("delivery", text);
        }
    }

    /// A delivery that the client did not have before.
    fn new_to_client(&mut self, session: usize, id: u32) {
        let message = &self.messages[id as usize];
        let record = &self.sessions[session];
        let Some(delivery) = record.deliveries.last() else { return };
        let is_shared = message.topic.starts_with('g');
        // What was on its way at the last moment of rest was read by then, except in share groups,
        // where others give back what they had.
        let from = if is_shared { message.sent } else { message.sent.max(record.drained) };
        let from = if message.sent == NEVER { record.drained } else { from };
        let mut standing = record.standing(message.topic, from, self.step);
        remove_own(&mut standing, message.client == record.client);
        let is_v5 = self.clients[record.client].version.is_v5();
        let may_be_replay = message.retain && delivery.retain && record.replays(message.topic) > 0;
        let fault = fault(message, delivery, &standing, is_v5, may_be_replay);
        let copies = record.copies.get(&id).copied().unwrap_or(0) + 1;
        // A message that somebody's full queue refuses is sent anew, also to the others.
        let repeats = message.qos == Qos::AtLeastOnce
            || message.kind == Kind::Will
            || self.refuses_when_full();
        let sent = if repeats { message.sends } else { 1 };
        let routes = if is_shared { standing.possible.len() as u32 } else { 1 };
        let replays = if message.retain { record.replays(message.topic) } else { 0 };
        // [MQTT-4.3.1-1] [MQTT-4.3.3-10] [MQTT3-4.3.1-1] [MQTT3-4.3.3-2] [MQTT-3.3.4-2]
        // A crash may undo what was done with QoS 1: with every copy.
        // Once is once at QoS 2, when every copy came with it.
        let mut copies_of = record.deliveries.iter().filter(|delivery| delivery.message == id);
        let is_exact = !is_shared && copies_of.all(|copy| copy.qos == Qos::ExactlyOnce);
        let crashes = if is_exact { 0 } else { self.crashes_since(id) };
        let too_often = copies > (sent * routes.max(1) + replays) * (crashes + 1);
        let fault = fault.or(too_often.then_some("too often"));
        let has_rap = standing.possible.iter().any(|w| w.options.retain_as_published);
        let who = self.clients[record.client].id.clone();
        let (name, sent_first) = (message.topic, message.sent);
        let is_own = message.client == record.client;
        self.sessions[session].copies.insert(id, copies);
        if let Some(fault) = fault {
            let text = format!("{fault} to {who} ({standing:?}): {}", self.history(id));
            return self.fail("delivery", text);
        }
        if !is_shared {
            let mut first = self.sessions[session].standing(name, sent_first, self.step);
            remove_own(&mut first, is_own);
            let granted = first.definite.iter().map(|wanted| wanted.options.qos).max();
            self.check_order(session, id, copies, granted);
            self.check_stale(session, id, has_rap);
        }
    }

    /// At the end: whatever had to be delivered was. `dropped` is what the broker says it dropped
    /// from full queues.
    pub fn check_required(&mut self, dropped: u64) {
        let mut missing = Vec::new();
        for (number, session) in self.sessions.iter().enumerate() {
            let client = &self.clients[session.client];
            let Some(wire) = client.connected.filter(|_| session.died.is_none()) else { continue };
            let connected = self.wires.get(&wire).map_or(NEVER, |record| record.connected);
            for message in self.messages.iter().filter(|message| message.settled != NEVER) {
                let never_named = message.empty || message.topic.starts_with('g');
                let was_there = session.was_there(message.sent, message.settled);
                if never_named || !was_there || !message.is_fresh(self.now_ms) {
                    continue;
                }
                let mut standing = session.standing(message.topic, message.sent, message.settled);
                remove_own(&mut standing, message.client == session.client);
                let Some(granted) = standing.definite.iter().map(|w| w.options.qos).max() else {
                    continue;
                };
                // A QoS 0 message is for who was connected, over this very connection.
                let survives = message.qos.min(granted) != Qos::AtMostOnce;
                let fits =
                    delivery_bytes(message, client.version, &standing) <= client.packet_size_max;
                let had = session.copies.contains_key(&message.id);
                if fits && !had && (survives || connected < message.sent) {
                    missing.push((number, message.id));
                }
            }
        }
        // [MQTT-4.3.2-4] [MQTT-4.3.3-8] [MQTT-4.5.0-1] [MQTT3-4.5.0-1] [MQTT3-3.3.5-1]
        // [MQTT3-3.1.2-5] [MQTT-3.8.4-3]
        if missing.len() as u64 > dropped
            && let Some((session, id)) = missing.first().copied()
        {
            let record = &self.sessions[session];
            let text = format!(
                "{} of {} missing ({dropped} dropped); {} never got {}\n    {:?}",
                missing.len(),
                self.messages.len(),
                self.clients[record.client].id,
                self.history(id),
                record.ops,
            );
            self.fail("delivery", text);
        }
    }
}

/// What is wrong with a delivery, given the subscriptions that stand.
fn fault(
    message: &Message,
    delivery: &Delivery,
    standing: &Standing,
    is_v5: bool,
    may_be_replay: bool,
) -> Option<&'static str> {
    let (definite, possible) = (&standing.definite, &standing.possible);
    // [MQTT-3.3.2-3] [MQTT-3.8.3-3] [MQTT-3.10.4-2]
    if possible.is_empty() {
        return Some("delivered without a subscription");
    }
    // [MQTT-3.8.4-8] [MQTT3-3.8.4-6] [MQTT-3.3.4-2] [MQTT3-3.3.5-1]
    let highest = possible.iter().map(|wanted| wanted.options.qos).max().unwrap_or_default();
    let lowest = definite.iter().map(|wanted| wanted.options.qos).max().unwrap_or_default();
    let is_shared = message.topic.starts_with('g');
    let exact = !may_be_replay && !is_shared;
    let too_low = exact && delivery.qos < message.qos.min(lowest);
    if delivery.qos > message.qos.min(highest) || too_low {
        return Some("with the wrong QoS");
    }
    // [MQTT-3.3.1-8] [MQTT-3.3.1-12] [MQTT-3.3.1-13] [MQTT3-3.3.1-9]
    let keeps_flag = possible.iter().any(|wanted| wanted.options.retain_as_published);
    if delivery.retain && !may_be_replay && !(keeps_flag && message.retain) {
        return Some("with the RETAIN flag");
    }
    let always = definite.iter().any(|wanted| wanted.options.retain_as_published);
    if !delivery.retain && message.retain && always && !is_shared {
        return Some("without the RETAIN flag");
    }
    // [MQTT-3.3.4-3] [MQTT-3.3.4-4]
    let count = |list: &[u32], id: u32| list.iter().filter(|other| **other == id).count();
    let possible_ids: Vec<u32> = possible.iter().map(|wanted| wanted.id).collect();
    let definite_ids: Vec<u32> = definite.iter().map(|wanted| wanted.id).collect();
    let surplus =
        delivery.ids.iter().any(|id| count(&delivery.ids, *id) > count(&possible_ids, *id));
    let lacking = definite_ids
        .iter()
        .any(|id| *id != 0 && exact && count(&definite_ids, *id) > count(&delivery.ids, *id));
    (is_v5 && (surplus || lacking)).then_some("with the wrong Subscription Identifiers")
}

/// No Local: the client's own messages are not for such a subscription, in whatever session it
/// published them [MQTT-3.8.3-3].
pub(super) fn remove_own(standing: &mut Standing, is_own: bool) {
    if is_own {
        standing.definite.retain(|wanted| !wanted.options.no_local);
        standing.possible.retain(|wanted| !wanted.options.no_local);
    }
}

/// The forwarded properties of a message.
#[must_use]
pub fn forward<'a>(
    message: &Message,
    pairs: &[(&str, &str)],
    encoded: &'a mut Vec<u8>,
) -> ForwardProperties<'a> {
    if message.properties {
        ForwardFields {
            payload_format: Some(0),
            response_topic: Some("answer/here"),
            correlation_data: Some(&message.id.to_be_bytes()),
            content_type: Some("text/plain"),
            user_properties: pairs,
        }
        .put(encoded);
    }
    ForwardProperties::from_encoded(encoded)
}

/// The size of the PUBLISH that delivers a message, without a topic alias.
pub(super) fn delivery_bytes(message: &Message, version: Version, standing: &Standing) -> usize {
    let pairs = message.user_properties();
    let pairs: Vec<(&str, &str)> =
        pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let mut encoded = Vec::new();
    let ids: Vec<u32> =
        standing.possible.iter().map(|wanted| wanted.id).filter(|id| *id != 0).collect();
    let properties = match version.is_v5() {
        true => PublishProperties {
            message_expiry_s: message.expiry_s,
            subscription_ids: SubscriptionIds::from(ids.as_slice()),
            forward: forward(message, &pairs, &mut encoded),
            ..PublishProperties::default()
        },
        false => PublishProperties::default(),
    };
    let highest = standing.possible.iter().map(|w| w.options.qos).max().unwrap_or_default();
    let qos = message.qos.min(highest);
    let payload = message.payload();
    let packet_id = if qos == Qos::AtMostOnce { None } else { PacketId::new(1) };
    let publish = Publish {
        qos,
        topic: message.topic,
        packet_id,
        properties,
        payload: &payload,
        ..Publish::default()
    };
    debug_assert!(topic::check_name(message.topic).is_ok() && UserProperties::default().is_empty());
    publish.encoded_len(version)
}
