//! Share groups: a member's home tells the group's home who belongs to it; the group's home gives
//! each message to one member. Must not know what a member does with it.

use std::sync::Arc;

use martlet_proto::{Qos, topic};

use super::Shard;
use super::gates::Opening;
use super::on_publish::terms_of;
use crate::delivery::{SubscriptionIdList, Terms};
use crate::groups::Member;
use crate::ids::{SessionKey, ShardId};
use crate::index::{FilterId, Subscriber};
use crate::ledger::Receipt;
use crate::mail::{MailItem, ToGroupHome, ToMemberHome};
use crate::message::{Message, PublishView};
use crate::peers::Delivered;
use crate::stats::Drop;

impl Shard {
    /// Subscribes a session of this shard. Whether an opening for `token` will follow.
    pub(super) fn join_group(
        &mut self,
        slot: u32,
        filter: &str,
        subscriber: Subscriber,
        token: u64,
    ) -> bool {
        let Some(session) = self.peers.sessions.get_mut(slot) else { return false };
        let (key, online) = (session.key, session.conn.is_some());
        let durable = session.durable.is_some();
        if session.shared.insert(filter.into()) {
            session.filter_bytes += filter.len() as u32;
            self.peers.stats.subscriptions += 1;
            self.peers.stats.subscriptions_shared += 1;
        }
        let Subscriber { options, subscription_id, .. } = subscriber;
        let home = self.homes.of(filter);
        if home != self.config.shard {
            let join = ToGroupHome::Join {
                filter: filter.into(),
                member: key,
                options,
                subscription_id,
                online,
                durable,
                token,
            };
            self.mailroom.to(home).push(MailItem::Group(join));
            return true;
        }
        self.on_join(filter, Member { session: key, options, subscription_id, online, durable });
        if self.gates.is_open() {
            return false;
        }
        self.gates.wait(Opening::Subscribe(token));
        true
    }

    pub(super) fn leave_group(&mut self, filter: Box<str>, member: SessionKey) {
        let home = self.homes.of(&filter);
        let leave = ToGroupHome::Leave { filter, member };
        self.tell_group_home(home, leave);
    }

    /// A session's connection came or went: its groups prefer members that are there.
    pub(super) fn tell_groups(&mut self, slot: u32, online: bool) {
        let Some(session) = self.peers.sessions.get(slot) else { return };
        if session.shared.is_empty() {
            return;
        }
        let (member, filters) = (session.key, session.shared.clone());
        for filter in filters {
            let home = self.homes.of(&filter);
            self.tell_group_home(home, ToGroupHome::Online { filter, member, online });
        }
    }

    /// A message that its member cannot take any more goes back; where a receipt is wanted, it is
    /// given when the next one has it.
    pub(super) fn return_to_group(
        &mut self,
        filter: Arc<str>,
        message: Arc<Message>,
        member: SessionKey,
        receipt: Option<Receipt>,
    ) {
        let home = self.homes.of(&filter);
        self.tell_group_home(home, ToGroupHome::Return { filter, message, member, receipt });
    }

    fn tell_group_home(&mut self, home: ShardId, what: ToGroupHome) {
        if home == self.config.shard {
            self.on_group_mail(home, what);
        } else {
            self.mailroom.to(home).push(MailItem::Group(what));
        }
    }

    /// At the group's home.
    pub(super) fn on_group_mail(&mut self, from: ShardId, what: ToGroupHome) {
        match what {
            ToGroupHome::Join {
                filter,
                member: session,
                options,
                subscription_id,
                online,
                durable,
                token,
            } => {
                let member = Member { session, options, subscription_id, online, durable };
                self.on_join(&filter, member);
                let opening = Opening::Joined { shard: from, token };
                if self.gates.is_open() {
                    self.on_opening(opening);
                } else {
                    self.gates.wait(opening);
                }
            }
            ToGroupHome::Leave { filter, member } => {
                let was_durable = self.groups.is_durable(&filter);
                let gone = self.groups.leave(&filter, member);
                if was_durable
                    && !self.groups.is_durable(&filter)
                    && let Some(shared) = topic::shared(&filter)
                {
                    self.unwant_durable(shared.filter);
                }
                if let Some(slot) = gone {
                    self.unindex_group(&filter, slot);
                }
            }
            ToGroupHome::Online { filter, member, online } => {
                self.groups.set_online(&filter, member, online);
            }
            ToGroupHome::Return { filter, message, member, receipt } => {
                self.answer_for(from, receipt, |shard| match shard.groups.find(&filter) {
                    Some(slot) => shard.deliver_to_group(slot, &mut message.view(), Some(member)),
                    None => shard.peers.drop_message(Drop::GroupEmpty, None),
                });
            }
        }
    }

    fn on_join(&mut self, filter: &str, member: Member) {
        // [MQTT-4.8.2-1] [MQTT-4.8.2-2] The decoder has checked the form.
        let Some(shared) = topic::shared(filter) else { return };
        let was_durable = self.groups.is_durable(filter);
        let (slot, is_new) = self.groups.join(filter, member);
        if !was_durable && self.groups.is_durable(filter) {
            self.want_durable(shared.filter);
        }
        if !is_new {
            return;
        }
        let subscriber = Subscriber { key: slot, options: 0, subscription_id: 0 };
        if self.router.shares.insert(shared.filter, subscriber).filter_is_new
            && let Some(change) = self.router.want(shared.filter)
        {
            self.announce(&change);
        }
    }

    fn unindex_group(&mut self, filter: &str, slot: u32) {
        let Some(shared) = topic::shared(filter) else { return };
        let removed = self.router.shares.remove(shared.filter, slot);
        if removed.is_some_and(|removed| removed.filter_is_gone) {
            self.withdraw(shared.filter);
        }
    }

    /// Gives a message to each group that stands under one of the filters.
    pub(super) fn deliver_to_groups(&mut self, filters: &[FilterId], view: &mut PublishView<'_>) {
        for filter in filters {
            let count = self.router.shares.subscribers(*filter).len();
            for i in 0..count {
                let slot = self.router.shares.subscribers(*filter)[i].key;
                self.deliver_to_group(slot, view, None);
            }
        }
    }

    /// Gives a message to one member of a group [MQTT-4.8.2-3].
    fn deliver_to_group(
        &mut self,
        group_slot: u32,
        view: &mut PublishView<'_>,
        except: Option<SessionKey>,
    ) {
        let can_wait = view.qos != Qos::AtMostOnce;
        let Some(members) = self.groups.get_mut(group_slot) else { return };
        let group = Arc::clone(&members.filter);
        let Some(member) = members.choose(can_wait, except) else {
            if can_wait || except.is_some() {
                self.peers.drop_message(Drop::GroupEmpty, None);
            }
            return;
        };
        let home = member.session.shard();
        if home != self.config.shard {
            let deliver = ToMemberHome::Deliver {
                member: member.session,
                group,
                message: view.keep(&mut self.peers.frames),
                options: member.options,
                ids: SubscriptionIdList::one(member.subscription_id),
                receipt: if can_wait { self.peers.ledger.ask_receipt(true) } else { None },
            };
            self.mailroom.to(home).push(MailItem::Member(deliver));
            return;
        }
        let subscriber = Subscriber {
            key: member.session.slot(),
            options: member.options,
            subscription_id: member.subscription_id,
        };
        let terms = Terms { group: Some(group), ..terms_of(&subscriber, view) };
        if self.peers.slot_of(member.session).is_some() {
            self.peers.deliver(member.session.slot(), view, terms);
        }
    }

    /// At the member's home.
    pub(super) fn on_member_mail(&mut self, from: ShardId, what: ToMemberHome) {
        match what {
            ToMemberHome::Joined { token } => self.on_subscribe_opening(token),
            ToMemberHome::Deliver { member, group, message, options, ids, receipt } => {
                let subscriber = Subscriber { key: member.slot(), options, subscription_id: 0 };
                self.answer_for(from, receipt, |shard| {
                    let mut view = message.view();
                    let terms = Terms {
                        group: Some(Arc::clone(&group)),
                        ids,
                        ..terms_of(&subscriber, &view)
                    };
                    let peers = &mut shard.peers;
                    let taken = peers.slot_of(member).is_some_and(|slot| {
                        peers.deliver(slot, &mut view, terms) == Delivered::Done
                    });
                    if !taken {
                        // Whoever waits for this one waits for the next member then.
                        let receipt = shard.peers.ledger.ask_receipt(true);
                        shard.return_to_group(group, message, member, receipt);
                    }
                });
            }
        }
    }

    /// A gate has opened.
    pub(super) fn on_opening(&mut self, opening: Opening) {
        match opening {
            Opening::Subscribe(token) => self.on_subscribe_opening(token),
            Opening::Joined { shard, token } => {
                let joined = MailItem::Member(ToMemberHome::Joined { token });
                self.mailroom.to(shard).push(joined);
            }
        }
    }
}
