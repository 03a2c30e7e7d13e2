//! Session Present in CONNACK, against what the client has.

use crate::scripted::*;
use martlet_proto::{ConnAck, ConnAckProperties, Packet, Version};
use martlet_session::client::{ClientSession, ConnectionOptions, End, Violation};

fn answered(
    session: ClientSession,
    connect: &martlet_proto::Connect<'_>,
) -> (Scripted, Result<(), End>) {
    let mut client = Scripted::open(session, connect, ConnectionOptions::default());
    client.sent();
    let result = client.server(Packet::ConnAck(ConnAck::new(true, OK)));
    (client, result)
}

const UNEXPECTED: Result<(), End> = Err(End::Violation(Violation::SessionPresentUnexpected));

// [MQTT-3.2.2-4]
#[test]
fn a_session_that_this_client_does_not_have_closes_the_connection() {
    let session = ClientSession::new(1000);
    let (mut client, result) = answered(session, &persistent(Version::V5));
    assert_eq!(result, UNEXPECTED);
    assert_eq!(client.sent(), ["DISCONNECT 0x82"]);
    assert!(client.events().is_empty());
}

// [MQTT-3.2.2-2] [MQTT3-3.2.2-1] [MQTT3-4.8.0-1]
#[test]
fn a_session_after_clean_start_closes_the_connection() {
    let (mut client, result) = answered(resumed_session(), &connect(Version::V5));
    assert_eq!(result, UNEXPECTED);
    assert_eq!(client.sent(), ["DISCONNECT 0x82"]);
    let (mut client, result) = answered(resumed_session(), &connect(Version::V311));
    assert_eq!(result, UNEXPECTED);
    assert!(client.sent().is_empty(), "before version 5 the connection is just closed");
}

#[test]
fn a_session_that_the_caller_vouches_for_is_resumed() {
    for version in [Version::V311, Version::V5] {
        let (mut client, result) = answered(resumed_session(), &persistent(version));
        assert_eq!(result, Ok(()));
        assert_eq!(client.events(), ["connected, session present"]);
    }
}

#[test]
fn version_3_1_1_lets_a_new_client_take_an_old_session_up() {
    let (_, result) = answered(ClientSession::new(1000), &persistent(Version::V311));
    assert_eq!(result, Ok(()));
}

// [MQTT-3.2.2-5]
#[test]
fn version_5_discards_its_state_when_the_server_has_none() {
    let mut client = Scripted::persistent(Version::V5);
    client.publish("t", "one", Q1).unwrap();
    client.publish("t", "two", Q2).unwrap();
    client.server_ack(Packet::PubRec, 2);
    client.server_publish("t", "in", Q2, 9);
    client.events();
    let (session, _) = client.broken();
    let properties = ConnAckProperties::default();
    let mut client = Scripted::accepted(session, &persistent(Version::V5), false, properties);
    assert_eq!(client.events(), ["connected", "discarded 0: t=one", "discarded 1"]);
    assert!(client.sent().is_empty());
    assert_eq!(client.session.in_flight(), 0);
    client.server_publish("t", "new", Q2, 9);
    assert_eq!(client.events(), ["message t=new q2 #9"]);
}

// [MQTT3-4.4.0-1]
#[test]
fn version_3_1_1_sends_again_all_the_same() {
    let mut client = Scripted::persistent(Version::V311);
    client.publish("t", "one", Q1).unwrap();
    client.server_publish("t", "in", Q2, 9);
    client.events();
    let (session, _) = client.broken();
    let properties = ConnAckProperties::default();
    let mut client = Scripted::accepted(session, &persistent(Version::V311), false, properties);
    assert_eq!(client.events(), ["connected"]);
    assert_eq!(client.sent(), ["PUBLISH t=one q1 #1 dup"]);
    // The server's identifiers begin afresh.
    client.server_publish("t", "new", Q2, 9);
    assert_eq!(client.events(), ["message t=new q2 #9"]);
}
