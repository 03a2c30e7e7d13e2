//! PINGREQ, Server Keep Alive, and giving a server up.

use martlet_proto::{ConnAckProperties, Connect, Packet, Version};
use martlet_session::client::{ClientSession, ConnectionOptions, End};

use crate::scripted::*;

fn with_keep_alive(version: Version, seconds: u16, server: Option<u16>) -> Scripted {
    let connect = Connect { keep_alive_s: seconds, ..connect(version) };
    let properties = ConnAckProperties { server_keep_alive_s: server, ..Default::default() };
    let mut client = Scripted::accepted(ClientSession::new(1000), &connect, false, properties);
    client.events();
    client
}

fn ms_to_deadline(client: &Scripted) -> Option<u64> {
    client.connection.next_deadline_ms().map(|due| due - client.now_ms)
}

// [MQTT-3.1.2-20] [MQTT3-3.1.2-23]
#[test]
fn silence_is_broken_by_pingreq_before_the_keep_alive_ends() {
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut client = with_keep_alive(version, 8, None);
        assert_eq!(ms_to_deadline(&client), Some(7000));
        client.wait(6999).unwrap();
        assert!(client.sent().is_empty());
        client.wait(1).unwrap();
        assert_eq!(client.sent(), ["PINGREQ"]);
        client.server(Packet::PingResp).unwrap();
        assert_eq!(ms_to_deadline(&client), Some(7000));
    }
}

// [MQTT-3.1.2-20] [MQTT3-3.1.2-23]
#[test]
fn any_packet_counts_and_received_packets_do_not() {
    let mut client = with_keep_alive(Version::V5, 8, None);
    client.now_ms += 5000;
    client.publish("t", "x", Q0).unwrap();
    assert_eq!(ms_to_deadline(&client), Some(7000));
    client.now_ms += 5000;
    client.server_publish("t", "x", Q0, 0);
    assert_eq!(ms_to_deadline(&client), Some(2000));
    client.server_publish("t", "x", Q1, 1);
    assert_eq!(client.sent(), ["PUBLISH t=x q0", "PUBACK #1"]);
    assert_eq!(ms_to_deadline(&client), Some(7000));
}

// [MQTT-3.1.2-21] [MQTT-3.2.2-21]
#[test]
fn the_servers_keep_alive_replaces_the_clients() {
    let client = with_keep_alive(Version::V5, 60, Some(16));
    assert_eq!(client.connection.keep_alive_s(), 16);
    assert_eq!(ms_to_deadline(&client), Some(14_000));
    let client = with_keep_alive(Version::V5, 60, Some(0));
    assert_eq!(ms_to_deadline(&client), None);
    let client = with_keep_alive(Version::V5, 0, Some(16));
    assert_eq!(ms_to_deadline(&client), Some(14_000));
    let client = with_keep_alive(Version::V5, 60, None);
    assert_eq!(client.connection.keep_alive_s(), 60);
}

#[test]
fn a_keep_alive_of_zero_has_no_deadline() {
    let mut client = with_keep_alive(Version::V311, 0, None);
    assert_eq!(ms_to_deadline(&client), None);
    client.wait(1_000_000_000).unwrap();
    assert!(client.sent().is_empty());
}

#[test]
fn a_server_that_does_not_answer_is_given_up() {
    let mut client = with_keep_alive(Version::V5, 8, None);
    client.wait(7000).unwrap();
    client.wait(7000).unwrap();
    assert_eq!(client.sent(), ["PINGREQ", "PINGREQ"]);
    assert_eq!(ms_to_deadline(&client), Some(1000));
    assert_eq!(client.wait(1000), Err(End::KeepAliveTimeout));
    assert!(client.sent().is_empty());
    assert_eq!(ms_to_deadline(&client), None);
    assert_eq!(client.wait(1000), Err(End::KeepAliveTimeout));
}

#[test]
fn bytes_of_a_long_packet_are_a_sign_of_life() {
    let mut client = with_keep_alive(Version::V5, 8, None);
    client.wait(7000).unwrap();
    let mut bytes = Vec::new();
    Packet::Publish(publish("t", &"x".repeat(100), Q0, 0)).put(Version::V5, &mut bytes);
    for byte in &bytes {
        client.wait(4000).unwrap();
        client.bytes(&[*byte]).unwrap();
    }
    assert_eq!(client.events().len(), 1);
}

#[test]
fn a_server_that_does_not_answer_the_connect_is_given_up() {
    let options = ConnectionOptions { connack_timeout_ms: 5000, ..Default::default() };
    let session = ClientSession::new(1000);
    let mut client = Scripted::open(session, &connect(Version::V5), options);
    client.sent();
    assert_eq!(ms_to_deadline(&client), Some(5000));
    client.wait(4999).unwrap();
    assert_eq!(client.wait(1), Err(End::ConnAckTimeout));
    assert!(client.sent().is_empty());
}
