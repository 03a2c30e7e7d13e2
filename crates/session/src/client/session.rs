//! What a client keeps across connections. Must not know sockets, limits of a server or packets'
//! bytes: those belong to the connection.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use martlet_proto::{ForwardProperties, PacketId, Publish, PublishProperties, Qos, ReasonCode};

use super::error::PublishError;
use super::event::{Event, Publication, Token};
use super::request::Request;
use crate::incoming::Incoming;
use crate::outgoing::Outgoing;

/// A message kept until it is acknowledged.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) token: Token,
    pub(super) retain: bool,
    message_expiry_s: Option<u32>,
    forward_len: u32,
    topic: Box<str>,
    /// The forward properties, then the payload.
    bytes: Box<[u8]>,
}

impl Message {
    pub(super) fn new(token: Token, publication: &Publication<'_>) -> Self {
        let forward_len = publication.forward.encoded_len();
        let mut bytes = Vec::with_capacity(forward_len + publication.payload.len());
        publication.forward.put(&mut bytes);
        bytes.extend_from_slice(publication.payload);
        Self {
            token,
            retain: publication.retain,
            message_expiry_s: publication.message_expiry_s,
            forward_len: forward_len as u32, // far below: it fits a packet
            topic: publication.topic.into(),
            bytes: bytes.into(),
        }
    }

    pub(super) fn publication(&self, qos: Qos) -> Publication<'_> {
        let (forward, payload) = self.bytes.split_at(self.forward_len as usize);
        Publication {
            topic: &self.topic,
            payload,
            qos,
            retain: self.retain,
            message_expiry_s: self.message_expiry_s,
            forward: ForwardProperties::from_encoded(forward),
        }
    }

    fn len(&self) -> usize {
        self.topic.len() + self.bytes.len()
    }
}

/// The PUBLISH packet of a publication, with its full topic.
pub(super) fn packet<'a>(
    publication: &Publication<'a>,
    packet_id: Option<PacketId>,
    dup: bool,
) -> Publish<'a> {
    Publish {
        dup,
        qos: publication.qos,
        retain: publication.retain,
        topic: publication.topic,
        packet_id,
        properties: PublishProperties {
            message_expiry_s: publication.message_expiry_s,
            forward: publication.forward,
            ..PublishProperties::default()
        },
        payload: publication.payload,
    }
}

/// A message that was never sent: it waits for a connection or for quota.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) qos: Qos,
    pub(super) message: Message,
}

/// A QoS 2 message that the server confirmed with PUBREC; PUBCOMP is awaited.
#[derive(Debug)]
pub(super) struct Release {
    pub(super) id: PacketId,
    pub(super) token: Token,
    /// Of the PUBREC.
    pub(super) reason: ReasonCode,
    /// PUBREL was sent on an earlier connection, too: the server may be done with it.
    pub(super) is_resumed: bool,
}

/// What survives the network connection: the flows in both directions, and the commands that wait.
#[derive(Debug)]
pub struct ClientSession {
    /// Unacknowledged messages to the server.
    pub(super) flows: Outgoing<Message>,
    pub(super) releases: VecDeque<Release>,
    /// QoS 2 messages from the server that await PUBREL.
    pub(super) received: Incoming,
    /// In order of the commands; not part of the session state that the standard speaks of.
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    waiting_bytes_max: usize,
    /// SUBSCRIBE and UNSUBSCRIBE without their answer.
    pub(super) requests: Vec<Request>,
    token_next: u64,
    /// Whose session state this is, as far as that is known.
    pub(super) client_id: Box<str>,
    /// This side has session state: the server may resume it.
    pub(super) exists: bool,
    /// The session ends together with the network connection.
    pub(super) ends_with_connection: bool,
}

impl ClientSession {
    /// A client that never was connected. Messages that wait for a connection or for quota may
    /// take `waiting_bytes_max` bytes (topics, properties and payloads).
    pub fn new(waiting_bytes_max: usize) -> Self {
        Self {
            flows: Outgoing::new(),
            releases: VecDeque::new(),
            received: Incoming::new(),
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            waiting_bytes_max,
            requests: Vec::new(),
            token_next: 0,
            client_id: Box::default(),
            exists: false,
            ends_with_connection: false,
        }
    }

    /// A client that was connected before, in another process say, and finished all its flows:
    /// its session state is empty, but it has one, so the server may say "session present".
    /// It takes on the client identifier of its first connection.
    pub fn resumed(waiting_bytes_max: usize) -> Self {
        Self { exists: true, ..Self::new(waiting_bytes_max) }
    }

    /// Keeps a QoS 1 or 2 message until a connection can send it, in order. Usually
    /// [`ClientConnection::publish`](super::ClientConnection::publish) does it; this is for the
    /// time without a connection.
    ///
    /// # Errors
    /// `NotConnected` for QoS 0, `QueueFull`, or whatever is wrong with the message itself.
    pub fn publish(&mut self, publication: &Publication<'_>) -> Result<Token, PublishError> {
        if publication.qos == Qos::AtMostOnce {
            return Err(PublishError::NotConnected);
        }
        super::publish::check(publication)?;
        let len =
            publication.topic.len() + publication.forward.encoded_len() + publication.payload.len();
        if len > super::limits::PACKET_SIZE_MAX {
            return Err(PublishError::PacketTooLarge);
        }
        if self.waiting_bytes + len > self.waiting_bytes_max {
            return Err(PublishError::QueueFull);
        }
        let token = self.token();
        let message = Message::new(token, publication);
        self.waiting_bytes += len;
        self.waiting.push_back(Waiting { qos: publication.qos, message });
        Ok(token)
    }

    /// How many QoS 1 and 2 messages were sent and are not finished.
    pub fn in_flight(&self) -> usize {
        self.flows.in_flight()
    }

    /// How many messages wait for a connection or for quota.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many SUBSCRIBE and UNSUBSCRIBE have no answer yet.
    pub fn requests(&self) -> usize {
        self.requests.len()
    }

    /// True when nothing of what was commanded is unfinished.
    pub fn is_idle(&self) -> bool {
        self.flows.is_empty() && self.waiting.is_empty() && self.requests.is_empty()
    }

    pub(super) fn token(&mut self) -> Token {
        let token = Token(self.token_next);
        self.token_next += 1;
        token
    }

    pub(super) fn take_waiting(&mut self) -> Option<Waiting> {
        let waiting = self.waiting.pop_front()?;
        self.waiting_bytes -= waiting.message.len();
        Some(waiting)
    }

    /// A packet identifier that no message and no request uses.
    pub(super) fn next_id(&mut self) -> Option<PacketId> {
        // [MQTT-2.2.1-3] [MQTT3-2.3.1-1] [MQTT3-2.3.1-2]
        if self.flows.in_flight() + self.requests.len() >= usize::from(u16::MAX) {
            return None;
        }
        // Ends: fewer identifiers are in use than there are.
        loop {
            let id = self.flows.next_id()?;
            if self.requests.iter().all(|request| request.id != Some(id)) {
                return Some(id);
            }
        }
    }

    /// The QoS 2 flow is over: who started it, and with which reason it was confirmed.
    pub(super) fn take_release(&mut self, id: PacketId) -> Option<Release> {
        let at = self.releases.iter().position(|release| release.id == id)?;
        self.releases.remove(at)
    }

    /// Forgets the session state, telling the application what was unacknowledged. Messages that
    /// were never sent, and requests, are no session state: they stay for the next session.
    pub(super) fn discard(&mut self, on_event: &mut dyn FnMut(Event<'_>)) {
        for (id, qos, message) in self.flows.drain() {
            match message {
                Some(message) => on_event(Event::Discarded {
                    token: message.token,
                    publication: Some(&message.publication(qos)),
                }),
                None => {
                    if let Some(release) = self.take_release(id) {
                        on_event(Event::Discarded { token: release.token, publication: None });
                    }
                }
            }
        }
        self.releases.clear();
        self.received.clear();
        self.exists = false;
        self.ends_with_connection = false;
    }
}
