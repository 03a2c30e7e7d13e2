//! PUBLISH with each QoS, both ways: acknowledgements, identifiers, duplicates, what is passed on.

use martlet_proto::{Ack, Packet, Qos, ReasonCode};

use crate::rig::{Message, msg, on_every_size, packet_id, v5, v31, v311};

// [MQTT-3.3.4-1] [MQTT3-3.3.4-1] [MQTT-4.3.2-4] [MQTT3-4.3.2-2] [MQTT-4.3.3-8] [MQTT-4.3.3-11]
// [MQTT3-4.3.3-2] [MQTT-2.2.1-5] [MQTT3-2.3.1-6]
#[test]
fn each_qos_is_answered_as_it_must_be() {
    on_every_size(|rig| {
        for hello in [v31("a"), v311("b"), v5("c")] {
            let name = hello.name();
            rig.connect(&hello);
            rig.send_message(name, &msg("t", "0"));
            rig.nothing(name);
            rig.send_message(name, &msg("t", "1").qos(1).id(41));
            assert_eq!(rig.expect(name).pub_ack().packet_id.get(), 41);
            rig.send_message(name, &msg("t", "2").qos(2).id(42));
            assert_eq!(rig.expect(name).pub_rec().packet_id.get(), 42);
            rig.pub_rel(name, 42);
            assert_eq!(rig.expect(name).pub_comp(), Ack::new(packet_id(42), ReasonCode::Success));
            rig.nothing(name);
        }
    });
}

// [MQTT-3.8.4-8] [MQTT3-3.8.4-6] [MQTT-4.3.1-1] [MQTT3-4.3.1-1] [MQTT-4.5.0-1] [MQTT3-4.5.0-1]
// [MQTT-3.3.2-3] [MQTT3-3.3.2-3]
#[test]
fn the_lower_qos_wins() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        for granted in 0..=2 {
            for hello in [v311(&format!("v3 {granted}")), v5(&format!("v5 {granted}"))] {
                rig.connect(&hello);
                rig.subscribe(hello.name(), "t/+", granted);
            }
        }
        for published in 0..=2 {
            rig.publish("p", "t/x", "m", published);
            rig.publish("p", "other", "not for them", published);
            for granted in 0..=2 {
                for name in [format!("v3 {granted}"), format!("v5 {granted}")] {
                    let message = rig.take_message(&name);
                    assert_eq!(message.qos as u8, published.min(granted));
                    assert_eq!((message.topic.as_str(), message.text()), ("t/x", "m"));
                    assert_eq!((message.dup, message.retain), (false, false));
                    rig.nothing(&name);
                }
            }
        }
    });
}

// [MQTT-4.3.2-5] [MQTT3-4.3.2-2]
#[test]
fn every_qos_1_publish_is_a_new_message() {
    on_every_size(|rig| {
        rig.connect(&v5("s"));
        rig.subscribe("s", "t", 1);
        for hello in [v311("a"), v5("b")] {
            rig.connect(&hello);
            rig.publish_message(hello.name(), &msg("t", "one").qos(1).id(5));
            rig.publish_message(hello.name(), &msg("t", "two").qos(1).id(5).dup());
            assert_eq!(rig.take_payloads("s"), ["one", "two"]);
        }
    });
}

// [MQTT-4.3.3-10] [MQTT-4.3.3-12] [MQTT3-4.3.3-2] [MQTT-4.3.3-11]
#[test]
fn a_repeated_qos_2_publish_is_answered_and_not_passed_on() {
    on_every_size(|rig| {
        rig.connect(&v5("s"));
        rig.subscribe("s", "t", 2);
        for hello in [v311("a"), v5("b")] {
            let name = hello.name();
            rig.connect(&hello);
            for dup in [msg("t", "once").qos(2).id(5), msg("t", "once").qos(2).id(5).dup()] {
                rig.send_message(name, &dup);
                assert_eq!(rig.expect(name).pub_rec(), Ack::new(packet_id(5), ReasonCode::Success));
            }
            assert_eq!(rig.take_payloads("s"), ["once"]);
            for _ in 0..2 {
                rig.pub_rel(name, 5);
                assert_eq!(rig.expect(name).pub_comp().packet_id.get(), 5);
            }
            // The identifier is free again, whatever DUP says.
            rig.publish_message(name, &msg("t", "anew").qos(2).id(5).dup());
            assert_eq!(rig.take_payloads("s"), ["anew"]);
        }
    });
}

#[test]
fn a_pubrel_for_nothing_is_told_so() {
    on_every_size(|rig| {
        rig.connect(&v5("a"));
        rig.pub_rel("a", 77);
        let code = ReasonCode::PacketIdentifierNotFound;
        assert_eq!(rig.expect("a").pub_comp(), Ack::new(packet_id(77), code));
        rig.connect(&v311("b"));
        rig.pub_rel("b", 77);
        assert_eq!(rig.expect("b").pub_comp().packet_id.get(), 77);
    });
}

// [MQTT-4.3.3-4] [MQTT-4.3.3-5] [MQTT-4.3.3-6] [MQTT3-4.3.3-1] [MQTT-4.3.3-2] [MQTT-4.3.3-3]
#[test]
fn a_qos_2_delivery_goes_through_its_steps() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        for hello in [v311("a"), v5("b")] {
            let name = hello.name();
            rig.connect(&hello);
            rig.subscribe(name, "t", 2);
            rig.publish("p", "t", "m", 2);
            let message = rig.expect_publish(name);
            let id = message.id.expect("an identifier");
            assert_eq!((message.qos, message.dup), (Qos::ExactlyOnce, false));
            assert_eq!(rig.stats().in_flight, 1);
            // PUBREL as often as PUBREC; the PUBLISH never again.
            for _ in 0..2 {
                rig.pub_rec(name, id);
                let release = Ack::new(packet_id(id), ReasonCode::Success);
                assert_eq!(rig.expect(name).pub_rel(), release);
            }
            assert_eq!(rig.stats().in_flight, 1);
            rig.pub_comp(name, id);
            rig.nothing(name);
            assert_eq!(rig.stats().in_flight, 0);
            rig.cut(name);
        }
    });
}

#[test]
fn acknowledgements_for_nothing_are_harmless() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("a"));
        rig.subscribe("a", "t", 2);
        rig.publish("p", "t", "m", 2);
        let message = rig.expect_publish("a");
        let id = message.id.expect("an identifier");
        rig.pub_ack("a", 999);
        rig.pub_comp("a", 999);
        rig.pub_rec("a", 999);
        let code = ReasonCode::PacketIdentifierNotFound;
        assert_eq!(rig.expect("a").pub_rel(), Ack::new(packet_id(999), code));
        let failed = Ack::new(packet_id(998), ReasonCode::UnspecifiedError);
        rig.send("a", Packet::PubRec(failed));
        // The wrong kind for this message: it stays where it is.
        rig.pub_ack("a", id);
        rig.pub_comp("a", id);
        assert_eq!(rig.stats().in_flight, 1);
        rig.finish_message("a", &message);
        assert_eq!(rig.stats().in_flight, 0);
        rig.nothing("a");
    });
}

// [MQTT-2.2.1-4] [MQTT-4.3.2-1] [MQTT-4.3.3-1] [MQTT-4.3.2-2] [MQTT-4.3.2-3] [MQTT3-2.3.1-1]
// [MQTT3-2.3.1-4] [MQTT3-4.3.2-1]
#[test]
fn identifiers_are_unused_until_they_are_acknowledged() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s"));
        rig.subscribe("s", "t", 2);
        let mut in_use = std::collections::BTreeSet::new();
        for i in 0..60 {
            rig.publish("p", "t", "m", 1 + i % 2);
            let message = rig.expect_publish("s");
            assert!(!message.dup);
            assert!(in_use.insert(message.id.expect("not zero")), "{message:?} is in use");
            if i % 5 == 0 {
                rig.finish_message("s", &message);
                in_use.remove(&message.id.expect("not zero"));
            }
        }
        assert_eq!(rig.stats().in_flight, in_use.len() as u64);
    });
}

// [MQTT-3.3.1-3] [MQTT3-3.3.1-3] [MQTT-3.3.1-2] [MQTT3-3.3.1-2]
#[test]
fn dup_is_not_passed_on() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s"));
        rig.subscribe("s", "t", 2);
        for qos in 1..=2 {
            rig.publish_message("p", &msg("t", "m").qos(qos).dup());
            assert!(!rig.take_message("s").dup);
        }
        rig.connect(&v5("zero"));
        rig.subscribe("zero", "t", 0);
        rig.publish_message("p", &msg("t", "m").qos(1).dup());
        assert!(!rig.expect_publish("zero").dup);
        rig.take_message("s");
    });
}

fn with_everything() -> Message {
    Message {
        payload_format: Some(1),
        response_topic: Some("reply/to".to_owned()),
        correlation_data: Some(vec![0, 1, 255]),
        content_type: Some("text/plain; charset=utf-8".to_owned()),
        ..msg("t", "\u{feff}payload")
    }
    .user_property("b", "2")
    .user_property("a", "1")
    .user_property("b", "2")
    .user_property("", "")
}

// [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
#[test]
fn properties_are_passed_on_unaltered() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        for i in 0..8 {
            rig.connect(&v5(&format!("s{i}")));
            rig.subscribe(&format!("s{i}"), "t", 2);
        }
        for qos in 0..=2 {
            let sent = with_everything().qos(qos);
            rig.publish_message("p", &sent);
            for i in 0..8 {
                let got = rig.take_message(&format!("s{i}"));
                assert_eq!(got, Message { id: got.id, ..sent.clone() });
            }
        }
    });
}

#[test]
fn versions_understand_each_other() {
    on_every_size(|rig| {
        for hello in [v31("a"), v311("b"), v5("c")] {
            rig.connect(&hello);
            rig.subscribe(hello.name(), "t", 1);
        }
        rig.publish_message("c", &with_everything().qos(1));
        for name in ["a", "b"] {
            let got = rig.take_message(name);
            assert_eq!(got, Message { id: got.id, ..msg("t", "\u{feff}payload").qos(1) });
        }
        assert_eq!(rig.take_message("c").user_properties.len(), 4);
        rig.publish("a", "t", "from 3.1", 1);
        for name in ["a", "b", "c"] {
            assert_eq!(rig.take_message(name).text(), "from 3.1");
        }
    });
}

#[test]
fn a_message_nobody_wants_is_told_so() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        let code = ReasonCode::NoMatchingSubscribers;
        assert_eq!(rig.publish_message("p", &msg("t", "1").qos(1)), code);
        assert_eq!(rig.publish_message("p", &msg("t", "2").qos(2)), code);
        rig.connect(&v5("s"));
        rig.subscribe("s", "t", 0);
        assert_eq!(rig.publish_message("p", &msg("t", "3").qos(1)), ReasonCode::Success);
        rig.expect_publish("s");
        rig.unsubscribe("s", &["t"]);
        assert_eq!(rig.publish_message("p", &msg("t", "4").qos(1)), code);
        rig.subscribe("s", "$share/g/t", 0);
        assert_eq!(rig.publish_message("p", &msg("t", "5").qos(1)), ReasonCode::Success);
        rig.expect_publish("s");
    });
}

// [MQTT-4.3.3-9] [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT3-3.3.5-2]
#[test]
fn what_may_not_be_published_is_refused() {
    on_every_size(|rig| {
        rig.connect(&v5("s"));
        rig.subscribe("s", "$SYS/#", 2);
        rig.subscribe("s", "#", 2);
        rig.connect(&v5("a"));
        let sys = msg("$SYS/broker/version", "mine").retain();
        rig.send_message("a", &sys);
        assert_eq!(rig.publish_message("a", &sys.clone().qos(1)), ReasonCode::NotAuthorized);
        let refused = sys.clone().qos(2).id(3);
        rig.send_message("a", &refused);
        assert_eq!(rig.expect("a").pub_rec().reason, ReasonCode::NotAuthorized);
        // The identifier is free: the next PUBLISH with it is another message.
        rig.send_message("a", &msg("t", "new").qos(2).id(3));
        assert_eq!(rig.expect("a").pub_rec().reason, ReasonCode::Success);
        assert_eq!(rig.take_payloads("s"), ["new"]);
        // Before 5.0 there is no way to say no: it is acknowledged and dropped.
        rig.connect(&v311("b"));
        rig.publish_message("b", &sys.clone().qos(1));
        rig.publish_message("b", &sys.qos(2));
        rig.nothing("s");
        rig.nothing("b");
        assert_eq!(rig.stats().retained, 0);
        assert_eq!(rig.dropped(martlet_engine::Drop::NotAuthorized), 5);
    });
}

// [MQTT-4.4.0-2] [MQTT-4.8.2-6]
#[test]
fn a_subscriber_can_refuse_a_message() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s").lasting().receive_max(1));
        rig.subscribe("s", "t", 2);
        for qos in 1..=2 {
            rig.publish("p", "t", "refused", qos);
            rig.publish("p", "t", "next", qos);
            let id = packet_id(rig.expect_publish("s").id.expect("an identifier"));
            let refusal = Ack::new(id, ReasonCode::QuotaExceeded);
            let packet = if qos == 1 { Packet::PubAck(refusal) } else { Packet::PubRec(refusal) };
            rig.send("s", packet);
            assert_eq!(rig.take_payloads("s"), ["next"]);
        }
        rig.cut("s");
        rig.connect(&v5("s").lasting());
        rig.nothing("s");
        assert_eq!(rig.stats().in_flight, 0);
    });
}

#[test]
fn large_and_empty_payloads_arrive_whole() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        let names: Vec<String> = (0..4).map(|i| format!("s{i}")).collect();
        for (i, name) in names.iter().enumerate() {
            rig.connect(&if i % 2 == 0 { v5(name) } else { v311(name) });
            rig.subscribe(name, "t", 2);
        }
        for len in [0, 1, 127, 128, 4095, 4096, 4097, 65_535, 300_000] {
            let text: String = ('a'..='z').cycle().take(len).collect();
            for qos in 0..=2 {
                rig.publish("p", "t", &text, qos);
                for name in &names {
                    assert!(rig.take_message(name).text() == text, "{len} bytes, QoS {qos}");
                }
            }
        }
    });
}

// [MQTT-1.5.4-3] [MQTT3-1.5.3-3] [MQTT-4.7.3-4] [MQTT3-4.7.3-4]
#[test]
fn topics_are_compared_byte_by_byte() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        rig.connect(&v5("s"));
        let topics = ["\u{feff}a", "a", "A", "\u{e9}", "e\u{301}", "a/", "/a", "a//b", "a/b", " a"];
        for topic in topics {
            rig.subscribe("s", topic, 0);
            rig.publish("p", topic, topic, 0);
            let got = rig.expect_publish("s");
            assert_eq!((got.topic.as_str(), got.text()), (topic, topic));
            for other in topics.iter().filter(|other| **other != topic) {
                rig.publish("p", other, "another topic", 0);
            }
            rig.nothing("s");
            rig.unsubscribe("s", &[topic]);
        }
    });
}
