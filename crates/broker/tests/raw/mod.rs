//! A blocking client over a plain socket, which does exactly what a test tells it to, and a broker
//! for one test.
#![allow(dead_code)] // each test file uses its part

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use martlet_broker::{Bind, Broker, LogTarget, ServeConfig};
use martlet_proto::{
    Ack, Connect, Framing, Packet, PacketId, Publish, Qos, ReasonCode, Sender, Subscribe,
    SubscriptionOptions, Version, decode, frame,
};

/// Generous: it is reached only when a test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// What a test has logged so far.
#[derive(Clone, Default)]
pub(crate) struct Logged(Arc<Mutex<String>>);

impl Logged {
    /// Waits for a line that contains all of `parts`.
    pub(crate) fn wait_for(&self, parts: &[&str]) -> String {
        let end = Instant::now() + DEADLINE;
        loop {
            let text = self.0.lock().unwrap().clone();
            if let Some(line) = text.lines().find(|line| parts.iter().all(|p| line.contains(p))) {
                return line.to_owned();
            }
            assert!(Instant::now() < end, "no line with {parts:?} in:\n{text}");
            std::thread::yield_now();
        }
    }

    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap().clone()
    }
}

/// A broker on a free loopback port, with the configuration that `change` makes of the default.
pub(crate) fn broker(
    shards: u16,
    change: impl FnOnce(&mut ServeConfig),
) -> (Broker, SocketAddr, Logged) {
    let mut config = ServeConfig::new(vec![Bind::required("127.0.0.1:0".parse().unwrap())]);
    config.shards = shards;
    let logged = Logged::default();
    let lines = logged.clone();
    let function = move |text: &str| lines.0.lock().unwrap().push_str(text);
    config.log_target = LogTarget::Function(Arc::new(function));
    change(&mut config);
    let broker = Broker::start(&config).unwrap();
    let address = broker.addresses()[0];
    (broker, address, logged)
}

/// A PUBLISH as it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: Qos,
    pub(crate) packet_id: Option<PacketId>,
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    pub(crate) version: Version,
    unread: Vec<u8>,
    packet_id: u16,
}

impl Client {
    /// A connected socket that has said nothing yet.
    pub(crate) fn open(address: SocketAddr, version: Version) -> Self {
        Self::over(TcpStream::connect(address).unwrap(), version)
    }

    pub(crate) fn over(stream: TcpStream, version: Version) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, version, unread: Vec::new(), packet_id: 0 }
    }

    /// Connected and let in.
    pub(crate) fn connect(address: SocketAddr, client_id: &str, version: Version) -> Self {
        let mut client = Self::open(address, version);
        client.send_connect(client_id);
        client.expect_connack();
        client
    }

    pub(crate) fn send_connect(&mut self, client_id: &str) {
        self.send(&Packet::Connect(Connect::new(self.version, client_id, true)));
    }

    pub(crate) fn expect_connack(&mut self) {
        self.receive(|packet| match packet {
            Packet::ConnAck(connack) => assert_eq!(connack.reason, ReasonCode::Success),
            other => panic!("{other:?}"),
        });
    }

    pub(crate) fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.put(self.version, &mut bytes);
        self.stream.write_all(&bytes).unwrap();
    }

    /// The next packet.
    pub(crate) fn receive<T>(&mut self, what: impl FnOnce(&Packet<'_>) -> T) -> T {
        self.next(what).expect("a packet").expect("no end yet")
    }

    /// The next packet, `None` at the end of the connection.
    pub(crate) fn next<T>(&mut self, what: impl FnOnce(&Packet<'_>) -> T) -> io::Result<Option<T>> {
        loop {
            let framing = frame(&self.unread, usize::MAX).unwrap();
            if let Framing::Complete(complete) = framing {
                let packet = decode(&complete, self.version, Sender::Server).unwrap();
                let len = complete.len;
                let result = what(&packet);
                self.unread.drain(..len);
                return Ok(Some(result));
            }
            let mut buffer = [0; 16 * 1024];
            match self.stream.read(&mut buffer)? {
                0 => return Ok(None),
                count => self.unread.extend_from_slice(&buffer[..count]),
            }
        }
    }

    /// The broker ends the connection, in an orderly way, without a further packet.
    pub(crate) fn expect_end(&mut self) {
        let next = self.next(|packet| format!("{packet:?}"));
        assert_eq!(next.expect("no reset"), None);
    }

    pub(crate) fn expect_disconnect(&mut self, reason: ReasonCode) {
        self.receive(|packet| match packet {
            Packet::Disconnect(disconnect) => assert_eq!(disconnect.reason, reason),
            other => panic!("{other:?}"),
        });
    }

    fn next_packet_id(&mut self) -> PacketId {
        self.packet_id = self.packet_id % 65_535 + 1;
        PacketId::new(self.packet_id).unwrap()
    }

    /// Subscribes and waits for the SUBACK.
    pub(crate) fn subscribe(&mut self, filter: &str, qos: Qos) {
        let packet_id = self.next_packet_id();
        let options = SubscriptionOptions { qos, ..SubscriptionOptions::default() };
        let filters = [(filter, options)];
        self.send(&Packet::Subscribe(Subscribe {
            packet_id,
            subscription_id: None,
            user_properties: Default::default(),
            filters: (&filters[..]).into(),
        }));
        self.receive(|packet| match packet {
            Packet::SubAck(suback) => {
                assert_eq!((suback.packet_id, suback.codes), (packet_id, &[qos as u8][..]));
            }
            other => panic!("{other:?}"),
        });
    }

    /// Sends a PUBLISH and waits for nothing.
    pub(crate) fn publish(&mut self, topic: &str, payload: &[u8], qos: Qos) {
        let packet_id = (qos != Qos::AtMostOnce).then(|| self.next_packet_id());
        self.send(&Packet::Publish(Publish {
            qos,
            topic,
            packet_id,
            payload,
            ..Publish::default()
        }));
    }

    /// Waits for a PUBLISH, and acknowledges it if it is of QoS 1.
    pub(crate) fn expect_publish(&mut self) -> Received {
        let received = self.receive(|packet| match packet {
            Packet::Publish(publish) => received(publish),
            other => panic!("{other:?}"),
        });
        if let (Qos::AtLeastOnce, Some(packet_id)) = (received.qos, received.packet_id) {
            self.send(&Packet::PubAck(Ack::new(packet_id, ReasonCode::Success)));
        }
        received
    }

    pub(crate) fn expect_puback(&mut self) {
        self.receive(|packet| assert!(matches!(packet, Packet::PubAck(_)), "{packet:?}"));
    }

    pub(crate) fn ping(&mut self) {
        self.send(&Packet::PingReq);
        self.receive(|packet| assert_eq!(*packet, Packet::PingResp));
    }
}

pub(crate) fn received(publish: &Publish<'_>) -> Received {
    Received {
        topic: publish.topic.to_owned(),
        payload: publish.payload.to_owned(),
        qos: publish.qos,
        packet_id: publish.packet_id,
    }
}
