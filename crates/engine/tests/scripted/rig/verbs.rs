//! What clients do in scripts: connect, subscribe, publish, acknowledge, expect. Must not know how
//! turns run.

use std::num::NonZeroU32;

use martlet_engine::TransportEnd;
use martlet_proto::{
    Ack, Disconnect, Packet, PacketId, PacketType, Qos, ReasonCode, Subscribe, SubscribeFilters,
    SubscriptionOptions, Unsubscribe, UnsubscribeFilters, UserProperties, Version,
};

use super::{Client, Event, Got, Hello, Message, Rig, msg};

/// Subscription options with a QoS alone.
pub(crate) fn options(qos: u8) -> SubscriptionOptions {
    SubscriptionOptions::new(Qos::from_bits(qos).expect("0 to 2"))
}

/// A packet identifier.
pub(crate) fn packet_id(id: u16) -> PacketId {
    PacketId::new(id).expect("not zero")
}

impl Rig {
    pub(crate) fn client(&mut self, name: &str) -> &mut Client {
        self.clients.get_mut(name).unwrap_or_else(|| panic!("no client is called {name}"))
    }

    /// Opens a transport and says nothing.
    pub(crate) fn open(&mut self, name: &str, version: Version, packet_size_max: Option<u32>) {
        let size_max = packet_size_max.map_or(usize::MAX, |max| max as usize);
        self.clients.insert(name.to_owned(), Client::new(version, size_max));
        let node = self.accepted % self.nodes.len();
        self.accepted += 1;
        self.nodes[node].events.push_back(Event::Opened(name.to_owned()));
        self.settle();
    }

    /// Sends bytes; nobody reads them yet.
    pub(crate) fn give(&mut self, name: &str, bytes: &[u8]) {
        self.sent += 1;
        let at = self.sent;
        let client = self.client(name);
        if client.to_server.is_empty() {
            client.sent_at = at;
        }
        client.to_server.extend(bytes);
    }

    /// Sends bytes.
    pub(crate) fn send_bytes(&mut self, name: &str, bytes: &[u8]) {
        self.give(name, bytes);
        self.settle();
    }

    /// Writes a packet; nobody reads it yet.
    pub(crate) fn give_packet(&mut self, name: &str, packet: Packet<'_>) {
        let mut bytes = Vec::new();
        packet.put(self.client(name).version, &mut bytes);
        self.give(name, &bytes);
    }

    /// Sends a packet.
    pub(crate) fn send(&mut self, name: &str, packet: Packet<'_>) {
        self.give_packet(name, packet);
        self.settle();
    }

    /// Sends CONNECT on a new transport; whatever the answer is stays in the inbox.
    pub(crate) fn call(&mut self, hello: &Hello) {
        self.open(&hello.name, hello.version, hello.packet_size_max);
        self.client(&hello.name).problem_information = hello.problem_information;
        self.send_bytes(&hello.name, &hello.bytes());
    }

    /// Connects and is let in. Whether the session was there.
    pub(crate) fn connect(&mut self, hello: &Hello) -> bool {
        let got = self.connect_got(hello);
        assert_eq!(got.conn_ack().reason, ReasonCode::Success);
        got.conn_ack().session_present
    }

    /// Connects; the CONNACK.
    pub(crate) fn connect_got(&mut self, hello: &Hello) -> Got {
        self.call(hello);
        self.expect(&hello.name)
    }

    /// The next packet.
    pub(crate) fn expect(&mut self, name: &str) -> Got {
        let got = self.client(name).inbox.pop_front();
        got.unwrap_or_else(|| panic!("{name} got nothing"))
    }

    /// The next PUBLISH.
    pub(crate) fn expect_publish(&mut self, name: &str) -> Message {
        Message::from(&self.expect(name).publish())
    }

    /// The next PUBLISH, acknowledged to the end.
    pub(crate) fn take_message(&mut self, name: &str) -> Message {
        let message = self.expect_publish(name);
        self.finish_message(name, &message);
        message
    }

    /// Acknowledges a PUBLISH to the end.
    pub(crate) fn finish_message(&mut self, name: &str, message: &Message) {
        match (message.qos, message.id) {
            (Qos::AtLeastOnce, Some(id)) => self.pub_ack(name, id),
            (Qos::ExactlyOnce, Some(id)) => {
                self.pub_rec(name, id);
                let found = self.take_first(name, PacketType::PubRel);
                assert_eq!(found.pub_rel(), Ack::new(packet_id(id), ReasonCode::Success));
                self.pub_comp(name, id);
            }
            _ => {}
        }
    }

    /// The first packet of a type; what came before it stays.
    pub(crate) fn take_first(&mut self, name: &str, packet: PacketType) -> Got {
        let inbox = &mut self.client(name).inbox;
        let at = inbox.iter().position(|got| got.packet().packet_type() == packet);
        let found = at.and_then(|at| inbox.remove(at));
        found.unwrap_or_else(|| panic!("{name} got no {packet}: {:?}", self.client(name)))
    }

    /// The payloads of all that came, PUBLISH packets only, acknowledged to the end until nothing
    /// more comes.
    pub(crate) fn take_payloads(&mut self, name: &str) -> Vec<String> {
        let mut payloads = Vec::new();
        while !self.client(name).inbox.is_empty() {
            payloads.push(self.take_message(name).text().to_owned());
        }
        payloads
    }

    /// Nothing came.
    pub(crate) fn nothing(&mut self, name: &str) {
        let client = self.client(name);
        assert!(client.inbox.is_empty(), "{name} got {client:?}");
        assert!(!client.closed, "{name} was closed");
    }

    /// The server has closed the transport without a further word.
    pub(crate) fn closed(&mut self, name: &str) {
        let client = self.client(name);
        assert!(client.inbox.is_empty(), "{name} got {client:?}");
        assert!(client.closed, "{name} is still open");
    }

    pub(crate) fn is_closed(&mut self, name: &str) -> bool {
        self.client(name).closed
    }

    /// The server said DISCONNECT with this reason and closed.
    pub(crate) fn thrown_out(&mut self, name: &str, reason: ReasonCode) {
        let got = self.expect(name);
        assert_eq!(got.disconnect().reason, reason, "{name}");
        self.closed(name);
    }

    /// The server said CONNACK with this reason and closed.
    pub(crate) fn refused(&mut self, name: &str, reason: ReasonCode) {
        let got = self.expect(name);
        assert_eq!(got.conn_ack().reason, reason, "{name}");
        assert!(!got.conn_ack().session_present);
        self.closed(name);
    }

    /// The transport breaks.
    pub(crate) fn cut(&mut self, name: &str) {
        self.settle();
        let (node, _) = self.client(name).at.unwrap_or_else(|| panic!("{name} is not connected"));
        let closed = Event::Closed(name.to_owned(), TransportEnd::Reset);
        self.nodes[node].events.push_back(closed);
        self.settle();
    }

    /// DISCONNECT, and the server closes.
    pub(crate) fn goodbye(&mut self, name: &str) {
        self.send(name, Packet::Disconnect(Disconnect::new(ReasonCode::NormalDisconnection)));
        self.closed(name);
    }

    /// A new identifier of the client.
    pub(crate) fn next_id(&mut self, name: &str) -> u16 {
        let client = self.client(name);
        client.next_id += 1;
        client.next_id
    }

    /// Sends SUBSCRIBE; nobody reads it yet. Its identifier.
    pub(crate) fn give_subscribe(
        &mut self,
        name: &str,
        filters: &[(&str, SubscriptionOptions)],
        subscription_id: Option<u32>,
    ) -> u16 {
        let id = self.next_id(name);
        let subscribe = Subscribe {
            packet_id: packet_id(id),
            subscription_id: subscription_id.and_then(NonZeroU32::new),
            user_properties: UserProperties::default(),
            filters: SubscribeFilters::from(filters),
        };
        self.give_packet(name, Packet::Subscribe(subscribe));
        id
    }

    /// Subscribes; the codes of SUBACK.
    pub(crate) fn subscribe_with(
        &mut self,
        name: &str,
        filters: &[(&str, SubscriptionOptions)],
        subscription_id: Option<u32>,
    ) -> Vec<u8> {
        let id = self.give_subscribe(name, filters, subscription_id);
        self.settle();
        let got = self.take_first(name, PacketType::SubAck);
        assert_eq!(got.sub_ack().packet_id.get(), id);
        got.sub_ack().codes.to_vec()
    }

    /// Subscribes to one filter, which is granted.
    pub(crate) fn subscribe(&mut self, name: &str, filter: &str, qos: u8) {
        assert_eq!(self.subscribe_with(name, &[(filter, options(qos))], None), [qos]);
    }

    /// Sends UNSUBSCRIBE; nobody reads it yet. Its identifier.
    pub(crate) fn give_unsubscribe(&mut self, name: &str, filters: &[&str]) -> u16 {
        let id = self.next_id(name);
        let unsubscribe = Unsubscribe {
            packet_id: packet_id(id),
            user_properties: UserProperties::default(),
            filters: UnsubscribeFilters::from(filters),
        };
        self.give_packet(name, Packet::Unsubscribe(unsubscribe));
        id
    }

    /// Unsubscribes; the codes of UNSUBACK (none before version 5.0).
    pub(crate) fn unsubscribe(&mut self, name: &str, filters: &[&str]) -> Vec<u8> {
        let id = self.give_unsubscribe(name, filters);
        self.settle();
        let got = self.take_first(name, PacketType::UnsubAck);
        assert_eq!(got.unsub_ack().packet_id.get(), id);
        got.unsub_ack().codes.to_vec()
    }

    /// Writes a PUBLISH; nobody reads it yet. QoS 1 and 2 get an identifier if they have none.
    pub(crate) fn give_message(&mut self, name: &str, message: &Message) -> u16 {
        let mut message = message.clone();
        if message.qos != Qos::AtMostOnce && message.id.is_none() {
            message.id = Some(self.next_id(name));
        }
        let bytes = message.bytes(self.client(name).version);
        self.give(name, &bytes);
        message.id.unwrap_or(0)
    }

    /// Sends a PUBLISH and looks at no answer.
    pub(crate) fn send_message(&mut self, name: &str, message: &Message) -> u16 {
        let id = self.give_message(name, message);
        self.settle();
        id
    }

    /// Publishes to the end of the exchange; the reason code of PUBACK or PUBREC.
    pub(crate) fn publish_message(&mut self, name: &str, message: &Message) -> ReasonCode {
        let id = packet_id(self.send_message(name, message).max(1));
        match message.qos {
            Qos::AtMostOnce => ReasonCode::Success,
            Qos::AtLeastOnce => {
                let got = self.take_first(name, PacketType::PubAck);
                assert_eq!(got.pub_ack().packet_id, id);
                got.pub_ack().reason
            }
            Qos::ExactlyOnce => {
                let got = self.take_first(name, PacketType::PubRec);
                assert_eq!(got.pub_rec().packet_id, id);
                self.send(name, Packet::PubRel(Ack::new(id, ReasonCode::Success)));
                let comp = self.take_first(name, PacketType::PubComp);
                assert_eq!(comp.pub_comp(), Ack::new(id, ReasonCode::Success));
                got.pub_rec().reason
            }
        }
    }

    /// Publishes to the end of the exchange.
    pub(crate) fn publish(&mut self, name: &str, topic: &str, payload: &str, qos: u8) {
        let reason = self.publish_message(name, &msg(topic, payload).qos(qos));
        assert!(!reason.is_error(), "{reason}");
    }

    pub(crate) fn pub_ack(&mut self, name: &str, id: u16) {
        self.send(name, Packet::PubAck(Ack::new(packet_id(id), ReasonCode::Success)));
    }

    pub(crate) fn pub_rec(&mut self, name: &str, id: u16) {
        self.send(name, Packet::PubRec(Ack::new(packet_id(id), ReasonCode::Success)));
    }

    pub(crate) fn pub_rel(&mut self, name: &str, id: u16) {
        self.send(name, Packet::PubRel(Ack::new(packet_id(id), ReasonCode::Success)));
    }

    pub(crate) fn pub_comp(&mut self, name: &str, id: u16) {
        self.send(name, Packet::PubComp(Ack::new(packet_id(id), ReasonCode::Success)));
    }

    /// The client takes only so many more bytes.
    pub(crate) fn take_only(&mut self, name: &str, bytes: usize) {
        self.client(name).window = bytes;
        if let Some((node, _)) = self.client(name).at {
            self.nodes[node].events.push_back(Event::Writable(name.to_owned()));
        }
        self.settle();
    }

    /// Whether the server reads this client no more.
    pub(crate) fn is_paused(&mut self, name: &str) -> bool {
        self.client(name).paused
    }
}
