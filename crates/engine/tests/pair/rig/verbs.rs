//! What clients do in scripts: connect, subscribe, publish, expect. Must not know how turns run.

use martlet_proto::{
    Connect, ConnectProperties, Disconnect, ForwardProperties, Qos, ReasonCode,
    SubscriptionOptions, Version,
};
use martlet_session::client::{
    ClientConnection, ClientSession, Event as Report, Publication, PublishError, SubscribeRequest,
    Token, UnsubscribeRequest,
};

use super::{Client, Crossing, Cut, Event, Got, Happened, Link, Rig, Way};

pub(crate) const Q0: Qos = Qos::AtMostOnce;
pub(crate) const Q1: Qos = Qos::AtLeastOnce;
pub(crate) const Q2: Qos = Qos::ExactlyOnce;

/// All of them.
pub(crate) const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

/// CONNECT of a client whose session ends with its connection.
pub(crate) fn fresh(version: Version, client_id: &str) -> Connect<'_> {
    Connect::new(version, client_id, true)
}

/// CONNECT of a client whose session outlives its connection.
pub(crate) fn lasting(version: Version, client_id: &str) -> Connect<'_> {
    Connect {
        properties: ConnectProperties { session_expiry_s: Some(3600), ..Default::default() },
        ..Connect::new(version, client_id, false)
    }
}

/// A message without anything special.
pub(crate) fn publication<'a>(topic: &'a str, payload: &'a [u8], qos: Qos) -> Publication<'a> {
    Publication {
        topic,
        payload,
        qos,
        retain: false,
        message_expiry_s: None,
        forward: ForwardProperties::default(),
    }
}

impl Rig {
    pub(crate) fn client(&mut self, name: &str) -> &mut Client {
        self.clients.get_mut(name).unwrap_or_else(|| panic!("no client is called {name}"))
    }

    /// A client that has never been connected.
    pub(crate) fn add(&mut self, name: &'static str) -> &mut Client {
        self.clients.insert(name, Client::new());
        self.client(name)
    }

    /// A client that has forgotten everything; it is not connected.
    pub(crate) fn client_anew(&mut self, name: &'static str) -> &mut Client {
        let old = self.clients.get(name);
        assert!(old.is_none_or(|client| client.connection.is_none()), "{name} is connected");
        self.add(name)
    }

    /// Opens a transport and sends CONNECT; a client that was connected before goes on with its
    /// session. Whatever the answer is, is among the events.
    pub(crate) fn call(&mut self, name: &'static str, connect: &Connect<'_>) {
        let now_ms = self.now.mono_ms;
        let link = self.links.len();
        self.links.push(Link::new(name, connect.version));
        let node = link % self.nodes.len();
        let client = self.clients.entry(name).or_insert_with(Client::new);
        let Client { session, events, options, .. } = client;
        let mut out = Vec::new();
        let on_event = |event: Report<'_>| events.push_back(Happened::of(&event));
        let opened = ClientConnection::open(now_ms, session, connect, *options, &mut out, on_event);
        client.connection = Some(opened.expect("a CONNECT in order"));
        client.link = Some(link);
        let next_cut = client.next_cut.take();
        self.links[link].write(Way::ToServer, &out);
        self.nodes[node].events.push_back(Event::Opened(link));
        if let Some(cut) = next_cut {
            self.links[link].order_cut(cut);
            self.cut_if_due(link);
        }
        self.settle();
    }

    /// Connects and is let in. Whether the session was there.
    pub(crate) fn connect(&mut self, name: &'static str, connect: &Connect<'_>) -> bool {
        self.call(name, connect);
        self.connected(name)
    }

    /// The next event is that the server has let the client in. Whether the session was there.
    pub(crate) fn connected(&mut self, name: &str) -> bool {
        match self.next(name) {
            Happened::Connected { present, .. } => present,
            other => panic!("{name}: not connected but {other:?}"),
        }
    }

    /// A command of a connected client; nobody reads it yet.
    pub(crate) fn give<R>(
        &mut self,
        name: &'static str,
        command: impl FnOnce(&mut ClientConnection, &mut ClientSession, u64, &mut Vec<u8>) -> R,
    ) -> R {
        let now_ms = self.now.mono_ms;
        let mut out = Vec::new();
        let Client { session, connection: Some(connection), .. } = self.client(name) else {
            panic!("{name} is not connected")
        };
        let result = command(connection, session, now_ms, &mut out);
        let is_over = connection.end().is_some();
        self.sent_by_client(name, &out, is_over);
        result
    }

    /// A command of a connected client.
    pub(crate) fn act<R>(
        &mut self,
        name: &'static str,
        command: impl FnOnce(&mut ClientConnection, &mut ClientSession, u64, &mut Vec<u8>) -> R,
    ) -> R {
        let result = self.give(name, command);
        self.settle();
        result
    }

    /// The next event.
    pub(crate) fn next(&mut self, name: &str) -> Happened {
        let event = self.client(name).events.pop_front();
        event.unwrap_or_else(|| panic!("{name}: nothing happened"))
    }

    /// Takes the events that are no messages away; the messages.
    pub(crate) fn messages(&mut self, name: &str) -> Vec<Got> {
        let mut messages = Vec::new();
        self.client(name).events.retain(|event| match event {
            Happened::Message(message) => {
                messages.push(message.clone());
                false
            }
            _ => true,
        });
        messages
    }

    /// The payloads of all messages that came, in order.
    pub(crate) fn payloads(&mut self, name: &str) -> Vec<String> {
        self.messages(name).iter().map(|message| message.text().to_owned()).collect()
    }

    /// Nothing happened to this client.
    pub(crate) fn nothing(&mut self, name: &str) {
        let client = self.client(name);
        assert!(client.events.is_empty(), "{name}: {:?}", client.events);
        assert!(client.connection.is_some(), "{name} is not connected");
    }

    /// Subscribes; the codes of the answer.
    pub(crate) fn subscribe_with(
        &mut self,
        name: &'static str,
        request: &SubscribeRequest<'_>,
    ) -> Vec<u8> {
        let token = self.act(name, |it, session, now_ms, out| {
            it.subscribe(now_ms, session, request, out).expect("a SUBSCRIBE in order")
        });
        let events = &mut self.client(name).events;
        let is_it = |it: &Happened| matches!(it, Happened::Subscribed(of, _) if *of == token);
        match events.iter().position(is_it).and_then(|at| events.remove(at)) {
            Some(Happened::Subscribed(_, codes)) => codes,
            _ => panic!("{name}: no answer among {events:?}"),
        }
    }

    /// Subscribes to one filter, which is granted.
    pub(crate) fn subscribe(&mut self, name: &'static str, filter: &str, qos: Qos) {
        let filters = [(filter, SubscriptionOptions::new(qos))];
        let request =
            SubscribeRequest { filters: &filters, subscription_id: None, user_properties: &[] };
        assert_eq!(self.subscribe_with(name, &request), [qos as u8]);
    }

    /// Unsubscribes from one filter.
    pub(crate) fn unsubscribe(&mut self, name: &'static str, filter: &str) {
        let request = UnsubscribeRequest { filters: &[filter], user_properties: &[] };
        let token = self.act(name, |it, session, now_ms, out| {
            it.unsubscribe(now_ms, session, &request, out).expect("an UNSUBSCRIBE in order")
        });
        assert_eq!(self.next(name), Happened::Unsubscribed(token));
    }

    /// Gives a message to the client role; nobody reads it yet.
    pub(crate) fn give_message(
        &mut self,
        name: &'static str,
        message: &Publication<'_>,
    ) -> Result<Option<Token>, PublishError> {
        self.give(name, |it, session, now_ms, out| it.publish(now_ms, session, message, out))
    }

    /// Publishes; what comes of it is among the events.
    pub(crate) fn publish(
        &mut self,
        name: &'static str,
        message: &Publication<'_>,
    ) -> Result<Option<Token>, PublishError> {
        let token = self.give_message(name, message);
        self.settle();
        token
    }

    /// Publishes to the end of the exchange.
    pub(crate) fn publish_done(&mut self, name: &'static str, topic: &str, text: &str, qos: Qos) {
        let token = self.publish(name, &publication(topic, text.as_bytes(), qos));
        if let Some(token) = token.expect("a message in order") {
            let events = &mut self.client(name).events;
            let is_it = |it: &Happened| matches!(it, Happened::Published(of, _) if *of == token);
            let found = events.iter().position(is_it).and_then(|at| events.remove(at));
            let Some(Happened::Published(_, reason)) = found else {
                panic!("{name}: {text} is not published: {events:?}")
            };
            assert!(!reason.is_error(), "{reason:?}");
        }
    }

    /// Acknowledges a received message by command.
    pub(crate) fn acknowledge(&mut self, name: &'static str, message: &Got, reason: ReasonCode) {
        let id = message.id.expect("a QoS above 0");
        self.act(name, |it, session, now_ms, out| {
            it.acknowledge(now_ms, session, id, reason, out).expect("it is due");
        });
    }

    /// DISCONNECT, and the transport closes.
    pub(crate) fn goodbye(&mut self, name: &'static str, disconnect: &Disconnect<'_>) {
        self.act(name, |it, session, _, out| {
            it.disconnect(session, disconnect, out).expect("a DISCONNECT in order");
        });
    }

    /// The ordinary goodbye.
    pub(crate) fn leave(&mut self, name: &'static str) {
        self.goodbye(name, &Disconnect::new(ReasonCode::NormalDisconnection));
        self.left(name);
    }

    /// The next event is the end that the client itself has brought about.
    pub(crate) fn left(&mut self, name: &str) {
        let end = Some(martlet_session::client::End::Disconnected);
        assert_eq!(self.next(name), Happened::Closed(end));
    }

    /// The transport is to break there.
    pub(crate) fn order_cut(&mut self, name: &'static str, cut: Cut) {
        let link = self.client(name).link.unwrap_or_else(|| panic!("{name} is not connected"));
        self.links[link].order_cut(cut);
        self.cut_if_due(link);
    }

    /// The transport of the next connection is to break there.
    pub(crate) fn order_next_cut(&mut self, name: &'static str, cut: Cut) {
        self.client(name).next_cut = Some(cut);
    }

    /// The transport breaks now, and both sides know.
    pub(crate) fn cut(&mut self, name: &'static str) {
        let cut = Cut { way: Way::ToServer, after: 0, rest_arrives: false, server_learns: true };
        self.order_cut(name, cut);
        self.settle();
        assert_eq!(self.client(name).events.pop_back(), Some(Happened::Closed(None)));
    }

    /// The packets of the client's latest connection, in the order in which they were written.
    pub(crate) fn crossings(&self, name: &str) -> &[Crossing] {
        let link = self.links.iter().rev().find(|link| link.client == name);
        link.map_or(&[], |link| link.crossings())
    }
}
