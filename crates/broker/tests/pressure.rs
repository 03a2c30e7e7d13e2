//! Clients that do not keep up: they cost themselves, not the others, and their memory is bounded.

mod raw;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use martlet_proto::{Packet, PacketId, Publish, Qos, Version};
use raw::{Client, DEADLINE, broker};
use socket2::{Domain, Socket, Type};

/// A client whose kernel buffers little, so that a test needs little to fill them.
fn narrow(address: std::net::SocketAddr, id: &str) -> Client {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    socket.set_send_buffer_size(64 * 1024).unwrap();
    socket.connect(&address.into()).unwrap();
    let mut client = Client::over(TcpStream::from(socket), Version::V311);
    client.send_connect(id);
    client.expect_connack();
    client
}

#[test]
fn a_slow_consumer_delays_nobody_and_its_queue_is_bounded() {
    for shards in [1, 2] {
        let (_broker, address, logged) = broker(shards, |config| {
            config.limits.outbox_bytes_max = 1 << 20;
        });
        let mut slow: Vec<_> = (0..2).map(|i| narrow(address, &format!("slow-{i}"))).collect();
        let mut swift: Vec<_> = (0..4)
            .map(|i| Client::connect(address, &format!("swift-{i}"), Version::V311))
            .collect();
        for client in slow.iter_mut().chain(&mut swift) {
            client.subscribe("t", Qos::AtMostOnce);
        }
        let mut publisher = Client::connect(address, "publisher", Version::V311);
        let mut payload = vec![b'x'; 16 * 1024];
        const MESSAGES: usize = 1600; // 25 MiB: far more than sockets and outboxes hold
        for i in 0..MESSAGES {
            payload[..8].copy_from_slice(&(i as u64).to_be_bytes());
            publisher.publish("t", &payload, Qos::AtMostOnce);
            for client in &mut swift {
                assert_eq!(client.expect_publish().payload[..8], payload[..8]);
            }
        }
        logged.wait_for(&["warning", "dropped", "messages"]);
        for client in &mut slow {
            // What was kept is a beginning in order, then what came after there was room again.
            client.send(&Packet::PingReq);
            let (mut count, mut last) = (0, None);
            while let Some(number) = client.receive(|packet| match packet {
                Packet::Publish(p) => Some(u64::from_be_bytes(p.payload[..8].try_into().unwrap())),
                Packet::PingResp => None,
                other => panic!("{other:?}"),
            }) {
                assert!(last < Some(number));
                (count, last) = (count + 1, Some(number));
            }
            assert!(count > 0 && count < MESSAGES / 2, "{count}");
        }
    }
}

#[test]
fn a_publisher_that_does_not_read_its_acknowledgements_is_not_read_either() {
    for shards in [1, 2] {
        let (_broker, address, _) = broker(shards, |config| {
            config.limits.outbox_pause_bytes = 16 * 1024;
            config.limits.outbox_low_bytes = 4 * 1024;
        });
        for i in 0..shards {
            let mut client = narrow(address, &format!("deaf-{i}"));
            let mut bytes = Vec::new();
            for id in 1..=500 {
                let publish = Publish {
                    qos: Qos::AtLeastOnce,
                    topic: "t",
                    packet_id: PacketId::new(id),
                    payload: b"x",
                    ..Publish::default()
                };
                publish.put(Version::V311, &mut bytes);
            }
            let frame_len = bytes.len() / 500;
            // Until the broker takes no more: then its kernel buffer and ours are full.
            client.stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
            let mut sent = 0;
            let rest = loop {
                assert!(sent < 256 << 20, "the broker takes everything");
                let at = sent % bytes.len();
                match client.stream.write(&bytes[at..]) {
                    Ok(count) => sent += count,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        break (frame_len - sent % frame_len) % frame_len;
                    }
                    Err(error) => panic!("{error}"),
                }
            };
            // Others are served as ever.
            let mut other = Client::connect(address, &format!("other-{i}"), Version::V311);
            other.ping();
            // When it reads again, it is read again, and nothing is missing.
            let published = (sent + rest) / frame_len;
            let at = sent % bytes.len();
            let mut writer = client.stream.try_clone().unwrap();
            writer.set_write_timeout(Some(DEADLINE)).unwrap();
            let tail = bytes[at..at + rest].to_vec();
            let writer = std::thread::spawn(move || writer.write_all(&tail).unwrap());
            let mut acks = vec![0; published * 4];
            client.stream.read_exact(&mut acks).unwrap();
            for (index, ack) in acks.chunks(4).enumerate() {
                let id = (index % 500 + 1) as u16;
                assert_eq!(ack, [0x40, 0x02, (id >> 8) as u8, id as u8]);
            }
            writer.join().unwrap();
            client.ping();
        }
    }
}

#[test]
fn a_flood_across_shards_arrives_whole() {
    // Far more than a mailbox takes: the publishers' shards have to wait for the subscribers', in
    // both directions at the same time.
    for mail_bytes_max in [1, 1 << 20] {
        let (_broker, address, _) = broker(2, |config| {
            config.mail_bytes_max = mail_bytes_max;
            config.limits.outbox_bytes_max = usize::MAX;
            config.limits.outboxes_bytes_max = usize::MAX;
            // Nothing but the mail itself may get a shard going again.
            config.sys_interval_ms = 0;
        });
        flood(address);
    }
}

fn flood(address: std::net::SocketAddr) {
    const MESSAGES: u32 = 200;
    let payload = vec![b'y'; 128 * 1024];
    let subscribe = |i| {
        let mut client = Client::connect(address, &format!("subscriber-{i}"), Version::V311);
        client.subscribe("flood/#", Qos::AtMostOnce);
        client
    };
    let subscribers: Vec<_> = (0..4).map(subscribe).collect();
    let publish = |i| {
        let mut client = Client::connect(address, &format!("publisher-{i}"), Version::V311);
        let payload = payload.clone();
        std::thread::spawn(move || {
            for _ in 0..MESSAGES / 4 {
                client.publish(&format!("flood/{i}"), &payload, Qos::AtMostOnce);
            }
            client
        })
    };
    let publishers: Vec<_> = (0..4).map(publish).collect();
    let read = |mut client: Client| {
        std::thread::spawn(move || {
            for _ in 0..MESSAGES {
                assert_eq!(client.expect_publish().payload.len(), 128 * 1024);
            }
            client.ping();
        })
    };
    let readers: Vec<_> = subscribers.into_iter().map(read).collect();
    for reader in readers {
        reader.join().unwrap();
    }
    for publisher in publishers {
        publisher.join().unwrap().ping();
    }
}
