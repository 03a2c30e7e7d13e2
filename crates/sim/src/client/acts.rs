//! What clients do on their own: chosen by chance, within the protocol. Must not know the answers.

use std::num::NonZeroU32;

use martlet_proto::{
    Packet, PacketId, Qos, RetainHandling, Subscribe, SubscribeFilters, SubscriptionOptions,
    Unsubscribe, UnsubscribeFilters, UserProperties,
};

use super::{AckPolicy, Client, Stage, topics};
use crate::oracle::Wanted;
use crate::wire::ClientEnd;

/// Something to do.
#[derive(Debug, Clone, Copy)]
enum Act {
    Publish,
    Subscribe,
    Unsubscribe,
    Acknowledge,
    Ping,
    Disconnect,
    BreakOff,
    TakeOver,
    Reauthenticate,
}

impl Client {
    /// Does something.
    pub fn act(&mut self, stage: &mut Stage<'_>) {
        stage.world.step += 1;
        stage.book.step = stage.world.step;
        let Some(link) = &self.link else {
            let clean = stage.random.chance(self.profile.clean_percent);
            return self.connect(stage, clean);
        };
        if link.closing {
            // It may come back before the broker knows that it left.
            if stage.random.chance(30) {
                let clean = stage.random.chance(self.profile.clean_percent);
                self.connect(stage, clean);
            }
            return;
        }
        if !link.open {
            match stage.random.below(40) {
                0 => self.break_off(stage, ClientEnd::Reset),
                1 => self.connect(stage, false),
                _ => {}
            }
            return;
        }
        let acts = [
            (40, Act::Publish),
            (16, Act::Subscribe),
            (6, Act::Unsubscribe),
            (if self.profile.acks == AckPolicy::Late { 30 } else { 0 }, Act::Acknowledge),
            (3, Act::Ping),
            (3, Act::Disconnect),
            (3, Act::BreakOff),
            (2, Act::TakeOver),
            (if link.method { 3 } else { 0 }, Act::Reauthenticate),
        ];
        match stage.random.weighted(&acts) {
            Act::Publish => self.publish_some(stage),
            Act::Subscribe => self.subscribe_some(stage),
            Act::Unsubscribe => self.unsubscribe_some(stage),
            Act::Acknowledge => {
                let count = stage.random.between(1, 4);
                self.acknowledge(stage, count);
            }
            Act::Ping => self.ping(stage),
            Act::Disconnect => {
                let with_will = stage.random.chance(30);
                self.disconnect(stage, with_will);
            }
            Act::BreakOff => {
                let abrupt = stage.random.chance(stage.plan.abrupt_percent);
                self.break_off(stage, if abrupt { ClientEnd::Reset } else { ClientEnd::Fin });
            }
            Act::TakeOver => {
                let clean = stage.random.chance(self.profile.clean_percent);
                self.connect(stage, clean);
            }
            Act::Reauthenticate => self.reauthenticate(stage),
        }
    }

    /// Sends something behind a CONNECT that was not answered.
    pub(super) fn act_early(&mut self, stage: &mut Stage<'_>) {
        match stage.random.below(3) {
            0 => self.publish(stage),
            1 => self.subscribe_some(stage),
            _ => {
                self.subscribe_some(stage);
                self.publish(stage);
            }
        }
    }

    fn publish_some(&mut self, stage: &mut Stage<'_>) {
        let burst = if stage.random.chance(15) { stage.random.between(2, 8) } else { 1 };
        for _ in 0..burst {
            self.publish(stage);
        }
    }

    /// PINGREQ.
    pub fn ping(&mut self, stage: &mut Stage<'_>) {
        if self.is_open() {
            self.send(stage, &Packet::PingReq);
        }
    }

    /// When the client has to send something to keep its connection.
    #[must_use]
    pub fn keep_alive_ms(&self) -> Option<u64> {
        let link = self.link.as_ref().filter(|link| link.open && !link.closing)?;
        let seconds = u64::from(link.keep_alive_s);
        (seconds > 0).then(|| link.sent_ms + seconds * 1000)
    }

    /// Subscribes to one or several filters.
    pub fn subscribe_some(&mut self, stage: &mut Stage<'_>) {
        let count = stage.random.pick(&[1, 1, 1, 2, 3]);
        let mut filters: Vec<(&str, SubscriptionOptions)> = Vec::new();
        for _ in 0..count {
            let filter = topics::any_filter(stage.random, stage.plan.shared);
            if filters.iter().all(|(other, _)| *other != filter) {
                let options = self.any_options(stage, filter.starts_with("$share/"));
                filters.push((filter, options));
            }
        }
        let id = match self.profile.version.is_v5() && stage.random.chance(50) {
            true => stage.random.between(1, 3) as u32,
            false => 0,
        };
        self.subscribe(stage, &filters, id);
    }

    fn any_options(&self, stage: &mut Stage<'_>, is_shared: bool) -> SubscriptionOptions {
        let random = &mut *stage.random;
        let qos = match is_shared {
            true => random.pick(&[Qos::ExactlyOnce, Qos::ExactlyOnce, Qos::AtLeastOnce]),
            false => random.pick(&[Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce]),
        };
        let mut options = SubscriptionOptions::new(qos);
        if self.profile.version.is_v5() {
            options.no_local = !is_shared && random.chance(20);
            options.retain_as_published = random.chance(30);
            options.retain_handling = random.pick(&[
                RetainHandling::Send,
                RetainHandling::Send,
                RetainHandling::SendIfNew,
                RetainHandling::DoNotSend,
            ]);
        }
        options
    }

    /// SUBSCRIBE; an `id` of 0 is none.
    pub fn subscribe(
        &mut self,
        stage: &mut Stage<'_>,
        filters: &[(&str, SubscriptionOptions)],
        id: u32,
    ) {
        let packet = self.free_id();
        let Some(packet_id) = PacketId::new(packet) else { return };
        let Some(link) = &mut self.link else { return };
        link.asked.push(packet);
        for (filter, options) in filters {
            let wanted = Some(Wanted { options: *options, id });
            stage.book.subscribing(link.wire, packet, filter, wanted);
        }
        let subscribe = Subscribe {
            packet_id,
            subscription_id: NonZeroU32::new(id),
            user_properties: UserProperties::default(),
            filters: SubscribeFilters::from(filters),
        };
        self.send(stage, &Packet::Subscribe(subscribe));
    }

    fn unsubscribe_some(&mut self, stage: &mut Stage<'_>) {
        let packet = self.free_id();
        let Some(packet_id) = PacketId::new(packet) else { return };
        let Some(link) = &mut self.link else { return };
        // Mostly something it has.
        let session = stage.book.session_of(link.wire);
        let known: Vec<String> = session
            .map(|session| stage.book.sessions[session].ops.keys().cloned().collect())
            .unwrap_or_default();
        let filter = match known.is_empty() || stage.random.chance(10) {
            true => topics::any_filter(stage.random, stage.plan.shared).to_owned(),
            false => known[stage.random.below(known.len())].clone(),
        };
        link.asked.push(packet);
        stage.book.subscribing(link.wire, packet, &filter, None);
        let filters = [filter.as_str()];
        let unsubscribe = Unsubscribe {
            packet_id,
            user_properties: UserProperties::default(),
            filters: UnsubscribeFilters::from(&filters[..]),
        };
        self.send(stage, &Packet::Unsubscribe(unsubscribe));
    }

    /// QoS 0 messages that the broker has certainly read: everything written was read, and the
    /// connection goes on.
    pub fn settle_unsure(&mut self, stage: &mut Stage<'_>) {
        let Some(link) = self.link.as_mut().filter(|link| link.open && !link.closing) else {
            return;
        };
        let wire = &stage.world.wires[link.wire];
        let is_served = matches!(wire.place, crate::wire::Place::At(..)) && wire.readable() == 0;
        let ended = stage.book.wires.get(&link.wire).is_none_or(|record| record.ended.is_some());
        if is_served && !ended && wire.read == wire.sent {
            for (message, _) in link.unsure.drain(..) {
                stage.book.acknowledged(message);
            }
        }
    }
}
