//! How connections end: with their last words, without harm to others, and all of them when the
//! broker stops.

mod raw;

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use martlet_broker::{Bind, Broker, ServeConfig, StartError};
use martlet_proto::{Disconnect, Packet, Qos, ReasonCode, Version};
use raw::{Client, DEADLINE, broker};

#[test]
fn a_stopping_broker_tells_its_clients() {
    for shards in [1, 2, 8] {
        let (broker, address, logged) = broker(shards, |_| ());
        let connect = |i, version| Client::connect(address, &format!("client-{i}"), version);
        let mut new: Vec<_> = (0..16).map(|i| connect(i, Version::V5)).collect();
        let mut old: Vec<_> = (16..32).map(|i| connect(i, Version::V311)).collect();
        let silent = TcpStream::connect(address).unwrap();
        let begin = Instant::now();
        let stopper = std::thread::spawn(move || broker.stop());
        for client in &mut new {
            client.expect_disconnect(ReasonCode::ServerShuttingDown);
            client.expect_end();
        }
        for client in &mut old {
            client.expect_end();
        }
        // Those who were told and do not close are not waited for longer than the bound.
        stopper.join().unwrap();
        assert!(begin.elapsed() < Duration::from_secs(10));
        TcpStream::connect(address).expect_err("nobody listens any more");
        drop(silent);
        logged.wait_for(&["disconnected", "client-0", "shutting down"]);
    }
}

#[test]
fn a_dropped_broker_stops_and_its_port_is_free() {
    let (broker, address, _) = broker(2, |_| ());
    let mut client = Client::connect(address, "client", Version::V5);
    let closer = std::thread::spawn(move || {
        client.expect_disconnect(ReasonCode::ServerShuttingDown);
        client.expect_end();
    });
    drop(broker);
    closer.join().unwrap();
    let config = ServeConfig::new(vec![Bind::required(address)]);
    Broker::start(&config).unwrap();
}

#[test]
fn what_cannot_start_says_why() {
    let (_broker, address, _) = broker(1, |_| ());
    let start = |binds| Broker::start(&ServeConfig::new(binds)).unwrap_err();
    let error = start(vec![Bind::required(address)]);
    assert!(matches!(error, StartError::PortInUse(taken) if taken == address), "{error}");
    assert!(matches!(start(vec![Bind::optional(address)]), StartError::PortInUse(_)));
    // TEST-NET-1: no machine has it.
    let foreign = "192.0.2.1:0".parse().unwrap();
    assert!(matches!(start(vec![Bind::required(foreign)]), StartError::NoSuchAddress(_)));
    assert!(matches!(start(vec![Bind::optional(foreign)]), StartError::NoListener));
    assert!(matches!(start(Vec::new()), StartError::NoListener));
    let mut config = ServeConfig::new(vec![Bind::required("127.0.0.1:0".parse().unwrap())]);
    for shards in [0, 65] {
        config.shards = shards;
        assert!(matches!(Broker::start(&config), Err(StartError::Shards(n)) if n == shards));
    }
    config.shards = 1;
    config.binds.push(Bind::optional(foreign));
    assert_eq!(Broker::start(&config).unwrap().missing(), [foreign]);
}

/// [MQTT-4.13.1-1] [MQTT-3.14.4-2] [MQTT3-4.8.0-1]
#[test]
fn the_last_words_arrive_although_the_client_goes_on_sending() {
    let (_broker, address, _) = broker(2, |_| ());
    for i in 0..20 {
        let mut client = Client::connect(address, &format!("chatty-{i}"), Version::V5);
        // A packet type that does not exist, and a megabyte behind it: closing with that unread
        // would reset the connection.
        let mut bytes = vec![0x00, 0x00];
        bytes.resize(1 << 20, 0xC0);
        // The broker reads on for a while, but does not have to.
        let _ = client.stream.write_all(&bytes);
        client.expect_disconnect(ReasonCode::MalformedPacket);
        client.expect_end();
    }
}

/// [MQTT-3.14.4-2] [MQTT3-3.14.4-1] The broker closes when the client has said DISCONNECT and
/// leaves that to the broker.
#[test]
fn a_disconnect_ends_the_connection() {
    let (_broker, address, logged) = broker(2, |_| ());
    for version in [Version::V31, Version::V311, Version::V5] {
        let id = format!("polite-{}", version.level());
        let mut client = Client::connect(address, &id, version);
        client.send(&Packet::Disconnect(Disconnect::new(ReasonCode::Success)));
        client.expect_end();
        logged.wait_for(&["disconnected", &id, "client disconnected"]);
    }
}

/// [MQTT-3.1.0-1] [MQTT3-3.1.0-1]
#[test]
fn whoever_does_not_begin_with_connect_is_closed() {
    let (_broker, address, _) = broker(2, |_| ());
    for bytes in [&b"GET / HTTP/1.1\r\nHost: example\r\n\r\n"[..], &[0xC0, 0x00], &[0x10; 64]] {
        let mut client = Client::open(address, Version::V311);
        client.stream.write_all(bytes).unwrap();
        // The end, or a reset: there is nothing that could get lost.
        assert!(!matches!(client.next(|_| ()), Ok(Some(()))));
    }
}

#[test]
fn a_client_that_ends_its_side_still_gets_its_answers() {
    let (_broker, address, logged) = broker(2, |_| ());
    for i in 0..4 {
        let id = format!("half-{i}");
        let mut client = Client::open(address, Version::V311);
        client.send_connect(&id);
        client.publish("t", b"m", Qos::AtLeastOnce);
        client.stream.shutdown(Shutdown::Write).unwrap();
        client.expect_connack();
        client.expect_puback();
        client.expect_end();
        logged.wait_for(&["disconnected", &id, "without DISCONNECT"]);
    }
}

#[test]
fn a_reset_is_noticed_and_logged() {
    let (_broker, address, logged) = broker(2, |_| ());
    for i in 0..4 {
        let id = format!("reset-{i}");
        let client = Client::connect(address, &id, Version::V311);
        socket2::SockRef::from(&client.stream).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        logged.wait_for(&["disconnected", &id, "reset"]);
    }
}

/// [MQTT-3.1.4-3] The old connection is told, the new one goes on; both may have been accepted by
/// any shard.
#[test]
fn a_client_that_connects_twice_keeps_the_new_connection() {
    for shards in [1, 2, 8] {
        let (_broker, address, _) = broker(shards, |_| ());
        let mut current = Client::connect(address, "twin", Version::V5);
        for _ in 0..20 {
            let mut next = Client::connect(address, "twin", Version::V5);
            current.expect_disconnect(ReasonCode::SessionTakenOver);
            current.expect_end();
            next.ping();
            current = next;
        }
    }
}

#[test]
fn closed_connections_give_their_descriptors_back() {
    let (_broker, address, _) = broker(2, |_| ());
    let descriptors = || std::fs::read_dir("/proc/self/fd").map(Iterator::count);
    let Ok(before) = descriptors() else { return };
    for i in 0..64 {
        let mut client = Client::connect(address, &format!("d{i}"), Version::V5);
        match i % 3 {
            0 => client.send(&Packet::Disconnect(Disconnect::new(ReasonCode::Success))),
            1 => client.stream.write_all(&[0x00, 0x00]).unwrap(),
            _ => {}
        }
    }
    let end = Instant::now() + DEADLINE;
    // Other tests of this process open and close descriptors too: it is enough that it comes down
    // once.
    while descriptors().unwrap() > before {
        assert!(Instant::now() < end, "descriptors leak");
        std::thread::yield_now();
    }
}
