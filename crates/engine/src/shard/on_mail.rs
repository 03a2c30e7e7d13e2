//! A batch from another shard. Must not know how mail travels.

use super::Shard;
use crate::ids::ShardId;
use crate::mail::{Mail, MailItem};

impl Shard {
    pub(super) fn on_mail(&mut self, mail: Mail) {
        let (from, interest_ack, items, arena) = mail.open();
        // What else is in the batch was published after the changes were in force.
        if let Some(version) = interest_ack {
            self.on_interest_ack(from, version);
        }
        for item in items {
            match item {
                MailItem::Copied(copied) => {
                    self.route(&mut arena.view(&copied), Some(from));
                }
                MailItem::Publish(message) => {
                    self.route(&mut message.view(), Some(from));
                }
                MailItem::Retain(message) => self.keep_retained(&message),
                MailItem::Interest(change) => {
                    self.router.apply(from, &change);
                    self.gates.applied(from);
                }
                MailItem::Group(what) => self.on_group_mail(from, what),
                MailItem::Member(what) => self.on_member_mail(what),
                MailItem::RetainedAsk(ask) => self.on_retained_ask(from, *ask),
                MailItem::RetainedReply(reply) => self.on_retained_reply(*reply),
                MailItem::Stats(stats) => self.on_stats(from, *stats),
            }
        }
    }

    fn on_interest_ack(&mut self, from: ShardId, version: u64) {
        self.gates.acknowledge(from, version);
        while let Some(opening) = self.gates.pop_open() {
            self.on_opening(opening);
        }
    }

    /// At the end of a turn: tells the others which of their changes are in force here.
    pub(super) fn acknowledge_interest(&mut self, out: &mut crate::Outputs) {
        for (shard, version) in self.gates.due() {
            self.mailroom.to(shard).acknowledge_interest(version);
        }
        out.more |= self.gates.holds_back();
    }
}
