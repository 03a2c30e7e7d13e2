//! A batch from another shard. Must not know how mail travels.

use super::Shard;
use crate::ids::ShardId;
use crate::ledger::{PromiseId, Receipt, Then};
use crate::mail::{Mail, MailItem};
use crate::message::PublishView;

impl Shard {
    pub(super) fn on_mail(&mut self, mail: Mail) {
        let (from, interest_ack, items, arena) = mail.open();
        // What else is in the batch was published after the changes were in force.
        if let Some(version) = interest_ack {
            self.on_interest_ack(from, version);
        }
        for item in items {
            match item {
                MailItem::Copied(copied, receipt) => {
                    self.pass_on(from, &mut arena.view(&copied), receipt);
                }
                MailItem::Publish(message, receipt) => {
                    self.pass_on(from, &mut message.view(), receipt);
                }
                MailItem::Retain(message, receipt) => {
                    self.answer_for(from, receipt, |shard| shard.keep_retained(&message));
                }
                MailItem::Receipt { promise, refused } => {
                    self.peers.ledger.release(promise, refused);
                }
                MailItem::Interest { change, durable } => {
                    self.router.apply(from, &change, durable);
                    self.gates.applied(from);
                }
                MailItem::Group(what) => self.on_group_mail(from, what),
                MailItem::Member(what) => self.on_member_mail(from, what),
                MailItem::RetainedAsk(ask) => self.on_retained_ask(from, *ask),
                MailItem::RetainedReply(reply) => self.on_retained_reply(*reply),
                MailItem::Stats(stats) => self.on_stats(from, *stats),
            }
        }
    }

    /// Another shard's message for this one's sessions.
    fn pass_on(&mut self, from: ShardId, view: &mut PublishView<'_>, receipt: Option<Receipt>) {
        self.answer_for(from, receipt, |shard| {
            shard.route(view, Some(from));
        });
    }

    /// Does what another shard's message asks for; a receipt, where one is wanted, goes back when
    /// everything it left is safe.
    pub(super) fn answer_for(
        &mut self,
        from: ShardId,
        receipt: Option<Receipt>,
        act: impl FnOnce(&mut Self),
    ) {
        let Some(Receipt { promise, join }) = receipt else { return act(self) };
        self.peers.ledger.begin_effects(join, false);
        act(self);
        let refused = self.peers.ledger.is_refused();
        let then = Then::Receipt { shard: from, promise };
        if self.peers.ledger.end_effects(self.peers.now, then).is_none() {
            self.give_receipt(from, promise, refused);
        }
    }

    /// Tells another shard that its message is safe here.
    pub(super) fn give_receipt(&mut self, shard: ShardId, promise: PromiseId, refused: bool) {
        if shard == self.config.shard {
            self.peers.ledger.release(promise, refused);
        } else {
            self.mailroom.to(shard).push(MailItem::Receipt { promise, refused });
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
