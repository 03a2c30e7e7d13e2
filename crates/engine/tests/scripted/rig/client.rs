//! A client's end of a transport: what it sends and what came. It checks what must hold for every
//! packet a server sends, whatever the script. Must not know shards.

use std::collections::VecDeque;

use martlet_engine::ConnId;
use martlet_proto::{
    Ack, Auth, ConnAck, Disconnect, Framing, Packet, Publish, ReasonCode, Sender, SubAck, UnsubAck,
    Version, decode, frame,
};

/// One packet from the server.
#[derive(Clone)]
pub(crate) struct Got {
    version: Version,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for Got {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.packet().fmt(f)
    }
}

macro_rules! as_packet {
    ($name:ident, $variant:ident, $type:ident) => {
        pub(crate) fn $name(&self) -> $type<'_> {
            match self.packet() {
                Packet::$variant(packet) => packet,
                other => panic!("{} expected, not {other:?}", stringify!($variant)),
            }
        }
    };
}

impl Got {
    pub(crate) fn packet(&self) -> Packet<'_> {
        let Ok(Framing::Complete(frame)) = frame(&self.bytes, usize::MAX) else {
            panic!("cut out as a whole packet")
        };
        let packet = decode(&frame, self.version, Sender::Server);
        packet.unwrap_or_else(|error| panic!("the server sent {:02x?}: {error}", self.bytes))
    }

    /// The whole packet as it came.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    as_packet!(conn_ack, ConnAck, ConnAck);
    as_packet!(publish, Publish, Publish);
    as_packet!(pub_ack, PubAck, Ack);
    as_packet!(pub_rec, PubRec, Ack);
    as_packet!(pub_rel, PubRel, Ack);
    as_packet!(pub_comp, PubComp, Ack);
    as_packet!(sub_ack, SubAck, SubAck);
    as_packet!(unsub_ack, UnsubAck, UnsubAck);
    as_packet!(disconnect, Disconnect, Disconnect);
    as_packet!(auth, Auth, Auth);
}

/// A client's end of a transport.
pub(crate) struct Client {
    pub(super) version: Version,
    /// Where the other end is.
    pub(super) at: Option<(usize, ConnId)>,
    /// Sent and not yet read by the server.
    pub(super) to_server: VecDeque<u8>,
    /// Where the oldest of it stands among what all clients sent.
    pub(super) sent_at: u64,
    /// How many more bytes it takes; `usize::MAX`: all.
    pub(super) window: usize,
    /// Bytes of an unfinished packet.
    pub(super) raw: Vec<u8>,
    pub(super) inbox: VecDeque<Got>,
    pub(super) paused: bool,
    /// The server has closed the transport.
    pub(super) closed: bool,
    /// The Maximum Packet Size it has announced.
    pub(super) packet_size_max: usize,
    pub(super) next_id: u16,
    /// Whether it takes explanations in acknowledgements.
    pub(super) problem_information: bool,
    /// What CONNACK said.
    let_in: Option<ReasonCode>,
    said_goodbye: bool,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("inbox", &self.inbox).finish_non_exhaustive()
    }
}

impl Client {
    pub(super) fn new(version: Version, packet_size_max: usize) -> Self {
        Self {
            version,
            at: None,
            to_server: VecDeque::new(),
            sent_at: 0,
            window: usize::MAX,
            raw: Vec::new(),
            inbox: VecDeque::new(),
            paused: false,
            closed: false,
            packet_size_max,
            next_id: 0,
            problem_information: true,
            let_in: None,
            said_goodbye: false,
        }
    }

    /// Packets that nobody has looked at.
    pub(crate) fn inbox_len(&self) -> usize {
        self.inbox.len()
    }

    /// Cuts what came into packets.
    pub(super) fn take_packets(&mut self) {
        let mut raw = std::mem::take(&mut self.raw);
        let mut at = 0;
        loop {
            let len = match frame(&raw[at..], usize::MAX) {
                Ok(Framing::Complete(frame)) => frame.len,
                Ok(Framing::Incomplete { .. }) => break,
                Err(error) => panic!("the server sent {:02x?}: {error}", &raw[at..]),
            };
            let got = Got { version: self.version, bytes: raw[at..at + len].to_vec() };
            self.check(&got);
            self.inbox.push_back(got);
            at += len;
        }
        raw.drain(..at);
        self.raw = raw;
    }

    /// What holds for every server and every script.
    //
    // [MQTT-3.2.0-1] [MQTT-3.2.0-2] [MQTT-3.2.2-7] [MQTT-3.14.0-1] [MQTT-3.14.4-1] [MQTT-3.1.2-24]
    // [MQTT-4.12.0-6] [MQTT-3.2.2-6] [MQTT-3.1.2-27] [MQTT3-3.2.0-1] [MQTT3-3.2.2-4] The decoder is
    // strict about the rest: [MQTT-2.1.3-1] [MQTT-2.2.2-1] [MQTT-3.2.2-1] [MQTT-3.2.2-8]
    // [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] [MQTT-3.9.3-2] [MQTT-3.11.3-2]
    // [MQTT-3.14.2-1] [MQTT-3.14.2-2] [MQTT-3.15.2-1] [MQTT-3.3.2-8] [MQTT3-2.2.2-1]
    // [MQTT3-3.9.3-2] [MQTT-2.2.1-2] [MQTT3-2.3.1-5] [MQTT-3.3.1-2] [MQTT3-3.3.1-2] [MQTT-4.3.1-1]
    // [MQTT3-4.3.1-1]
    fn check(&mut self, got: &Got) {
        let packet = got.packet();
        assert!(!self.said_goodbye, "after DISCONNECT came {packet:?}");
        assert!(got.bytes.len() <= self.packet_size_max, "larger than allowed: {packet:?}");
        let is_let_in = self.let_in == Some(ReasonCode::Success);
        match packet {
            Packet::ConnAck(ack) => {
                assert_eq!(self.let_in, None, "a second CONNACK");
                self.let_in = Some(ack.reason);
            }
            Packet::Auth(_) => assert!(self.let_in.is_none_or(|code| !code.is_error())),
            other => assert!(is_let_in, "before or instead of CONNACK: {other:?}"),
        }
        if let Packet::Disconnect(_) = packet {
            self.said_goodbye = true;
        }
        // [MQTT-3.1.2-29]
        assert!(self.problem_information || !has_explanation(&packet), "unwanted: {packet:?}");
    }
}

/// Whether a packet that is no PUBLISH, CONNACK or DISCONNECT has a reason string or user
/// properties.
fn has_explanation(packet: &Packet<'_>) -> bool {
    match packet {
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) => {
            !ack.properties.is_empty()
        }
        Packet::SubAck(ack) => !ack.properties.is_empty(),
        Packet::UnsubAck(ack) => !ack.properties.is_empty(),
        Packet::Auth(auth) => auth.reason_string.is_some() || !auth.user_properties.is_empty(),
        _ => false,
    }
}
