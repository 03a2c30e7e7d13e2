//! Messages of every QoS, from every version to every version.

use std::num::NonZeroU32;

use martlet_proto::{
    ForwardFields, ForwardProperties, Packet, PacketId, PacketType, Qos, SubscriptionOptions,
    Version,
};
use martlet_session::client::SubscribeRequest;

use crate::rig::{Q0, Q1, Q2, Rig, VERSIONS, Way, fresh, on_every_size, publication};

/// A publisher and a subscriber with a name for each version.
const PUBLISHERS: [&str; 3] = ["p31", "p311", "p5"];
const SUBSCRIBERS: [&str; 3] = ["s31", "s311", "s5"];

fn all_connected(rig: &mut Rig) {
    for (i, version) in VERSIONS.into_iter().enumerate() {
        rig.connect(PUBLISHERS[i], &fresh(version, PUBLISHERS[i]));
        rig.connect(SUBSCRIBERS[i], &fresh(version, SUBSCRIBERS[i]));
    }
}

// [MQTT-4.3.1-1] [MQTT-4.3.2-1] [MQTT-4.3.2-2] [MQTT-4.3.2-3] [MQTT-4.3.3-1] [MQTT-4.3.3-2]
// [MQTT-4.3.3-4] [MQTT-4.3.3-8] [MQTT-4.3.3-11] [MQTT-3.8.4-8] [MQTT3-4.3.1-1] [MQTT3-4.3.2-1]
// [MQTT3-4.3.2-2] [MQTT3-4.3.3-1] [MQTT3-4.3.3-2] [MQTT3-3.8.4-6]
#[test]
fn the_lower_qos_of_publisher_and_subscription_counts() {
    on_every_size(|rig| {
        all_connected(rig);
        for granted in [Q0, Q1, Q2] {
            SUBSCRIBERS.into_iter().for_each(|name| rig.subscribe(name, "t/+", granted));
            for name in PUBLISHERS {
                for sent in [Q0, Q1, Q2] {
                    rig.publish_done(name, "t/x", "payload", sent);
                    for subscriber in SUBSCRIBERS {
                        let messages = rig.messages(subscriber);
                        assert_eq!(messages.len(), 1, "{name} to {subscriber}: {messages:?}");
                        let got = &messages[0];
                        assert_eq!((got.topic.as_str(), got.text()), ("t/x", "payload"));
                        assert_eq!((got.qos, got.dup), (sent.min(granted), false));
                    }
                }
            }
        }
        assert_eq!((rig.stats().in_flight, rig.stats().queued), (0, 0));
    });
}

// [MQTT-4.6.0-2] [MQTT-4.6.0-3] [MQTT-4.6.0-4] [MQTT-4.6.0-5] [MQTT-4.6.0-6] [MQTT3-4.6.0-2]
// [MQTT3-4.6.0-3] [MQTT3-4.6.0-4] [MQTT3-4.6.0-5] [MQTT3-4.6.0-6]
#[test]
fn a_burst_of_each_qos_arrives_in_order() {
    on_every_size(|rig| {
        all_connected(rig);
        SUBSCRIBERS.into_iter().for_each(|name| rig.subscribe(name, "t", Q2));
        for name in PUBLISHERS {
            for i in 0..60u8 {
                let qos = Qos::from_bits(i % 3).expect("0 to 2");
                let payload = format!("{i}");
                rig.give_message(name, &publication("t", payload.as_bytes(), qos)).expect("taken");
            }
            rig.settle();
            rig.client(name).events.clear();
            assert!(rig.client(name).session.is_idle());
            for subscriber in SUBSCRIBERS {
                let messages = rig.messages(subscriber);
                assert_eq!(messages.len(), 60);
                for qos in [Q0, Q1, Q2] {
                    let of_qos = messages.iter().filter(|message| message.qos == qos);
                    let numbers: Vec<u8> =
                        of_qos.map(|message| message.text().parse().expect("a number")).collect();
                    assert!(numbers.is_sorted(), "{name} to {subscriber}: {numbers:?}");
                }
            }
        }
        for name in PUBLISHERS.into_iter().chain(SUBSCRIBERS) {
            check_order_of_answers(rig, name);
        }
    });
}

/// Identifiers in the order in which packets of a type crossed.
fn ids(rig: &Rig, name: &str, way: Way, wanted: PacketType, qos: Qos) -> Vec<u16> {
    let crossings = rig.crossings(name).iter().filter(|it| it.way == way);
    let ids = crossings.filter_map(|it| match it.packet() {
        Packet::Publish(it) if wanted == PacketType::Publish && it.qos == qos => it.packet_id,
        Packet::PubAck(it) if wanted == PacketType::PubAck => Some(it.packet_id),
        Packet::PubRec(it) if wanted == PacketType::PubRec => Some(it.packet_id),
        Packet::PubRel(it) if wanted == PacketType::PubRel => Some(it.packet_id),
        Packet::PubComp(it) if wanted == PacketType::PubComp => Some(it.packet_id),
        _ => None,
    });
    ids.map(PacketId::get).collect()
}

/// Every answer went out in the order of what it answers.
fn check_order_of_answers(rig: &Rig, name: &str) {
    let ways = [(Way::ToServer, Way::ToClient), (Way::ToClient, Way::ToServer)];
    for (there, back) in ways {
        let of = |way, packet, qos| ids(rig, name, way, packet, qos);
        let one = of(there, PacketType::Publish, Q1);
        assert_eq!(of(back, PacketType::PubAck, Q1), one);
        let two = of(there, PacketType::Publish, Q2);
        assert_eq!(of(back, PacketType::PubRec, Q2), two);
        assert_eq!(of(there, PacketType::PubRel, Q2), two);
        assert_eq!(of(back, PacketType::PubComp, Q2), two);
    }
}

// [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
// [MQTT-3.3.4-3]
#[test]
fn properties_arrive_where_the_version_has_them() {
    on_every_size(|rig| {
        all_connected(rig);
        let filters = [("t", SubscriptionOptions::new(Q2))];
        let request = SubscribeRequest {
            filters: &filters,
            subscription_id: NonZeroU32::new(268_435_455),
            user_properties: &[("asked", "politely")],
        };
        for name in SUBSCRIBERS {
            assert_eq!(rig.subscribe_with(name, &request), [2]);
        }
        let mut forward = Vec::new();
        let fields = ForwardFields {
            payload_format: Some(1),
            response_topic: Some("reply/here"),
            correlation_data: Some(&[0, 255, 1]),
            content_type: Some("text/plain"),
            user_properties: &[("b", "2"), ("a", "1"), ("b", "3")],
        };
        fields.put(&mut forward);
        let mut message = publication("t", b"payload", Q2);
        message.message_expiry_s = Some(100);
        message.forward = ForwardProperties::from_encoded(&forward);
        for name in PUBLISHERS {
            rig.publish(name, &message).expect("taken");
            rig.client(name).events.clear();
            for subscriber in SUBSCRIBERS {
                let messages = rig.messages(subscriber);
                let both_v5 = name == "p5" && subscriber == "s5";
                let got = &messages[0];
                assert_eq!(got.forward, if both_v5 { &*forward } else { &[] });
                assert_eq!(got.expiry_s, both_v5.then_some(100));
                let ids: &[u32] = if subscriber == "s5" { &[268_435_455] } else { &[] };
                assert_eq!(got.subscription_ids, ids);
            }
        }
    });
}

// [MQTT-3.3.1-9] [MQTT-3.3.1-12] [MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT3-3.3.1-8] [MQTT3-3.3.1-9]
// [MQTT3-3.10.4-1] [MQTT3-3.10.4-2]
#[test]
fn who_publishes_gets_its_own_messages_until_it_unsubscribes() {
    on_every_size(|rig| {
        for version in VERSIONS {
            rig.connect("a", &fresh(version, "a"));
            let kept = publication("kept", b"old", Q1);
            rig.publish("a", &martlet_session::client::Publication { retain: true, ..kept })
                .expect("taken");
            rig.client("a").events.clear();
            rig.subscribe("a", "kept", Q2);
            let messages = rig.messages("a");
            assert_eq!((messages.len(), messages[0].retain), (1, true));
            for qos in [Q0, Q1, Q2] {
                rig.publish_done("a", "kept", "live", qos);
                let messages = rig.messages("a");
                assert_eq!((messages.len(), messages[0].retain), (1, false));
            }
            rig.unsubscribe("a", "kept");
            rig.publish_done("a", "kept", "unwanted", Q2);
            rig.nothing("a");
            rig.leave("a");
        }
        assert_eq!(rig.stats().retained, 1);
    });
}

// [MQTT-3.8.3-3]
#[test]
fn no_local_spares_the_publisher() {
    on_every_size(|rig| {
        rig.connect("a", &fresh(Version::V5, "a"));
        rig.connect("b", &fresh(Version::V5, "b"));
        let options = SubscriptionOptions { no_local: true, ..SubscriptionOptions::new(Q1) };
        let filters = [("t", options)];
        let request =
            SubscribeRequest { filters: &filters, subscription_id: None, user_properties: &[] };
        for name in ["a", "b"] {
            assert_eq!(rig.subscribe_with(name, &request), [1]);
        }
        rig.publish_done("a", "t", "from a", Q1);
        rig.nothing("a");
        assert_eq!(rig.payloads("b"), ["from a"]);
    });
}
