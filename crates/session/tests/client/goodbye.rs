//! DISCONNECT, both directions.

use martlet_proto::{Connect, Disconnect, Packet, ReasonCode, Version};
use martlet_session::client::{
    AckError, DisconnectError, End, Phase, PublishError, UnsubscribeRequest,
};

use crate::scripted::*;

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

// [MQTT-3.14.4-1] [MQTT-3.14.4-2] [MQTT3-3.14.4-1] [MQTT3-3.14.4-2]
#[test]
fn nothing_follows_a_disconnect() {
    for version in VERSIONS {
        let mut client = Scripted::manual(version);
        client.server_publish("t", "x", Q1, 1);
        client.events();
        client.disconnect(OK);
        assert_eq!(client.sent(), ["DISCONNECT 0x00"]);
        assert_eq!(client.connection.phase(), Phase::Closed);
        assert_eq!(client.connection.end(), Some(End::Disconnected));

        assert_eq!(client.publish("t", "x", Q0), Err(PublishError::NotConnected));
        client.publish("t", "x", Q1).unwrap();
        client.subscribe(&[("a", Q0)]);
        let request = UnsubscribeRequest { filters: &["a"], user_properties: &[] };
        client.connection.unsubscribe(0, &mut client.session, &request, &mut client.out).unwrap();
        let ack = client.connection.acknowledge(0, &mut client.session, id(1), OK, &mut client.out);
        assert_eq!(ack, Err(AckError::NotConnected));
        assert!(client.connection.reauthenticate(0, None, &mut client.out).is_err());
        let again = Disconnect::new(OK);
        let again = client.connection.disconnect(&mut client.session, &again, &mut client.out);
        assert_eq!(again, Err(DisconnectError::NotConnected));
        assert_eq!(client.wait(1_000_000_000), Err(End::Disconnected));
        let late = client.server(Packet::Publish(publish("t", "x", Q2, 2)));
        assert_eq!(late, Err(End::Disconnected));

        assert!(client.sent().is_empty());
        assert!(client.events().is_empty());
    }
}

// [MQTT-3.14.2-1]
#[test]
fn only_reasons_of_a_clients_disconnect_are_accepted() {
    let mut client = Scripted::connected(Version::V5);
    for reason in [ReasonCode::ServerBusy, ReasonCode::GrantedQos1, ReasonCode::SessionTakenOver] {
        let goodbye = Disconnect::new(reason);
        let refused = client.connection.disconnect(&mut client.session, &goodbye, &mut client.out);
        assert_eq!(refused, Err(DisconnectError::ReasonNotAllowed));
    }
    let goodbye = Disconnect { reason_string: Some("\0"), ..Disconnect::new(OK) };
    let refused = client.connection.disconnect(&mut client.session, &goodbye, &mut client.out);
    assert_eq!(refused, Err(DisconnectError::InvalidField));
    let goodbye = Disconnect { session_expiry_s: Some(5), ..Disconnect::new(OK) };
    let refused = client.connection.disconnect(&mut client.session, &goodbye, &mut client.out);
    assert_eq!(refused, Err(DisconnectError::SessionExpiryNotAllowed));
    client.disconnect(ReasonCode::DisconnectWithWill);
    assert_eq!(client.sent(), ["DISCONNECT 0x04"]);
}

#[test]
fn before_version_5_only_the_normal_goodbye_is_sent() {
    let mut client = Scripted::connected(Version::V311);
    client.disconnect(ReasonCode::DisconnectWithWill);
    assert!(client.sent().is_empty());
    assert_eq!(client.connection.phase(), Phase::Closed);
}

// [MQTT-3.1.2-30]
#[test]
fn a_client_may_leave_before_connack() {
    let properties =
        martlet_proto::ConnectProperties { auth_method: Some("SCRAM"), ..Default::default() };
    let connect = Connect { properties, ..connect(Version::V5) };
    let mut client = Scripted::open(resumed_session(), &connect, Default::default());
    client.disconnect(OK);
    assert_eq!(client.sent(), ["CONNECT", "DISCONNECT 0x00"]);
}

// [MQTT-4.13.2-1]
#[test]
fn the_servers_goodbye_is_reported_and_not_answered() {
    let mut client = Scripted::connected(Version::V5);
    let goodbye = Packet::Disconnect(Disconnect::new(ReasonCode::ServerShuttingDown));
    let end = End::ServerDisconnected(ReasonCode::ServerShuttingDown);
    assert_eq!(client.server(goodbye), Err(end));
    assert_eq!(client.events(), ["disconnected 0x8b"]);
    assert!(client.sent().is_empty());
    assert_eq!(client.connection.phase(), Phase::Closed);
}

#[test]
fn what_comes_behind_the_servers_goodbye_is_not_looked_at() {
    let mut client = Scripted::connected(Version::V5);
    let mut bytes = Vec::new();
    Packet::Disconnect(Disconnect::new(OK)).put(Version::V5, &mut bytes);
    Packet::Publish(publish("t", "x", Q1, 1)).put(Version::V5, &mut bytes);
    assert_eq!(client.bytes(&bytes), Err(End::ServerDisconnected(OK)));
    assert_eq!(client.events(), ["disconnected 0x00"]);
    assert!(client.sent().is_empty());
}
