//! One message for one session: what is remembered of it while it waits or is in flight. Must not
//! know connections or routing.

use std::collections::VecDeque;
use std::sync::Arc;

use martlet_proto::Qos;

use crate::ids::GroupKey;
use crate::message::Message;

/// The subscription identifiers of the subscriptions a message matched.
#[derive(Debug, Clone, Default)]
pub(crate) enum SubscriptionIdList {
    #[default]
    None,
    One([u32; 1]),
    Many(Vec<u32>),
}

impl SubscriptionIdList {
    /// 0 stands for "no identifier".
    #[inline]
    pub(crate) fn one(id: u32) -> Self {
        if id == 0 { Self::None } else { Self::One([id]) }
    }

    #[inline]
    pub(crate) fn as_slice(&self) -> &[u32] {
        match self {
            Self::None => &[],
            Self::One(one) => one,
            Self::Many(many) => many,
        }
    }

    /// Adds an identifier, unless it is 0.
    pub(crate) fn add(&mut self, id: u32) {
        if id == 0 {
            return;
        }
        match self {
            Self::None => *self = Self::One([id]),
            Self::One([first]) => *self = Self::Many(vec![*first, id]),
            Self::Many(many) => many.push(id),
        }
    }
}

/// How one session is to get a message.
#[derive(Debug, Clone, Default)]
pub(crate) struct Terms {
    pub(crate) qos: Qos,
    /// The RETAIN flag it sees.
    pub(crate) retain: bool,
    pub(crate) ids: SubscriptionIdList,
    /// The share group that chose the session.
    pub(crate) group: Option<GroupKey>,
}

/// A QoS 1 or 2 message that waits for its turn or for its acknowledgement.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub(crate) message: Arc<Message>,
    pub(crate) terms: Terms,
}

impl Pending {
    /// What it costs a queue.
    pub(crate) fn bytes(&self) -> usize {
        self.message.bytes() + size_of::<Self>()
    }
}

/// Messages waiting for a session, in order.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    items: VecDeque<Pending>,
    bytes: usize,
}

impl Queue {
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn push(&mut self, pending: Pending) {
        self.bytes += pending.bytes();
        self.items.push_back(pending);
    }

    pub(crate) fn pop(&mut self) -> Option<Pending> {
        let pending = self.items.pop_front()?;
        self.bytes -= pending.bytes();
        Some(pending)
    }
}
