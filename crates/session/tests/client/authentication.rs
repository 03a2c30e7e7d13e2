//! Enhanced authentication.

use martlet_proto::{
    Auth, ConnAck, ConnAckProperties, Connect, ConnectProperties, Packet, PacketType, ReasonCode,
    Version,
};
use martlet_session::client::{AuthError, ClientSession, ConnectionOptions, End, Violation};

use crate::scripted::*;

fn opening() -> Scripted {
    let properties = ConnectProperties {
        auth_method: Some("SCRAM"),
        auth_data: Some(b"first"),
        ..Default::default()
    };
    let connect = Connect { properties, ..connect(Version::V5) };
    let session = ClientSession::new(1000);
    let mut client = Scripted::open(session, &connect, ConnectionOptions::default());
    client.sent();
    client
}

fn server_auth(reason: ReasonCode, method: &'static str, data: &'static str) -> Packet<'static> {
    Packet::Auth(Auth { data: Some(data.as_bytes()), ..Auth::new(reason, method) })
}

fn question(data: &'static str) -> Packet<'static> {
    server_auth(ReasonCode::ContinueAuthentication, "SCRAM", data)
}

fn connack(method: Option<&str>) -> Packet<'_> {
    let properties = ConnAckProperties { auth_method: method, ..Default::default() };
    Packet::ConnAck(ConnAck { properties, ..ConnAck::new(false, OK) })
}

fn open() -> Scripted {
    let mut client = opening();
    client.server(connack(Some("SCRAM"))).unwrap();
    client.events();
    client
}

fn answer(client: &mut Scripted, data: &str) -> Result<(), AuthError> {
    client.connection.auth(client.now_ms, Some(data.as_bytes()), &mut client.out)
}

// [MQTT-4.12.0-2] [MQTT-4.12.0-3] [MQTT-4.12.0-5] [MQTT-3.1.2-30] [MQTT-3.15.2-1]
#[test]
fn questions_and_answers_before_connack() {
    let mut client = opening();
    client.publish("t", "x", Q1).unwrap();
    client.subscribe(&[("a", Q0)]);
    assert_eq!(answer(&mut client, "early"), Err(AuthError::OutOfTurn));
    client.server(question("q1")).unwrap();
    assert_eq!(client.events(), ["auth 0x18 q1"]);
    answer(&mut client, "a1").unwrap();
    assert_eq!(answer(&mut client, "twice"), Err(AuthError::OutOfTurn));
    client.server(question("q2")).unwrap();
    answer(&mut client, "a2").unwrap();
    assert_eq!(client.sent(), ["AUTH 0x18 SCRAM a1", "AUTH 0x18 SCRAM a2"]);
    client.server(connack(Some("SCRAM"))).unwrap();
    assert_eq!(client.sent(), ["SUBSCRIBE #1 a:0", "PUBLISH t=x q1 #2"]);
}

// [MQTT-4.12.1-1] [MQTT-3.15.2-1]
#[test]
fn authenticating_again_while_messages_flow() {
    let mut client = open();
    client.connection.reauthenticate(0, Some(b"again"), &mut client.out).unwrap();
    assert_eq!(
        client.connection.reauthenticate(0, None, &mut client.out),
        Err(AuthError::OutOfTurn)
    );
    client.publish("t", "x", Q0).unwrap();
    client.server(question("q")).unwrap();
    client.server_publish("t", "y", Q1, 1);
    answer(&mut client, "a").unwrap();
    client.server(server_auth(ReasonCode::Success, "SCRAM", "done")).unwrap();
    assert_eq!(
        client.sent(),
        ["AUTH 0x19 SCRAM again", "PUBLISH t=x q0", "PUBACK #1", "AUTH 0x18 SCRAM a"]
    );
    assert_eq!(client.events(), ["auth 0x18 q", "message t=y q1 #1", "auth 0x00 done"]);
    client.connection.reauthenticate(0, None, &mut client.out).unwrap();
}

// [MQTT-4.12.1-2]
#[test]
fn a_client_that_is_not_content_disconnects() {
    let mut client = open();
    client.connection.reauthenticate(0, None, &mut client.out).unwrap();
    client.server(question("forged")).unwrap();
    client.sent();
    client.disconnect(ReasonCode::ProtocolError);
    assert_eq!(client.sent(), ["DISCONNECT 0x82"]);
    assert_eq!(answer(&mut client, "late"), Err(AuthError::OutOfTurn));
}

// [MQTT-4.12.0-7]
#[test]
fn without_a_method_no_auth_is_sent() {
    let mut client = Scripted::connected(Version::V5);
    let refused = client.connection.reauthenticate(0, None, &mut client.out);
    assert_eq!(refused, Err(AuthError::NoMethod));
    assert!(answer(&mut client, "x").is_err());
    assert!(client.sent().is_empty());
    let mut client = Scripted::connected(Version::V311);
    assert!(client.connection.reauthenticate(0, None, &mut client.out).is_err());
    assert!(client.sent().is_empty());
}

fn violation(result: Result<(), End>) -> Violation {
    let Err(End::Violation(violation)) = result else { panic!("{result:?}") };
    violation
}

// [MQTT-4.12.0-6]
#[test]
fn authentication_that_nobody_asked_for_closes_the_connection() {
    let mut client = Scripted::connected(Version::V5);
    let result = client.server(question("q"));
    assert_eq!(violation(result), Violation::AuthUnrequested(PacketType::Auth));
    let session = ClientSession::new(1000);
    let mut client = Scripted::open(session, &connect(Version::V5), ConnectionOptions::default());
    let result = client.server(connack(Some("SCRAM")));
    assert_eq!(violation(result), Violation::AuthUnrequested(PacketType::ConnAck));
    assert_eq!(client.sent(), ["CONNECT", "DISCONNECT 0x82"]);
}

// [MQTT-4.12.0-5]
#[test]
fn another_method_closes_the_connection() {
    let other = server_auth(ReasonCode::ContinueAuthentication, "PLAIN", "q");
    let result = opening().server(other);
    assert_eq!(violation(result), Violation::AuthMethodDiffers(PacketType::Auth));
    for method in [Some("PLAIN"), None] {
        let result = opening().server(connack(method));
        assert_eq!(violation(result), Violation::AuthMethodDiffers(PacketType::ConnAck));
    }
}

// [MQTT-4.12.0-2]
#[test]
fn auth_out_of_turn_closes_the_connection() {
    let mut client = opening();
    client.server(question("q")).unwrap();
    assert_eq!(violation(client.server(question("q"))), Violation::AuthOutOfTurn);
    let success = server_auth(ReasonCode::Success, "SCRAM", "");
    assert_eq!(violation(opening().server(success)), Violation::AuthOutOfTurn);
    assert_eq!(violation(open().server(question("q"))), Violation::AuthOutOfTurn);
}

#[test]
fn each_step_of_the_handshake_has_its_own_time() {
    let mut client = opening();
    client.wait(29_000).unwrap();
    client.server(question("q")).unwrap();
    client.wait(29_000).unwrap();
    assert_eq!(client.wait(1000), Err(End::ConnAckTimeout));
}
