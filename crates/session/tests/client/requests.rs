//! SUBSCRIBE and UNSUBSCRIBE.

use std::num::NonZeroU32;

use martlet_proto::{
    ConnAckProperties, Packet, PacketType, RetainHandling, SubAck, SubscriptionOptions, UnsubAck,
    Version,
};
use martlet_session::client::{
    ClientSession, ConnectionOptions, End, RequestError, SubscribeRequest, Token,
    UnsubscribeRequest, Violation,
};

use crate::scripted::*;

const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

fn subscribe(client: &mut Scripted, request: &SubscribeRequest<'_>) -> Result<Token, RequestError> {
    client.connection.subscribe(client.now_ms, &mut client.session, request, &mut client.out)
}

fn unsubscribe(client: &mut Scripted, filters: &[&str]) -> Result<Token, RequestError> {
    let request = UnsubscribeRequest { filters, user_properties: &[] };
    client.connection.unsubscribe(client.now_ms, &mut client.session, &request, &mut client.out)
}

fn one<'a>(filter: &'a (&'a str, SubscriptionOptions)) -> SubscribeRequest<'a> {
    SubscribeRequest {
        filters: std::slice::from_ref(filter),
        subscription_id: None,
        user_properties: &[],
    }
}

fn suback(packet_id: u16, codes: &[u8]) -> Packet<'_> {
    Packet::SubAck(SubAck { packet_id: id(packet_id), properties: Default::default(), codes })
}

fn unsuback(packet_id: u16, codes: &[u8]) -> Packet<'_> {
    Packet::UnsubAck(UnsubAck { packet_id: id(packet_id), properties: Default::default(), codes })
}

// [MQTT-3.8.1-1] [MQTT3-3.8.1-1] [MQTT-3.10.1-1] [MQTT3-3.10.1-1] [MQTT-2.1.3-1] [MQTT3-2.2.2-1]
// [MQTT-2.2.1-6] [MQTT3-2.3.1-7] [MQTT-3.8.4-6] [MQTT3-3.8.4-5] [MQTT3-2.3.1-1] [MQTT-3.8.3-1]
// [MQTT-3.10.3-1] [MQTT3-3.8.3-1] [MQTT3-3.10.3-1] [MQTT-3.8.3-5] [MQTT3-3.8.3-4]
#[test]
fn a_request_is_answered_under_its_token() {
    for version in VERSIONS {
        let mut client = Scripted::connected(version);
        let first = client.subscribe(&[("a/+", Q2), ("#", Q0)]);
        assert_eq!(client.out[0], 0x82);
        let second = unsubscribe(&mut client, &["a/+", "b"]).unwrap();
        assert_eq!(client.sent(), ["SUBSCRIBE #1 a/+:2 #:0", "UNSUBSCRIBE #2 a/+ b"]);
        client.server(unsuback(2, &[0, 0x11])).unwrap();
        client.server(suback(1, &[1, 0x80])).unwrap();
        assert_eq!(
            client.events(),
            [
                format!("unsubscribed {}", second.get()),
                format!("subscribed {}: [1, 128]", first.get())
            ]
        );
        assert!(client.session.is_idle());
    }
}

#[test]
fn options_and_identifier_are_sent_with_version_5() {
    let mut client = Scripted::connected(Version::V5);
    let options = SubscriptionOptions {
        qos: Q1,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::DoNotSend,
    };
    let filter = ("a", options);
    let request = SubscribeRequest {
        subscription_id: NonZeroU32::new(268_435_455),
        user_properties: &[("k", "v")],
        ..one(&filter)
    };
    subscribe(&mut client, &request).unwrap();
    let expected = b"\x82\x13\x00\x01\x0c\x0b\xff\xff\xff\x7f\x26\x00\x01k\x00\x01v\x00\x01a\x2d";
    assert_eq!(client.out, expected);
}

// [MQTT-3.8.3-2] [MQTT-3.10.3-2] [MQTT3-3.8.3-3] [MQTT3-3.10.3-2] [MQTT-4.7.1-1] [MQTT-4.7.1-2]
// [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.7.3-3] [MQTT-4.8.2-1] [MQTT-4.8.2-2] [MQTT-3.8.3-4]
// [MQTT3-4.7.1-2] [MQTT3-4.7.1-3] [MQTT3-4.7.3-1] [MQTT3-4.7.3-2] [MQTT3-4.7.3-3]
#[test]
fn what_is_no_topic_filter_is_refused() {
    let mut client = Scripted::connected(Version::V5);
    let long = "x".repeat(65_536);
    let options = SubscriptionOptions::default();
    for filter in ["", "a#", "#/a", "a/#/b", "a+", "a/b+/c", "a\0b", "$share/g", "$share//f", &long]
    {
        let refused = subscribe(&mut client, &one(&(filter, options))).unwrap_err();
        assert!(matches!(refused, RequestError::TopicFilter(_)), "{filter:.20?}: {refused:?}");
        let refused = unsubscribe(&mut client, &["fine", filter]).unwrap_err();
        assert!(matches!(refused, RequestError::TopicFilter(_)), "{filter:.20?}: {refused:?}");
    }
    let nothing = SubscribeRequest { filters: &[], subscription_id: None, user_properties: &[] };
    assert_eq!(subscribe(&mut client, &nothing), Err(RequestError::NoTopicFilter));
    assert_eq!(unsubscribe(&mut client, &[]), Err(RequestError::NoTopicFilter));
    let no_local = SubscriptionOptions { no_local: true, ..options };
    let refused = subscribe(&mut client, &one(&("$share/g/f", no_local)));
    assert_eq!(refused, Err(RequestError::NoLocalOnShared));
    let filter = ("a", options);
    let request = SubscribeRequest { user_properties: &[("a", "\0")], ..one(&filter) };
    assert_eq!(subscribe(&mut client, &request), Err(RequestError::InvalidField));
    let request =
        SubscribeRequest { subscription_id: NonZeroU32::new(268_435_456), ..one(&filter) };
    assert_eq!(subscribe(&mut client, &request), Err(RequestError::InvalidField));
    assert!(client.sent().is_empty());
    assert!(client.session.is_idle());
}

#[test]
fn what_the_server_does_not_support_is_refused() {
    let mut client = Scripted::limited(ConnAckProperties {
        wildcard_available: Some(false),
        subscription_ids_available: Some(false),
        shared_available: Some(false),
        ..Default::default()
    });
    let options = SubscriptionOptions::default();
    let refused = subscribe(&mut client, &one(&("a/#", options)));
    assert_eq!(refused, Err(RequestError::WildcardsNotSupported));
    let refused = subscribe(&mut client, &one(&("$share/g/a", options)));
    assert_eq!(refused, Err(RequestError::SharedNotSupported));
    let filter = ("a", options);
    let request = SubscribeRequest { subscription_id: NonZeroU32::new(1), ..one(&filter) };
    let refused = subscribe(&mut client, &request);
    assert_eq!(refused, Err(RequestError::SubscriptionIdsNotSupported));
    subscribe(&mut client, &one(&filter)).unwrap();
}

#[test]
fn a_waiting_request_that_the_server_does_not_support_is_dropped() {
    let session = ClientSession::new(1000);
    let mut client = Scripted::open(session, &connect(Version::V5), ConnectionOptions::default());
    client.subscribe(&[("a/#", Q0)]);
    client.subscribe(&[("a", Q0)]);
    client.sent();
    let properties = ConnAckProperties { wildcard_available: Some(false), ..Default::default() };
    client.accept(false, properties);
    assert_eq!(client.events(), ["connected", "request failed 0: WildcardsNotSupported"]);
    assert_eq!(client.sent(), ["SUBSCRIBE #1 a:0"]);
}

// [MQTT-2.2.1-6] [MQTT3-2.3.1-7] [MQTT3-4.8.0-1]
#[test]
fn an_answer_to_nothing_closes_the_connection() {
    for version in VERSIONS {
        for (packet, packet_type) in [
            (suback(2, &[0]), PacketType::SubAck),
            (suback(7, &[0]), PacketType::SubAck),
            (unsuback(1, &[0]), PacketType::UnsubAck),
        ] {
            let mut client = Scripted::connected(version);
            client.subscribe(&[("a", Q0)]);
            unsubscribe(&mut client, &["a"]).unwrap();
            let violation = Violation::UnknownPacketId(packet_type);
            assert_eq!(client.server(packet), Err(End::Violation(violation)));
            assert_eq!(violation.clause(), "MQTT-2.2.1-6");
        }
    }
}

// [MQTT-3.8.4-6] [MQTT3-3.8.4-5] [MQTT-3.11.3-2]
#[test]
fn a_wrong_number_of_codes_closes_the_connection() {
    for version in VERSIONS {
        let mut client = Scripted::connected(version);
        client.subscribe(&[("a", Q0), ("b", Q0)]);
        let violation = Violation::CodeCount(PacketType::SubAck);
        assert_eq!(client.server(suback(1, &[0])), Err(End::Violation(violation)));
    }
    let mut client = Scripted::connected(Version::V5);
    unsubscribe(&mut client, &["a"]).unwrap();
    let violation = Violation::CodeCount(PacketType::UnsubAck);
    assert_eq!(client.server(unsuback(1, &[0, 0])), Err(End::Violation(violation)));
}
