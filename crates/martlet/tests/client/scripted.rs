//! A server for one process: it accepts, expects packets, and sends what the test says. Every wait
//! has a deadline.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use martlet_proto::{
    Ack, ConnAck, Framing, Packet, PacketId, PacketType, Publish, Qos, ReasonCode, Sender, SubAck,
    Version, decode, frame,
};

/// Generous: only a test that fails waits so long.
const DEADLINE: Duration = Duration::from_secs(60);

pub(crate) const OK: ReasonCode = ReasonCode::Success;

/// A port to connect to.
pub(crate) struct Server {
    listener: TcpListener,
}

impl Server {
    pub(crate) fn new() -> Self {
        Self { listener: TcpListener::bind(("127.0.0.1", 0)).unwrap() }
    }

    pub(crate) fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// Starts `martlet COMMAND -h 127.0.0.1 -p PORT ARGUMENTS`.
    pub(crate) fn start(&self, command: &str, arguments: &[&str]) -> Child {
        start(command, self.port(), arguments)
    }

    /// The next connection.
    pub(crate) fn accept(&self) -> Peer {
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Peer { stream, received: Vec::new(), version: Version::V5 }
    }

    /// The next connection, welcomed; and its CONNECT.
    pub(crate) fn welcome(&self) -> Peer {
        let mut peer = self.accept();
        assert!(peer.next().starts_with("CONNECT"));
        peer.welcome();
        peer
    }
}

pub(crate) fn start(command: &str, port: u16, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_martlet"))
        .args([command, "-h", "127.0.0.1", "-p", &port.to_string()])
        .args(arguments)
        .env("PASSWORD_OF_TEST", "from the environment")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// How a process ended: exit code, standard output, standard error.
pub(crate) fn ended(child: Child) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// The process did its job and said nothing.
pub(crate) fn ended_well(child: Child) {
    assert_eq!(ended(child), (Some(0), String::new(), String::new()));
}

/// One connection of a client.
pub(crate) struct Peer {
    stream: TcpStream,
    received: Vec<u8>,
    version: Version,
}

impl Peer {
    /// The next packet of the client as text; empty when it has closed.
    pub(crate) fn next(&mut self) -> String {
        loop {
            let framing = frame(&self.received, usize::MAX).unwrap();
            if let Framing::Complete(frame) = framing {
                let packet = decode(&frame, self.version, Sender::Client).unwrap();
                if let Packet::Connect(connect) = &packet {
                    self.version = connect.version;
                }
                let (text, len) = (text(&packet), frame.len);
                self.received.drain(..len);
                return text;
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer).expect("something within the deadline") {
                0 => return String::new(),
                len => self.received.extend_from_slice(&buffer[..len]),
            }
        }
    }

    /// The client says goodbye and closes.
    pub(crate) fn expect_goodbye(&mut self) {
        assert_eq!(self.next(), "DISCONNECT 0x00");
        assert_eq!(self.next(), "");
    }

    pub(crate) fn send(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.put(self.version, &mut bytes);
        self.send_bytes(&bytes);
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn welcome(&mut self) {
        let mut connack = ConnAck::new(false, OK);
        if self.version.is_v5() {
            connack.properties.assigned_client_id = Some("assigned");
        }
        self.send(&Packet::ConnAck(connack));
    }

    pub(crate) fn ack(&mut self, packet: PacketType, id: u16, reason: ReasonCode) {
        let ack = Ack::new(PacketId::new(id).unwrap(), reason);
        self.send(&match packet {
            PacketType::PubAck => Packet::PubAck(ack),
            PacketType::PubRec => Packet::PubRec(ack),
            PacketType::PubRel => Packet::PubRel(ack),
            _ => Packet::PubComp(ack),
        });
    }

    pub(crate) fn suback(&mut self, id: u16, codes: &[u8]) {
        let packet_id = PacketId::new(id).unwrap();
        self.send(&Packet::SubAck(SubAck { packet_id, properties: Default::default(), codes }));
    }

    pub(crate) fn publish(&mut self, topic: &str, payload: &str, qos: Qos, id: u16) {
        let publish = Publish {
            topic,
            payload: payload.as_bytes(),
            qos,
            packet_id: PacketId::new(id),
            ..Publish::default()
        };
        self.send(&Packet::Publish(publish));
    }
}

fn text(packet: &Packet<'_>) -> String {
    let mut text = packet.packet_type().to_string();
    let mut add = |part: String| write!(text, " {part}").unwrap();
    match packet {
        Packet::Connect(it) => {
            add(format!(
                "{} clean={} keep={}",
                it.version.level(),
                it.clean_start,
                it.keep_alive_s
            ));
            add(format!("id={:?} user={:?}", it.client_id, it.user_name.unwrap_or("")));
            add(format!("password={:?}", String::from_utf8_lossy(it.password.unwrap_or(b""))));
            if let Some(expiry_s) = it.properties.session_expiry_s {
                add(format!("expiry={expiry_s}"));
            }
            if let Some(will) = it.will {
                let payload = String::from_utf8_lossy(will.payload);
                add(format!(
                    "will {}={payload} q{} retain={}",
                    will.topic,
                    will.qos.bits(),
                    will.retain
                ));
            }
        }
        Packet::Publish(it) => {
            let payload = String::from_utf8_lossy(it.payload);
            let retain = if it.retain { " retain" } else { "" };
            add(format!("{}={payload} q{}{retain}", it.topic, it.qos.bits()));
        }
        Packet::PubAck(it) | Packet::PubRec(it) | Packet::PubRel(it) | Packet::PubComp(it) => {
            add(format!("#{}", it.packet_id));
        }
        Packet::Subscribe(it) => {
            for (filter, options) in it.filters.iter() {
                add(format!("{filter}:{}", options.qos.bits()));
            }
        }
        Packet::Disconnect(it) => add(format!("{:#04x}", it.reason as u8)),
        _ => {}
    }
    text
}
