//! The client's end: session, connection, and what the client role has reported. Must not know
//! shards.

use std::collections::VecDeque;

use martlet_proto::{PacketId, Publish, Qos, ReasonCode};
use martlet_session::client::{
    ClientConnection, ClientSession, ConnectionOptions, End, Event, PublishError, RequestError,
    Token,
};

use super::link::Cut;

/// A message that came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    pub(crate) id: Option<PacketId>,
    pub(crate) subscription_ids: Vec<u32>,
    pub(crate) expiry_s: Option<u32>,
    /// The forwarded properties as they are encoded.
    pub(crate) forward: Vec<u8>,
}

impl Got {
    fn new(publish: &Publish<'_>) -> Self {
        let mut forward = Vec::new();
        publish.properties.forward.put(&mut forward);
        Self {
            topic: publish.topic.to_owned(),
            payload: publish.payload.to_vec(),
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            id: publish.packet_id,
            subscription_ids: publish.properties.subscription_ids.iter().collect(),
            expiry_s: publish.properties.message_expiry_s,
            forward,
        }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).expect("the scripts send text")
    }
}

/// An event of the client role, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Happened {
    Connected {
        present: bool,
        assigned: Option<String>,
        auth_data: Option<Vec<u8>>,
    },
    Refused(ReasonCode),
    Message(Got),
    Published(Token, ReasonCode),
    PublishFailed(Token, PublishError),
    /// With the payload, when the message was not confirmed by PUBREC.
    Discarded(Token, Option<Vec<u8>>),
    Subscribed(Token, Vec<u8>),
    Unsubscribed(Token),
    RequestFailed(Token, RequestError),
    Auth(ReasonCode, Option<Vec<u8>>),
    Disconnected(ReasonCode),
    /// The transport is closed; by which end of the connection, if it had one.
    Closed(Option<End>),
}

impl Happened {
    pub(super) fn of(event: &Event<'_>) -> Self {
        match *event {
            Event::Connected(ack) => Self::Connected {
                present: ack.session_present,
                assigned: ack.properties.assigned_client_id.map(str::to_owned),
                auth_data: ack.properties.auth_data.map(<[u8]>::to_vec),
            },
            Event::Refused(ack) => Self::Refused(ack.reason),
            Event::Message(publish) => Self::Message(Got::new(publish)),
            Event::Published { token, reason, .. } => Self::Published(token, reason),
            Event::PublishFailed { token, error } => Self::PublishFailed(token, error),
            Event::Discarded { token, publication } => {
                Self::Discarded(token, publication.map(|it| it.payload.to_vec()))
            }
            Event::Subscribed { token, ack } => Self::Subscribed(token, ack.codes.to_vec()),
            Event::Unsubscribed { token, .. } => Self::Unsubscribed(token),
            Event::RequestFailed { token, error } => Self::RequestFailed(token, error),
            Event::Auth(auth) => Self::Auth(auth.reason, auth.data.map(<[u8]>::to_vec)),
            Event::Disconnected(goodbye) => Self::Disconnected(goodbye.reason),
        }
    }
}

/// A client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) session: ClientSession,
    pub(crate) connection: Option<ClientConnection>,
    /// How it connects.
    pub(crate) options: ConnectionOptions,
    /// What was reported and nobody has looked at.
    pub(crate) events: VecDeque<Happened>,
    /// It neither reads nor keeps its deadlines.
    pub(crate) hangs: bool,
    /// What it may hold against the server; usually nothing.
    pub(crate) may_accuse: Option<End>,
    pub(super) link: Option<usize>,
    /// For its next transport.
    pub(super) next_cut: Option<Cut>,
}

impl Client {
    pub(super) fn new() -> Self {
        Self {
            session: ClientSession::new(1 << 24),
            connection: None,
            options: ConnectionOptions::default(),
            events: VecDeque::new(),
            hangs: false,
            may_accuse: None,
            link: None,
            next_cut: None,
        }
    }

    /// Takes bytes of the server; the answer, and why the connection is over if it is.
    pub(super) fn receive(&mut self, now_ms: u64, bytes: &[u8]) -> (Vec<u8>, Option<End>) {
        let mut out = Vec::new();
        let Self { session, connection: Some(connection), events, may_accuse, .. } = self else {
            return (out, None);
        };
        let on_event = |event: Event<'_>| events.push_back(Happened::of(&event));
        let end = connection.receive(now_ms, session, bytes, &mut out, on_event).err();
        // The two are to understand each other.
        assert!(!matches!(end, Some(End::Violation(_))) || end == *may_accuse, "{end:?}");
        (out, end)
    }

    /// The transport is closed.
    pub(super) fn closed(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        let end = connection.end();
        let events = &mut self.events;
        connection.transport_closed(&mut self.session, |event| {
            events.push_back(Happened::of(&event));
        });
        events.push_back(Happened::Closed(end));
        self.link = None;
    }
}
