//! Topic aliases, both directions.

use std::num::NonZeroU16;

use martlet_proto::{
    ConnAckProperties, Connect, ConnectProperties, Packet, Publish, PublishProperties, Version,
};
use martlet_session::alias::AliasError;
use martlet_session::client::{ClientSession, ConnectionOptions, End, Violation};

use crate::scripted::*;

fn aliases(topic_alias_max: u16) -> ConnAckProperties<'static> {
    ConnAckProperties { topic_alias_max: Some(topic_alias_max), ..Default::default() }
}

fn aliased(topic: &str, alias: u16) -> Packet<'_> {
    let properties =
        PublishProperties { topic_alias: NonZeroU16::new(alias), ..Default::default() };
    Packet::Publish(Publish { properties, ..publish(topic, "x", Q0, 0) })
}

fn receiving(topic_alias_max: u16) -> Scripted {
    let properties =
        ConnectProperties { topic_alias_max: Some(topic_alias_max), ..Default::default() };
    let connect = Connect { properties, ..connect(Version::V5) };
    let properties = ConnAckProperties::default();
    let mut client = Scripted::accepted(ClientSession::new(1000), &connect, false, properties);
    client.events();
    client
}

#[test]
fn a_repeated_topic_is_sent_as_an_alias() {
    let mut client = Scripted::limited(aliases(10));
    client.publish("plant/1", "a", Q0).unwrap();
    client.publish("plant/1", "b", Q1).unwrap();
    client.publish("plant/2", "c", Q0).unwrap();
    client.publish("plant/1", "d", Q0).unwrap();
    assert_eq!(
        client.sent(),
        [
            "PUBLISH plant/1=a q0 @1",
            "PUBLISH =b q1 #1 @1",
            "PUBLISH plant/2=c q0 @2",
            "PUBLISH =d q0 @1"
        ]
    );
}

// [MQTT-3.2.2-17] [MQTT-3.2.2-18] [MQTT-3.3.2-8] [MQTT-3.3.2-9]
#[test]
fn the_servers_maximum_holds_and_none_means_none() {
    let mut client = Scripted::limited(aliases(1));
    client.publish("plant/1", "a", Q0).unwrap();
    client.publish("plant/2", "b", Q0).unwrap();
    client.publish("plant/1", "c", Q0).unwrap();
    assert_eq!(
        client.sent(),
        ["PUBLISH plant/1=a q0 @1", "PUBLISH plant/2=b q0", "PUBLISH =c q0 @1"]
    );
    for properties in [aliases(0), ConnAckProperties::default()] {
        let mut client = Scripted::limited(properties);
        client.publish("plant/1", "a", Q0).unwrap();
        client.publish("plant/1", "a", Q0).unwrap();
        assert_eq!(client.sent(), ["PUBLISH plant/1=a q0", "PUBLISH plant/1=a q0"]);
    }
}

#[test]
fn aliases_can_be_declined() {
    let options = ConnectionOptions { topic_aliases: false, ..Default::default() };
    let mut client = Scripted::open(ClientSession::new(1000), &connect(Version::V5), options);
    client.accept(false, aliases(10));
    client.sent();
    client.publish("plant/1", "a", Q0).unwrap();
    assert_eq!(client.sent(), ["PUBLISH plant/1=a q0"]);
}

// [MQTT-3.3.2-7]
#[test]
fn mappings_die_with_the_connection() {
    let session = ClientSession::new(1000);
    let mut client = Scripted::accepted(session, &persistent(Version::V5), false, aliases(10));
    client.publish("plant/1", "a", Q1).unwrap();
    client.publish("plant/1", "b", Q1).unwrap();
    client.events();
    let (session, _) = client.broken();
    let mut client = Scripted::accepted(session, &persistent(Version::V5), true, aliases(10));
    assert_eq!(client.sent(), ["PUBLISH plant/1=a q1 #1 @1 dup", "PUBLISH =b q1 #2 @1 dup"]);
    client.events();
    let (session, _) = client.broken();
    let properties = ConnAckProperties::default();
    let mut client = Scripted::accepted(session, &persistent(Version::V5), true, properties);
    assert_eq!(client.sent(), ["PUBLISH plant/1=a q1 #1 dup", "PUBLISH plant/1=b q1 #2 dup"]);
}

// [MQTT-3.3.2-7]
#[test]
fn the_servers_mappings_die_with_the_connection() {
    let connect = Connect {
        properties: ConnectProperties {
            topic_alias_max: Some(5),
            session_expiry_s: Some(60),
            ..Default::default()
        },
        ..persistent(Version::V5)
    };
    let properties = ConnAckProperties::default();
    let mut client = Scripted::accepted(ClientSession::new(9), &connect, false, properties);
    client.server(aliased("t", 5)).unwrap();
    let (session, _) = client.broken();
    let mut client = Scripted::accepted(session, &connect, true, properties);
    let unknown = Err(End::Violation(Violation::Alias(AliasError::Unknown)));
    assert_eq!(client.server(aliased("", 5)), unknown);
    assert_eq!(client.sent(), ["DISCONNECT 0x82"]);
}

// [MQTT-3.3.2-10]
#[test]
fn every_alias_up_to_the_clients_maximum_is_accepted() {
    let mut client = receiving(3);
    for alias in [3, 1, 2] {
        client.server(aliased(&format!("t/{alias}"), alias)).unwrap();
    }
    for alias in [1, 2, 3] {
        client.server(aliased("", alias)).unwrap();
    }
    client.server(aliased("new", 2)).unwrap();
    client.server(aliased("", 2)).unwrap();
    assert_eq!(
        client.events(),
        ["t/3", "t/1", "t/2", "t/1", "t/2", "t/3", "new", "new"]
            .map(|topic| format!("message {topic}=x q0"))
    );
}

// [MQTT-3.3.2-10] [MQTT-3.3.2-11] [MQTT-3.1.2-26] [MQTT-3.1.2-27]
#[test]
fn an_alias_above_the_clients_maximum_closes_the_connection() {
    for max in [0, 3] {
        let mut client = receiving(max);
        let too_large = Err(End::Violation(Violation::Alias(AliasError::TooLarge)));
        assert_eq!(client.server(aliased("t", max + 1)), too_large);
        assert_eq!(client.sent(), ["DISCONNECT 0x94"]);
    }
}

#[test]
fn a_repeated_qos_2_message_still_teaches_its_alias() {
    let mut client = receiving(3);
    let properties = PublishProperties { topic_alias: NonZeroU16::new(1), ..Default::default() };
    let message = Publish { properties, ..publish("t", "x", Q2, 7) };
    client.server(Packet::Publish(Publish { properties: Default::default(), ..message })).unwrap();
    client.server(Packet::Publish(message)).unwrap();
    client.server(aliased("", 1)).unwrap();
    assert_eq!(client.events(), ["message t=x q2 #7", "message t=x q0"]);
}
