//! An application message: borrowed while it passes through a turn ([`PublishView`]), kept when
//! somebody holds it longer ([`Message`]). Must not know who receives it.

use std::sync::Arc;

use martlet_proto::{ForwardProperties, Put, Qos};

use crate::ids::SessionKey;

/// An immutable application message that outlives the turn it came in.
pub(crate) struct Message {
    /// Topic name, forwarded properties and payload, one after the other, at `at` in this order.
    data: Box<[u8]>,
    topic_start: u32,
    forward_start: u32,
    payload_start: u32,
    pub(crate) qos: Qos,
    /// The RETAIN flag as it was published.
    pub(crate) retain: bool,
    /// Monotonic time at which the message expires; `NEVER` without an expiry interval.
    pub(crate) expires_at_ms: u64,
    /// The session that published it.
    pub(crate) origin: SessionKey,
}

/// The expiry of a message that has none.
pub(crate) const NEVER: u64 = u64::MAX;

impl Message {
    pub(crate) fn topic(&self) -> &str {
        let bytes = &self.data[self.topic_start as usize..self.forward_start as usize];
        core::str::from_utf8(bytes).expect("a message is made from a topic name")
    }

    pub(crate) fn forward(&self) -> ForwardProperties<'_> {
        let bytes = &self.data[self.forward_start as usize..self.payload_start as usize];
        ForwardProperties::from_encoded(bytes)
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.data[self.payload_start as usize..]
    }

    /// What the message costs a queue that holds it.
    pub(crate) fn bytes(&self) -> usize {
        self.data.len() + size_of::<Self>()
    }

    /// The message as if it had just come in.
    pub(crate) fn view(self: &Arc<Self>) -> PublishView<'_> {
        PublishView {
            topic: self.topic(),
            forward: self.forward(),
            payload: self.payload(),
            qos: self.qos,
            retain: self.retain,
            expires_at_ms: self.expires_at_ms,
            origin: self.origin,
            kept: Some(Arc::clone(self)),
        }
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("topic", &self.topic())
            .field("qos", &self.qos)
            .field("payload_bytes", &self.payload().len())
            .finish_non_exhaustive()
    }
}

/// A message on its way through one turn, borrowed from the read buffer, a mail or a [`Message`].
#[derive(Debug)]
pub(crate) struct PublishView<'a> {
    pub(crate) topic: &'a str,
    pub(crate) forward: ForwardProperties<'a>,
    pub(crate) payload: &'a [u8],
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) expires_at_ms: u64,
    pub(crate) origin: SessionKey,
    /// The one owned copy, made when the first receiver needs it.
    pub(crate) kept: Option<Arc<Message>>,
}

impl PublishView<'_> {
    /// The owned message: copied on the first call, shared from then on.
    pub(crate) fn keep(&mut self) -> Arc<Message> {
        if let Some(message) = &self.kept {
            return Arc::clone(message);
        }
        let message = Arc::new(self.to_message());
        self.kept = Some(Arc::clone(&message));
        message
    }

    fn to_message(&self) -> Message {
        let forward_len = self.forward.encoded_len();
        let mut data = Vec::with_capacity(self.topic.len() + forward_len + self.payload.len());
        data.extend_from_slice(self.topic.as_bytes());
        self.forward.put(&mut data);
        data.put_slice(self.payload);
        Message {
            data: data.into_boxed_slice(),
            topic_start: 0,
            forward_start: self.topic.len() as u32,
            payload_start: (self.topic.len() + forward_len) as u32,
            qos: self.qos,
            retain: self.retain,
            expires_at_ms: self.expires_at_ms,
            origin: self.origin,
        }
    }
}

/// What is left of an expiry interval, in the standard's whole seconds, rounded up so that a message
/// that is still alive never shows zero [MQTT-3.3.2-6]. `None` when it has run out.
pub(crate) fn remaining_expiry_s(expires_at_ms: u64, now_ms: u64) -> Option<u32> {
    let left_ms = expires_at_ms.checked_sub(now_ms).filter(|left| *left > 0)?;
    Some(left_ms.div_ceil(crate::time::MS_PER_S).min(u64::from(u32::MAX)) as u32)
}
