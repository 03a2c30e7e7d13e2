//! What shards tell each other: one batch per destination and turn. Small messages are copied into
//! the batch, large ones travel by reference. Must not know what the receiver does with an item.

use std::sync::Arc;

use martlet_proto::{ForwardProperties, Qos};

use crate::delivery::SubscriptionIdList;
use crate::frame_pool::FramePool;
use crate::ids::{Publisher, SessionKey, ShardId};
use crate::interest::InterestChange;
use crate::ledger::{PromiseId, Receipt};
use crate::message::{Message, PublishView};
use crate::retained::Cursor;
use crate::stats::Stats;
use crate::store::BodyId;

/// A batch from one shard to another.
#[derive(Debug)]
pub struct Mail {
    pub(crate) from: ShardId,
    /// So many of the receiver's interest changes are in force at the sender, and were before any
    /// of the items.
    interest_ack: Option<u64>,
    pub(crate) items: Vec<MailItem>,
    /// Topic, properties and payload of the copied messages.
    arena: Vec<u8>,
    referenced_bytes: usize,
}

/// A message copied into the arena.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Copied {
    start: u32,
    topic_len: u16,
    forward_len: u32,
    payload_len: u32,
    qos: Qos,
    retain: bool,
    expires_at_ms: u64,
    origin: Publisher,
    body: Option<BodyId>,
}

/// One thing a shard tells another.
#[derive(Debug)]
pub(crate) enum MailItem {
    /// A message the receiver may have subscribers for, copied; the receipt that is wanted.
    Copied(Copied, Option<Receipt>),
    /// The same by reference.
    Publish(Arc<Message>, Option<Receipt>),
    /// A retained message (or, with an empty payload, its removal) for the receiver's store.
    Retain(Arc<Message>, Option<Receipt>),
    /// What a receipt was wanted for is safe, or was refused.
    Receipt { promise: PromiseId, refused: bool },
    /// The sender's interest changed; `durable`: that of its durable sessions.
    Interest { change: InterestChange, durable: bool },
    /// A question about share groups, to the home of the group.
    Group(ToGroupHome),
    /// An order to the home of a member.
    Member(ToMemberHome),
    /// A question about retained messages.
    RetainedAsk(Box<RetainedAsk>),
    /// The answer.
    RetainedReply(Box<RetainedReply>),
    /// The sender's figures, for the shard that publishes `$SYS`.
    Stats(Box<Stats>),
}

impl MailItem {
    /// What an item holds beyond its own size.
    fn referenced_bytes(&self) -> usize {
        use InterestChange as Change;
        match self {
            Self::Publish(message, _) | Self::Retain(message, _) => message.bytes(),
            Self::Interest {
                change: Change::AddWildcard(filter) | Change::RemoveWildcard(filter),
                ..
            } => filter.len(),
            Self::Group(
                ToGroupHome::Join { filter, .. }
                | ToGroupHome::Leave { filter, .. }
                | ToGroupHome::Online { filter, .. },
            ) => filter.len(),
            Self::Group(ToGroupHome::Return { message, .. }) => message.bytes(),
            Self::Member(ToMemberHome::Deliver { message, .. }) => message.bytes(),
            Self::RetainedAsk(ask) => size_of::<RetainedAsk>() + ask.filter.len(),
            Self::RetainedReply(reply) => {
                size_of::<RetainedReply>()
                    + reply.messages.iter().map(|message| message.bytes()).sum::<usize>()
            }
            Self::Stats(_) => size_of::<Stats>(),
            Self::Copied(..)
            | Self::Receipt { .. }
            | Self::Interest { .. }
            | Self::Member(ToMemberHome::Joined { .. }) => 0,
        }
    }
}

/// What a member's home tells the home of its group.
#[derive(Debug)]
pub(crate) enum ToGroupHome {
    /// A session subscribed.
    Join {
        filter: Box<str>,
        member: SessionKey,
        options: u8,
        subscription_id: u32,
        online: bool,
        durable: bool,
        /// Answered with [`ToMemberHome::Joined`] when the interest is in force everywhere.
        token: u64,
    },
    /// A session unsubscribed or ended.
    Leave { filter: Box<str>, member: SessionKey },
    /// A member's connection came or went.
    Online { filter: Box<str>, member: SessionKey, online: bool },
    /// A message that its member can no longer take.
    Return {
        filter: Arc<str>,
        message: Arc<Message>,
        member: SessionKey,
        /// Wanted when the next member has it.
        receipt: Option<Receipt>,
    },
}

/// What the home of a group tells a member's home.
#[derive(Debug)]
pub(crate) enum ToMemberHome {
    /// The subscription is in force.
    Joined { token: u64 },
    /// A message for the member.
    Deliver {
        member: SessionKey,
        /// The group's whole filter.
        group: Arc<str>,
        message: Arc<Message>,
        options: u8,
        ids: SubscriptionIdList,
        receipt: Option<Receipt>,
    },
}

/// Give me the next retained messages that match.
#[derive(Debug)]
pub(crate) struct RetainedAsk {
    pub(crate) session: SessionKey,
    /// Numbers the questions of the asking shard.
    pub(crate) number: u64,
    pub(crate) filter: Box<str>,
    pub(crate) cursor: Cursor,
}

/// Here they are.
#[derive(Debug)]
pub(crate) struct RetainedReply {
    pub(crate) session: SessionKey,
    /// That of the question.
    pub(crate) number: u64,
    pub(crate) cursor: Cursor,
    pub(crate) done: bool,
    pub(crate) messages: Vec<Arc<Message>>,
}

/// Payloads from this size on travel by reference: a copy costs more than the count.
pub(crate) const COPIED_BYTES_MAX: usize = 4096;

/// Where a batch is sealed early: positions in the arena are 32 bits wide.
const ARENA_BYTES_MAX: usize = 1 << 30;

impl Mail {
    pub(crate) fn new(from: ShardId) -> Self {
        Self { from, interest_ack: None, items: Vec::new(), arena: Vec::new(), referenced_bytes: 0 }
    }

    /// Who sent it.
    #[must_use]
    pub fn from(&self) -> ShardId {
        self.from
    }

    /// What it holds of memory, for the bound of a mailbox.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.arena.len() + self.referenced_bytes + self.items.len() * size_of::<MailItem>()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty() && self.interest_ack.is_none()
    }

    pub(crate) fn acknowledge_interest(&mut self, version: u64) {
        self.interest_ack = Some(version);
    }

    pub(crate) fn push(&mut self, item: MailItem) {
        self.referenced_bytes += item.referenced_bytes();
        self.items.push(item);
    }

    /// Adds a message: copied while that is cheaper than sharing it.
    pub(crate) fn push_publish(
        &mut self,
        view: &mut PublishView<'_>,
        receipt: Option<Receipt>,
        frames: &mut FramePool,
    ) {
        let shared = view.kept.is_some() || view.payload.len() > COPIED_BYTES_MAX;
        if shared || self.arena.len() > ARENA_BYTES_MAX {
            self.push(MailItem::Publish(view.keep(frames), receipt));
            return;
        }
        let start = self.arena.len() as u32;
        self.arena.extend_from_slice(view.topic.as_bytes());
        view.forward.put(&mut self.arena);
        self.arena.extend_from_slice(view.payload);
        let copied = Copied {
            start,
            topic_len: view.topic.len() as u16,
            forward_len: view.forward.encoded_len() as u32,
            payload_len: view.payload.len() as u32,
            qos: view.qos,
            retain: view.retain,
            expires_at_ms: view.expires_at_ms,
            origin: view.origin,
            body: view.body,
        };
        self.items.push(MailItem::Copied(copied, receipt));
    }

    /// Splits the batch into its acknowledgement, its items and the arena they point into.
    pub(crate) fn open(self) -> (ShardId, Option<u64>, Vec<MailItem>, Arena) {
        (self.from, self.interest_ack, self.items, Arena { bytes: self.arena })
    }
}

/// The bytes of the copied messages of one batch.
#[derive(Debug)]
pub(crate) struct Arena {
    bytes: Vec<u8>,
}

impl Arena {
    pub(crate) fn view(&self, item: &Copied) -> PublishView<'_> {
        let rest = &self.bytes[item.start as usize..];
        let (topic, rest) = rest.split_at(usize::from(item.topic_len));
        let (forward, rest) = rest.split_at(item.forward_len as usize);
        PublishView {
            topic: core::str::from_utf8(topic).expect("written from a topic name"),
            forward: ForwardProperties::from_encoded(forward),
            payload: &rest[..item.payload_len as usize],
            qos: item.qos,
            retain: item.retain,
            expires_at_ms: item.expires_at_ms,
            origin: item.origin,
            body: item.body,
            frame: None,
            kept: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::NEVER;

    #[test]
    fn messages_by_reference_count_whatever_they_are_for() {
        let mut view = PublishView {
            topic: "t",
            forward: ForwardProperties::default(),
            payload: &[7; 10_000],
            qos: Qos::AtLeastOnce,
            retain: true,
            expires_at_ms: NEVER,
            origin: Publisher::BROKER,
            body: None,
            frame: None,
            kept: None,
        };
        let message = view.keep(&mut FramePool::default());
        let group: Arc<str> = "$share/g/t".into();
        let (member, ids) = (SessionKey::new(ShardId(0), 0, 0), SubscriptionIdList::None);
        let again = || Arc::clone(&message);
        for item in [
            MailItem::Publish(again(), None),
            MailItem::Retain(again(), None),
            MailItem::Group(ToGroupHome::Return {
                filter: group.clone(),
                message: again(),
                member,
                receipt: None,
            }),
            MailItem::Member(ToMemberHome::Deliver {
                member,
                group,
                message: again(),
                options: 0,
                ids,
                receipt: None,
            }),
        ] {
            let mut mail = Mail::new(ShardId(0));
            mail.push(item);
            assert!(mail.bytes() > 10_000, "{mail:?}");
        }
    }
}
