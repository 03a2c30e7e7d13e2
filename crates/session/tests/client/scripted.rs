//! A client connection whose server is a script and whose clock is a number. What the client
//! sends and what it reports is kept as short texts, so that a test reads like the exchange.
//! Every packet of the client is decoded as a server would: an invalid one fails the test.

use std::fmt::Write;

use martlet_proto::{
    Ack, ConnAck, ConnAckProperties, Connect, ConnectProperties, Disconnect, ForwardProperties,
    Framing, Packet, PacketId, Publish, PublishProperties, Qos, ReasonCode, ReasonProperties,
    Sender, SubscriptionOptions, Version, decode, frame,
};
use martlet_session::client::{
    ClientConnection, ClientSession, ConnectionOptions, End, Event, Publication, PublishError,
    SubscribeRequest, Token,
};

pub(crate) const Q0: Qos = Qos::AtMostOnce;
pub(crate) const Q1: Qos = Qos::AtLeastOnce;
pub(crate) const Q2: Qos = Qos::ExactlyOnce;

pub(crate) const OK: ReasonCode = ReasonCode::Success;

pub(crate) fn id(id: u16) -> PacketId {
    PacketId::new(id).expect("not zero")
}

/// A client and the script of its server.
pub(crate) struct Scripted {
    pub(crate) session: ClientSession,
    pub(crate) connection: ClientConnection,
    pub(crate) now_ms: u64,
    /// What the client has to send.
    pub(crate) out: Vec<u8>,
    events: Vec<String>,
}

/// A session that was connected before and has finished everything.
pub(crate) fn resumed_session() -> ClientSession {
    ClientSession::resumed(1 << 20)
}

pub(crate) fn connect(version: Version) -> Connect<'static> {
    Connect::new(version, "client", true)
}

/// A CONNECT for a session that outlives the connection.
pub(crate) fn persistent(version: Version) -> Connect<'static> {
    Connect {
        properties: ConnectProperties { session_expiry_s: Some(3600), ..Default::default() },
        ..Connect::new(version, "client", false)
    }
}

pub(crate) fn publication<'a>(topic: &'a str, payload: &'a str, qos: Qos) -> Publication<'a> {
    Publication {
        topic,
        payload: payload.as_bytes(),
        qos,
        retain: false,
        message_expiry_s: None,
        forward: ForwardProperties::default(),
    }
}

pub(crate) fn publish<'a>(
    topic: &'a str,
    payload: &'a str,
    qos: Qos,
    packet_id: u16,
) -> Publish<'a> {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic,
        packet_id: PacketId::new(packet_id),
        properties: PublishProperties::default(),
        payload: payload.as_bytes(),
    }
}

impl Scripted {
    /// Opens a connection; the CONNECT is in the output.
    pub(crate) fn open(
        mut session: ClientSession,
        connect: &Connect<'_>,
        options: ConnectionOptions,
    ) -> Scripted {
        let (mut out, mut events, now_ms) = (Vec::new(), Vec::new(), 1_000_000);
        let on_event = |event: Event<'_>| events.push(describe(&event));
        let connection =
            ClientConnection::open(now_ms, &mut session, connect, options, &mut out, on_event)
                .expect("a CONNECT in order");
        Scripted { session, connection, now_ms, out, events }
    }

    /// Opens a connection that the server accepts with `properties`.
    pub(crate) fn accepted(
        session: ClientSession,
        connect: &Connect<'_>,
        session_present: bool,
        properties: ConnAckProperties<'_>,
    ) -> Scripted {
        let mut client = Scripted::open(session, connect, ConnectionOptions::default());
        client.sent();
        client.accept(session_present, properties);
        client
    }

    /// A connected client with a clean session.
    pub(crate) fn connected(version: Version) -> Scripted {
        let session = ClientSession::new(1 << 20);
        let mut client =
            Scripted::accepted(session, &connect(version), false, ConnAckProperties::default());
        client.events();
        client
    }

    /// A connected client with a clean session and these limits of the server.
    pub(crate) fn limited(properties: ConnAckProperties<'_>) -> Scripted {
        let session = ClientSession::new(1 << 20);
        let mut client = Scripted::accepted(session, &connect(Version::V5), false, properties);
        client.events();
        client
    }

    /// A connected client that acknowledges by command.
    pub(crate) fn manual(version: Version) -> Scripted {
        let options = ConnectionOptions { manual_acks: true, ..ConnectionOptions::default() };
        let session = resumed_session();
        let mut client = Scripted::open(session, &persistent(version), options);
        client.sent();
        client.accept(true, ConnAckProperties::default());
        client.events();
        client
    }

    /// A connected client with a session that persists.
    pub(crate) fn persistent(version: Version) -> Scripted {
        let session = ClientSession::new(1 << 20);
        let mut client =
            Scripted::accepted(session, &persistent(version), false, ConnAckProperties::default());
        client.events();
        client
    }

    /// The transport breaks; the events of that are returned with the session.
    pub(crate) fn broken(self) -> (ClientSession, Vec<String>) {
        let Scripted { mut session, connection, mut events, .. } = self;
        connection.transport_closed(&mut session, |event| events.push(describe(&event)));
        (session, events)
    }

    /// The transport breaks and a new connection resumes the session.
    pub(crate) fn reconnected(self) -> Scripted {
        let version = self.connection.version();
        let (session, events) = self.broken();
        assert!(events.is_empty(), "{events:?}");
        let present = version != Version::V31;
        Scripted::accepted(session, &persistent(version), present, ConnAckProperties::default())
    }

    pub(crate) fn accept(&mut self, session_present: bool, properties: ConnAckProperties<'_>) {
        let connack = ConnAck { properties, ..ConnAck::new(session_present, OK) };
        self.server(Packet::ConnAck(connack)).expect("a CONNACK in order");
    }

    /// The server sends a packet.
    pub(crate) fn server(&mut self, packet: Packet<'_>) -> Result<(), End> {
        let mut bytes = Vec::new();
        packet.put(self.connection.version(), &mut bytes);
        self.bytes(&bytes)
    }

    /// Bytes come from the server.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), End> {
        let events = &mut self.events;
        let on_event = |event: Event<'_>| events.push(describe(&event));
        self.connection.receive(self.now_ms, &mut self.session, bytes, &mut self.out, on_event)
    }

    pub(crate) fn server_publish(&mut self, topic: &str, payload: &str, qos: Qos, packet_id: u16) {
        let publish = publish(topic, payload, qos, packet_id);
        self.server(Packet::Publish(publish)).expect("a PUBLISH in order");
    }

    pub(crate) fn server_ack(
        &mut self,
        packet: fn(Ack<'static>) -> Packet<'static>,
        packet_id: u16,
    ) {
        self.server(packet(Ack::new(id(packet_id), OK))).expect("an acknowledgement in order");
    }

    pub(crate) fn publish(
        &mut self,
        topic: &str,
        payload: &str,
        qos: Qos,
    ) -> Result<Option<Token>, PublishError> {
        self.publish_it(&publication(topic, payload, qos))
    }

    pub(crate) fn publish_it(
        &mut self,
        publication: &Publication<'_>,
    ) -> Result<Option<Token>, PublishError> {
        self.connection.publish(self.now_ms, &mut self.session, publication, &mut self.out)
    }

    pub(crate) fn subscribe(&mut self, filters: &[(&str, Qos)]) -> Token {
        let filters: Vec<_> = filters
            .iter()
            .map(|(filter, qos)| {
                (*filter, SubscriptionOptions { qos: *qos, ..SubscriptionOptions::default() })
            })
            .collect();
        let request =
            SubscribeRequest { filters: &filters, subscription_id: None, user_properties: &[] };
        self.connection
            .subscribe(self.now_ms, &mut self.session, &request, &mut self.out)
            .expect("a SUBSCRIBE in order")
    }

    pub(crate) fn acknowledge(&mut self, packet_id: u16, reason: ReasonCode) {
        self.connection
            .acknowledge(self.now_ms, &mut self.session, id(packet_id), reason, &mut self.out)
            .expect("an acknowledgement that is due");
    }

    pub(crate) fn disconnect(&mut self, reason: ReasonCode) {
        let disconnect = Disconnect::new(reason);
        self.connection
            .disconnect(&mut self.session, &disconnect, &mut self.out)
            .expect("a DISCONNECT in order");
    }

    /// Lets time pass and does what is due.
    pub(crate) fn wait(&mut self, ms: u64) -> Result<(), End> {
        self.now_ms += ms;
        self.connection.tick(self.now_ms, &mut self.out)
    }

    /// What the client has sent since the last call.
    pub(crate) fn sent(&mut self) -> Vec<String> {
        let version = self.connection.version();
        packets(&std::mem::take(&mut self.out), version)
    }

    /// What the client has reported since the last call.
    pub(crate) fn events(&mut self) -> Vec<String> {
        std::mem::take(&mut self.events)
    }
}

/// The packets of a client in these bytes.
pub(crate) fn packets(mut bytes: &[u8], version: Version) -> Vec<String> {
    let mut packets = Vec::new();
    while !bytes.is_empty() {
        let Framing::Complete(frame) = frame(bytes, usize::MAX).expect("frames in order") else {
            panic!("half a packet");
        };
        let packet = decode(&frame, version, Sender::Client).expect("packets in order");
        packets.push(packet_text(&packet));
        bytes = &bytes[frame.len..];
    }
    packets
}

fn packet_text(packet: &Packet<'_>) -> String {
    match packet {
        Packet::Publish(it) => publish_text("PUBLISH", it),
        Packet::PubAck(it) => ack_text("PUBACK", it),
        Packet::PubRec(it) => ack_text("PUBREC", it),
        Packet::PubRel(it) => ack_text("PUBREL", it),
        Packet::PubComp(it) => ack_text("PUBCOMP", it),
        Packet::Subscribe(it) => {
            let mut text = format!("SUBSCRIBE #{}", it.packet_id);
            for (filter, options) in it.filters.iter() {
                write!(text, " {filter}:{}", options.qos.bits()).unwrap();
            }
            text
        }
        Packet::Unsubscribe(it) => {
            let filters: Vec<_> = it.filters.iter().collect();
            format!("UNSUBSCRIBE #{} {}", it.packet_id, filters.join(" "))
        }
        Packet::Disconnect(it) => {
            let mut text = format!("DISCONNECT {:#04x}", it.reason as u8);
            if let Some(reason) = it.reason_string {
                write!(text, " {reason}").unwrap();
            }
            text
        }
        Packet::Auth(it) => {
            let data = String::from_utf8_lossy(it.data.unwrap_or_default()).into_owned();
            format!("AUTH {:#04x} {} {data}", it.reason as u8, it.method.unwrap_or_default())
        }
        other => other.packet_type().to_string(),
    }
}

fn publish_text(name: &str, it: &Publish<'_>) -> String {
    let payload = String::from_utf8_lossy(it.payload);
    let mut text = format!("{name} {}={payload} q{}", it.topic, it.qos.bits());
    if let Some(packet_id) = it.packet_id {
        write!(text, " #{packet_id}").unwrap();
    }
    if let Some(alias) = it.properties.topic_alias {
        write!(text, " @{alias}").unwrap();
    }
    for (set, name) in [(it.dup, " dup"), (it.retain, " retain")] {
        if set {
            text.push_str(name);
        }
    }
    text
}

fn ack_text(name: &str, it: &Ack<'_>) -> String {
    let mut text = format!("{name} #{}", it.packet_id);
    if it.reason != OK {
        write!(text, " {:#04x}", it.reason as u8).unwrap();
    }
    assert_eq!(it.properties, ReasonProperties::default());
    text
}

fn describe(event: &Event<'_>) -> String {
    match event {
        Event::Connected(it) if it.session_present => "connected, session present".into(),
        Event::Connected(_) => "connected".into(),
        Event::Refused(it) => format!("refused {:#04x}", it.reason as u8),
        Event::Message(it) => {
            // The alias was for the wire; the application sees the topic.
            let properties = PublishProperties { topic_alias: None, ..it.properties };
            publish_text("message", &Publish { properties, ..**it })
        }
        Event::Published { token, reason, .. } => {
            format!("published {}: {:#04x}", token.get(), *reason as u8)
        }
        Event::PublishFailed { token, error } => {
            format!("publish failed {}: {error:?}", token.get())
        }
        Event::Discarded { token, publication } => match publication {
            Some(it) => {
                let payload = String::from_utf8_lossy(it.payload);
                format!("discarded {}: {}={payload}", token.get(), it.topic)
            }
            None => format!("discarded {}", token.get()),
        },
        Event::Subscribed { token, ack } => format!("subscribed {}: {:?}", token.get(), ack.codes),
        Event::Unsubscribed { token, .. } => format!("unsubscribed {}", token.get()),
        Event::RequestFailed { token, error } => {
            format!("request failed {}: {error:?}", token.get())
        }
        Event::Auth(it) => {
            let data = String::from_utf8_lossy(it.data.unwrap_or_default());
            format!("auth {:#04x} {data}", it.reason as u8)
        }
        Event::Disconnected(it) => format!("disconnected {:#04x}", it.reason as u8),
    }
}
