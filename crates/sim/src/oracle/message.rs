//! Messages and what is known of their publication. Must not know who received them.

use martlet_proto::Qos;

use super::{Book, NEVER, Step};

/// Bytes of a payload that name its message.
pub const PAYLOAD_HEAD: usize = 14;

/// Where a message came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A PUBLISH of a client.
    Publish,
    /// A will; see [`super::Will`].
    Will,
}

/// A message.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its number.
    pub id: u32,
    /// Where it came from.
    pub kind: Kind,
    /// The client that published it.
    pub client: usize,
    /// The wire of its first transmission.
    pub wire: usize,
    /// The topic name.
    pub topic: &'static str,
    /// The QoS it was published with.
    pub qos: Qos,
    /// The RETAIN flag it was published with.
    pub retain: bool,
    /// It has no payload: with RETAIN it removes what is retained.
    pub empty: bool,
    /// The length of its payload.
    pub payload_bytes: usize,
    /// Its Message Expiry Interval.
    pub expiry_s: Option<u32>,
    /// It has forwarded properties.
    pub properties: bool,
    /// How often it was transmitted.
    pub sends: u32,
    /// The step of the first transmission.
    pub sent: Step,
    /// Its time.
    pub sent_ms: u64,
    /// The step of the last transmission.
    pub last_sent: Step,
    /// When the publisher knew that the broker has it.
    pub acked: Step,
    /// A crash came before it was settled, and nobody was promised anything.
    pub shaken: bool,
    /// The publisher was told that it was refused.
    pub refused: bool,
    /// When it had certainly reached all sessions.
    pub settled: Step,
    /// When it had certainly passed, or will never come any more.
    pub over: Step,
}

impl Message {
    /// The bytes of its payload.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        if self.empty {
            return Vec::new();
        }
        let mut payload = format!("sim:{:08x}:.", self.id).into_bytes();
        payload.truncate(PAYLOAD_HEAD);
        let filler = (payload.len()..self.payload_bytes).map(|i| (i as u32 ^ self.id) as u8);
        payload.extend(filler.collect::<Vec<_>>());
        payload
    }

    /// The user properties it carries.
    #[must_use]
    pub fn user_properties(&self) -> [(String, String); 2] {
        let pair = |name: &str| (name.to_owned(), format!("{name}{}", self.id));
        [pair("first"), pair("second")]
    }

    /// Whether the broker has it, for good.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        self.acked != NEVER && !self.shaken
    }

    /// Whether its expiry interval has certainly not passed.
    #[must_use]
    pub fn is_fresh(&self, now_ms: u64) -> bool {
        self.expiry_s.is_none_or(|seconds| now_ms < self.sent_ms + u64::from(seconds) * 1000)
    }
}

/// The message that a payload names.
#[must_use]
pub fn payload_id(payload: &[u8]) -> Option<u32> {
    let text = std::str::from_utf8(payload.get(..PAYLOAD_HEAD)?).ok()?;
    u32::from_str_radix(text.strip_prefix("sim:")?.strip_suffix(":.")?, 16).ok()
}

impl Book {
    /// A new message; it counts as sent in this step.
    pub fn new_message(&mut self, mut message: Message) -> u32 {
        message.id = self.messages.len() as u32;
        // A will is sent when its connection ends.
        message.sent = if message.kind == Kind::Will { NEVER } else { self.step };
        message.last_sent = self.step;
        message.sent_ms = self.now_ms;
        message.acked = NEVER;
        message.settled = NEVER;
        message.over = NEVER;
        message.shaken = false;
        message.refused = false;
        message.payload_bytes = message.payload_bytes.max(PAYLOAD_HEAD);
        self.messages.push(message);
        (self.messages.len() - 1) as u32
    }

    /// The publisher sends it again.
    pub fn sent_again(&mut self, id: u32) {
        let step = self.step;
        let message = &mut self.messages[id as usize];
        message.sends += 1;
        message.last_sent = step;
    }

    /// The broker certainly has the message.
    pub fn acknowledged(&mut self, id: u32) {
        let message = &mut self.messages[id as usize];
        if message.acked == NEVER {
            message.acked = self.step;
            // A will is only on its way; a client that reads an acknowledgement comes after the
            // mail.
            if message.kind == Kind::Publish {
                message.over = message.over.min(self.step);
            }
            self.unsettled.push(id);
        }
    }

    /// Whether `later` certainly took effect after `earlier`.
    #[must_use]
    pub fn is_later(&self, later: u32, earlier: u32) -> bool {
        let (a, b) = (&self.messages[later as usize], &self.messages[earlier as usize]);
        let once = a.sends == 1 && b.sends == 1 && a.kind == b.kind;
        a.sent != NEVER && a.sent > b.over || once && a.wire == b.wire && a.id > b.id
    }

    /// The publisher gives the message up: nobody knows whether the broker has it.
    pub fn given_up(&mut self, id: u32) {
        let message = &mut self.messages[id as usize];
        message.over = message.over.min(self.step);
    }

    /// What is known of a message, for a person.
    #[must_use]
    pub fn history(&self, id: u32) -> String {
        let message = &self.messages[id as usize];
        let step = |step: Step| if step == NEVER { "-".to_owned() } else { step.to_string() };
        let mut text = format!(
            "message {id} ({:?} of {} over wire {}, {} QoS {} retain {} \
             {} bytes, sent {}x from {} to {}, acked {}, settled {})",
            message.kind,
            self.clients[message.client].id,
            message.wire,
            message.topic,
            message.qos.bits(),
            message.retain,
            message.payload_bytes,
            message.sends,
            message.sent,
            message.last_sent,
            step(message.acked),
            step(message.settled),
        );
        for session in &self.sessions {
            for delivery in session.deliveries.iter().filter(|d| d.message == id) {
                text += &format!(
                    "\n    to {} over wire {} at {}: QoS {} dup {} retain {} ids {:?}{}",
                    self.clients[session.client].id,
                    delivery.wire,
                    delivery.step,
                    delivery.qos.bits(),
                    delivery.dup,
                    delivery.retain,
                    delivery.ids,
                    if delivery.again { " (again)" } else { "" },
                );
            }
        }
        text
    }
}
