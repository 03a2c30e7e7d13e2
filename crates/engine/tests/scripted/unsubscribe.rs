//! UNSUBSCRIBE and UNSUBACK.

use martlet_proto::{PacketType, ReasonCode};

use crate::rig::{msg, on_every_size, options, v5, v31, v311};

// [MQTT-3.10.4-1] [MQTT-3.10.4-2] [MQTT-3.10.4-4] [MQTT-3.10.4-5] [MQTT-3.10.4-6] [MQTT-3.11.3-1]
// [MQTT-3.11.3-2] [MQTT-2.2.1-6] [MQTT3-3.10.4-1] [MQTT3-3.10.4-2] [MQTT3-3.10.4-4]
// [MQTT3-3.10.4-5] [MQTT3-3.10.4-6] [MQTT3-2.3.1-7]
#[test]
fn one_unsuback_answers_every_filter_in_order() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        for hello in [v31("a"), v311("b"), v5("c")] {
            let name = hello.name();
            rig.connect(&hello);
            for filter in ["t", "t/#", "+", "$share/g/t"] {
                rig.subscribe(name, filter, 0);
            }
            // Characters count, not what they match.
            let codes = rig.unsubscribe(name, &["t/+", "t", "T", "$share/h/t", "$share/g/t", "t"]);
            if hello.name() == "c" {
                let gone = ReasonCode::Success as u8;
                let none = ReasonCode::NoSubscriptionExisted as u8;
                assert_eq!(codes, [none, gone, none, none, gone, none]);
            }
            assert_eq!(rig.stats().subscriptions, 2);
            rig.publish("p", "t", "by the wildcards", 0);
            assert_eq!(rig.take_payloads(name), ["by the wildcards"]);
            rig.unsubscribe(name, &["+", "t/#"]);
            rig.publish("p", "t", "by nothing", 0);
            rig.nothing(name);
            assert_eq!(rig.stats().subscriptions, 0);
        }
    });
}

// [MQTT-3.10.4-5] [MQTT3-3.10.4-5]
#[test]
fn unsubscribing_from_nothing_is_answered() {
    on_every_size(|rig| {
        rig.connect(&v311("a"));
        rig.unsubscribe("a", &["never/subscribed"]);
        rig.connect(&v5("b"));
        let codes = rig.unsubscribe("b", &["never/subscribed"]);
        assert_eq!(codes, [ReasonCode::NoSubscriptionExisted as u8]);
    });
}

// [MQTT-3.10.4-3] [MQTT3-3.10.4-3]
#[test]
fn what_was_started_is_completed() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        for hello in [v311("a").lasting(), v5("b").lasting()] {
            let name = hello.name();
            rig.connect(&hello);
            rig.subscribe(name, "t", 2);
            rig.publish("p", "t", "one", 1);
            rig.publish("p", "t", "two", 2);
            let (one, two) = (rig.expect_publish(name), rig.expect_publish(name));
            rig.unsubscribe(name, &["t"]);
            rig.publish("p", "t", "too late", 2);
            rig.cut(name);
            rig.connect(&hello);
            let again = [rig.take_message(name), rig.take_message(name)];
            assert_eq!(again.each_ref().map(|m| m.text()), ["one", "two"]);
            assert_eq!(again.each_ref().map(|m| m.id), [one.id, two.id]);
            rig.nothing(name);
        }
    });
}

// [MQTT-3.10.4-2] [MQTT3-3.10.4-2]
#[test]
fn a_subscription_that_is_undone_at_once_gets_nothing_more() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        for topic in ["r/a", "r/b", "r/c", "r/d"] {
            rig.publish_message("p", &msg(topic, topic).retain());
        }
        rig.connect(&v5("s"));
        rig.give_subscribe("s", &[("r/+", options(1)), ("r/a", options(1))], None);
        rig.give_unsubscribe("s", &["r/+", "r/a"]);
        rig.settle();
        rig.take_first("s", PacketType::SubAck);
        let codes = loop {
            let got = rig.expect("s");
            if got.packet().packet_type() == PacketType::UnsubAck {
                break got.unsub_ack().codes.to_vec();
            }
        };
        assert_eq!(codes, [0, 0]);
        // Whatever was retained: after UNSUBACK nothing comes any more.
        rig.nothing("s");
        rig.publish("p", "r/a", "live", 0);
        rig.nothing("s");
        assert_eq!(rig.stats().subscriptions, 0);
    });
}

// [MQTT-3.10.4-2] [MQTT3-3.10.4-2]
#[test]
fn a_replay_ends_with_its_subscription() {
    on_every_size(|rig| {
        rig.connect(&v5("p"));
        for i in 0..20 {
            rig.publish_message("p", &msg(&format!("r/{i}"), "m").qos(1).retain());
        }
        rig.connect(&v5("s").receive_max(1));
        rig.subscribe("s", "r/+", 1);
        let first = rig.expect_publish("s");
        rig.unsubscribe("s", &["r/+"]);
        rig.finish_message("s", &first);
        rig.nothing("s");
    });
}
