//! Bytes in pieces, and bytes that are no packets at all.

use martlet_proto::{
    Ack, ConnAck, ConnAckProperties, Connect, ConnectProperties, Packet, SubAck, Version,
};
use martlet_session::client::{ClientSession, ConnectionOptions};

use crate::scripted::*;

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

fn script(version: Version) -> Vec<u8> {
    let long = "x".repeat(5000);
    let mut bytes = Vec::new();
    for packet in [
        Packet::ConnAck(ConnAck::new(false, OK)),
        Packet::Publish(publish("t", "short", Q1, 1)),
        Packet::Publish(publish("t", &long, Q2, 2)),
        Packet::PingResp,
        Packet::PubRel(Ack::new(id(2), OK)),
        Packet::Publish(publish("t", "", Q0, 0)),
        Packet::SubAck(SubAck { packet_id: id(1), properties: Default::default(), codes: &[0] }),
    ] {
        packet.put(version, &mut bytes);
    }
    bytes
}

fn opened(version: Version) -> Scripted {
    let session = ClientSession::new(1000);
    let mut client = Scripted::open(session, &connect(version), ConnectionOptions::default());
    client.subscribe(&[("t", Q2)]);
    client
}

#[test]
fn the_size_of_the_pieces_does_not_matter() {
    for version in VERSIONS {
        let bytes = script(version);
        let mut whole = opened(version);
        whole.bytes(&bytes).unwrap();
        let (sent, events) = (whole.sent(), whole.events());
        assert_eq!(events.len(), 5);
        for size in [1, 2, 3, 7, 100, 5007] {
            let mut client = opened(version);
            for piece in bytes.chunks(size) {
                client.bytes(piece).unwrap();
            }
            assert_eq!((client.sent(), client.events()), (sent.clone(), events.clone()), "{size}");
        }
    }
}

/// A small generator: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % n
    }
}

/// Scripts with damaged bytes, in random pieces, with commands in between: whatever happens, the
/// client sends only valid packets, keeps its bounds, and says nothing after the end.
#[test]
fn damaged_bytes_never_confuse_the_client() {
    for seed in 1..=2000 {
        let mut random = Random(seed);
        let version = VERSIONS[random.below(3) as usize];
        let properties = ConnectProperties {
            packet_size_max: Some(6000),
            receive_max: Some(3),
            topic_alias_max: Some(2),
            session_expiry_s: Some(60),
            ..Default::default()
        };
        let connect = Connect { properties, ..persistent(version) };
        let options = ConnectionOptions { manual_acks: random.below(2) == 0, ..Default::default() };
        let mut client = Scripted::open(ClientSession::new(1000), &connect, options);
        if random.below(4) > 0 {
            let connack = ConnAckProperties {
                receive_max: Some(2),
                topic_alias_max: Some(2),
                packet_size_max: Some(200),
                ..Default::default()
            };
            client.accept(false, connack);
        }
        let mut bytes = script(version);
        for _ in 0..random.below(4) {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] = random.below(256) as u8;
        }
        let mut rest = &bytes[random.below(8) as usize..];
        let mut ended = false;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((1 + random.below(400) as usize).min(rest.len()));
            rest = after;
            let result = client.bytes(piece);
            assert!(!ended || result.is_err(), "alive again");
            if ended {
                assert!(client.sent().is_empty() && client.events().is_empty(), "seed {seed}");
            }
            ended = result.is_err();
            let _ = client.publish("topic", "x", [Q0, Q1, Q2][random.below(3) as usize]);
            let packet_id = id(1 + random.below(3) as u16);
            let _ = client.connection.acknowledge(
                client.now_ms,
                &mut client.session,
                packet_id,
                OK,
                &mut client.out,
            );
            // Decodes each packet, and panics on an invalid one.
            let sent = client.sent();
            assert!(!ended || sent.len() < 10);
            client.events();
            let receive_max = usize::from(client.connection.limits().receive_max);
            assert!(client.session.in_flight() <= receive_max);
        }
    }
}
