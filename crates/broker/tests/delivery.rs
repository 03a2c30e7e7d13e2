//! Messages over real sockets, with 1, 2 and 8 shards: what the loop does must not depend on their
//! number.

mod raw;

use martlet_proto::{Ack, Disconnect, Packet, Qos, ReasonCode, Version};
use raw::{Client, broker};

const SHARDS: [u16; 3] = [1, 2, 8];

#[test]
fn messages_reach_subscribers_on_every_shard() {
    for shards in SHARDS {
        let (broker, address, _) = broker(shards, |_| ());
        // Enough names that with 8 shards each of them is home to some.
        let mut subscribers: Vec<_> = (0..32)
            .map(|i| {
                let version = if i % 2 == 0 { Version::V5 } else { Version::V311 };
                let mut client = Client::connect(address, &format!("subscriber-{i}"), version);
                client.subscribe("room/+/temperature", Qos::ExactlyOnce);
                client
            })
            .collect();
        let mut publishers: Vec<_> = (0..8)
            .map(|i| Client::connect(address, &format!("publisher-{i}"), Version::V311))
            .collect();
        for (i, publisher) in publishers.iter_mut().enumerate() {
            // SUBACK was there: no message may be missed.
            publisher.publish(&format!("room/{i}/temperature"), b"21.5", Qos::AtLeastOnce);
            publisher.publish("room/door", b"open", Qos::AtMostOnce);
            publisher.expect_puback();
        }
        for subscriber in &mut subscribers {
            let mut topics: Vec<_> = (0..8).map(|_| subscriber.expect_publish().topic).collect();
            topics.sort();
            let expected: Vec<_> = (0..8).map(|i| format!("room/{i}/temperature")).collect();
            assert_eq!(topics, expected);
            // Nothing else is under way.
            subscriber.ping();
        }
        broker.stop();
    }
}

#[test]
fn each_quality_of_service_completes() {
    for shards in SHARDS {
        let (_broker, address, _) = broker(shards, |_| ());
        let mut subscriber = Client::connect(address, "subscriber", Version::V5);
        subscriber.subscribe("#", Qos::ExactlyOnce);
        for i in 0..8 {
            let mut publisher = Client::connect(address, &format!("p{i}"), Version::V5);
            for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
                publisher.publish("t", &[qos as u8], qos);
                match qos {
                    Qos::AtMostOnce => {}
                    Qos::AtLeastOnce => publisher.expect_puback(),
                    Qos::ExactlyOnce => {
                        let id = publisher.receive(|packet| match packet {
                            Packet::PubRec(ack) => ack.packet_id,
                            other => panic!("{other:?}"),
                        });
                        publisher.send(&Packet::PubRel(Ack::new(id, ReasonCode::Success)));
                        publisher.receive(|p| assert!(matches!(p, Packet::PubComp(_)), "{p:?}"));
                    }
                }
                let received = subscriber.expect_publish();
                assert_eq!((received.payload, received.qos), (vec![qos as u8], qos));
                if qos == Qos::ExactlyOnce {
                    let id = received.packet_id.unwrap();
                    subscriber.send(&Packet::PubRec(Ack::new(id, ReasonCode::Success)));
                    subscriber.receive(|p| assert!(matches!(p, Packet::PubRel(_)), "{p:?}"));
                    subscriber.send(&Packet::PubComp(Ack::new(id, ReasonCode::Success)));
                }
            }
        }
        subscriber.ping();
    }
}

#[test]
fn large_and_small_messages_keep_their_order_and_bytes() {
    for shards in SHARDS {
        let (_broker, address, _) = broker(shards, |_| ());
        let mut subscriber = Client::connect(address, "subscriber", Version::V311);
        subscriber.subscribe("big", Qos::AtMostOnce);
        let mut publisher = Client::connect(address, "publisher", Version::V311);
        let payload = |i: usize| -> Vec<u8> {
            let len = [10, 5_000, 1_000_000, 3, 70_000][i % 5];
            (0..len).map(|at| (at * 7 + i) as u8).collect()
        };
        let writer = std::thread::spawn(move || {
            for i in 0..25 {
                publisher.publish("big", &payload(i), Qos::AtMostOnce);
            }
            publisher
        });
        for i in 0..25 {
            assert!(subscriber.expect_publish().payload == payload(i), "message {i}");
        }
        writer.join().unwrap();
    }
}

#[test]
fn a_connect_in_pieces_finds_its_home() {
    use std::io::Write;
    for shards in SHARDS {
        let (_broker, address, _) = broker(shards, |_| ());
        for i in 0..8 {
            let mut client = Client::open(address, Version::V311);
            let mut bytes = Vec::new();
            let id = format!("slow-{i}");
            martlet_proto::Connect::new(Version::V311, &id, true).put(Version::V311, &mut bytes);
            // Behind the CONNECT, without waiting for the CONNACK: must travel along.
            Packet::PingReq.put(Version::V311, &mut bytes);
            for byte in bytes.chunks(1) {
                client.stream.write_all(byte).unwrap();
            }
            client.expect_connack();
            client.receive(|packet| assert_eq!(*packet, Packet::PingResp));
            client.ping();
        }
    }
}

/// Each round trip crosses shards that sleep, are turned by another thread, or are just waking up:
/// a letter that nobody takes would stop it, for there is no timer that could help.
#[test]
fn round_trips_between_sleeping_shards_never_stall() {
    for shards in [2, 8] {
        let (_broker, address, _) = broker(shards, |config| config.sys_interval_ms = 0);
        let echo = |i: usize| {
            let mut ping = Client::connect(address, &format!("ping-{i}"), Version::V311);
            let mut pong = Client::connect(address, &format!("pong-{i}"), Version::V5);
            ping.subscribe(&format!("pong/{i}"), Qos::AtMostOnce);
            pong.subscribe(&format!("ping/{i}"), Qos::AtMostOnce);
            std::thread::spawn(move || {
                for round in 0..1000_u32 {
                    ping.publish(&format!("ping/{i}"), &round.to_be_bytes(), Qos::AtMostOnce);
                    let there = pong.expect_publish().payload;
                    pong.publish(&format!("pong/{i}"), &there, Qos::AtMostOnce);
                    assert_eq!(ping.expect_publish().payload, round.to_be_bytes());
                }
            })
        };
        // One alone first: everybody else sleeps.
        echo(99).join().unwrap();
        let threads: Vec<_> = (0..8).map(echo).collect();
        for thread in threads {
            thread.join().unwrap();
        }
    }
}

#[test]
fn many_connections_come_and_go() {
    let (_broker, address, logged) = broker(8, |_| ());
    for round in 0..2 {
        let mut clients: Vec<_> = (0..1500)
            .map(|i| {
                let mut client = Client::open(address, Version::V311);
                client.send_connect(&format!("c{round}-{i}"));
                client
            })
            .collect();
        for client in &mut clients {
            client.expect_connack();
        }
        for client in &mut clients {
            client.send(&Packet::PingReq);
        }
        for client in &mut clients {
            client.receive(|packet| assert_eq!(*packet, Packet::PingResp));
        }
        // Half of them say good-bye, half just go.
        for client in clients.iter_mut().step_by(2) {
            client.send(&Packet::Disconnect(Disconnect::new(ReasonCode::Success)));
        }
        drop(clients);
        for i in [0, 1, 1498, 1499] {
            logged.wait_for(&["disconnected", &format!("\"c{round}-{i}\"")]);
        }
    }
}

#[test]
fn each_connection_has_its_two_lines_in_the_log() {
    let (_broker, address, logged) = broker(2, |_| ());
    for i in 0..4 {
        let id = format!("client-{i}");
        let client = Client::connect(address, &id, Version::V5);
        let peer = client.stream.local_addr().unwrap().to_string();
        let line = logged.wait_for(&["connected", &id, &peer]);
        // 2026-11-23T06:41:00.123Z
        let time = line.split(' ').next().unwrap();
        assert!(time.len() == 24 && time.starts_with("20") && time.ends_with('Z'), "{line}");
        drop(client);
        logged.wait_for(&["disconnected", &id, &peer]);
    }
    let text = logged.text();
    assert_eq!(text.lines().count(), 8, "{text}");
}
