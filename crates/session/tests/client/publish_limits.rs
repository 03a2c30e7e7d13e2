//! Which messages are refused before they are sent.

use martlet_proto::{ConnAckProperties, ForwardFields, ForwardProperties, Qos, Version};
use martlet_session::client::{ClientSession, ConnectionOptions, Publication, PublishError};

use crate::scripted::*;

// [MQTT-3.2.2-11]
#[test]
fn the_servers_maximum_qos_holds() {
    for (qos_max, refused) in [(Q0, &[Q1, Q2][..]), (Q1, &[Q2][..])] {
        let properties = ConnAckProperties { qos_max: Some(qos_max), ..Default::default() };
        let mut client = Scripted::limited(properties);
        client.publish("t", "x", qos_max).unwrap();
        assert_eq!(client.sent().len(), 1);
        for qos in refused {
            assert_eq!(client.publish("t", "x", *qos), Err(PublishError::QosNotSupported));
        }
        // A subscription may ask for more.
        client.subscribe(&[("a", Q2)]);
        assert_eq!(client.sent().len(), 1);
    }
}

// [MQTT-3.2.2-14]
#[test]
fn without_retained_messages_retain_is_refused() {
    let retained = Publication { retain: true, ..publication("t", "x", Q1) };
    let properties = ConnAckProperties { retain_available: Some(false), ..Default::default() };
    let mut client = Scripted::limited(properties);
    assert_eq!(client.publish_it(&retained), Err(PublishError::RetainNotSupported));
    client.publish("t", "x", Q1).unwrap();
    let mut client = Scripted::connected(Version::V5);
    client.publish_it(&retained).unwrap();
    assert_eq!(client.sent(), ["PUBLISH t=x q1 #1 retain"]);
}

// [MQTT-3.2.2-11] [MQTT-3.2.2-14]
#[test]
fn the_limits_hold_for_what_waited_and_for_what_is_resent() {
    let mut client = Scripted::persistent(Version::V5);
    client.publish("t", "sent", Q2).unwrap();
    client.publish_it(&Publication { retain: true, ..publication("t", "sent", Q1) }).unwrap();
    client.publish("t", "fine", Q1).unwrap();
    let (session, _) = client.broken();
    let mut client =
        Scripted::open(session, &persistent(Version::V5), ConnectionOptions::default());
    client.publish("t", "waits", Q2).unwrap();
    client.publish("t", "waits", Q1).unwrap();
    client.sent();
    let properties = ConnAckProperties {
        qos_max: Some(Q1),
        retain_available: Some(false),
        ..Default::default()
    };
    client.events();
    client.accept(true, properties);
    assert_eq!(
        client.events(),
        [
            "connected, session present",
            "publish failed 0: QosNotSupported",
            "publish failed 1: RetainNotSupported",
            "publish failed 3: QosNotSupported",
        ]
    );
    assert_eq!(client.sent(), ["PUBLISH t=fine q1 #3 dup", "PUBLISH t=waits q1 #5"]);
}

// [MQTT-3.3.2-1] [MQTT-3.3.2-2] [MQTT3-3.3.2-1] [MQTT3-3.3.2-2] [MQTT-4.7.0-1] [MQTT3-4.7.1-1]
// [MQTT-4.7.3-1] [MQTT-4.7.3-2] [MQTT-4.7.3-3] [MQTT3-4.7.3-1] [MQTT3-4.7.3-2] [MQTT3-4.7.3-3]
#[test]
fn what_is_no_topic_name_is_refused() {
    let long = "x".repeat(65_536);
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut client = Scripted::connected(version);
        for topic in ["", "a/+/b", "#", "a\0", &long] {
            for qos in [Q0, Q1, Q2] {
                let refused = client.publish(topic, "x", qos).unwrap_err();
                assert!(matches!(refused, PublishError::TopicName(_)), "{refused:?}");
            }
        }
        client.publish(&long[1..], "x", Q0).unwrap();
        client.publish("$data/with space/é", "x", Q0).unwrap();
        assert_eq!(client.sent().len(), 2);
        assert!(client.session.is_idle());
    }
}

fn with(fields: &ForwardFields<'_>) -> Result<Vec<String>, PublishError> {
    let mut bytes = Vec::new();
    fields.put(&mut bytes);
    let forward = ForwardProperties::from_encoded(&bytes);
    let mut client = Scripted::connected(Version::V5);
    client.publish_it(&Publication { forward, ..publication("t", "x", Q1) })?;
    Ok(client.sent())
}

// [MQTT-3.3.2-13] [MQTT-3.3.2-14] [MQTT-3.3.2-19] [MQTT-1.5.4-2] [MQTT-1.5.7-1]
#[test]
fn properties_that_cannot_be_sent_are_refused() {
    let fine = ForwardFields {
        payload_format: Some(1),
        response_topic: Some("reply/here"),
        correlation_data: Some(b"\0\xff"),
        content_type: Some("text/plain"),
        user_properties: &[("a", "b"), ("a", "c")],
    };
    with(&fine).unwrap();
    for response_topic in ["", "reply/+"] {
        let fields = ForwardFields { response_topic: Some(response_topic), ..fine };
        assert!(matches!(with(&fields), Err(PublishError::ResponseTopic(_))));
    }
    for fields in [
        ForwardFields { response_topic: Some("a\0"), ..fine },
        ForwardFields { content_type: Some("a\0"), ..fine },
        ForwardFields { payload_format: Some(2), ..fine },
        ForwardFields { user_properties: &[("a\0", "b")], ..fine },
        ForwardFields { user_properties: &[("a", "\0b")], ..fine },
    ] {
        assert_eq!(with(&fields), Err(PublishError::InvalidField));
    }
}

// [MQTT-3.3.4-6] [MQTT-2.2.2-1]
#[test]
fn the_bytes_of_a_message() {
    let mut client = Scripted::connected(Version::V5);
    let with_expiry = Publication { message_expiry_s: Some(258), ..publication("t", "x", Q1) };
    client.publish_it(&with_expiry).unwrap();
    assert_eq!(client.out, b"\x32\x0c\x00\x01t\x00\x01\x05\x02\x00\x00\x01\x02x");
    client.out.clear();
    client.publish("t", "x", Q0).unwrap();
    assert_eq!(client.out, b"\x30\x05\x00\x01t\x00x");
    let mut client = Scripted::connected(Version::V311);
    client.publish_it(&with_expiry).unwrap();
    assert_eq!(client.out, b"\x32\x06\x00\x01t\x00\x01x", "properties are for version 5");
}

#[test]
fn without_a_connection_only_qos_0_is_refused() {
    let mut session = ClientSession::new(1000);
    let refused = session.publish(&publication("t", "x", Qos::AtMostOnce));
    assert_eq!(refused, Err(PublishError::NotConnected));
    let refused = session.publish(&publication("+", "x", Qos::AtLeastOnce));
    assert!(matches!(refused, Err(PublishError::TopicName(_))));
    session.publish(&publication("t", "x", Qos::AtLeastOnce)).unwrap();
    let properties = ConnAckProperties::default();
    let mut client = Scripted::accepted(session, &connect(Version::V5), false, properties);
    assert_eq!(client.sent(), ["PUBLISH t=x q1 #1"]);
}
