//! An application message: borrowed while it passes through a turn ([`PublishView`]), kept when
//! somebody holds it longer ([`Message`]). Must not know who receives it.

use std::sync::Arc;

use martlet_proto::{ForwardProperties, Put, Qos};

use crate::frame_pool::FramePool;
use crate::ids::Publisher;
use crate::outbox::REFERENCE_BYTES_MIN;
use crate::store::{BodyId, StoredMessage};
use crate::time::Now;

/// An immutable application message that outlives the turn it came in. Opaque outside the engine,
/// but for what the store needs.
pub struct Message {
    data: Data,
    topic: Span,
    forward: Span,
    payload: Span,
    pub(crate) qos: Qos,
    /// The RETAIN flag as it was published.
    pub(crate) retain: bool,
    /// Monotonic time at which the message expires; `NEVER` without an expiry interval.
    pub(crate) expires_at_ms: u64,
    /// Who published it.
    pub(crate) origin: Publisher,
    /// What the store knows it by, when several sessions may share it.
    pub(crate) body: Option<BodyId>,
}

/// Where the bytes of a message are.
enum Data {
    /// Topic name, forwarded properties and payload, one after the other.
    Copied(Box<[u8]>),
    /// The whole frame the message came in, taken over as it was assembled, or a large message's
    /// copy.
    Frame(Arc<Vec<u8>>),
}

impl Data {
    #[inline]
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Copied(bytes) => bytes,
            Self::Frame(bytes) => bytes,
        }
    }
}

/// A part of the data.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    #[inline]
    fn of(self, data: &Data) -> &[u8] {
        &data.bytes()[self.start as usize..self.end as usize]
    }

    /// Where `part` lies in `whole`, if it does.
    fn within(whole: &[u8], part: &[u8]) -> Option<Self> {
        if part.is_empty() {
            return Some(Self::new(0, 0));
        }
        let start = (part.as_ptr() as usize).checked_sub(whole.as_ptr() as usize)?;
        (start + part.len() <= whole.len()).then(|| Self::new(start, start + part.len()))
    }
}

/// The expiry of a message that has none.
pub(crate) const NEVER: u64 = u64::MAX;

impl Message {
    pub(crate) fn topic(&self) -> &str {
        let bytes = self.topic.of(&self.data);
        core::str::from_utf8(bytes).expect("a message is made from a topic name")
    }

    pub(crate) fn forward(&self) -> ForwardProperties<'_> {
        ForwardProperties::from_encoded(self.forward.of(&self.data))
    }

    pub(crate) fn payload(&self) -> &[u8] {
        self.payload.of(&self.data)
    }

    /// What the message costs a queue that holds it: memory, not length.
    pub(crate) fn bytes(&self) -> usize {
        let data = match &self.data {
            Data::Copied(bytes) => bytes.len(),
            Data::Frame(bytes) => bytes.capacity(),
        };
        data + size_of::<Self>()
    }

    /// Bytes of its data: topic name, forwarded properties and payload.
    pub fn data_len(&self) -> usize {
        let Self { topic, forward, payload, .. } = self;
        topic.len() + forward.len() + payload.len()
    }

    /// The message as the store writes it: `now` ties its expiry to the wall clock. No bytes are
    /// copied.
    #[must_use]
    pub fn fields(&self, now: Now) -> MessageFields<'_> {
        MessageFields {
            topic: self.topic(),
            forward: self.forward.of(&self.data),
            payload: self.payload(),
            qos: self.qos,
            retain: self.retain,
            expires_at_wall_ms: now.to_wall_ms(self.expires_at_ms),
            origin: self.origin.number(),
            body: self.body,
        }
    }

    /// A message that was read back.
    #[must_use]
    pub fn restore(stored: StoredMessage, now: Now) -> Self {
        let topic_end = stored.topic_len as usize;
        let forward_end = topic_end + stored.forward_len as usize;
        Self {
            topic: Span::new(0, topic_end),
            forward: Span::new(topic_end, forward_end),
            payload: Span::new(forward_end, stored.data.len()),
            data: Data::Copied(stored.data),
            qos: stored.qos,
            retain: stored.retain,
            expires_at_ms: now.to_mono_ms(stored.expires_at_wall_ms),
            origin: Publisher::from_number(stored.origin),
            body: stored.body,
        }
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
            body: self.body,
            frame: None,
            kept: Some(Arc::clone(self)),
        }
    }
}

/// A message as the store writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageFields<'a> {
    /// The topic name.
    pub topic: &'a str,
    /// Properties that are passed on unaltered, encoded as in PUBLISH.
    pub forward: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
    /// The QoS it was published with.
    pub qos: Qos,
    /// The RETAIN flag it was published with.
    pub retain: bool,
    /// When it expires, in wall-clock milliseconds; `u64::MAX`: never.
    pub expires_at_wall_ms: u64,
    /// Who published it, as a number that means the same in every life of the broker.
    pub origin: u64,
    /// What the store knows it by, when several sessions may share it.
    pub body: Option<BodyId>,
}

impl MessageFields<'_> {
    /// The same, owned.
    #[must_use]
    pub fn to_stored(&self) -> StoredMessage {
        let parts = [self.topic.as_bytes(), self.forward, self.payload];
        StoredMessage {
            data: parts.concat().into_boxed_slice(),
            topic_len: self.topic.len() as u32,
            forward_len: self.forward.len() as u32,
            qos: self.qos,
            retain: self.retain,
            expires_at_wall_ms: self.expires_at_wall_ms,
            origin: self.origin,
            body: self.body,
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
    pub(crate) origin: Publisher,
    /// What the store is to know it by, when several sessions may share it.
    pub(crate) body: Option<BodyId>,
    /// The frame it was decoded from, when that can be kept without a copy.
    pub(crate) frame: Option<&'a Arc<Vec<u8>>>,
    /// The one owned copy, made when the first receiver needs it.
    pub(crate) kept: Option<Arc<Message>>,
}

impl PublishView<'_> {
    /// The owned message: copied on the first call, shared from then on.
    pub(crate) fn keep(&mut self, frames: &mut FramePool) -> Arc<Message> {
        if let Some(message) = &self.kept {
            return Arc::clone(message);
        }
        let message = Arc::new(self.to_message(frames));
        self.kept = Some(Arc::clone(&message));
        message
    }

    fn to_message(&self, frames: &mut FramePool) -> Message {
        let (data, [topic, forward, payload]) =
            self.adopt_frame().unwrap_or_else(|| self.copy_data(frames));
        Message {
            data,
            topic,
            forward,
            payload,
            qos: self.qos,
            retain: self.retain,
            expires_at_ms: self.expires_at_ms,
            origin: self.origin,
            body: self.body,
        }
    }

    /// The frame as it is, if the message lies in it in one piece each.
    fn adopt_frame(&self) -> Option<(Data, [Span; 3])> {
        let frame = self.frame?;
        let spans = [
            Span::within(frame, self.topic.as_bytes())?,
            Span::within(frame, self.forward.as_encoded()?)?,
            Span::within(frame, self.payload)?,
        ];
        Some((Data::Frame(Arc::clone(frame)), spans))
    }

    fn copy_data(&self, frames: &mut FramePool) -> (Data, [Span; 3]) {
        let topic_end = self.topic.len();
        let forward_end = topic_end + self.forward.encoded_len();
        let payload_end = forward_end + self.payload.len();
        let is_large = payload_end >= REFERENCE_BYTES_MIN;
        let mut data =
            if is_large { frames.take(payload_end) } else { Vec::with_capacity(payload_end) };
        data.put_slice(self.topic.as_bytes());
        self.forward.put(&mut data);
        data.put_slice(self.payload);
        let spans = [
            Span::new(0, topic_end),
            Span::new(topic_end, forward_end),
            Span::new(forward_end, payload_end),
        ];
        let data = match is_large {
            true => Data::Frame(frames.share(data)),
            false => Data::Copied(data.into_boxed_slice()),
        };
        (data, spans)
    }
}

/// What is left of an expiry interval, in the standard's whole seconds, rounded up so that a
/// message that is still alive never shows zero [MQTT-3.3.2-6]. `None` when it has run out.
pub(crate) fn remaining_expiry_s(expires_at_ms: u64, now_ms: u64) -> Option<u32> {
    let left_ms = expires_at_ms.checked_sub(now_ms).filter(|left| *left > 0)?;
    Some(left_ms.div_ceil(crate::time::MS_PER_S).min(u64::from(u32::MAX)) as u32)
}
